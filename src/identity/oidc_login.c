/* The way to the issuer and back, and out. */
#include "identity/oidc_in.h"
#include "base/env.h"
#include "base/hash.h"
#include "core/thread.h"
#include "http/uri.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

enum { RANDOM = 32, USED_MAX = 4096, STATE_MAX = 64 };

static struct arena *arena_of(struct oidc_work *w) {
    return &w->a->x->arena;
}

static bool random_text(struct arena *a, struct span *out) {
    unsigned char r[RANDOM];
    env.random(r, sizeof r);
    return base64url(a, span_of((char *)r, sizeof r), out);
}

/* "https://shop.example" */
static struct span site(struct oidc_work *w) {
    const struct head *h = &w->a->x->req;
    if (w->c->public_url.n)
        return w->c->public_url;
    return span_z(
        arena_fmt(arena_of(w), "%.*s://%.*s", SPAN_ARG(h->scheme), SPAN_ARG(h->authority)));
}

static struct span redirect_uri(struct oidc_work *w) {
    struct span s = site(w);
    return span_z(arena_fmt(arena_of(w), "%.*s%.*s", SPAN_ARG(s), SPAN_ARG(w->c->callback)));
}

static struct span login_cookie(struct oidc_work *w, struct span state) {
    struct span tag = span_cut(state, 0, 12);
    return span_z(arena_fmt(arena_of(w), "%.*s-login-%.*s", SPAN_ARG(w->c->cookie), SPAN_ARG(tag)));
}

/* No other page of the site needs it. */
static struct span login_path(struct oidc_work *w) {
    return oidc_is_prefixed(w->c, SPAN("__Host-")) ? SPAN("/") : w->c->callback;
}

/* ---- to the issuer ----------------------------------------------------------------------------
 */

/* A path of this site and its query: as the browser asked for it. */
static struct span back_to(struct oidc_work *w) {
    const struct head *h = &w->a->x->req;
    struct span s = h->path;
    if (h->has_query)
        s = span_z(arena_fmt(arena_of(w), "%.*s?%.*s", SPAN_ARG(h->path), SPAN_ARG(h->query)));
    bool fine = s.n && s.p[0] == '/' && s.n <= OIDC_RETURN_MAX;
    return fine && !(s.n > 1 && (s.p[1] == '/' || s.p[1] == '\\')) ? s : SPAN("/");
}

static bool challenge(struct arena *a, struct span verifier, struct span *out) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return EVP_Digest(verifier.p, verifier.n, hash, &n, EVP_sha256(), NULL) &&
           base64url(a, span_of((char *)hash, n), out);
}

static struct value_member member(const char *name, struct span v) {
    return (struct value_member){value_string(span_z(name)), value_string(v)};
}

static bool keep_login(struct oidc_work *w, const struct oidc_login *l,
                       const struct own_field **cookies) {
    struct arena *a = arena_of(w);
    struct value_member all[] = {member("s", l->state),
                                 member("n", l->nonce),
                                 member("v", l->verifier),
                                 member("b", l->back_to),
                                 {value_string(SPAN("e")), value_int(l->ends)}};
    struct value v = {.kind = VALUE_MAP, .n = array_len(all), .member = all};
    struct span json, sealed, name = login_cookie(w, l->state);
    return json_write(a, &v, 0, OIDC_COOKIE_MAX, &json) &&
           seal(a, &w->c->login_key, name, json, &sealed) &&
           oidc_cookie_add(w, cookies, name, sealed, login_path(w), OIDC_LOGIN_SECONDS);
}

static struct span scopes(struct oidc_work *w) {
    size_t max = 8;
    for (uint32_t i = 0; i < w->c->scopes; i++)
        max += w->c->scope[i].n + 1;
    struct str s = str_on(arena_alloc(arena_of(w), max), max);
    str_lit(&s, "openid");
    for (uint32_t i = 0; i < w->c->scopes; i++)
        if (!span_eq(w->c->scope[i], SPAN("openid"))) {
            str_char(&s, ' ');
            str_add(&s, w->c->scope[i]);
        }
    return str_span(&s);
}

static bool location(struct oidc_work *w, const struct oidc_login *l, struct span endpoint,
                     struct span *out) {
    struct span hash, scope = scopes(w), back = redirect_uri(w);
    size_t max =
        endpoint.n + 512 + uri_encode_max(scope.n + back.n + w->c->client_id.n + w->c->prompt.n);
    char *room = arena_try(arena_of(w), max);
    if (!room || !challenge(arena_of(w), l->verifier, &hash))
        return false;
    struct str s = str_on(room, max);
    str_add(&s, endpoint);
    str_char(&s, span_find(endpoint, '?') < 0 ? '?' : '&');
    str_lit(&s, "response_type=code");
    oidc_param(&s, "client_id", w->c->client_id);
    oidc_param(&s, "redirect_uri", back);
    oidc_param(&s, "scope", scope);
    oidc_param(&s, "state", l->state);
    oidc_param(&s, "nonce", l->nonce);
    oidc_param(&s, "code_challenge", hash);
    str_lit(&s, "&code_challenge_method=S256");
    if (w->c->prompt.n)
        oidc_param(&s, "prompt", w->c->prompt);
    *out = str_span(&s);
    return !s.full;
}

