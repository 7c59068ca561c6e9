#include "identity/client.h"
#include "identity/oidc_in.h"
#include "base/env.h"
#include "core/accept.h"
#include "core/thread.h"

enum { PATH_MAX_ = 512, NAME_MAX_ = 64 };

int64_t oidc_now(void) {
    return env.wall_ns() / 1000000000;
}

/* ---- the issuer's document and keys -----------------------------------------------------------
 */

static void keys_came(struct keys_wait *wait, bool newer) {
    struct oidc_work *w = container_of(wait, struct oidc_work, wait);
    (void)newer;
    if (keys_now(w->keys, w->a->x->thread))
        auth_resume(w->a, w->then(w));
    else
        auth_resume(w->a, auth_refuse(w->a, FAULT_KEYS_UNAVAILABLE, "the issuer does not answer"));
}

enum auth_result oidc_with_keys(struct oidc_work *w, enum auth_result (*then)(struct oidc_work *)) {
    struct thread *t = w->a->x->thread;
    if (keys_now(w->keys, t))
        return then(w);
    w->then = then;
    w->wait.ready = keys_came;
    if (keys_refresh(w->keys, t, &w->a->step->ops, &w->wait))
        return AUTH_WAIT;
    return auth_refuse(w->a, FAULT_KEYS_UNAVAILABLE, "the issuer does not answer");
}

struct span oidc_document(struct oidc_work *w, struct span name) {
    const struct key_set *set = keys_now(w->keys, w->a->x->thread);
    const struct value *v = set ? value_find(&set->discovery, name) : NULL;
    /* It must outlive this turn, and with it the set. */
    return v && v->kind == VALUE_STRING ? arena_span(&w->a->x->arena, value_span(v)) : SPAN_NONE;
}

bool oidc_document_says(struct oidc_work *w, struct span name) {
    const struct key_set *set = keys_now(w->keys, w->a->x->thread);
    const struct value *v = set ? value_find(&set->discovery, name) : NULL;
    return v && v->kind == VALUE_BOOL && v->b;
}

/* ---- redirects --------------------------------------------------------------------------------
 */

struct leading {
    struct span location;
    const struct own_field *cookies;
};

static void redirect_start(struct exchange *x) {
    const struct leading *l = x->back_conf;
    head_init(&x->resp, &x->arena);
    x->resp.status = 303;
    enum fault f = hdr_put(&x->resp, SPAN("location"), l->location, ORIGIN_GATEWAY);
    for (const struct own_field *c = l->cookies; c && !f; c = c->next)
        f = hdr_put(&x->resp, c->name, c->value, ORIGIN_GATEWAY);
    if (f) {
        exchange_fail(x, f, "oidc");
        return;
    }
    hdr_add(&x->resp, HDR_CACHE_CONTROL, SPAN("no-store"));
    x->down_half.length = 0;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}

static const struct back_ops redirect_back = {.name = "oidc", .start = redirect_start};

enum auth_result oidc_redirect(struct oidc_work *w, struct span location,
                               const struct own_field *cookies) {
    struct leading *l = arena_alloc(&w->a->x->arena, sizeof *l);
    *l = (struct leading){location, cookies};
    exchange_back(w->a->x, &redirect_back, l);
    return AUTH_ANSWER;
}

/* ---- a request --------------------------------------------------------------------------------
 */

static struct oidc_work *work(struct auth *a) {
    struct oidc_work *w = arena_zero(&a->x->arena, sizeof *w);
    w->a = a;
    w->c = a->by->conf;
    w->keys = a->by->lasting;
    a->part = w;
    return w;
}

static enum auth_result check(struct auth *a) {
    const struct oidc_conf *c = a->by->conf;
    struct head *h = &a->x->req;
    if (span_eq(h->path, c->callback))
        return oidc_callback(work(a));
    if (span_eq(h->path, c->logout))
        return oidc_logout(work(a));
    if (!cookie_get(h, c->cookie).n)
        return AUTH_MISSING;
    struct oidc_work *w = work(a);
    if (!oidc_session_read(w, &w->session))
        return AUTH_MISSING; /* old, or made with another secret: as good as none */
    if (w->session.renew_at && w->session.renew_at <= oidc_now())
        return oidc_renew(w);
    a->caller =
        (struct caller){.by = a->by, .claims = w->session.claims, .not_after = w->session.ends};
    return AUTH_OK;
}

