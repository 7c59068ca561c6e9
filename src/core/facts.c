#include "core/facts.h"
#include "http/uri.h"

enum fact {
    REQUEST_METHOD,
    REQUEST_SCHEME,
    REQUEST_HOST,
    REQUEST_PATH,
    REQUEST_ID,
    REQUEST_PROTOCOL,
    HEADER,
    QUERY,
    COOKIE,
    PATH,
    CLIENT_IP,
    CLIENT_PORT,
    CLIENT_TLS_VERSION,
    CLIENT_TLS_SNI,
    CLIENT_TLS_SUBJECT,
    CLIENT_TLS_SAN,
    CLIENT_TLS_VERIFIED,
    ROUTE_NAME,
    SERVICE_NAME,
    ERROR_CODE,
    ERROR_STATUS,
    ERROR_DETAIL,
    ERROR_WHO,
};

#define REQUEST_NAMES                                                                              \
    {"request", "method", REQUEST_METHOD}, {"request", "scheme", REQUEST_SCHEME},                  \
        {"request", "host", REQUEST_HOST}, {"request", "path", REQUEST_PATH},                      \
        {"request", "id", REQUEST_ID}, {"request", "protocol", REQUEST_PROTOCOL},                  \
        {"header", NULL, HEADER}, {"query", NULL, QUERY}, {"cookie", NULL, COOKIE},                \
        {"path", NULL, PATH}, {"client", "ip", CLIENT_IP}, {"client", "port", CLIENT_PORT},        \
        {"client", "tls.version", CLIENT_TLS_VERSION}, {"client", "tls.sni", CLIENT_TLS_SNI},      \
        {"client", "tls.subject", CLIENT_TLS_SUBJECT}, {"client", "tls.san", CLIENT_TLS_SAN},      \
        {"client", "tls.verified", CLIENT_TLS_VERIFIED}, {                                         \
        "route", "name", ROUTE_NAME                                                                \
    }
#define SERVICE_NAMES                                                                              \
    { "service", "name", SERVICE_NAME }
#define ERROR_NAMES                                                                                \
    {"error", "code", ERROR_CODE}, {"error", "status", ERROR_STATUS},                              \
        {"error", "detail", ERROR_DETAIL}, {                                                       \
        "error", "who", ERROR_WHO                                                                  \
    }

static const struct template_name plain[] = {REQUEST_NAMES};
static const struct template_name with_service[] = {REQUEST_NAMES, SERVICE_NAMES};
static const struct template_name with_error[] = {REQUEST_NAMES, ERROR_NAMES};
static const struct template_name with_both[] = {REQUEST_NAMES, SERVICE_NAMES, ERROR_NAMES};

/* ---- when a template is compiled --------------------------------------------------------------
 */

static const char *no_capture(struct arena *a, const struct fact_captures *c, struct span key) {
    struct str s = str_on(arena_alloc(a, 512), 511);
    str_fmt(&s, "`%.*s` is not a capture of this route's path", SPAN_ARG(key));
    for (uint32_t i = 0; c && i < c->count; i++) {
        str_add(&s, i ? SPAN(", ") : SPAN("; it has "));
        str_add(&s, c->name[i]);
    }
    if (!c || !c->count)
        str_lit(&s, ", which has none");
    s.p[s.n] = 0;
    return s.p;
}

static const char *check_capture(struct arena *a, const struct fact_captures *c,
                                 struct template_part *part) {
    for (uint32_t i = 0; c && i < c->count; i++)
        if (span_eq(c->name[i], part->key)) {
            part->slot = (int)i;
            part->tail = c->tail && c->tail[i];
            return NULL;
        }
    return no_capture(a, c, part->key);
}

static const char *check_header(struct arena *a, struct template_part *part) {
    char *name = arena_text(a, part->key);
    for (size_t i = 0; i < part->key.n; i++) {
        if (!token_char[(unsigned char)name[i]])
            return "this is not a header name";
        name[i] = lower(name[i]);
    }
    part->key = span_of(name, part->key.n);
    return NULL;
}

static const char *check(void *ctx, struct arena *a, struct template_part *part) {
    if (part->id == PATH)
        return check_capture(a, ctx, part);
    if (part->id == HEADER)
        return check_header(a, part);
    part->tail = part->id == REQUEST_PATH;
    return NULL;
}

void facts_scope(struct template_scope *out, unsigned scopes,
                 const struct fact_captures *captures) {
    /* The scope only lends them to check(), which does not write. */
    *out = (struct template_scope){plain, array_len(plain), check, (void *)(uintptr_t)captures};
    if ((scopes & SCOPE_SERVICE) && (scopes & SCOPE_ERROR)) {
        out->name = with_both;
        out->count = array_len(with_both);
    } else if (scopes & SCOPE_SERVICE) {
        out->name = with_service;
        out->count = array_len(with_service);
    } else if (scopes & SCOPE_ERROR) {
        out->name = with_error;
        out->count = array_len(with_error);
    }
}

/* ---- what they are worth ----------------------------------------------------------------------
 */

