#include "core/authenticator.h"
#include "base/log.h"
#include "core/facts_ids.h"
#include "core/thread.h"
#include "data/json.h"
#include "http/uri.h"
#include <stdio.h>

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

static bool text(struct value *out, struct span s) {
    *out = value_string(s.p ? s : SPAN(""));
    return true;
}
static bool give(struct value *out, struct value v) {
    *out = v;
    return true;
}
static bool fails(struct value *out, const char *why) {
    *out = value_text(VALUE_ERROR, span_z(why));
    return false;
}

/* ---- the client -------------------------------------------------------------------------------
 */

static struct value client_ip(const struct exchange *x) {
    const struct address *c = x->facts.client.len ? &x->facts.client : &x->facts.peer;
    struct value v = {.kind = VALUE_IP};
    if (!c->len || (c->sa.sa_family != AF_INET && c->sa.sa_family != AF_INET6))
        return VALUE_NOTHING;
    bool four = c->sa.sa_family == AF_INET;
    v.ip = four ? (const unsigned char *)&c->in.sin_addr : (const unsigned char *)&c->in6.sin6_addr;
    v.n = four ? 4 : 16;
    return v;
}

/* Empty without TLS, or where the client has shown no certificate. */
static bool of_tls(const struct tls_info *t, enum fact fact, struct value *out) {
    const struct tls_client_cert *c = t ? t->client : NULL;
    if (fact == CLIENT_TLS_VERSION)
        return text(out, t ? span_z(t->version) : SPAN_NONE);
    if (fact == CLIENT_TLS_SNI)
        return text(out, t ? t->sni : SPAN_NONE);
    if (fact == CLIENT_TLS_SUBJECT)
        return text(out, c ? c->subject : SPAN_NONE);
    if (fact == CLIENT_TLS_SAN)
        return text(out, c ? c->san : SPAN_NONE);
    return give(out, value_bool(c && c->verified));
}

/* ---- the caller -------------------------------------------------------------------------------
 */

static struct value map_or_empty(const struct value *v) {
    return v && v->kind == VALUE_MAP ? *v : (struct value){.kind = VALUE_MAP};
}

static struct value groups(struct arena *a, const struct caller *c) {
    uint32_t n = c ? c->group_count : 0;
    struct value *item = arena_alloc(a, (n + 1) * sizeof *item);
    for (uint32_t i = 0; i < n; i++)
        item[i] = value_string(c->group[i]);
    return (struct value){.kind = VALUE_LIST, .n = n, .item = item};
}

static bool of_caller(const struct exchange *x, struct arena *a, int id, struct value *out) {
    const struct caller *c = x->caller;
    switch (id) {
    case FACT_CLAIM_ID:
        return give(out, map_or_empty(c ? &c->claims : NULL));
    case CONSUMER_NAME:
        return text(out, c ? c->name : SPAN_NONE);
    case CONSUMER_PLAN:
        return text(out, c ? c->plan : SPAN_NONE);
    case CONSUMER_GROUPS:
        return give(out, groups(a, c));
    default:
        return give(out, map_or_empty(c ? &c->tags : NULL));
    }
}

/* ---- request, error, response -----------------------------------------------------------------
 */

static struct span header(const struct exchange *x, struct span name) {
    return span_eq(name, SPAN("host")) ? x->req.authority : hdr_find(&x->req, name);
}

static bool timestamp(struct exchange *x, struct value *out) {
    int64_t ns = thread_wall_ns(x->thread, x->t.start);
    return give(out, (struct value){.kind = VALUE_TIMESTAMP,
                                    .i = ns / 1000000000,
                                    .nanos = (int32_t)(ns % 1000000000)});
}

static bool duration(const struct exchange *x, struct value *out) {
    uint64_t ns = x->t.head && x->t.back_start ? x->t.head - x->t.back_start : 0;
    return give(out, (struct value){.kind = VALUE_DURATION,
                                    .i = (int64_t)(ns / 1000000000),
                                    .nanos = (int32_t)(ns % 1000000000)});
}

