#include "filter/csrf.h"
#include "core/thread.h"
#include "data/base64.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

static const struct schema_type word = {.kind = SCHEMA_TEXT, .min = 1, .size = sizeof(struct span)};
static const struct schema_type words = {
    .kind = SCHEMA_LIST, .of = &word, .size = sizeof(struct span), .flags = TYPE_ONE_OR_MANY};
static const struct schema_type boolean = {.kind = SCHEMA_BOOL};

static const struct schema_field fields[] = {
    {.key = "origins",
     .type = &words,
     FIELD_LIST(struct csrf_conf, origin, origins),
     .doc = "Further sites whose pages may ask, as https://pay.shop.example."},
    {.key = "token",
     .type = &word,
     FIELD(struct csrf_conf, token),
     .doc = "A request header, as X-CSRF-Token: it must repeat a cookie that the gateway gives to "
            "browsers (double submit)."},
    {.key = "token_cookie",
     .type = &word,
     FIELD(struct csrf_conf, cookie),
     .shipped = "__Host-csrf",
     .doc = "The name of that cookie."},
    {.key = "always",
     .type = &boolean,
     FIELD(struct csrf_conf, always),
     .shipped = "false",
     .doc = "Requests without a cookie too: for basic authentication and client certificates of "
            "browsers."},
};
static const struct schema_object form = {
    .name = "csrf",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Requests that change something must come from the site's own pages."};

static const char *judge_origin(struct arena *a, struct span s) {
    const char *colon = memmem(s.p, s.n, "://", 3);
    struct span host = colon ? span_from(s, (size_t)(colon - s.p) + 3) : SPAN_NONE;
    bool small = true;
    for (size_t i = 0; i < s.n; i++)
        small &= s.p[i] == lower(s.p[i]) && s.p[i] != '*';
    return host.n && small && span_find(host, '/') < 0
               ? NULL
               : arena_fmt(a,
                           "`%.*s` is no origin: it is written https://pay.shop.example, in small "
                           "letters and without a path",
                           SPAN_ARG(s));
}

static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

static struct span lower_case(struct arena *a, struct span s) {
    char *out = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        out[i] = lower(s.p[i]);
    return span_of(out, s.n);
}

static const char *finish(struct arena *a, void *conf) {
    struct csrf_conf *c = conf;
    for (uint32_t i = 0; i < c->origins; i++) {
        const char *why = judge_origin(a, c->origin[i]);
        if (why)
            return why;
    }
    c->token = lower_case(a, c->token);
    return is_token(c->cookie) && (!c->token.n || is_token(c->token))
               ? NULL
               : "`token` and `token_cookie` are plain names";
}

/* ---- for every request ------------------------------------------------------------------------
 */

struct csrf_step {
    struct step step;
    bool gives; /* the answer brings a token: the browser has none */
};

/* What follows a page without its script's doing changes nothing; a WebSocket may do anything. */
static bool is_safe(const struct head *h) {
    return !h->protocol.n && (h->method == METHOD_GET || h->method == METHOD_HEAD ||
                              h->method == METHOD_OPTIONS || h->method == METHOD_TRACE);
}

/* scheme://host[:port] of this site, as its browsers see it. */
static bool is_own(const struct exchange *x, struct span origin) {
    struct span host = x->facts.host_told.n ? x->facts.host_told : x->req.authority;
    struct span scheme = x->req.scheme;
    return host.n && origin.n == scheme.n + 3 + host.n && span_starts(origin, scheme) &&
           span_eq(span_cut(origin, scheme.n, 3), SPAN("://")) &&
           span_eq_nocase(span_from(origin, scheme.n + 3), host);
}

static bool is_known(const struct csrf_conf *c, const struct exchange *x, struct span origin) {
    for (uint32_t i = 0; i < c->origins; i++)
        if (span_eq(c->origin[i], origin))
            return true;
    return is_own(x, origin);
}

/* The origin of a URL: up to the path. */
static struct span origin_of(struct span url) {
    const char *colon = memmem(url.p, url.n, "://", 3);
    size_t at = colon ? (size_t)(colon - url.p) + 3 : url.n;
    while (at < url.n && !memchr("/?#", url.p[at], 3))
        at++;
    return colon ? span_cut(url, 0, at) : SPAN_NONE;
}

/* NULL: it comes from where it may; else why not. */
static const char *stranger(const struct csrf_conf *c, const struct exchange *x) {
    struct span site = hdr_find(&x->req, SPAN("sec-fetch-site"));
    struct span origin = hdr_get(&x->req, HDR_ORIGIN), referer = hdr_get(&x->req, HDR_REFERER);
    if (origin.p && is_known(c, x, origin))
        return NULL;
    if (site.p) /* "none": typed or bookmarked, by the user himself */
        return span_eq(site, SPAN("same-origin")) || span_eq(site, SPAN("none"))
                   ? NULL
                   : "csrf: Sec-Fetch-Site says another site";
    if (origin.p)
        return "csrf: Origin is another site";
    if (!referer.p)
        return "csrf: neither Origin nor Sec-Fetch-Site nor Referer says where it comes from";
    return is_known(c, x, origin_of(referer)) ? NULL : "csrf: Referer is another site";
}

static bool equal(struct span a, struct span b) {
    unsigned char differs = a.n != b.n;
    for (size_t i = 0; i < a.n && i < b.n; i++)
        differs |= (unsigned char)(a.p[i] ^ b.p[i]);
    return !differs;
}

static const char *without_token(const struct csrf_conf *c, const struct exchange *x) {
    struct span have = cookie_get(&x->req, c->cookie);
    struct span said = hdr_find(&x->req, c->token);
    if (!have.n)
        return "csrf: the browser holds no token";
    return said.n && equal(have, said) ? NULL : "csrf: the token's header does not repeat it";
}

static enum verdict request(struct step *s) {
    const struct csrf_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    const char *why = NULL;
    if (c->token.n && !cookie_get(&x->req, c->cookie).n)
        container_of(s, struct csrf_step, step)->gives = true;
    if (is_safe(&x->req) || !(c->always || hdr_has(&x->req, HDR_COOKIE)))
        return NEXT;
    why = stranger(c, x);
    if (!why && c->token.n && !x->req.protocol.n) /* a WebSocket's maker can set no header */
        why = without_token(c, x);
    return why ? step_refuse(s, FAULT_CSRF_REFUSED, why) : NEXT;
}

enum { TOKEN_BYTES = 24 };

static enum verdict response(struct step *s) {
    const struct csrf_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    unsigned char random[TOKEN_BYTES];
    char text[TOKEN_BYTES * 4 / 3];
    if (!container_of(s, struct csrf_step, step)->gives || x->tunnel)
        return NEXT;
    env.random(random, sizeof random);
    size_t n = base64_encode(BASE64_URL, span_of((const char *)random, sizeof random), text);
    const char *cookie = arena_fmt(&x->arena, "%.*s=%.*s; Path=/; Secure; SameSite=Lax",
                                   SPAN_ARG(c->cookie), (int)n, text);
    hdr_add(&x->resp, HDR_SET_COOKIE, span_z(cookie));
    return NEXT;
}

static const struct filter_ops ops = {.name = "csrf",
                                      .phase = PHASE_IDENTIFY,
                                      .step_size = sizeof(struct csrf_step),
                                      .request = request,
                                      .response = response};

const struct policy csrf_policy = {
    .name = "csrf", .form = &form, .ops = &ops, .size = sizeof(struct csrf_conf), .finish = finish};
