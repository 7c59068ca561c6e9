#include "identity/forward.h"
#include "base/env.h"
#include "core/facts.h"
#include "core/thread.h"
#include "data/json.h"
#include "identity/decisions.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

enum { ANSWER_MAX = 64 * 1024, REFUSED_MS = 10 * 1000, KEY_MAX = 4096, HEADERS_MAX = 32 };

struct auth_forward_conf {
    const struct outbound *url;
    struct span method;
    const struct span *request, *answer, *client;
    uint32_t request_count, answer_count, client_count;
    bool claims;
    uint64_t cache_ms, timeout_ms;
    const struct template *key;
};

#define F(member) FIELD(struct auth_forward_conf, member)
static const struct schema_type name = {.kind = SCHEMA_TEXT, .min = 1, .what = "a header name"};
static const struct schema_type names = {.kind = SCHEMA_LIST,
                                         .of = &name,
                                         .size = sizeof(struct span),
                                         .flags = TYPE_ONE_OR_MANY,
                                         .max = HEADERS_MAX};
static const struct schema_type method = {.kind = SCHEMA_TEXT, .min = 1, .what = "a method"};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_type cache = {.kind = SCHEMA_DURATION, .max = 3600ull * 1000};
static const struct schema_type timeout = {.kind = SCHEMA_DURATION, .min = 1, .max = 60 * 1000};
static const struct schema_type key = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST};

static const struct schema_field fields[] = {
    {.key = "url",
     .type = &schema_url,
     F(url),
     .flags = FIELD_REQUIRED,
     .doc = "Who decides: a URL, or {service: NAME, path: /x}."},
    {.key = "method", .type = &method, F(method), .shipped = "GET", .doc = "How it is asked."},
    {.key = "request_headers",
     .type = &names,
     FIELD_LIST(struct auth_forward_conf, request, request_count),
     .doc = "Headers of the request that it sees; else Authorization and Cookie."},
    {.key = "headers",
     .type = &names,
     FIELD_LIST(struct auth_forward_conf, answer, answer_count),
     .doc = "Headers of its 2xx answer that the service gets; those of clients by these names are "
            "taken away."},
    {.key = "client_headers",
     .type = &names,
     FIELD_LIST(struct auth_forward_conf, client, client_count),
     .doc = "Headers of its 3xx or 4xx answer that the client gets; else WWW-Authenticate, "
            "Location, Set-Cookie, Content-Type, Cache-Control and Retry-After."},
    {.key = "claims",
     .type = &flag,
     F(claims),
     .shipped = "false",
     .doc = "The body of its 2xx answer is a JSON object: `claim`."},
    {.key = "cache",
     .type = &cache,
     F(cache_ms),
     .shipped = "0s",
     .doc = "How long a decision holds for the same key; a refusal ten seconds at most."},
    {.key = "key",
     .type = &key,
     F(key),
     .doc = "What decisions are remembered by; empty: not. Else all that it sees of the request."},
    {.key = "timeout",
     .type = &timeout,
     F(timeout_ms),
     .shipped = "2s",
     .doc = "How long the answer may take; then 503."},
};
static const struct schema_object form = {
    .name = "forward",
    SCHEMA_OBJECT_OF(fields),
    .short_scalar = "url",
    .doc = "A service decides about each request (forward authentication)."};

/* ---- finish -----------------------------------------------------------------------------------
 */

static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0 && s.n <= 256;
}

/* Names in lower case; those that belong to one hop are nobody's to pass on. */
static const char *header_names(struct arena *a, const struct span **list, uint32_t count) {
    struct span *all = arena_alloc(a, count * sizeof *all + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct span s = (*list)[i];
        if (!is_token(s))
            return arena_fmt(a, "\"%.*s\" is not a header name", SPAN_ARG(s));
        char *z = arena_text(a, s);
        for (size_t k = 0; k < s.n; k++)
            z[k] = lower(z[k]);
        all[i] = span_of(z, s.n);
        enum hdr_id id = hdr_lookup(all[i]);
        if (hdr_table[id].flags & (HF_HOP | HF_FRAMING) || id == HDR_HOST)
            return arena_fmt(a, "%s belongs to one connection and is not passed on", z);
    }
    *list = all;
    return NULL;
}

static const char *finish(struct arena *a, void *conf) {
    static const struct span request[] = {{"authorization", 13}, {"cookie", 6}};
    static const struct span client[] = {{"www-authenticate", 16}, {"location", 8},
                                         {"set-cookie", 10},       {"content-type", 12},
                                         {"cache-control", 13},    {"retry-after", 11}};
    struct auth_forward_conf *c = conf;
    if (!c->request) {
        c->request = request;
        c->request_count = array_len(request);
    }
    if (!c->client) {
        c->client = client;
        c->client_count = array_len(client);
    }
    if (!is_token(c->method) || span_eq(c->method, SPAN("CONNECT")) ||
        span_eq(c->method, SPAN("TRACE")))
        return "`method` is none that the gateway asks with";
    const char *wrong = header_names(a, &c->request, c->request_count);
    if (!wrong)
        wrong = header_names(a, &c->answer, c->answer_count);
    if (!wrong)
        wrong = header_names(a, &c->client, c->client_count);
    return wrong ? wrong
           : c->key && !c->cache_ms
               ? "`key` says by what decisions are remembered, and `cache` that "
                 "none is"
               : NULL;
}

