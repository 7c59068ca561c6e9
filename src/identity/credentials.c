#include "identity/credentials.h"
#include "core/outbound.h"
#include "identity/client.h"
#include "identity/jwks.h"

_Static_assert((int)JWA_COUNT == 13, "core/credentials.c lists them by number");

/* ---- when the configuration is read -----------------------------------------------------------
 */

static const char *basic(struct arena *a, struct credentials_conf *c) {
    struct span user = c->basic.user;
    if (span_find(user, ':') >= 0)
        return "basic: a user's name holds no colon";
    const char *plain = arena_fmt(a, "%.*s:%.*s", SPAN_ARG(user), SPAN_ARG(c->basic.password));
    c->value = basic_value(a, span_z(plain));
    c->field = SPAN("authorization");
    return NULL;
}

static struct span lower_case(struct arena *a, struct span s) {
    char *out = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        out[i] = lower(s.p[i]);
    return span_of(out, s.n);
}

static const char *token(struct credentials_conf *c, const struct credentials_token *t,
                         enum credentials_way way) {
    c->way = way;
    c->field = SPAN("authorization");
    return way == CREDENTIALS_CLIENT && !t->client_secret.n
               ? "client_credentials needs a `client_secret`"
               : NULL;
}

static const char *signs(struct arena *a, struct credentials_conf *c) {
    const char *why = c->jwt.algorithm ? grant_signer_judge(&c->jwt) : "it needs an `algorithm`";
    c->way = CREDENTIALS_SIGNED;
    c->field = c->jwt.header.n ? lower_case(a, c->jwt.header) : SPAN("authorization");
    return why ? arena_fmt(a, "jwt: %s", why) : NULL;
}

static const char *which(struct arena *a, struct credentials_conf *c) {
    c->way = CREDENTIALS_FIXED;
    if (c->header.name.n) {
        c->field = lower_case(a, c->header.name);
        c->value = c->header.value;
        return NULL;
    }
    if (c->bearer.n) {
        c->field = SPAN("authorization");
        c->value = span_z(arena_fmt(a, "Bearer %.*s", SPAN_ARG(c->bearer)));
        return NULL;
    }
    if (c->basic.user.n)
        return basic(a, c);
    if (c->client.url)
        return token(c, &c->client, CREDENTIALS_CLIENT);
    if (c->exchange.url)
        return token(c, &c->exchange, CREDENTIALS_EXCHANGE);
    if (c->jwt.key.n)
        return signs(a, c);
    c->way = CREDENTIALS_NONE;
    return c->caller ? NULL
                     : "it says neither what the service is shown nor what becomes of the "
                       "caller's token";
}

/* The same check as for every other field: once, here. */
static const char *judge_field(struct arena *a, const struct credentials_conf *c) {
    struct head h;
    struct span value = c->way == CREDENTIALS_FIXED ? c->value : SPAN("x");
    head_init(&h, a);
    return hdr_put(&h, c->field, value, ORIGIN_CONFIG)
               ? "the header's name is none that can be set, or its value holds control characters "
                 "or blanks at an end"
               : NULL;
}

static void add(struct str *s, struct span text) {
    str_u64(s, text.n); /* so that no two lists of texts look the same */
    str_char(s, ':');
    str_add(s, text);
}

static size_t token_size(const struct credentials_token *t) {
    size_t n = t->client_id.n + t->client_secret.n + t->audience.n + t->resource.n +
               t->subject_type.n + 512;
    for (uint32_t i = 0; i < t->scopes; i++)
        n += t->scope[i].n + 24;
    return t->url ? n + t->url->url.n + t->url->path.n + t->url->host.n : n;
}

static void add_token(struct str *s, const struct credentials_token *t) {
    if (!t->url)
        return;
    add(s, t->url->url);
    add(s, t->url->host);
    add(s, t->url->path);
    add(s, t->client_id);
    add(s, t->client_secret);
    add(s, t->audience);
    add(s, t->resource);
    add(s, t->subject_type);
    for (uint32_t i = 0; i < t->scopes; i++)
        add(s, t->scope[i]);
}

