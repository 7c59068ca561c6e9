/* The token endpoint (RFC 6749 3.2): asked with the client's own credentials, its answer judged. */
#include "identity/oidc_in.h"
#include "core/thread.h"
#include "http/uri.h"
#include "identity/claims.h"
#include "identity/jws.h"
#include <openssl/crypto.h>

enum { RENEW_MIN_SECONDS = 10, TOKEN_MAX = 16 * 1024 };

void oidc_param(struct str *s, const char *name, struct span value) {
    if (s->n && s->p[s->n - 1] != '?')
        str_char(s, '&');
    str_add(s, span_z(name));
    str_char(s, '=');
    uri_encode(s, value, URI_QUERY);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* "https://host[:port]" of a URL, and the rest of it. */
static struct span origin(struct span url, struct span *rest) {
    size_t at = 0, slashes = 0;
    while (at < url.n && (slashes += url.p[at] == '/') < 3)
        at++;
    *rest = span_from(url, at);
    return span_cut(url, 0, at);
}

/* The document's endpoint where it is at the issuer's host; any other must be named in the file. */
static bool endpoint(struct oidc_work *w, struct call_ask *out, const char **detail) {
    struct span path, other, url = oidc_document(w, SPAN("token_endpoint"));
    out->to = w->c->token;
    if (out->to)
        return true;
    *detail = "the issuer's document names no token_endpoint";
    if (!url.n)
        return false;
    *detail = "token_endpoint is at another host than the issuer: name it in the configuration";
    if (!span_eq_nocase(origin(url, &path), origin(w->c->issuer, &other)))
        return false;
    out->to = w->c->discovery;
    out->path = path.n ? path : SPAN("/");
    return true;
}

static const struct own_field *field(struct arena *a, struct span name, struct span value,
                                     const struct own_field *next) {
    struct own_field *f = arena_alloc(a, sizeof *f);
    *f = (struct own_field){name, value, next};
    return f;
}

bool oidc_token_ask(struct oidc_work *w, struct span grant, struct call_ask *out,
                    const char **detail) {
    struct arena *a = &w->a->x->arena;
    const struct own_field *f = field(a, SPAN("accept"), SPAN("application/json"), NULL);
    f = field(a, SPAN("content-type"), SPAN("application/x-www-form-urlencoded"), f);
    *out = (struct call_ask){
        .method = SPAN("POST"), .timeout_ms = OIDC_CALL_MS, .max_body = OIDC_ANSWER_MAX};
    if (!endpoint(w, out, detail))
        return false;
    size_t max = grant.n + 64 + uri_encode_max(w->c->client_id.n + w->c->client_secret.n);
    struct str s = str_on(arena_alloc(a, max), max);
    str_add(&s, grant);
    *detail = "no memory";
    if (w->c->authorization.n)
        f = field(a, SPAN("authorization"), w->c->authorization, f);
    else
        oidc_param(&s, "client_id", w->c->client_id);
    if (w->c->client_auth == OIDC_POST)
        oidc_param(&s, "client_secret", w->c->client_secret);
    out->field = f;
    out->body = str_span(&s);
    return !s.full;
}

/* ---- judging ----------------------------------------------------------------------------------
 */

static struct span text(const struct value *map, const char *name) {
    const struct value *v = value_find(map, span_z(name));
    return v && v->kind == VALUE_STRING ? value_span(v) : SPAN_NONE;
}

static int64_t number(const struct value *map, const char *name, int64_t otherwise) {
    const struct value *v = value_find(map, span_z(name));
    struct value n = v ? value_settle(*v) : VALUE_NOTHING;
    return n.kind == VALUE_INT ? n.i : otherwise;
}

static bool equal(struct span a, struct span b) {
    return a.n && a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

/* OpenID Connect Core 3.1.3.7, 12.2. iss, aud and exp are claims_judge's. */
static bool judge_id(struct oidc_work *w, const struct value *claims, struct span nonce,
                     const char **detail) {
    const struct value *aud = value_find(claims, SPAN("aud"));
    struct span azp = text(claims, "azp");
    if (!text(claims, "sub").n)
        *detail = "the id_token has no sub";
    else if (nonce.n && !equal(text(claims, "nonce"), nonce))
        *detail = "the id_token's nonce is not this login's";
    else if (azp.n && !span_eq(azp, w->c->client_id))
        *detail = "the id_token was made for another client (azp)";
    else if (aud && aud->kind == VALUE_LIST && aud->n > 1 && !azp.n)
        *detail = "the id_token has several audiences and no azp";
    else
        return true;
    return false;
}

static bool verified(struct oidc_work *w, const struct jws *j, const char **detail) {
    struct key_set *set = keys_now(w->keys, w->a->x->thread);
    struct jws_thread *t = set ? jws_thread_create() : NULL;
    const struct jwk *by;
    enum fault f = t ? jws_verify(t, set, j, &by, &w->newer) : FAULT_KEYS_UNAVAILABLE;
    jws_thread_destroy(t);
    w->wait.kid = j->kid;
    *detail = fault_table[f].text;
    return !f;
}

static bool id_claims(struct oidc_work *w, struct span token, struct span nonce,
                      struct value *claims, const char **detail) {
    struct arena *a = &w->a->x->arena;
    struct json_limits limits = {.depth = JWS_DEPTH_MAX, .nodes = JWS_NODES_MAX, .unique = true};
    struct claims_rules rules = {.issuer = &w->c->issuer,
                                 .issuer_count = 1,
                                 .audience = &w->c->client_id,
                                 .audience_count = 1,
                                 .leeway_s = 60};
    struct claims_time time;
    struct json_error e;
    struct jws j;
    struct span text_;
    if (jws_read(a, token, &j, detail) || !verified(w, &j, detail))
        return false;
    *detail = "the id_token's payload is malformed";
    if (!jws_payload(a, &j, &text_) || !json_read(a, text_, &limits, claims, &e) ||
        claims->kind != VALUE_MAP)
        return false;
    return !claims_judge(&rules, claims, oidc_now(), &time, detail) &&
           judge_id(w, claims, nonce, detail);
}

/* Without what only the login itself needed. */
static bool keep_claims(struct arena *a, const struct value *claims, struct value *out) {
    static const char *const drop[] = {"nonce", "at_hash", "c_hash", "s_hash", "exp", "iat", "nbf"};
    struct value_member *m = arena_try(a, claims->n * sizeof *m + 1);
    uint32_t n = 0;
    if (!m)
        return false;
    for (uint32_t i = 0; i < claims->n; i++) {
        bool keep = true;
        for (size_t k = 0; k < array_len(drop); k++)
            keep &= !span_eq(value_span(&claims->member[i].key), span_z(drop[k]));
        if (keep)
            m[n++] = claims->member[i];
    }
    *out = (struct value){.kind = VALUE_MAP, .n = n, .member = m};
    return true;
}

static void times(struct oidc_work *w, const struct value *answer, bool first,
                  struct oidc_session *s) {
    int64_t now = oidc_now(), lives = number(answer, "expires_in", 0);
    if (first)
        s->ends = now + (int64_t)(w->c->session_ms / 1000);
    struct span token = text(answer, "refresh_token");
    if (token.n)
        s->refresh_token = token;
    if (!s->refresh_token.n || s->refresh_token.n > TOKEN_MAX || lives <= 0 || lives > 366 * 86400)
        s->refresh_token = SPAN_NONE, s->renew_at = s->good_until = 0;
    else {
        int64_t early = lives / 5 > RENEW_MIN_SECONDS ? lives / 5 : RENEW_MIN_SECONDS;
        s->renew_at = now + (lives > early ? lives - early : lives);
        s->good_until = now + lives;
    }
}

bool oidc_token_read(struct oidc_work *w, struct span nonce, struct oidc_session *out,
                     const char **detail) {
    struct arena *a = &w->a->x->arena;
    struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct json_error e;
    struct value answer, claims;
    struct span sub = text(&out->claims, "sub");
    *detail = "the token endpoint's answer is no JSON object";
    if (!json_read(a, w->answer, &limits, &answer, &e) || answer.kind != VALUE_MAP)
        return false;
    if (w->status != 200) {
        *detail = arena_fmt(a, "the token endpoint says: %.*s",
                            SPAN_ARG(span_cut(text(&answer, "error"), 0, 64)));
        return false;
    }
    struct span token = text(&answer, "id_token");
    *detail = "the token endpoint gave no id_token";
    if (!token.n && nonce.n)
        return false;
    if (token.n) {
        if (!id_claims(w, token, nonce, &claims, detail))
            return false;
        *detail = "the renewed session is somebody else's";
        if (!nonce.n && !equal(text(&claims, "sub"), sub))
            return false;
        if (!keep_claims(a, &claims, &out->claims))
            return false;
    }
    times(w, &answer, nonce.n > 0, out);
    return true;
}
