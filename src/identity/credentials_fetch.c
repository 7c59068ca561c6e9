#include "core/call.h"
#include "data/json.h"
#include "http/uri.h"
#include "identity/client.h"
#include "identity/credentials.h"

/* Tokens from a token endpoint: RFC 6749 4.4 and RFC 8693. */

enum {
    ANSWER_MAX = 64 * 1024,
    LIFE_UNSAID_MS = 300000, /* expires_in is not said */
    LIFE_MAX_S = 86400,
    PAUSE_MS = 1000,
    PAUSE_MAX_MS = 10000,
    REFUSED_MS = 10000
};

/* ---- those who wait ---- */

static void waits_cancel(struct op *op) {
    list_remove(&container_of(op, struct credentials_need, op)->node);
}

static enum credentials_result wait(struct credentials_need *n, struct grant *k) {
    op_start(n->ops, &n->op, waits_cancel);
    list_append(&k->waiters, &n->node);
    return CREDENTIALS_WAIT;
}

static enum credentials_result failed(struct credentials_need *n, enum fault why,
                                      const char *detail) {
    n->fault = why;
    n->detail = detail;
    return CREDENTIALS_FAILED;
}

enum credentials_result grant_use(struct credentials_need *n, const struct grant *k) {
    if (!k->value.n || me->now >= k->until)
        return failed(n, k->fault ? k->fault : FAULT_SERVICE_CREDENTIALS, k->detail);
    n->value = arena_span(&n->x->arena, k->value);
    return CREDENTIALS_READY;
}

/* What they do may ask for this token again: those are others. */
static void wake(struct grant *k) {
    struct list now;
    list_init(&now);
    list_splice(&now, &k->waiters);
    for (struct list *l; (l = list_shift(&now));) {
        struct credentials_need *n = container_of(l, struct credentials_need, node);
        op_end(&n->op);
        n->ready(n, grant_use(n, k) == CREDENTIALS_READY);
    }
}

/* ---- the answer ---- */

static bool is_token_text(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            return false;
    return s.n > 0 && s.n <= CREDENTIALS_TOKEN_BYTES;
}

static struct span text_of(const struct value *v, const char *name) {
    const struct value *m = value_find(v, span_z(name));
    return m && m->kind == VALUE_STRING ? value_span(m) : SPAN_NONE;
}

/* Seconds; -1: malformed. Some issuers write the number as a text. */
static int64_t life_of(const struct value *v) {
    const struct value *said = value_find(v, SPAN("expires_in"));
    uint64_t seconds;
    if (!said)
        return LIFE_UNSAID_MS / 1000;
    if (said->kind == VALUE_STRING)
        return parse_dec(value_span(said), INT32_MAX, &seconds) ? (int64_t)seconds : -1;
    struct value n = value_settle(*said);
    if (n.kind == VALUE_DOUBLE && n.d > 0 && n.d < INT32_MAX)
        return (int64_t)n.d;
    return n.kind == VALUE_INT && n.i > 0 ? n.i : -1;
}

/* NULL: kept; else what is wrong. */
static const char *take(struct grant *k, struct arena *a, const struct value *v) {
    struct span token = text_of(v, "access_token"), type = text_of(v, "token_type");
    int64_t life = life_of(v);
    if (!is_token_text(token))
        return "credentials: the token endpoint's answer holds no access_token, or too long a one";
    if (!span_eq_nocase(type, SPAN("bearer")))
        return "credentials: the token endpoint gave a token that is not of type Bearer";
    if (life <= 0)
        return "credentials: expires_in of the token endpoint's answer is no positive number";
    const char *value = arena_fmt(a, "Bearer %.*s", SPAN_ARG(token));
    grant_keep(k, span_z(value), (uint64_t)(life < LIFE_MAX_S ? life : LIFE_MAX_S) * 1000);
    return NULL;
}

static void pause_after(struct grant *k, enum fault why, const char *detail) {
    uint64_t ms = (uint64_t)PAUSE_MS << (k->fails < 4 ? k->fails : 4);
    k->fails++;
    k->fault = why;
    k->detail = detail;
    ms = why == FAULT_FORBIDDEN ? REFUSED_MS : ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
    k->pause = me->now + ms * 1000000;
}

/* RFC 6749 5.2: what is wrong with the caller's token is the caller's matter, what is wrong with
 * the gateway's own name is the operator's. */
static bool callers_matter(const struct grant *k, int status, const struct value *v) {
    struct span error = text_of(v, "error");
    return k->refusable && status >= 400 && status < 500 &&
           (span_eq(error, SPAN("invalid_grant")) || span_eq(error, SPAN("invalid_request")) ||
            span_eq(error, SPAN("invalid_target")) || span_eq(error, SPAN("invalid_scope")) ||
            span_eq(error, SPAN("access_denied")));
}

