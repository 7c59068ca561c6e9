/*
 * Cookies as clients may send them, and the sessions in them. The first byte says what the rest is:
 * a Cookie field (several, a line each), or a session's text, which is sealed here first, so that
 * what stands behind the seal is reached too. What must hold: values lie in the field; a session
 * that is read is written and read the same; what is taken out is gone and the rest stays in order;
 * nobody guesses a seal.
 */
#include "base/env.h"
#include "data/json.h"
#include "identity/oidc_in.h"

enum { SEALED_BIT = 1 };

static const struct span names[] = {SPAN("s"), SPAN("s-1"), SPAN("sluice-session"), SPAN("a")};

static struct oidc_conf conf = {.cookie = SPAN("s"), .callback = SPAN("/callback")};

static bool inside(struct span part, struct span whole) {
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void put(struct head *h, struct span value) {
    (void)!hdr_put(h, SPAN("cookie"), span_trim(value), ORIGIN_CLIENT);
}

static void look_up(const struct head *h) {
    for (size_t i = 0; i < array_len(names); i++) {
        struct span v = cookie_get(h, names[i]);
        bool found = !v.p;
        size_t at = 0;
        for (const struct field *f; !found && (f = hdr_next(h, SPAN("cookie"), &at));)
            found = inside(v, field_value(f)) && span_find(v, ';') < 0;
        must(found);
    }
}

static void strip(struct head *h) {
    struct arena *a = h->arena;
    struct span other = arena_span(a, cookie_get(h, SPAN("a"))), before = {0};
    oidc_cookies_strip(&conf, h);
    must(!cookie_get(h, SPAN("s")).p && !cookie_get(h, SPAN("s-1")).p);
    must(span_eq(cookie_get(h, SPAN("a")), other)); /* what is not ours stays */
    before = arena_span(a, hdr_find(h, SPAN("cookie")));
    oidc_cookies_strip(&conf, h);
    must(span_eq(hdr_find(h, SPAN("cookie")), before)); /* and once is enough */
}

/* What parses is written, and that is read the same. */
static void session(struct arena *a, struct span json) {
    struct oidc_session s, t;
    struct span first, second;
    if (!oidc_session_parse(a, json, &s) || !oidc_session_json(a, &s, &first))
        return;
    must(oidc_session_parse(a, first, &t) && oidc_session_json(a, &t, &second));
    must(span_eq(first, second));
    must(s.ends == t.ends && s.renew_at == t.renew_at && s.good_until == t.good_until);
    must(span_eq(s.refresh_token, t.refresh_token));
}

/* As cookies, which is how a browser would bring it. */
static bool bring(struct arena *a, struct head *h, struct span json) {
    size_t piece = OIDC_COOKIE_MAX - conf.cookie.n - 4;
    struct span sealed;
    if (!seal(a, &conf.session_key, conf.cookie, json, &sealed))
        return false;
    size_t count = (sealed.n + piece - 1) / piece;
    if (count > OIDC_COOKIES_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct span part = span_cut(sealed, i * piece, piece);
        put(h, i ? span_z(arena_fmt(a, "s-%zu=%.*s", i, SPAN_ARG(part)))
                 : span_z(arena_fmt(a, "s=%zu.%.*s", count, SPAN_ARG(part))));
    }
    return true;
}

static void read_session(struct exchange *x, bool sealed_here) {
    struct auth auth = {.x = x};
    struct oidc_work w = {.a = &auth, .c = &conf};
    struct oidc_session s;
    bool fine = oidc_session_read(&w, &s);
    must(!fine || sealed_here); /* nobody guesses that */
    must(!fine || (s.claims.kind == VALUE_MAP && s.ends > oidc_now()));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct exchange x;
    if (size < 1)
        return 0;
    seal_key_make(&conf.session_key, SPAN("a secret of thirty-two bytes ..."), SPAN("fuzz"));
    memset(&x, 0, sizeof x);
    arena_init(&x.arena, NULL);
    head_init(&x.req, &x.arena);
    struct span rest = arena_span(&x.arena, span_of((const char *)data + 1, size - 1));
    bool sealed = data[0] & SEALED_BIT;
    if (sealed) {
        session(&x.arena, rest);
        sealed = bring(&x.arena, &x.req, rest);
    } else {
        while (rest.p)
            put(&x.req, span_split(&rest, '\n'));
    }
    look_up(&x.req);
    read_session(&x, sealed);
    strip(&x.req);
    arena_finish(&x.arena);
    return 0;
}
