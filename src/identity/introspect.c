#include "identity/introspect.h"
#include "base/env.h"
#include "core/thread.h"
#include "data/json.h"
#include "http/uri.h"
#include "identity/claims.h"
#include "identity/client.h"
#include "identity/decisions.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

enum { ANSWER_MAX = 64 * 1024, REFUSED_MS = 10 * 1000, SCOPES_TEXT_MAX = 256 };
enum client_auth { CLIENT_BASIC, CLIENT_POST };

struct introspect_conf {
    const struct outbound *url;
    struct span client_id, client_secret, bearer, hint;
    int client_auth;
    struct bearer_conf token;
    uint64_t cache_ms, refused_ms, timeout_ms, leeway_ms;
    const struct span *issuer, *audience, *scope;
    uint32_t issuer_count, audience_count, scope_count;
    /* what finish() makes of it */
    struct span authorization; /* empty: none */
    struct span form;          /* what stands behind the token in the body */
    struct span scopes;        /* for the challenge */
    struct claims_rules rules;
};

#define I(member) FIELD(struct introspect_conf, member)
static const struct schema_type text = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_type secret = {.kind = SCHEMA_SECRET, .min = 1};
static const struct schema_type texts = {.kind = SCHEMA_LIST,
                                         .of = &text,
                                         .size = sizeof(struct span),
                                         .flags = TYPE_ONE_OR_MANY,
                                         .min = 1,
                                         .max = 64};
static const struct schema_word auth_words[] = {
    {"basic", CLIENT_BASIC, false}, {"post", CLIENT_POST, false}, {NULL, 0, false}};
static const struct schema_type client_auth = {
    .kind = SCHEMA_ENUM, .words = auth_words, .size = sizeof(int)};
static const struct schema_type cache = {.kind = SCHEMA_DURATION, .max = 3600ull * 1000};
static const struct schema_type refused = {.kind = SCHEMA_DURATION, .max = REFUSED_MS};
static const struct schema_type timeout = {.kind = SCHEMA_DURATION, .min = 1, .max = 60 * 1000};
static const struct schema_type leeway = {.kind = SCHEMA_DURATION, .max = 3600ull * 1000};

static const struct schema_field fields[] = {
    {.key = "url",
     .type = &schema_url,
     I(url),
     .flags = FIELD_REQUIRED,
     .doc = "The introspection endpoint: a URL, or {service: NAME, path: /x}."},
    {.key = "client_id", .type = &text, I(client_id), .doc = "Who the gateway is there."},
    {.key = "client_secret", .type = &secret, I(client_secret), .doc = "And its secret."},
    {.key = "client_auth",
     .type = &client_auth,
     I(client_auth),
     .shipped = "basic",
     .doc = "How both are sent: basic (Authorization) or post (in the form)."},
    {.key = "bearer",
     .type = &secret,
     I(bearer),
     .doc = "Instead: a token that lets the gateway ask."},
    {.key = "token_type_hint", .type = &text, I(hint), .doc = "What kind of token it is."},
    BEARER_ROWS(struct introspect_conf, token),
    {.key = "issuer",
     .type = &texts,
     FIELD_LIST(struct introspect_conf, issuer, issuer_count),
     .doc = "Who must have made it (`iss`): one of these."},
    {.key = "audience",
     .type = &texts,
     FIELD_LIST(struct introspect_conf, audience, audience_count),
     .doc = "For whom it must be (`aud`): one of these."},
    {.key = "scopes",
     .type = &texts,
     FIELD_LIST(struct introspect_conf, scope, scope_count),
     .doc = "Scopes that it must have, all of them."},
    {.key = "leeway",
     .type = &leeway,
     I(leeway_ms),
     .shipped = "60s",
     .doc = "How far clocks may differ."},
    {.key = "cache",
     .type = &cache,
     I(cache_ms),
     .shipped = "60s",
     .doc = "How long a good token is remembered, never beyond its end; 0s: not at all. A revoked "
            "one is accepted for so long."},
    {.key = "cache_refused",
     .type = &refused,
     I(refused_ms),
     .shipped = "10s",
     .doc = "How long a token that is not active is remembered."},
    {.key = "timeout",
     .type = &timeout,
     I(timeout_ms),
     .shipped = "2s",
     .doc = "How long the answer may take; then 503."},
};
static const struct schema_object form = {
    .name = "introspection",
    SCHEMA_OBJECT_OF(fields),
    .short_scalar = "url",
    .doc = "An opaque token, which the server that made it is asked about (RFC 7662)."};