static enum auth_result go(struct oidc_work *w) {
    struct span endpoint = oidc_document(w, SPAN("authorization_endpoint")), where;
    const struct own_field *cookies = NULL;
    struct oidc_login l = {.back_to = back_to(w), .ends = oidc_now() + OIDC_LOGIN_SECONDS};
    struct arena *a = arena_of(w);
    if (!endpoint.n)
        return auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE,
                           "the issuer's document names no authorization_endpoint");
    if (!random_text(a, &l.state) || !random_text(a, &l.nonce) || !random_text(a, &l.verifier) ||
        !keep_login(w, &l, &cookies) || !location(w, &l, endpoint, &where))
        return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "login");
    return oidc_redirect(w, where, cookies);
}

enum auth_result oidc_login(struct oidc_work *w) {
    return oidc_with_keys(w, go);
}

/* ---- and back ---------------------------------------------------------------------------------
 */

/* States that were used: a hash and until when it matters. Old ones are overwritten. */
static struct {
    pthread_mutex_t lock;
    uint64_t state[USED_MAX];
    int64_t ends[USED_MAX];
} used = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* False: it was used before. */
static bool use_once(struct span state, int64_t ends) {
    uint64_t h = hash_span(state);
    int64_t now = oidc_now();
    size_t slot = h % USED_MAX;
    bool first = true;
    pthread_mutex_lock(&used.lock);
    for (size_t i = 0; i < 8 && first; i++) { /* a short chain; the oldest of it gives way */
        size_t at = (h + i) % USED_MAX;
        if (used.ends[at] > now && used.state[at] == h)
            first = false;
        if (used.ends[at] < used.ends[slot])
            slot = at;
    }
    if (first) {
        used.state[slot] = h;
        used.ends[slot] = ends;
    }
    pthread_mutex_unlock(&used.lock);
    return first;
}

static struct span param(struct oidc_work *w, const char *name) {
    struct span enc = query_get(w->a->x->req.query, span_z(name));
    char *room = enc.n ? arena_try(arena_of(w), enc.n) : NULL;
    if (!room)
        return enc.p ? SPAN("") : SPAN_NONE;
    struct str s = str_on(room, enc.n);
    uri_decode(&s, enc, URI_QUERY);
    return str_span(&s);
}

static struct span text_of(const struct value *map, const char *name) {
    const struct value *v = value_find(map, span_z(name));
    return v && v->kind == VALUE_STRING ? value_span(v) : SPAN_NONE;
}

static bool same(struct span a, struct span b) {
    return a.n && a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

static bool open_login(struct oidc_work *w, struct span state, struct span name) {
    struct arena *a = arena_of(w);
    struct span json, sealed = cookie_get(&w->a->x->req, name);
    struct json_error e;
    struct value v;
    if (!sealed.n || !seal_open(a, &w->c->login_key, name, sealed, &json) ||
        !json_read(a, json, NULL, &v, &e))
        return false;
    const struct value *ends = value_find(&v, SPAN("e"));
    struct value until = ends ? value_settle(*ends) : VALUE_NOTHING;
    w->login = (struct oidc_login){text_of(&v, "s"), text_of(&v, "n"), text_of(&v, "v"),
                                   text_of(&v, "b"), until.kind == VALUE_INT ? until.i : 0};
    return same(w->login.state, state) && w->login.ends > oidc_now();
}

/* One that was made here: a part of it goes into a cookie's name. */
static bool state_fine(struct oidc_work *w, struct span state) {
    struct span raw;
    return state.n <= STATE_MAX && base64url_read(arena_of(w), state, &raw) && raw.n == RANDOM;
}

enum auth_result oidc_login_failed(struct oidc_work *w, const char *detail) {
    const struct own_field *cookies = w->a->x->own;
    struct span state = param(w, "state");
    if (!w->newer || w->asked) /* else newer keys are asked for first */
        count_up(w->a->x->thread, logins_failed);
    if (state_fine(w, state) &&
        oidc_cookie_add(w, &cookies, login_cookie(w, state), SPAN(""), login_path(w), 0))
        w->a->x->own = cookies;
    return auth_refuse(w->a, FAULT_LOGIN_FAILED, detail);
}

static enum auth_result conclude(struct oidc_work *w) {
    const struct own_field *cookies = NULL;
    const char *detail = "";
    w->newer = false;
    if (!oidc_token_read(w, w->login.nonce, &w->session, &detail))
        return oidc_login_failed(w, detail);
    if (!oidc_session_write(w, &w->session, &cookies) ||
        !oidc_cookie_add(w, &cookies, login_cookie(w, w->login.state), SPAN(""), login_path(w), 0))
        return oidc_login_failed(w, "the session does not fit into cookies");
    count_up(w->a->x->thread, logins);
    return oidc_redirect(w, w->login.back_to, cookies);
}

static void newer_came(struct keys_wait *wait, bool newer) {
    struct oidc_work *w = container_of(wait, struct oidc_work, wait);
    (void)newer;
    auth_resume(w->a, conclude(w));
}

/* The issuer may have begun to sign with a key that is not known yet. */
static bool ask_newer(struct oidc_work *w) {
    if (!w->newer || w->asked)
        return false;
    w->asked = true;
    w->wait.ready = newer_came;
    return keys_refresh(w->keys, w->a->x->thread, &w->a->step->ops, &w->wait);
}

static void token_came(void *ctx, const struct call_answer *r) {
    struct oidc_work *w = ctx;
    w->call = NULL;
    if (r->fault || r->head->status >= 500) {
        auth_resume(w->a, auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, "the token endpoint failed"));
        return;
    }
    w->status = r->head->status;
    w->answer = arena_span(arena_of(w), r->body);
    enum auth_result v = conclude(w);
    if (v == AUTH_REFUSED && ask_newer(w))
        return;
    if (v == AUTH_REFUSED && w->newer)
        count_up(w->a->x->thread, logins_failed);
    auth_resume(w->a, v);
}

