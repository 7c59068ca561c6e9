/* Sessions as cookies: sealed, cut into as many as one browser's limit makes necessary. */
#include "identity/oidc_in.h"

bool oidc_cookie_add(struct oidc_work *w, const struct own_field **list, struct span name,
                     struct span value, struct span path, int64_t seconds) {
    struct arena *a = &w->a->x->arena;
    size_t max = name.n + value.n + path.n + 128;
    char *room = arena_try(a, max);
    struct own_field *f = arena_zero(a, sizeof *f);
    if (!room)
        return false;
    struct str s = str_on(room, max);
    str_fmt(&s, "%.*s=", SPAN_ARG(name));
    str_add(&s, value);
    str_fmt(&s, "; Path=%.*s; Max-Age=%lld; HttpOnly; SameSite=Lax", SPAN_ARG(path),
            (long long)seconds);
    if (!w->c->cookie_plain)
        str_lit(&s, "; Secure");
    *f = (struct own_field){SPAN("set-cookie"), str_span(&s), *list};
    *list = f;
    return !s.full;
}

/* The i-th cookie's name. */
static struct span name_of(struct oidc_work *w, unsigned i) {
    if (i == 0)
        return w->c->cookie;
    return span_z(arena_fmt(&w->a->x->arena, "%.*s-%u", SPAN_ARG(w->c->cookie), i));
}

/* ---- what a session is as text ----------------------------------------------------------------
 */

static struct value_member member(const char *name, struct value v) {
    return (struct value_member){value_string(span_z(name)), v};
}

bool oidc_session_json(struct arena *a, const struct oidc_session *s, struct span *out) {
    struct value_member all[] = {member("c", s->claims), member("e", value_int(s->ends)),
                                 member("r", value_int(s->renew_at)),
                                 member("g", value_int(s->good_until)),
                                 member("t", value_string(s->refresh_token))};
    struct value v = {.kind = VALUE_MAP, .n = array_len(all), .member = all};
    return json_write(a, &v, 0, (size_t)OIDC_COOKIE_MAX * OIDC_COOKIES_MAX, out);
}

static int64_t number(const struct value *map, const char *name) {
    const struct value *v = value_find(map, span_z(name));
    struct value n = v ? value_settle(*v) : VALUE_NOTHING;
    return n.kind == VALUE_INT ? n.i : 0;
}

bool oidc_session_parse(struct arena *a, struct span json, struct oidc_session *out) {
    struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct json_error e;
    struct value v;
    if (!json_read(a, json, &limits, &v, &e))
        return false;
    const struct value *claims = value_find(&v, SPAN("c")), *token = value_find(&v, SPAN("t"));
    if (!claims || claims->kind != VALUE_MAP)
        return false;
    *out = (struct oidc_session){
        .claims = *claims,
        .ends = number(&v, "e"),
        .renew_at = number(&v, "r"),
        .good_until = number(&v, "g"),
        .refresh_token = token && token->kind == VALUE_STRING ? value_span(token) : SPAN_NONE};
    return true;
}

/* ---- cookies ----------------------------------------------------------------------------------
 */

/* "3.": how many cookies there are, before the sealed text. */
static bool gather(struct oidc_work *w, struct span *sealed) {
    const struct head *h = &w->a->x->req;
    struct span first = cookie_get(h, w->c->cookie);
    if (first.n < 3 || first.p[1] != '.' || first.p[0] < '1' || first.p[0] > '0' + OIDC_COOKIES_MAX)
        return false;
    unsigned count = (unsigned)(first.p[0] - '0');
    *sealed = span_from(first, 2);
    if (count == 1)
        return true;
    char *room = arena_try(&w->a->x->arena, (size_t)OIDC_COOKIE_MAX * OIDC_COOKIES_MAX);
    if (!room)
        return false;
    struct str s = str_on(room, (size_t)OIDC_COOKIE_MAX * OIDC_COOKIES_MAX);
    str_add(&s, *sealed);
    for (unsigned i = 1; i < count; i++) {
        struct span next = cookie_get(h, name_of(w, i));
        if (!next.n)
            return false;
        str_add(&s, next);
    }
    *sealed = str_span(&s);
    return !s.full;
}