/* A browser that goes somewhere: not a script, an image, a form's POST. */
static bool navigates(const struct head *h) {
    struct span mode = hdr_find(h, SPAN("sec-fetch-mode"));
    if (h->method != METHOD_GET && h->method != METHOD_HEAD)
        return false;
    if (mode.p)
        return span_eq(mode, SPAN("navigate"));
    return hdr_find(h, SPAN("accept")).n && accept_quality(h, SPAN("text"), SPAN("html")) > 0 &&
           span_find(hdr_find(h, SPAN("accept")), 'h') >= 0;
}

static enum auth_result login(struct auth *a) {
    if (!navigates(&a->x->req))
        return AUTH_MISSING;
    return oidc_login(a->part ? a->part : work(a));
}

/* No scheme of HTTP's own says "log in": the name is for people. */
static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    (void)fault;
    str_fmt(out, "Cookie realm=\"%.*s\"", SPAN_ARG(by->name));
}

/* Also a session that is old, or that another credential stood beside. */
static void conceal(const struct authenticator *by, struct exchange *x) {
    oidc_cookies_strip(by->conf, &x->req);
}

static void answered(struct auth *a) {
    const struct oidc_work *w = a->part;
    for (const struct own_field *f = w ? w->cookies : NULL; f; f = f->next)
        (void)!hdr_put(&a->x->resp, f->name, f->value, ORIGIN_GATEWAY);
    if (w && w->cookies) /* nobody on the way may keep a session */
        (void)!hdr_set(&a->x->resp, SPAN("cache-control"), SPAN("no-store"), ORIGIN_GATEWAY);
}

/* ---- the configuration ------------------------------------------------------------------------
 */

static bool path_fine(struct span s) {
    return s.n > 1 && s.n <= PATH_MAX_ && s.p[0] == '/' && s.p[1] != '/' && span_find(s, '?') < 0;
}

static bool cookie_name(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n && s.n <= NAME_MAX_;
}

bool oidc_is_prefixed(const struct oidc_conf *c, struct span prefix) {
    return span_eq_nocase(span_cut(c->cookie, 0, prefix.n), prefix);
}

/* Two authenticators may have one secret and one cookie's name: who logged in at one issuer must
 * not be taken for somebody of the other, nor as one who began to log in there. */
static void make_key(struct arena *a, const struct oidc_conf *c, struct seal_key *out,
                     struct span secret, const char *what) {
    seal_key_make(out, secret,
                  span_z(arena_fmt(a, "sluice oidc %s 1\n%.*s\n%.*s", what, SPAN_ARG(c->issuer),
                                   SPAN_ARG(c->client_id))));
}

static const char *finish(struct arena *a, void *conf) {
    struct oidc_conf *c = conf;
    struct span secret = c->session_secret.n ? c->session_secret : c->client_secret;
    if (!c->discovery || !c->discovery->host.n || !c->client_id.n)
        return "`issuer`, a URL, and `client_id` are needed";
    c->issuer = c->discovery->url;
    if (!c->client_secret.n)
        c->client_auth = OIDC_PUBLIC;
    if (c->client_auth == OIDC_BASIC)
        c->authorization = client_basic(a, c->client_id, c->client_secret);
    if (secret.n < 16)
        return "sessions are encrypted with `session_secret`, or else `client_secret`: at least 16 "
               "bytes, random ones";
    if (!path_fine(c->callback) || !path_fine(c->logout) || span_eq(c->callback, c->logout))
        return "`callback` and `logout` are two different paths of this site";
    if (!cookie_name(c->cookie))
        return "`cookie` is a cookie's name: letters, digits, \"-\", \"_\"";
    if (c->cookie_plain &&
        (oidc_is_prefixed(c, SPAN("__Host-")) || oidc_is_prefixed(c, SPAN("__Secure-"))))
        return "browsers take no `insecure_cookie` whose name begins with __Host- or __Secure-";
    make_key(a, c, &c->session_key, secret, "session");
    make_key(a, c, &c->login_key, secret, "login");
    return NULL;
}