/* ---- finish -----------------------------------------------------------------------------------
 */

static void form_field(struct str *s, const char *name, struct span value) {
    if (!value.n)
        return;
    str_fmt(s, "&%s=", name);
    uri_encode(s, value, URI_QUERY);
}

static void form_of(struct arena *a, struct introspect_conf *c) {
    size_t max = uri_encode_max(c->hint.n + c->client_id.n + c->client_secret.n) + 64;
    struct str s = str_on(arena_alloc(a, max), max);
    form_field(&s, "token_type_hint", c->hint);
    if (c->client_auth == CLIENT_POST && !c->bearer.n) {
        form_field(&s, "client_id", c->client_id);
        form_field(&s, "client_secret", c->client_secret);
    }
    c->form = str_span(&s);
}

static void scopes_of(struct arena *a, struct introspect_conf *c) {
    struct str s = str_on(arena_alloc(a, SCOPES_TEXT_MAX), SCOPES_TEXT_MAX);
    for (uint32_t i = 0; i < c->scope_count; i++) {
        if (i)
            str_char(&s, ' ');
        str_add(&s, c->scope[i]);
    }
    c->scopes = s.full ? SPAN_NONE : str_span(&s);
}

static bool printable(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > 0x7e)
            return false;
    return true;
}

static const char *finish(struct arena *a, void *conf) {
    struct introspect_conf *c = conf;
    if (c->bearer.n && (c->client_id.n || c->client_secret.n))
        return "`bearer` and `client_id` are two ways to be known there: give one";
    if (!c->client_id.n != !c->client_secret.n)
        return "`client_id` and `client_secret` belong together";
    if (!printable(c->bearer))
        return "`bearer` holds bytes that no header may hold";
    const char *wrong = bearer_finish(a, &c->token);
    if (wrong)
        return wrong;
    if (c->bearer.n)
        c->authorization = span_z(arena_fmt(a, "Bearer %.*s", SPAN_ARG(c->bearer)));
    else if (c->client_id.n && c->client_auth == CLIENT_BASIC)
        c->authorization = client_basic(a, c->client_id, c->client_secret);
    form_of(a, c);
    scopes_of(a, c);
    c->rules = (struct claims_rules){.issuer = c->issuer,
                                     .audience = c->audience,
                                     .issuer_count = c->issuer_count,
                                     .audience_count = c->audience_count,
                                     .leeway_s = (int64_t)(c->leeway_ms / 1000),
                                     .may_last = true};
    return NULL;
}

/* ---- what the server said ---------------------------------------------------------------------
 */

struct asking { /* in the decision's arena */
    struct decision *decision;
    const struct introspect_conf *conf;
};

static bool has_scope(const struct value *claims, struct span wanted) {
    const struct value *v = value_find(claims, SPAN("scope"));
    struct span rest = v && v->kind == VALUE_STRING ? value_span(v) : SPAN_NONE;
    while (rest.p)
        if (span_eq(span_split(&rest, ' '), wanted))
            return true;
    return false;
}

static enum auth_result say(struct decision *d, enum fault why, const char *detail) {
    d->result = AUTH_REFUSED;
    d->fault = why;
    d->detail = detail;
    return AUTH_REFUSED;
}

static uint64_t seconds_to_ms(int64_t s) {
    return s <= 0 ? 0 : s > 86400 ? 86400000 : (uint64_t)s * 1000;
}

/* Returns how long it may be remembered. */
static uint64_t judge_active(struct decision *d, const struct introspect_conf *c) {
    struct claims_time time;
    const char *why = NULL;
    int64_t now = thread_wall_ns(d->thread, d->thread->loop.now) / 1000000000;
    enum fault f = claims_judge(&c->rules, &d->claims, now, &time, &why);
    for (uint32_t i = 0; !f && i < c->scope_count; i++)
        if (!has_scope(&d->claims, c->scope[i])) {
            f = FAULT_INSUFFICIENT_SCOPE;
            why = "a scope that it needs is not among the token's";
        }
    if (f) {
        say(d, f, why);
        return c->refused_ms;
    }
    d->result = AUTH_OK;
    const struct value *exp = value_find(&d->claims, SPAN("exp"));
    uint64_t at = 0;
    if (exp && parse_dec(value_span(exp), NUMERIC_DATE_MAX, &at))
        d->not_after = (int64_t)at;
    uint64_t left = d->not_after ? seconds_to_ms(d->not_after - now) : c->cache_ms;
    return left < c->cache_ms ? left : c->cache_ms;
}