bool oidc_session_read(struct oidc_work *w, struct oidc_session *out) {
    struct arena *a = &w->a->x->arena;
    struct span sealed, json;
    return gather(w, &sealed) && seal_open(a, &w->c->session_key, w->c->cookie, sealed, &json) &&
           oidc_session_parse(a, json, out) && out->ends > oidc_now();
}

static bool take_away(struct oidc_work *w, unsigned from, const struct own_field **list) {
    for (unsigned i = from; i < OIDC_COOKIES_MAX; i++) {
        struct span name = name_of(w, i);
        if (cookie_get(&w->a->x->req, name).p &&
            !oidc_cookie_add(w, list, name, SPAN(""), SPAN("/"), 0))
            return false;
    }
    return true;
}

bool oidc_session_write(struct oidc_work *w, const struct oidc_session *s,
                        const struct own_field **list) {
    struct arena *a = &w->a->x->arena;
    struct span json, sealed;
    if (!s)
        return take_away(w, 0, list);
    if (!oidc_session_json(a, s, &json) ||
        !seal(a, &w->c->session_key, w->c->cookie, json, &sealed))
        return false;
    size_t piece = OIDC_COOKIE_MAX - w->c->cookie.n - 4, count = (sealed.n + piece - 1) / piece;
    if (count > OIDC_COOKIES_MAX)
        return false;
    int64_t seconds = s->ends - oidc_now();
    for (unsigned i = 0; i < count; i++) {
        struct span part = span_cut(sealed, i * piece, piece);
        if (i == 0)
            part = span_z(arena_fmt(a, "%zu.%.*s", count, SPAN_ARG(part)));
        if (!oidc_cookie_add(w, list, name_of(w, i), part, SPAN("/"), seconds))
            return false;
    }
    return take_away(w, (unsigned)count, list);
}

/* ---- the service does not get them ------------------------------------------------------------
 */

static bool is_ours(const struct oidc_conf *c, struct span pair) {
    struct span name = span_trim(span_split(&pair, '='));
    if (!span_starts(name, c->cookie))
        return false;
    struct span tail = span_from(name, c->cookie.n);
    return !tail.n || tail.p[0] == '-';
}

static bool has_ours(const struct oidc_conf *c, struct span cookies) {
    while (cookies.p)
        if (is_ours(c, span_trim(span_split(&cookies, ';'))))
            return true;
    return false;
}

void oidc_cookies_strip(const struct oidc_conf *c, struct head *h) {
    size_t at = 0, max = 1;
    bool ours = false;
    const struct field *f;
    while ((f = hdr_next(h, SPAN("cookie"), &at))) {
        max += 2u * f->value_len + 2u; /* "a;b" is written as "a; b" */
        ours |= has_ours(c, field_value(f));
    }
    if (!ours)
        return;
    char *room = arena_try(h->arena, max);
    if (!room) { /* rather none than ours */
        hdr_remove_name(h, SPAN("cookie"));
        return;
    }
    struct str s = str_on(room, max);
    at = 0;
    while ((f = hdr_next(h, SPAN("cookie"), &at))) {
        struct span rest = span_of(f->value, f->value_len);
        while (rest.p) {
            struct span pair = span_trim(span_split(&rest, ';'));
            if (!pair.n || is_ours(c, pair))
                continue;
            if (s.n)
                str_lit(&s, "; ");
            str_add(&s, pair);
        }
    }
    hdr_remove_name(h, SPAN("cookie"));
    if (s.n)
        (void)!hdr_put(h, SPAN("cookie"), str_span(&s), ORIGIN_CLIENT);
}