static enum auth_result change_code(struct oidc_work *w) {
    struct span back = redirect_uri(w);
    size_t max = 256 + uri_encode_max(w->code.n + back.n + w->login.verifier.n);
    struct call_ask ask;
    const char *detail = NULL;
    if (!param(w, "iss").p && /* RFC 9207 2.4 */
        oidc_document_says(w, SPAN("authorization_response_iss_parameter_supported")))
        return oidc_login_failed(w, "iss is missing");
    char *room = arena_try(arena_of(w), max);
    if (!room)
        return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "login");
    struct str s = str_on(room, max);
    str_lit(&s, "grant_type=authorization_code");
    oidc_param(&s, "code", w->code);
    oidc_param(&s, "redirect_uri", back);
    oidc_param(&s, "code_verifier", w->login.verifier);
    if (!oidc_token_ask(w, str_span(&s), &ask, &detail))
        return auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, detail);
    w->call = call_start(w->a->x->thread, &w->a->step->ops, &ask, token_came, w);
    return w->call ? AUTH_WAIT : auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "login");
}

enum auth_result oidc_callback(struct oidc_work *w) {
    struct span state = param(w, "state"), error = param(w, "error"), iss = param(w, "iss");
    w->code = param(w, "code");
    if (!state_fine(w, state))
        return oidc_login_failed(w, "state is missing or malformed");
    if (!open_login(w, state, login_cookie(w, state)))
        return oidc_login_failed(w, "state does not belong to this browser, or is too old");
    if (!use_once(state, w->login.ends))
        return oidc_login_failed(w, "state was used before");
    if (iss.p && !span_eq(iss, w->c->issuer))
        return oidc_login_failed(w, "iss names another issuer");
    if (error.n)
        return oidc_login_failed(
            w, arena_fmt(arena_of(w), "the issuer says: %.*s", SPAN_ARG(span_cut(error, 0, 64))));
    if (!w->code.n || w->code.n > OIDC_CODE_MAX)
        return oidc_login_failed(w, "code is missing");
    return oidc_with_keys(w, change_code);
}

/* ---- and out ----------------------------------------------------------------------------------
 */

static bool is_url(struct span s) {
    return span_starts(s, SPAN("https://")) || span_starts(s, SPAN("http://"));
}

static enum auth_result leave(struct oidc_work *w) {
    struct span end = oidc_document(w, SPAN("end_session_endpoint"));
    struct span after = w->c->after_logout.n ? w->c->after_logout : SPAN("/");
    const struct own_field *cookies = NULL;
    struct span here = site(w);
    if (!oidc_session_write(w, NULL, &cookies))
        return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "logout");
    if (!end.n)
        return oidc_redirect(w, after, cookies);
    if (!is_url(after))
        after = span_z(arena_fmt(arena_of(w), "%.*s%.*s", SPAN_ARG(here), SPAN_ARG(after)));
    size_t max = end.n + 128 + uri_encode_max(after.n + w->c->client_id.n);
    struct str s = str_on(arena_alloc(arena_of(w), max), max);
    str_add(&s, end);
    str_char(&s, span_find(end, '?') < 0 ? '?' : '&');
    oidc_param(&s, "client_id", w->c->client_id);
    oidc_param(&s, "post_logout_redirect_uri", after);
    return oidc_redirect(w, str_span(&s), cookies);
}

enum auth_result oidc_logout(struct oidc_work *w) {
    /* A foreign page must not log people out. */
    if (span_eq(hdr_find(&w->a->x->req, SPAN("sec-fetch-site")), SPAN("cross-site")))
        return auth_refuse(w->a, FAULT_CSRF_REFUSED, "logout asked for by another site");
    return leave(w); /* without the issuer's document the session ends here all the same */
}