static uint64_t judge(struct decision *d, const struct introspect_conf *c, struct span body) {
    static const struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct json_error err;
    body = arena_span(&d->arena, body); /* values lie in their document */
    if (!json_read(&d->arena, body, &limits, &d->claims, &err) || d->claims.kind != VALUE_MAP) {
        say(d, FAULT_AUTH_UNAVAILABLE, "the introspection answer is no JSON object");
        return 0;
    }
    const struct value *active = value_find(&d->claims, SPAN("active"));
    if (!active || active->kind != VALUE_BOOL) {
        say(d, FAULT_AUTH_UNAVAILABLE,
            "`active` of the introspection answer is neither true nor "
            "false");
        return 0;
    }
    if (!active->b) {
        say(d, FAULT_TOKEN_INACTIVE, "its server says so");
        return c->refused_ms;
    }
    return judge_active(d, c);
}

static void came(void *ctx, const struct call_answer *a) {
    struct asking *k = ctx;
    struct decision *d = k->decision;
    uint64_t keep = 0;
    if (a->fault)
        say(d, FAULT_AUTH_UNAVAILABLE, fault_table[a->fault].text);
    else if (a->head->status != 200)
        say(d, FAULT_AUTH_UNAVAILABLE,
            arena_fmt(&d->arena, "the introspection endpoint answered %d", a->head->status));
    else
        keep = judge(d, k->conf, a->body);
    decision_made(d, keep);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static bool ask(struct auth *a, struct decision *d, struct span token) {
    const struct introspect_conf *c = a->by->conf;
    struct arena *scratch = &a->x->arena;
    size_t max = uri_encode_max(token.n) + c->form.n + 8;
    struct str body = str_on(arena_alloc(scratch, max), max);
    struct asking *k = arena_zero(&d->arena, sizeof *k);
    *k = (struct asking){d, c};
    struct own_field accept = {SPAN("accept"), SPAN("application/json"), NULL};
    struct own_field type = {SPAN("content-type"), SPAN("application/x-www-form-urlencoded"),
                             &accept};
    struct own_field authorization = {SPAN("authorization"), c->authorization, &type};
    str_lit(&body, "token=");
    uri_encode(&body, token, URI_QUERY);
    str_add(&body, c->form);
    const struct call_ask request = {.to = c->url,
                                     .method = SPAN("POST"),
                                     .field = c->authorization.n ? &authorization : &type,
                                     .body = str_span(&body),
                                     .timeout_ms = c->timeout_ms,
                                     .max_body = ANSWER_MAX,
                                     .parent = a->x};
    return call_start(a->x->thread, &d->ops, &request, came, k) != NULL;
}

static enum auth_result apply(struct auth *a, struct decision *d) {
    if (d->result != AUTH_OK)
        return auth_refuse(a, d->fault,
                           d->detail ? arena_text(&a->x->arena, span_z(d->detail)) : NULL);
    decision_hold(d, a->x);
    a->caller.claims = d->claims;
    a->caller.not_after = d->not_after;
    return AUTH_OK;
}

static enum auth_result check(struct auth *a) {
    const struct introspect_conf *c = a->by->conf;
    unsigned char key[DECISION_KEY];
    struct span token;
    enum auth_result r = bearer_find(a, &c->token, &token);
    if (r != AUTH_OK)
        return r;
    struct thread *t = a->x->thread;
    decision_key(t, decisions_number(a->by), &token, 1, key);
    struct decision *d = decision_find(t, key);
    if (d)
        return d->pending ? decision_await(a, d, apply) : apply(a, d);
    d = decision_begin(t, key);
    if (!d)
        return auth_refuse(a, FAULT_AUTH_UNAVAILABLE, "too many tokens are being asked about");
    if (!ask(a, d, token)) {
        decision_drop(d);
        return auth_refuse(a, FAULT_OUT_OF_MEMORY, NULL);
    }
    return decision_await(a, d, apply);
}

static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    bearer_challenge(by, fault, ((const struct introspect_conf *)by->conf)->scopes, out);
}

static void conceal(const struct authenticator *by, struct exchange *x) {
    bearer_conceal(&((const struct introspect_conf *)by->conf)->token, x);
}

const struct auth_kind auth_introspection = {.name = "introspection",
                                             .form = &form,
                                             .size = sizeof(struct introspect_conf),
                                             .keeps = true,
                                             .finish = finish,
                                             .check = check,
                                             .challenge = challenge,
                                             .conceal = conceal,
                                             .attach = decisions_attach,
                                             .detach = decisions_detach,
                                             .thread_finish = decisions_thread_finish};