static bool direct(struct exchange *x, struct arena *a, const struct expr_ref *ref,
                   struct value *out) {
    if (!ref->key.p)
        return give(out, facts_direct_map(x, a, ref->id));
    switch ((unsigned)ref->id) {
    case HEADER:
        return text(out, header(x, ref->key));
    case QUERY:
        return text(out, decode(a, query_get(x->req.query, ref->key), URI_QUERY));
    case COOKIE:
        return text(out, cookie_get(&x->req, ref->key));
    default: /* PATH */
        return text(out, decode(a, x->capture[ref->slot], URI_PATH));
    }
}

static bool of_request(struct exchange *x, struct arena *a, const struct expr_ref *ref,
                       struct value *out) {
    switch ((unsigned)ref->id) {
    case FACT_BODY_ID:
        if (!x->body)
            return fails(out, "the request has no body that is JSON");
        return give(out, *x->body);
    case REQUEST_METHOD:
        return text(out, head_method_text(&x->req));
    case REQUEST_SCHEME:
        return text(out, x->req.scheme);
    case REQUEST_HOST:
        return text(out, x->req.host);
    case REQUEST_PATH:
        return text(out, x->req.path);
    case REQUEST_ID:
        return text(out, span_of(x->facts.request_id, x->facts.request_id_len));
    case REQUEST_PROTOCOL:
        return text(out, span_z(x->facts.protocol));
    case REQUEST_SIZE:
        return give(out, value_int(x->up_half.length));
    case REQUEST_TIME:
        return timestamp(x, out);
    case REQUEST_HEADERS:
        return give(out, facts_header_lists(a, &x->req));
    case REQUEST_QUERY:
        return give(out, facts_query_lists(a, &x->req));
    default:
        return direct(x, a, ref, out);
    }
}

/* A replaced error answer says the status that it is sent with. */
static int64_t error_status(const struct exchange *x) {
    return x->resp.status ? x->resp.status : fault_table[x->fault].status;
}

static bool of_answer(struct exchange *x, struct arena *a, enum fact fact, struct value *out) {
    const struct fault_info *f = &fault_table[x->fault];
    if (fact == ERROR_CODE)
        return text(out, span_z(f->code));
    if (fact == ERROR_STATUS)
        return give(out, value_int(error_status(x)));
    if (fact == ERROR_DETAIL)
        return text(out, span_z(f->text));
    if (fact == ERROR_WHO)
        return text(out, span_z(fault_who_name(f->who)));
    if (fact == RESPONSE_STATUS)
        return give(out, value_int(x->resp.status));
    if (fact == RESPONSE_HEADERS)
        return give(out, facts_header_lists(a, &x->resp));
    return duration(x, out);
}

static bool of_vars(const struct exchange *x, const struct expr_ref *ref, struct value *out) {
    const struct value *all = &x->snap->snapshot->vars;
    const struct value *v = ref->key.p ? value_find(all, ref->key) : all;
    return v ? give(out, *v) : fails(out, "there is no such variable");
}

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    struct exchange *x = ctx;
    int id = ref->id;
    if (id == ROUTE_NAME)
        return text(out, x->route ? x->route->name : SPAN_NONE);
    if (id == SERVICE_NAME)
        return text(out, x->service ? x->service->name : SPAN_NONE);
    if (id >= ERROR_CODE)
        return of_answer(x, a, (enum fact)id, out);
    if (id == FACT_CLAIM_ID || (id >= FACT_CONSUMER_FIRST_ID && id <= FACT_CONSUMER_LAST_ID))
        return of_caller(x, a, id, out);
    if (id == ENV)
        return text(out, ref->key); /* its value: see facts_names.c */
    if (id == VARS)
        return of_vars(x, ref, out);
    if (id == CLIENT_IP)
        return give(out, client_ip(x));
    if (id == CLIENT_PORT)
        return give(out, value_int(x->facts.client.len ? address_port(&x->facts.client) : 0));
    if (id >= CLIENT_TLS_VERSION && id <= CLIENT_TLS_VERIFIED)
        return of_tls(x->facts.tls, (enum fact)id, out);
    return of_request(x, a, ref, out);
}