static struct span decode(struct arena *a, struct span enc, enum uri_place place) {
    if (!enc.n ||
        (!memchr(enc.p, '%', enc.n) && (place != URI_QUERY || !memchr(enc.p, '+', enc.n))))
        return enc;
    char *room = arena_try(a, enc.n);
    if (!room)
        return SPAN_NONE;
    struct str s = str_on(room, enc.n);
    uri_decode(&s, enc, place);
    return str_span(&s);
}

static struct span number(struct arena *a, uint64_t v) {
    struct str s = str_on(arena_alloc(a, 20), 20);
    str_u64(&s, v);
    return str_span(&s);
}

static struct span client_ip(struct exchange *x, struct arena *a) {
    const struct address *c = x->facts.client.len ? &x->facts.client : &x->facts.peer;
    if (!c->len || c->sa.sa_family == AF_UNIX)
        return SPAN_NONE;
    return address_text(c, arena_alloc(a, ADDRESS_TEXT_MAX), false);
}

static struct span header(const struct exchange *x, struct span name) {
    return span_eq(name, SPAN("host")) ? x->req.authority : hdr_find(&x->req, name);
}

/* Empty without TLS, or where the client has shown no certificate. */
static struct span of_tls(const struct tls_info *t, enum fact fact) {
    const struct tls_client_cert *c = t ? t->client : NULL;
    if (fact == CLIENT_TLS_VERSION)
        return t ? span_z(t->version) : SPAN_NONE;
    if (fact == CLIENT_TLS_SNI)
        return t ? t->sni : SPAN_NONE;
    if (fact == CLIENT_TLS_SUBJECT)
        return c ? c->subject : SPAN_NONE;
    if (fact == CLIENT_TLS_SAN)
        return c ? c->san : SPAN_NONE;
    return c && c->verified ? SPAN("true") : SPAN("false");
}

static struct span of_request(struct exchange *x, struct arena *a,
                              const struct template_part *part) {
    switch ((enum fact)part->id) {
    case REQUEST_METHOD:
        return head_method_text(&x->req);
    case REQUEST_SCHEME:
        return x->req.scheme;
    case REQUEST_HOST:
        return x->req.host;
    case REQUEST_PATH:
        return x->req.path;
    case REQUEST_ID:
        return span_of(x->facts.request_id, x->facts.request_id_len);
    case REQUEST_PROTOCOL:
        return span_z(x->facts.protocol);
    case HEADER:
        return header(x, part->key);
    case QUERY:
        return decode(a, query_get(x->req.query, part->key), URI_QUERY);
    case COOKIE:
        return cookie_get(&x->req, part->key);
    case PATH:
        return decode(a, x->capture[part->slot], URI_PATH);
    case CLIENT_IP:
        return client_ip(x, a);
    case CLIENT_PORT:
        return number(a, x->facts.client.len ? address_port(&x->facts.client) : 0);
    case CLIENT_TLS_VERSION:
    case CLIENT_TLS_SNI:
    case CLIENT_TLS_SUBJECT:
    case CLIENT_TLS_SAN:
    case CLIENT_TLS_VERIFIED:
        return of_tls(x->facts.tls, (enum fact)part->id);
    case ROUTE_NAME:
    case SERVICE_NAME:
    case ERROR_CODE:
    case ERROR_STATUS:
    case ERROR_DETAIL:
    case ERROR_WHO:
        break;
    }
    return SPAN_NONE;
}

/* A replaced error answer says the status that it is sent with. */
static uint64_t error_status(const struct exchange *x) {
    int status = x->resp.status ? x->resp.status : fault_table[x->fault].status;
    return status > 0 ? (uint64_t)status : 0;
}

static struct span get(void *ctx, struct arena *a, const struct template_part *part) {
    struct exchange *x = ctx;
    const struct fault_info *f = &fault_table[x->fault];
    if (part->id == ROUTE_NAME)
        return x->route ? x->route->name : SPAN_NONE;
    if (part->id == SERVICE_NAME)
        return x->service ? x->service->name : SPAN_NONE;
    if (part->id == ERROR_CODE)
        return span_z(f->code);
    if (part->id == ERROR_STATUS)
        return number(a, error_status(x));
    if (part->id == ERROR_DETAIL)
        return span_z(f->text);
    if (part->id == ERROR_WHO)
        return span_z(fault_who_name(f->who));
    return of_request(x, a, part);
}

/* What is canonical already goes from path to path as it stands: decoding "%2F" would make a border
 * of it. */
static struct span get_encoded(void *ctx, struct arena *a, const struct template_part *part) {
    struct exchange *x = ctx;
    (void)a;
    if (part->id == REQUEST_PATH)
        return x->req.path;
    if (part->id != PATH)
        return SPAN_NONE;
    struct span s = x->capture[part->slot];
    bool split = s.n && memchr(s.p, '/', s.n) && !part->tail;
    return split ? SPAN_NONE : s;
}

struct template_values facts_values(struct exchange *x) {
    return (struct template_values){get, get_encoded, x};
}