static void attach(struct snapshot *s, struct authenticator *by) {
    const struct oidc_conf *c = by->conf;
    by->lasting = key_source_fetched(s, c->discovery, true, JWA_PUBLIC);
}

static void detach(struct snapshot *s, struct authenticator *by) {
    (void)s;
    key_source_drop(by->lasting);
}

#define O(member) FIELD(struct oidc_conf, member)

static const struct schema_type text = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_type texts = {.kind = SCHEMA_LIST,
                                         .of = &text,
                                         .size = sizeof(struct span),
                                         .flags = TYPE_ONE_OR_MANY,
                                         .max = 32};
static const struct schema_type secret = {.kind = SCHEMA_SECRET, .min = 1};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_type age = {
    .kind = SCHEMA_DURATION, .min = 60000, .max = 366ull * 86400000};
static const struct schema_word auth_words[] = {
    {"basic", OIDC_BASIC, false}, {"post", OIDC_POST, false}, {NULL, 0, false}};
static const struct schema_type client_auth = {
    .kind = SCHEMA_ENUM, .words = auth_words, .size = sizeof(int)};

static const struct schema_field fields[] = {
    {.key = "issuer",
     .type = &schema_issuer,
     O(discovery),
     .flags = FIELD_REQUIRED,
     .doc = "Who signs people in: its discovery document says the rest."},
    {.key = "client_id",
     .type = &text,
     O(client_id),
     .flags = FIELD_REQUIRED,
     .doc = "Who the gateway is there."},
    {.key = "client_secret",
     .type = &secret,
     O(client_secret),
     .doc = "How it proves that; without one it is a public client (PKCE alone)."},
    {.key = "client_auth",
     .type = &client_auth,
     O(client_auth),
     .shipped = "basic",
     .doc = "How it is told to the token endpoint: basic (a header) or post (in the form)."},
    {.key = "scopes",
     .type = &texts,
     FIELD_LIST(struct oidc_conf, scope, scopes),
     .doc = "What is asked for beside openid: profile, email, offline_access (to renew sessions)."},
    {.key = "prompt",
     .type = &text,
     O(prompt),
     .doc = "What the issuer shows: login, consent (some give refresh tokens only then), .."},
    {.key = "token_endpoint",
     .type = &schema_url,
     O(token),
     .doc = "Where codes become tokens, where that is at another host than the issuer."},
    {.key = "callback",
     .type = &text,
     O(callback),
     .shipped = "/oauth2/callback",
     .doc = "The path of this site that the issuer sends people back to; the route must match it."},
    {.key = "logout",
     .type = &text,
     O(logout),
     .shipped = "/oauth2/logout",
     .doc = "The path of this site that ends the session, here and at the issuer."},
    {.key = "after_logout",
     .type = &text,
     O(after_logout),
     .shipped = "/",
     .doc = "Where people are sent then: a path, or a URL that the issuer knows."},
    {.key = "public_url",
     .type = &text,
     O(public_url),
     .doc = "https://shop.example, where clients see another host than the gateway does."},
    {.key = "cookie",
     .type = &text,
     O(cookie),
     .shipped = "sluice-session",
     .doc = "The session cookie's name."},
    {.key = "session_secret",
     .type = &secret,
     O(session_secret),
     .doc = "Encrypts sessions; the same on all gateways. If not said, client_secret does."},
    {.key = "session",
     .type = &age,
     O(session_ms),
     .shipped = "8h",
     .doc = "How long a session lasts at most, renewals included."},
    {.key = "insecure_cookie",
     .type = &flag,
     O(cookie_plain),
     .shipped = "false",
     .doc = "Cookies go over clear text too: for trying things on one machine."},
};
static const struct schema_object form = {
    .name = "oidc",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Browsers log in (OpenID Connect, authorization code with PKCE); the session is an "
           "encrypted cookie."};

const struct auth_kind oidc_kind = {.name = "oidc",
                                    .form = &form,
                                    .size = sizeof(struct oidc_conf),
                                    .finish = finish,
                                    .check = check,
                                    .login = login,
                                    .challenge = challenge,
                                    .conceal = conceal,
                                    .answered = answered,
                                    .attach = attach,
                                    .detach = detach};