static void judge(struct grant *k, const struct call_answer *r) {
    struct arena a;
    struct json_error e;
    struct value v = VALUE_NOTHING;
    const char *wrong = NULL;
    if (r->fault) {
        pause_after(k, FAULT_SERVICE_CREDENTIALS, "credentials: the token endpoint did not answer");
        return;
    }
    arena_init(&a, NULL);
    bool json = json_read(&a, r->body, &(struct json_limits){.depth = 16, .unique = true}, &v, &e);
    if (json && callers_matter(k, r->head->status, &v))
        pause_after(k, FAULT_FORBIDDEN, "credentials: the issuer does not exchange this token");
    else if (r->head->status != 200)
        pause_after(k, FAULT_SERVICE_CREDENTIALS,
                    "credentials: the token endpoint did not answer with 200");
    else if (!json)
        pause_after(k, FAULT_SERVICE_CREDENTIALS,
                    "credentials: the token endpoint's answer is no JSON");
    else if ((wrong = take(k, &a, &v)))
        pause_after(k, FAULT_SERVICE_CREDENTIALS, wrong);
    arena_finish(&a);
}

static void fetched(void *ctx, const struct call_answer *r) {
    struct grant *k = ctx;
    k->call = NULL;
    judge(k, r);
    wake(k);
}

/* ---- the question ---- */

static void put_pair(struct str *s, const char *name, struct span value) {
    if (!value.n)
        return;
    str_fmt(s, "%s%s=", s->n ? "&" : "", name);
    uri_encode(s, value, URI_QUERY);
}

static void put_scopes(struct str *s, const struct credentials_token *c) {
    for (uint32_t i = 0; i < c->scopes; i++) {
        str_add(s, i ? SPAN("%20") : SPAN("&scope="));
        uri_encode(s, c->scope[i], URI_QUERY);
    }
}

static struct span body_of(struct arena *a, const struct credentials_token *c,
                           struct span subject) {
    static const char access[] = "urn:ietf:params:oauth:token-type:access_token";
    size_t max = 512 + 3 * (subject.n + c->client_id.n + c->client_secret.n + c->audience.n +
                            c->resource.n + c->subject_type.n);
    for (uint32_t i = 0; i < c->scopes; i++)
        max += 3 * c->scope[i].n + 8;
    struct str s = str_on(arena_alloc(a, max), max);
    if (subject.n) {
        put_pair(&s, "grant_type", SPAN("urn:ietf:params:oauth:grant-type:token-exchange"));
        put_pair(&s, "subject_token", subject);
        put_pair(&s, "subject_token_type", c->subject_type.n ? c->subject_type : span_z(access));
        put_pair(&s, "requested_token_type", span_z(access));
    } else {
        put_pair(&s, "grant_type", SPAN("client_credentials"));
    }
    put_scopes(&s, c);
    put_pair(&s, "audience", c->audience);
    put_pair(&s, "resource", c->resource);
    if (c->how || !c->client_secret.n) {
        put_pair(&s, "client_id", c->client_id);
        put_pair(&s, "client_secret", c->client_secret);
    }
    return str_span(&s);
}

static void start(struct credentials_need *n, struct grant *k, const struct credentials_token *c,
                  struct span subject) {
    struct arena a;
    struct thread *t = n->x->thread;
    arena_init(&a, NULL);
    struct own_field basic = {SPAN("authorization"),
                              client_basic(&a, c->client_id, c->client_secret), NULL};
    struct own_field accept = {SPAN("accept"), SPAN("application/json"),
                               c->how || !c->client_secret.n ? NULL : &basic};
    struct own_field type = {SPAN("content-type"), SPAN("application/x-www-form-urlencoded"),
                             &accept};
    struct call_ask ask = {.to = c->url,
                           .method = SPAN("POST"),
                           .field = &type,
                           .body = body_of(&a, c, subject),
                           .max_body = ANSWER_MAX,
                           .snapshot = n->x->snap->snapshot};
    k->thread = t;
    k->refusable = subject.n > 0;
    k->call = call_start(t, grants_calls(grants_of(t)), &ask, fetched, k);
    arena_finish(&a);
    if (!k->call)
        pause_after(k, FAULT_SERVICE_CREDENTIALS, "credentials: the token could not be asked for");
}

enum credentials_result grant_fetch(struct credentials_need *n, struct grant *k,
                                    const struct credentials_token *c, struct span subject) {
    uint64_t now = me->now;
    bool good = k->value.n && now < k->until;
    if (!k->call && now >= k->pause && (!good || now >= k->renew))
        start(n, k, c, subject);
    return good || !k->call ? grant_use(n, k) : wait(n, k);
}