/* ---- what was decided -------------------------------------------------------------------------
 */

struct decided { /* in the decision's arena */
    struct decision *decision;
    const struct auth_forward_conf *conf;
    int status;
    struct head head; /* the fields that go on: to the service, or to the client */
    struct span body; /* the client's */
};

static void say(struct decision *d, const char *detail) {
    d->result = AUTH_REFUSED;
    d->fault = FAULT_AUTH_UNAVAILABLE;
    d->detail = detail;
}

/* Each through the one function that lets a field pass (F19). */
static bool take_fields(struct decided *k, const struct head *from, const struct span *list,
                        uint32_t count) {
    struct arena *a = &k->decision->arena;
    for (uint32_t i = 0; i < count; i++) {
        const struct field *f;
        for (size_t at = 0; (f = hdr_next(from, list[i], &at));)
            if (hdr_put(&k->head, list[i], arena_span(a, field_value(f)), ORIGIN_UPSTREAM))
                return false;
    }
    return true;
}

static bool take_claims(struct decided *k, struct span body) {
    static const struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct decision *d = k->decision;
    struct json_error err;
    return json_read(&d->arena, arena_span(&d->arena, body), &limits, &d->claims, &err) &&
           d->claims.kind == VALUE_MAP;
}

static void judge(struct decided *k, const struct call_answer *a) {
    struct decision *d = k->decision;
    const struct auth_forward_conf *c = k->conf;
    bool yes = k->status < 300;
    d->result = yes ? AUTH_OK : AUTH_ANSWER;
    if (!take_fields(k, a->head, yes ? c->answer : c->client,
                     yes ? c->answer_count : c->client_count))
        say(d, "a header of the decision cannot be passed on");
    else if (yes && c->claims && !take_claims(k, a->body))
        say(d, "the body of the decision is no JSON object");
    else if (!yes)
        k->body = arena_span(&d->arena, a->body);
}

static void came(void *ctx, const struct call_answer *a) {
    struct decided *k = ctx;
    struct decision *d = k->decision;
    uint64_t keep = k->conf->cache_ms;
    k->status = a->fault ? 0 : a->head->status;
    if (a->fault)
        say(d, fault_table[a->fault].text);
    else if (k->status < 200 || k->status >= 500)
        say(d, arena_fmt(&d->arena, "who decides answered %d", k->status));
    else
        judge(k, a);
    if (d->result == AUTH_REFUSED)
        keep = 0;
    else if (d->result == AUTH_ANSWER && keep > REFUSED_MS)
        keep = REFUSED_MS;
    decision_made(d, keep);
}

/* ---- the client's answer ----------------------------------------------------------------------
 */