/* What is canonical already goes from path to path as it stands: decoding "%2F" would make a border
 * of it. */
static struct span get_encoded(void *ctx, struct arena *a, const struct expr_ref *ref) {
    struct exchange *x = ctx;
    (void)a;
    if (ref->id == REQUEST_PATH)
        return x->req.path;
    if (ref->id != PATH || !ref->key.p)
        return SPAN_NONE;
    struct span s = x->capture[ref->slot];
    bool split = s.n && memchr(s.p, '/', s.n) && !ref->tail;
    return split ? SPAN_NONE : s;
}

/* NULL: an expression that the file does not have. */
static const struct where *place_of(const struct exchange *x, const char *source) {
    const struct snapshot *s = x->snap ? x->snap->snapshot : NULL;
    uint32_t from = 0, to = s ? s->place_count : 0;
    while (from < to) {
        uint32_t mid = from + (to - from) / 2;
        if (s->place[mid].source == source)
            return &s->place[mid].where;
        if (s->place[mid].source < source)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static void failed(void *ctx, const struct expr *e, const struct expr_error *err) {
    facts_failed(ctx, expr_source(e), err);
}

struct template_values facts_values(struct exchange *x) {
    return (struct template_values){
        .get = get, .get_encoded = get_encoded, .failed = failed, .ctx = x};
}

void facts_failed(struct exchange *x, struct span source, const struct expr_error *err) {
    char quoted[LOG_QUOTED_MAX], at[64] = "";
    const struct where *w = place_of(x, source.p);
    count_up(x->thread, expression_errors);
    if (!log_event_wanted(LEVEL_WARNING))
        return;
    if (source.n > err->len && err->at + err->len <= source.n)
        (void)snprintf(at, sizeof at, " at `%.*s`", (int)(err->len < 48 ? err->len : 48),
                       source.p + err->at);
    log_event(LEVEL_WARNING, "expression", "%s:%u: %s failed%s: %s route=\"%.*s\" request_id=%.*s",
              w && w->file ? w->file : "-", w ? w->line : 0, log_quoted(source, quoted), at,
              err->text ? err->text : "no reason is known",
              SPAN_ARG(x->route ? x->route->name : SPAN("")), (int)x->facts.request_id_len,
              x->facts.request_id);
}

/* ---- conditions -------------------------------------------------------------------------------
 */

bool facts_eval(struct exchange *x, const struct expr *e, struct value *out) {
    struct expr_run run = {.arena = &x->arena, .get = get, .ctx = x};
    if (expr_eval(e, &run, out))
        return true;
    facts_failed(x, expr_source(e), &run.error);
    return false;
}

enum expr_truth facts_test(struct exchange *x, const struct expr *e) {
    struct expr_run run = {.arena = &x->arena, .get = get, .ctx = x};
    enum expr_truth t = expr_test(e, &run);
    if (unlikely(t == EXPR_FAILED))
        facts_failed(x, expr_source(e), &run.error);
    return t;
}

/* ---- request.body -----------------------------------------------------------------------------
 */

static bool gather(struct exchange *x, struct span *out) {
    const struct body *b = x->up_half.sink;
    struct iovec iov[16];
    char *room = arena_try(&x->arena, b->size + 1);
    if (!room)
        return false;
    struct str s = str_on(room, b->size);
    while (s.n < b->size) {
        int n = body_get_from(b, s.n, iov, array_len(iov), b->size - s.n);
        for (int i = 0; i < n; i++)
            str_put(&s, iov[i].iov_base, iov[i].iov_len);
        if (n <= 0 || s.full)
            return false;
    }
    *out = str_span(&s);
    return true;
}

bool facts_body(struct exchange *x) {
    struct json_error err;
    struct span doc;
    struct value v, *kept;
    if (x->body)
        return true;
    if (!gather(x, &doc) || !json_read(&x->arena, doc, NULL, &v, &err))
        return false;
    kept = arena_alloc(&x->arena, sizeof *kept);
    *kept = v;
    x->body = kept;
    return true;
}
