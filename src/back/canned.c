#include "back/canned.h"
#include "core/facts.h"

enum { BODY_MAX = 16 * 1024 * 1024, HEADER_MAX = 16 * 1024 };

static void answer(struct exchange *x, struct span body) {
    bool empty = x->resp.status == 204 || x->resp.status == 304;
    x->down_half.length = empty ? 0 : (int64_t)body.n;
    if (!empty && body.n && !body_push_static(&x->down_half.source, body.p, body.n)) {
        exchange_fail(x, FAULT_OUT_OF_MEMORY, NULL);
        return;
    }
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}

/* ---- respond -------------------------------------------------------------------------------- */

static enum fault put_headers(struct exchange *x, const struct respond_conf *c,
                              const struct template_values *v) {
    for (uint32_t i = 0; i < c->header_count; i++) {
        struct span value;
        enum template_result r =
            template_text(c->header[i].value, &x->arena, v, HEADER_MAX, &value, NULL);
        if (r == TEMPLATE_NULL)
            continue; /* not sent */
        if (r != TEMPLATE_FINE)
            return r == TEMPLATE_FAILED ? FAULT_EXPRESSION_FAILED : FAULT_HEADER_REFUSED;
        /* A list of cookies or links may stand there: set-cookie must not be joined. */
        enum fault f = hdr_put(&x->resp, c->header[i].name, span_trim(value), ORIGIN_CONFIG);
        if (f)
            return f;
    }
    return FAULT_NONE;
}

static void respond_start(struct exchange *x) {
    const struct respond_conf *c = x->back_conf;
    struct template_values v = facts_values(x);
    struct span body = c->has_file ? c->file : SPAN("");
    head_init(&x->resp, &x->arena);
    x->resp.status = c->status ? c->status : 200;
    enum fault f = put_headers(x, c, &v);
    if (!f && c->body && !template_eval(c->body, &x->arena, &v, BODY_MAX, &body))
        f = FAULT_EXPRESSION_FAILED;
    if (f) {
        exchange_fail(x, f, "respond");
        return;
    }
    if (c->content_type.n && (c->body || c->has_file) && !hdr_has(&x->resp, HDR_CONTENT_TYPE))
        hdr_add(&x->resp, HDR_CONTENT_TYPE, c->content_type);
    answer(x, body);
}

/* ---- redirect ------------------------------------------------------------------------------- */

static bool scheme_ok(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!(lower(s.p[i]) >= 'a' && lower(s.p[i]) <= 'z') &&
            (i == 0 || !((s.p[i] >= '0' && s.p[i] <= '9') || memchr("+-.", s.p[i], 3))))
            return false;
    return s.n > 0;
}

/* host[:port]; nothing that could begin a path or hide another host. */
static bool authority_ok(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr("-._~:[]", c, 7))
            return false;
    }
    return s.n > 0;
}

/* Bytes that a reference may hold (RFC 3986): blanks, controls and what is not ASCII are not among
 * them. */
static bool reference_ok(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '\\')
            return false;
    return s.n > 0;
}

static bool part(const struct template *t, const struct template_values *v, struct arena *a,
                 struct span *io) {
    return !t || template_eval(t, a, v, HEADER_MAX, io);
}

static struct span join(struct arena *a, const struct span *piece, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += piece[i].n;
    char *room = arena_try(a, n + 1);
    struct str s = str_on(room, room ? n : 0);
    for (size_t i = 0; i < count; i++)
        str_add(&s, piece[i]);
    return s.full ? SPAN_NONE : str_span(&s);
}

/* The request's own parts where none is given. A port belongs to its scheme, so it stays only with
 * it. */
static enum fault from_parts(const struct redirect_conf *c, const struct head *h,
                             const struct template_values *v, struct arena *a, struct span *out) {
    struct span scheme = h->scheme, path = h->path;
    if (!part(c->scheme, v, a, &scheme) || !part(c->path, v, a, &path))
        return FAULT_EXPRESSION_FAILED;
    struct span host = span_eq(scheme, h->scheme) ? h->authority : h->host;
    if (!part(c->host, v, a, &host))
        return FAULT_EXPRESSION_FAILED;
    if (!c->host && !host.n)
        return FAULT_BAD_HOST;
    if (!scheme_ok(scheme) || !authority_ok(host))
        return FAULT_EXPRESSION_FAILED;
    bool slash = path.n && path.p[0] == '/', query = h->has_query && span_find(path, '?') < 0;
    const struct span piece[] = {scheme,
                                 SPAN("://"),
                                 host,
                                 slash ? SPAN("") : SPAN("/"),
                                 span_eq(path, SPAN("*")) ? SPAN("") : path,
                                 query ? SPAN("?") : SPAN(""),
                                 query ? h->query : SPAN("")};
    *out = join(a, piece, array_len(piece));
    return out->p ? FAULT_NONE : FAULT_OUT_OF_MEMORY;
}

enum fault canned_location(const struct redirect_conf *c, const struct head *h,
                           const struct template_values *v, struct arena *a, struct span *out) {
    if (!c->to) {
        enum fault f = from_parts(c, h, v, a, out);
        if (f)
            return f;
    } else if (!template_eval(c->to, a, v, HEADER_MAX, out)) {
        return FAULT_EXPRESSION_FAILED;
    }
    return reference_ok(*out) ? FAULT_NONE : FAULT_HEADER_REFUSED;
}

static void redirect(struct exchange *x, const struct redirect_conf *c) {
    struct template_values v = facts_values(x);
    struct span to;
    enum fault f = canned_location(c, &x->req, &v, &x->arena, &to);
    head_init(&x->resp, &x->arena);
    x->resp.status = c->status ? c->status : 308;
    if (!f)
        f = hdr_put(&x->resp, SPAN("location"), to, ORIGIN_CONFIG);
    if (f)
        exchange_fail(x, f, "redirect");
    else
        answer(x, SPAN(""));
}

static void redirect_start(struct exchange *x) {
    redirect(x, x->back_conf);
}

/* Behind a trusted proxy that ended TLS the request is an https one already: it would come round
 * for ever.
 */
static void https_start(struct exchange *x) {
    static const struct template_part part = {.literal = {"https", 5}, .group = -1};
    static const struct template scheme = {&part, 1, true, {"https", 5}};
    static const struct redirect_conf conf = {.status = 308, .scheme = &scheme};
    if (span_eq(x->req.scheme, SPAN("https")))
        exchange_fail(x, FAULT_NO_ROUTE, "a listener with redirect: https serves no https request");
    else
        redirect(x, &conf);
}

const struct back_ops canned_respond = {.name = "respond", .start = respond_start};
const struct back_ops canned_redirect = {.name = "redirect", .start = redirect_start};
const struct back_ops canned_https = {.name = "redirect_https", .start = https_start};