static void answer(struct exchange *x) {
    const struct decided *k = x->back_conf; /* held by the exchange */
    x->resp.status = k->status;
    for (uint16_t i = 0; i < k->head.count; i++) {
        const struct field *f = &k->head.field[i];
        if (hdr_put(&x->resp, field_name(f), field_value(f), ORIGIN_UPSTREAM))
            continue; /* the budget of an answer: what fits is enough */
    }
    bool none = x->req.method == METHOD_HEAD || k->status == 304;
    x->down_half.length = (int64_t)k->body.n;
    if (none)
        x->down_half.length = 0;
    else if (k->body.n && !body_push_copy(&x->down_half.source, k->body.p, k->body.n)) {
        exchange_fail(x, FAULT_OUT_OF_MEMORY, NULL);
        return;
    }
    body_stop(x->up_half.sink);
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops decided_back = {"forward auth", answer, NULL, NULL};

/* ---- asking -----------------------------------------------------------------------------------
 */

static const struct own_field *field(struct arena *a, struct span lower_name, struct span value,
                                     const struct own_field *next) {
    struct own_field *f = arena_alloc(a, sizeof *f);
    *f = (struct own_field){lower_name, value, next};
    return f;
}

static struct span uri_of(struct arena *a, const struct head *h) {
    if (!h->has_query)
        return h->path;
    return span_z(arena_fmt(a, "%.*s?%.*s", SPAN_ARG(h->path), SPAN_ARG(h->query)));
}

/* What it sees of the request. */
static const struct own_field *fields_of(const struct auth *a, const struct auth_forward_conf *c) {
    struct arena *m = &a->x->arena;
    const struct head *h = &a->x->req;
    char text[ADDRESS_TEXT_MAX];
    const struct own_field *all = NULL;
    struct span client = arena_span(m, address_text(&a->x->facts.client, text, false));
    if (client.n)
        all = field(m, SPAN("x-forwarded-for"), client, all);
    all = field(m, SPAN("x-forwarded-proto"), h->scheme, all);
    if (h->authority.n)
        all = field(m, SPAN("x-forwarded-host"), h->authority, all);
    all = field(m, SPAN("x-forwarded-uri"), uri_of(m, h), all);
    all = field(m, SPAN("x-forwarded-method"), head_method_text(h), all);
    for (uint32_t i = 0; i < c->request_count; i++) {
        const struct field *f;
        for (size_t at = 0; (f = hdr_next(h, c->request[i], &at));)
            all = field(m, c->request[i], field_value(f), all);
    }
    return all;
}

static bool ask(struct auth *a, struct decision *d, const struct own_field *all) {
    const struct auth_forward_conf *c = a->by->conf;
    struct decided *k = arena_zero(&d->arena, sizeof *k);
    *k = (struct decided){.decision = d, .conf = c};
    head_init(&k->head, &d->arena);
    d->part = k;
    const struct call_ask request = {.to = c->url,
                                     .method = c->method,
                                     .field = all,
                                     .timeout_ms = c->timeout_ms,
                                     .max_body = ANSWER_MAX,
                                     .parent = a->x};
    return call_start(a->x->thread, &d->ops, &request, came, k) != NULL;
}

static enum auth_result pass(struct auth *a, const struct decided *k) {
    for (uint16_t i = 0; i < k->head.count; i++) {
        const struct field *f = &k->head.field[i];
        if (hdr_put(&a->x->req, field_name(f), field_value(f), ORIGIN_GATEWAY))
            return auth_refuse(a, FAULT_HEADER_REFUSED, "a header of the decision");
    }
    a->caller.claims = k->decision->claims;
    return AUTH_OK;
}

static enum auth_result apply(struct auth *a, struct decision *d) {
    const struct decided *k = d->part;
    if (d->result == AUTH_REFUSED)
        return auth_refuse(a, d->fault,
                           d->detail ? arena_text(&a->x->arena, span_z(d->detail)) : NULL);
    decision_hold(d, a->x);
    if (d->result == AUTH_OK)
        return pass(a, k);
    if (a->step->filter->observe)
        return auth_refuse(a, k->status == 403 ? FAULT_FORBIDDEN : FAULT_INVALID_CREDENTIALS,
                           "who decides did not let it pass");
    exchange_back(a->x, &decided_back, k);
    return AUTH_ANSWER;
}

/* By the template, or by all that who decides gets to see. False: not remembered. */
static bool key_of(struct auth *a, const struct own_field *all, unsigned char out[DECISION_KEY]) {
    const struct auth_forward_conf *c = a->by->conf;
    uint64_t owner = decisions_number(a->by);
    struct thread *t = a->x->thread;
    struct template_values v = facts_values(a->x);
    struct span text;
    unsigned n = 0;
    if (!c->cache_ms)
        return false;
    if (c->key) {
        bool fine = template_eval(c->key, &a->x->arena, &v, KEY_MAX, &text) && text.n;
        if (fine)
            decision_key(t, owner, &text, 1, out);
        return fine;
    }
    for (const struct own_field *f = all; f; f = f->next)
        n += 2;
    struct span *parts = arena_alloc(&a->x->arena, n * sizeof *parts + 1);
    n = 0;
    for (const struct own_field *f = all; f; f = f->next) {
        parts[n++] = f->name;
        parts[n++] = f->value;
    }
    decision_key(t, owner, parts, n, out);
    return true;
}

static enum auth_result check(struct auth *a) {
    const struct auth_forward_conf *c = a->by->conf;
    struct thread *t = a->x->thread;
    unsigned char found[DECISION_KEY];
    for (uint32_t i = 0; i < c->answer_count; i++)
        hdr_remove_name(&a->x->req, c->answer[i]);
    const struct own_field *all = fields_of(a, c);
    bool keyed = key_of(a, all, found);
    struct decision *d = keyed ? decision_find(t, found) : NULL;
    if (d)
        return d->pending ? decision_await(a, d, apply) : apply(a, d);
    d = decision_begin(t, keyed ? found : NULL);
    if (!d)
        return auth_refuse(a, FAULT_AUTH_UNAVAILABLE, "too many decisions are being asked for");
    if (!ask(a, d, all)) {
        decision_drop(d);
        return auth_refuse(a, FAULT_OUT_OF_MEMORY, NULL);
    }
    return decision_await(a, d, apply);
}

static const struct span *sets(const void *conf, uint32_t *count) {
    const struct auth_forward_conf *c = conf;
    *count = c->answer_count;
    return c->answer;
}

const struct auth_kind auth_forward = {.name = "forward",
                                       .form = &form,
                                       .size = sizeof(struct auth_forward_conf),
                                       .keeps = true,
                                       .finish = finish,
                                       .check = check,
                                       .sets = sets,
                                       .attach = decisions_attach,
                                       .detach = decisions_detach,
                                       .thread_finish = decisions_thread_finish};
