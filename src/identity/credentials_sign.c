#include "core/facts.h"
#include "data/json.h"
#include "identity/credentials.h"
#include "identity/jwt_sign.h"
#include <openssl/crypto.h>

/* The gateway's own JWTs: signed when first needed, and kept for most of their life. */

enum { CLAIMS_MAX = 8192, SIGNERS_MAX = 32, TTL_UNSAID_MS = 300000 };

/* ---- keys, read once by each thread ---- */

struct signers {
    struct {
        unsigned char digest[SHA256_SIZE]; /* of the credentials that it belongs to */
        struct jwt_signer *signer;
    } at[SIGNERS_MAX];
    unsigned next; /* the one that makes room */
};

const char *grant_signer_judge(const struct credentials_jwt *c) {
    const char *why = NULL;
    jwt_signer_destroy(jwt_signer_create((unsigned)c->algorithm - 1, c->key, &why));
    return why;
}

static struct jwt_signer *signer_of(struct thread *t, const struct credentials_conf *c) {
    struct signers *all = t->local[LOCAL_SIGNERS];
    const char *why;
    if (!all)
        t->local[LOCAL_SIGNERS] = all = mem_alloc(sizeof *all);
    for (unsigned i = 0; i < SIGNERS_MAX; i++)
        if (all->at[i].signer && memcmp(all->at[i].digest, c->digest, SHA256_SIZE) == 0)
            return all->at[i].signer;
    struct jwt_signer *s = jwt_signer_create((unsigned)c->jwt.algorithm - 1, c->jwt.key, &why);
    unsigned place = all->next++ % SIGNERS_MAX;
    jwt_signer_destroy(all->at[place].signer);
    all->at[place].signer = s;
    memcpy(all->at[place].digest, c->digest, SHA256_SIZE);
    return s;
}

void signers_thread_finish(struct thread *t) {
    struct signers *all = t->local[LOCAL_SIGNERS];
    for (unsigned i = 0; all && i < SIGNERS_MAX; i++)
        jwt_signer_destroy(all->at[i].signer);
    mem_free(all);
    t->local[LOCAL_SIGNERS] = NULL;
}

/* ---- claims ---- */

static void put_text(struct str *s, const char *name, struct span value) {
    str_fmt(s, "%s\"%s\":\"", s->n > 1 ? "," : "", name);
    str_json(s, value);
    str_char(s, '"');
}

static void put_audience(struct str *s, const struct credentials_need *n) {
    const struct credentials_jwt *c = &n->conf->jwt;
    if (c->audiences <= 1) {
        put_text(s, "aud", c->audiences ? c->audience[0] : n->x->service->name);
        return;
    }
    str_lit(s, ",\"aud\":");
    for (uint32_t i = 0; i < c->audiences; i++) {
        str_add(s, i ? SPAN(",\"") : SPAN("[\""));
        str_json(s, c->audience[i]);
        str_char(s, '"');
    }
    str_char(s, ']');
}

/* What the gateway says itself nobody else may say. */
static bool is_ours(struct span name) {
    static const char *const ours[] = {"iss", "aud", "sub", "iat", "exp", "nbf"};
    for (size_t i = 0; i < array_len(ours); i++)
        if (span_eq(name, span_z(ours[i])))
            return true;
    return false;
}

static bool put_further(struct str *s, struct arena *a, struct span json) {
    struct value v;
    struct json_error e;
    if (!json_read(a, json, &(struct json_limits){.unique = true}, &v, &e) || v.kind != VALUE_MAP)
        return false;
    for (uint32_t i = 0; i < v.n; i++) {
        struct span name = value_span(&v.member[i].key), text;
        if (is_ours(name) || !json_write(a, &v.member[i].value, 0, CLAIMS_MAX, &text))
            return false;
        str_lit(s, ",\"");
        str_json(s, name);
        str_lit(s, "\":");
        str_add(s, text);
    }
    return true;
}

static const char *put_claims(struct credentials_need *n, struct str *s) {
    const struct credentials_jwt *c = &n->conf->jwt;
    struct template_values v = facts_values(n->x);
    struct arena *a = &n->x->arena;
    struct span text;
    str_char(s, '{');
    put_text(s, "iss", c->issuer.n ? c->issuer : SPAN("sluice"));
    put_audience(s, n);
    if (c->subject) {
        if (!template_eval(c->subject, a, &v, CLAIMS_MAX, &text))
            return "credentials: `subject` of the jwt failed";
        put_text(s, "sub", text);
    }
    if (c->claims &&
        (!template_eval(c->claims, a, &v, CLAIMS_MAX, &text) || !put_further(s, a, text)))
        return "credentials: `claims` of the jwt failed, or make no map of further claims";
    return s->full ? "credentials: the claims of the jwt are too long" : NULL;
}

/* ---- tokens ---- */

static void sign(struct credentials_need *n, struct grant *k, struct str *claims) {
    const struct credentials_conf *c = n->conf;
    struct thread *t = n->x->thread;
    uint64_t ttl = c->jwt.ttl_ms ? c->jwt.ttl_ms : TTL_UNSAID_MS;
    int64_t now = thread_wall_ns(t, t->loop.now) / 1000000000;
    struct jwt_signer *signer = signer_of(t, c);
    int64_t until = now + (int64_t)(ttl / 1000);
    str_fmt(claims, ",\"iat\":%lld,\"exp\":%lld}", (long long)now, (long long)until);
    struct span token = signer && !claims->full
                            ? jwt_sign(signer, &n->x->arena, c->jwt.kid, str_span(claims))
                            : SPAN_NONE;
    if (!token.n)
        return;
    bool own = c->jwt.header.n && !span_eq_nocase(c->jwt.header, SPAN("authorization"));
    const char *value = arena_fmt(&n->x->arena, "%s%.*s", own ? "" : "Bearer ", SPAN_ARG(token));
    grant_keep(k, span_z(value), ttl);
}

enum credentials_result grant_signed(struct credentials_need *n) {
    unsigned char key[SHA256_SIZE], both[2 * SHA256_SIZE];
    struct str claims = str_on(arena_alloc(&n->x->arena, 2 * CLAIMS_MAX), 2 * CLAIMS_MAX);
    const char *wrong = put_claims(n, &claims);
    if (wrong) {
        count_up(n->x->thread, expression_errors);
        n->fault = FAULT_SERVICE_CREDENTIALS;
        n->detail = wrong;
        return CREDENTIALS_FAILED;
    }
    memcpy(both, n->conf->digest, SHA256_SIZE);
    sha256_of(str_span(&claims), both + SHA256_SIZE);
    sha256_of(span_of((const char *)both, sizeof both), key);
    struct grant *k = grant_get(grants_of(n->x->thread), key);
    if (k && (!k->value.n || me->now >= k->renew))
        sign(n, k, &claims);
    if (k)
        return grant_use(n, k);
    n->fault = FAULT_SERVICE_CREDENTIALS;
    n->detail = "credentials: too many tokens are being fetched";
    return CREDENTIALS_FAILED;
}