/* Tokens are remembered by what they depend on, so a reload keeps those that stay right. */
static void digest(struct arena *a, struct credentials_conf *c) {
    const struct credentials_jwt *j = &c->jwt;
    size_t max = token_size(&c->client) + token_size(&c->exchange) + j->key.n + j->kid.n +
                 j->issuer.n + c->field.n + 256;
    struct str s = str_on(arena_alloc(a, max), max);
    str_u64(&s, (uint64_t)c->way);
    str_char(&s, ',');
    add_token(&s, &c->client);
    add_token(&s, &c->exchange);
    add(&s, j->key);
    add(&s, j->kid);
    add(&s, j->issuer);
    add(&s, c->field);
    str_u64(&s, (uint64_t)(unsigned)j->algorithm);
    str_char(&s, ',');
    str_u64(&s, j->ttl_ms);
    must(!s.full);
    sha256_of(str_span(&s), c->digest);
}

static const char *finish(struct arena *a, struct credentials_conf *c) {
    const char *why = which(a, c);
    c->field_id = (uint16_t)hdr_lookup(c->field);
    if (!why && c->field.n)
        why = judge_field(a, c);
    if (!why && c->caller == CALLER_PASS && span_eq(c->field, SPAN("authorization")))
        why = "`caller: pass` and what is set here would both be Authorization: let the service "
              "get this one in a `header` of its own";
    if (!why)
        digest(a, c);
    return why;
}

/* ---- for every request ------------------------------------------------------------------------
 */

static enum credentials_result failed(struct credentials_need *n, enum fault why,
                                      const char *detail) {
    n->fault = why;
    n->detail = detail;
    return CREDENTIALS_FAILED;
}

static struct span bearer_of(const struct exchange *x) {
    struct span v = hdr_get(&x->req, HDR_AUTHORIZATION);
    return v.n > 7 && span_eq_nocase(span_cut(v, 0, 7), SPAN("bearer "))
               ? span_trim(span_from(v, 7))
               : SPAN_NONE;
}

static enum credentials_result ask_for_one(struct credentials_need *n, const char *detail) {
    static const struct own_field challenge = {SPAN("www-authenticate"), SPAN("Bearer"), NULL};
    n->x->own = &challenge;
    return failed(n, FAULT_MISSING_CREDENTIALS, detail);
}

static enum credentials_result of_caller(struct credentials_need *n) {
    unsigned char key[SHA256_SIZE], both[2 * SHA256_SIZE];
    struct span subject = bearer_of(n->x);
    if (!subject.n || subject.n > CREDENTIALS_TOKEN_BYTES)
        return ask_for_one(n,
                           "credentials: the caller has no bearer token that could be exchanged");
    memcpy(both, n->conf->digest, SHA256_SIZE);
    sha256_of(subject, both + SHA256_SIZE);
    sha256_of(span_of((const char *)both, sizeof both), key);
    struct grant *k = grant_get(grants_of(n->x->thread), key);
    return k ? grant_fetch(n, k, &n->conf->exchange, subject)
             : failed(n, FAULT_SERVICE_CREDENTIALS, "credentials: too many tokens are fetched");
}

static enum credentials_result of_gateway(struct credentials_need *n) {
    struct grant *k = grant_get(grants_of(n->x->thread), n->conf->digest);
    return k ? grant_fetch(n, k, &n->conf->client, SPAN_NONE)
             : failed(n, FAULT_SERVICE_CREDENTIALS, "credentials: too many tokens are fetched");
}

static enum credentials_result get(struct credentials_need *n) {
    switch (n->conf->way) {
    case CREDENTIALS_NONE:
        return CREDENTIALS_READY;
    case CREDENTIALS_FIXED:
        n->value = n->conf->value;
        return CREDENTIALS_READY;
    case CREDENTIALS_CLIENT:
        return of_gateway(n);
    case CREDENTIALS_EXCHANGE:
        return of_caller(n);
    case CREDENTIALS_SIGNED:
        break;
    }
    return grant_signed(n);
}

static void forget(struct thread *t) {
    grants_thread_finish(t);
    signers_thread_finish(t);
}

const struct credentials_ops credentials_ops = {finish, get, forget};
