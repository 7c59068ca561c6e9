#include "filter/cors.h"
#include "core/thread.h"
#include "data/regex.h"
#include <stdlib.h>

/* ---- how it is written ------------------------------------------------------------------------
 */

#define C(member) FIELD(struct cors_conf, member)
#define C_LIST(member, count) FIELD_LIST(struct cors_conf, member, count)

static const struct schema_type word = {.kind = SCHEMA_TEXT, .min = 1, .size = sizeof(struct span)};
static const struct schema_type words = {
    .kind = SCHEMA_LIST, .of = &word, .size = sizeof(struct span), .flags = TYPE_ONE_OR_MANY};
static const struct schema_type boolean = {.kind = SCHEMA_BOOL};
static const struct schema_type duration = {.kind = SCHEMA_DURATION, .max = 86400000};

static const struct schema_field fields[] = {
    {.key = "origins",
     .type = &words,
     C_LIST(origin, origin_count),
     .doc = "Who may ask: https://shop.example, https://*.shop.example, http://localhost:*, \"~ "
            "regular expression\" for the whole origin, or \"*\"."},
    {.key = "methods",
     .type = &words,
     C_LIST(method, method_count),
     .doc = "Methods that they may use; else those that the route takes."},
    {.key = "headers",
     .type = &words,
     C_LIST(header, header_count),
     .doc = "Request headers that scripts may set; else any."},
    {.key = "expose",
     .type = &words,
     C_LIST(expose, expose_count),
     .doc = "Response headers that scripts may read."},
    {.key = "credentials",
     .type = &boolean,
     C(credentials),
     .shipped = "false",
     .doc = "Whether cookies and client certificates may come along; not with \"*\"."},
    {.key = "max_age",
     .type = &duration,
     C(max_age_ms),
     .shipped = "10m",
     .doc = "How long browsers may remember a preflight's answer."},
    {.key = "private_network",
     .type = &boolean,
     C(private_network),
     .shipped = "false",
     .doc = "Whether pages of the public network may ask for what stands in a private one."},
};
static const struct schema_object form = {
    .name = "cors", SCHEMA_OBJECT_OF(fields), .doc = "What scripts of other origins may do."};

/* ---- when the configuration is read -----------------------------------------------------------
 */

static int compare(const void *a, const void *b) {
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

static const char *not_an_origin(struct arena *a, struct span s, const char *why) {
    return arena_fmt(a, "`%.*s` is no origin: %s", SPAN_ARG(s), why);
}

/* Browsers send scheme://host[:port] in small letters, the port left out where it is the usual
 * one. */
static const char *judge_origin(struct arena *a, struct span s) {
    size_t at = 0;
    while (at + 3 < s.n && memcmp(s.p + at, "://", 3) != 0)
        at++;
    struct span scheme = span_cut(s, 0, at), host = span_from(s, at + 3);
    if (!host.n || at + 3 >= s.n)
        return not_an_origin(a, s, "it is written scheme://host, as https://shop.example");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != lower(s.p[i]))
            return not_an_origin(a, s, "browsers send it in small letters");
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return not_an_origin(a, s, "it has no blanks, and other letters as xn--");
    }
    if (span_find(host, '/') >= 0 || span_find(host, '?') >= 0)
        return not_an_origin(a, s, "it has no path, not even a slash at its end");
    if ((span_eq(scheme, SPAN("https")) && span_ends(host, SPAN(":443"))) ||
        (span_eq(scheme, SPAN("http")) && span_ends(host, SPAN(":80"))))
        return not_an_origin(a, s, "browsers leave out the scheme's usual port");
    return NULL;
}

/* A star may stand for labels in front, and for a port: nowhere else, or it would match more than
 * it seems to. */
static const char *judge_wild(struct arena *a, struct span s) {
    const char *host = memmem(s.p, s.n, "://", 3);
    struct span rest = host ? span_from(s, (size_t)(host - s.p) + 3) : s;
    if (span_starts(rest, SPAN("*.")))
        rest = span_from(rest, 2);
    if (span_ends(rest, SPAN(":*")))
        rest.n -= 2;
    if (!host || span_find(rest, '*') >= 0 || !rest.n)
        return not_an_origin(
            a, s,
            "a star stands for whole names in front (https://*.shop.example) or for the port "
            "(http://localhost:*)");
    return NULL;
}

static const char *add_pattern(struct arena *a, struct cors_origins *o, struct span text) {
    struct regex_error e;
    struct span inside = span_trim(span_from(text, 1));
    const char *whole = arena_fmt(a, "^(?:%.*s)$", SPAN_ARG(inside));
    struct regex *r = regex_compile(inside, &e); /* by itself: its brackets must be its own */
    regex_free(r);
    r = r ? regex_compile(span_z(whole), &e) : NULL;
    if (!r)
        return arena_fmt(a, "`%.*s`: %s", SPAN_ARG(text), e.text);
    o->pattern[o->patterns++] = r;
    return NULL;
}

static const char *add_origin(struct arena *a, struct cors_origins *o, struct span s) {
    const char *why = NULL;
    if (span_eq(s, SPAN("*"))) {
        o->any = true;
    } else if (s.p[0] == '~') {
        why = add_pattern(a, o, s);
    } else if (span_find(s, '*') >= 0) {
        why = judge_wild(a, s);
        o->wild[o->wilds++] = s;
    } else {
        o->exact[o->exacts++] = s;
    }
    return why || o->any || s.p[0] == '~' || span_eq(s, SPAN("null")) ? why : judge_origin(a, s);
}

static const char *origins(struct arena *a, struct cors_conf *c) {
    struct cors_origins *o = &c->origins;
    o->exact = arena_zero(a, c->origin_count * sizeof *o->exact + 1);
    o->wild = arena_zero(a, c->origin_count * sizeof *o->wild + 1);
    o->pattern = arena_zero(a, c->origin_count * sizeof(struct regex *) + 1);
    for (uint32_t i = 0; i < c->origin_count; i++) {
        const char *why = add_origin(a, o, c->origin[i]);
        if (why)
            return why;
    }
    if (o->any && c->origin_count > 1)
        return "`origins: \"*\"` is every origin: nothing else can stand beside it";
    qsort(o->exact, o->exacts, sizeof *o->exact, compare);
    return NULL;
}

static bool has(const struct span *list, uint32_t count, struct span s) {
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(list[i], s))
            return true;
    return false;
}

/* With credentials a browser shows a script what only its user may see. */
static const char *judge_credentials(const struct cors_conf *c) {
    if (!c->credentials)
        return NULL;
    if (c->origins.any)
        return "`credentials: true` with `origins: \"*\"` would show every website what only its "
               "visitor may see, and browsers refuse it: name the origins";
    if (has(c->origin, c->origin_count, SPAN("null")))
        return "`credentials: true` with the origin `null` would trust every sandboxed page: name "
               "the origins";
    if (cors_allows(c, SPAN("https://any.invalid")) || cors_allows(c, SPAN("http://any.invalid")))
        return "`credentials: true` with a pattern that every origin fits: name the origins";
    if (has(c->expose, c->expose_count, SPAN("*")))
        return "browsers take `expose: \"*\"` for a header called * when `credentials` is true: "
               "name the headers";
    return NULL;
}

/* "A, B" of a list; *any: it is "*". */
static const char *joined(struct arena *a, const struct span *list, uint32_t count, bool *any,
                          struct span *out) {
    size_t max = 0;
    for (uint32_t i = 0; i < count; i++)
        max += list[i].n + 2;
    struct str s = str_on(arena_alloc(a, max + 1), max);
    for (uint32_t i = 0; i < count; i++) {
        *any |= span_eq(list[i], SPAN("*"));
        if (!is_token(list[i]))
            return arena_fmt(a, "`%.*s` is no name of a method or header", SPAN_ARG(list[i]));
        str_fmt(&s, "%s%.*s", i ? ", " : "", SPAN_ARG(list[i]));
    }
    *out = str_span(&s);
    return NULL;
}

static const char *finish(struct arena *a, void *conf) {
    struct cors_conf *c = conf;
    bool any_exposed = false;
    if (!c->origin_count)
        return "it needs `origins`: who may ask";
    const char *why = origins(a, c);
    if (!why)
        why = judge_credentials(c);
    if (!why)
        why = joined(a, c->method, c->method_count, &c->any_method, &c->methods);
    if (!why)
        why = joined(a, c->header, c->header_count, &c->any_header, &c->headers);
    if (!why)
        why = joined(a, c->expose, c->expose_count, &any_exposed, &c->exposed);
    c->any_method |= !c->method_count;
    c->any_header |= !c->header_count;
    c->max_age = span_z(arena_fmt(a, "%llu", (unsigned long long)(c->max_age_ms / 1000)));
    return why;
}

static void regexes(const void *conf, void (*keep)(void *ctx, struct regex *r), void *ctx) {
    const struct cors_origins *o = &((const struct cors_conf *)conf)->origins;
    for (uint32_t i = 0; i < o->patterns; i++)
        keep(ctx, o->pattern[i]);
}

/* ---- for every request ------------------------------------------------------------------------
 */

static bool is_port(struct span s) {
    uint64_t port;
    return parse_dec(s, 65535, &port);
}

/* Labels before the suffix: letters, digits, dashes, dots; no empty one. */
static bool is_labels(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
            !(c == '.' && i && s.p[i - 1] != '.'))
            return false;
    }
    return s.n && s.p[s.n - 1] != '.';
}

static bool fits(struct span wild, struct span origin) {
    struct span head = wild;
    if (span_ends(wild, SPAN(":*"))) {
        size_t colon = origin.n;
        while (colon && origin.p[colon - 1] != ':')
            colon--;
        if (!colon || !is_port(span_from(origin, colon)))
            return false;
        head.n -= 2;
        origin.n = colon - 1;
    }
    ptrdiff_t star = span_find(head, '*');
    if (star < 0)
        return span_eq(head, origin);
    struct span tail = span_from(head, (size_t)star + 1);
    head.n = (size_t)star;
    return origin.n > head.n + tail.n && span_starts(origin, head) && span_ends(origin, tail) &&
           is_labels(span_cut(origin, head.n, origin.n - head.n - tail.n));
}

bool cors_allows(const struct cors_conf *c, struct span origin) {
    const struct cors_origins *o = &c->origins;
    if (o->any || (o->exacts && bsearch(&origin, o->exact, o->exacts, sizeof origin, compare)))
        return true;
    for (uint32_t i = 0; i < o->wilds; i++)
        if (fits(o->wild[i], origin))
            return true;
    for (uint32_t i = 0; i < o->patterns; i++)
        if (regex_test(o->pattern[i], origin))
            return true;
    return false;
}

struct cors_step {
    struct step step;
    bool allowed, stays; /* stays: what the service says of CORS is left as it is (observed) */
};

static const struct span allow_origin = SPAN("access-control-allow-origin"),
                         asked_method = SPAN("access-control-request-method"),
                         asked_headers = SPAN("access-control-request-headers"),
                         asked_network = SPAN("access-control-request-private-network");

static bool put(struct head *h, const char *name, struct span value) {
    return !value.n || !hdr_put(h, span_z(name), value, ORIGIN_GATEWAY);
}

/* Origin and credentials: the same on preflights and other answers. */
static bool put_origin(const struct cors_conf *c, struct exchange *x, struct head *h) {
    struct span origin = c->origins.any ? SPAN("*") : hdr_get(&x->req, HDR_ORIGIN);
    return put(h, allow_origin.p, origin) &&
           (!c->credentials || put(h, "access-control-allow-credentials", SPAN("true")));
}

static bool varies(const struct head *h) {
    size_t at = 0;
    for (const struct field *f; (f = hdr_next(h, SPAN("vary"), &at));)
        if (list_has(field_value(f), SPAN("origin")) || list_has(field_value(f), SPAN("*")))
            return true;
    return false;
}

/* ---- preflights ---- */

bool cors_is_preflight(const struct head *h) {
    return h->method == METHOD_OPTIONS && hdr_has(h, HDR_ORIGIN) && hdr_find(h, asked_method).p;
}

static bool method_allowed(const struct cors_conf *c, struct span method) {
    return is_token(method) && (c->any_method || has(c->method, c->method_count, method));
}

static bool header_allowed(const struct cors_conf *c, struct span name) {
    static const struct span always[] = {SPAN("accept"), SPAN("accept-language"),
                                         SPAN("content-language")};
    bool ok = c->any_header;
    for (unsigned i = 0; i < array_len(always); i++)
        ok |= span_eq_nocase(name, always[i]);
    for (uint32_t i = 0; !ok && i < c->header_count; i++)
        ok = span_eq_nocase(name, c->header[i]);
    return ok && is_token(name);
}

/* Every name that the browser asks for, put into `echo`. */
static bool headers_allowed(const struct cors_conf *c, const struct head *h, struct str *echo) {
    size_t at = 0;
    for (const struct field *f; (f = hdr_next(h, asked_headers, &at));)
        for (struct span rest = field_value(f); rest.p;) {
            struct span name = span_trim(span_split(&rest, ','));
            if (!name.n)
                continue;
            if (!header_allowed(c, name))
                return false;
            str_fmt(echo, "%s%.*s", echo->n ? "," : "", SPAN_ARG(name));
        }
    return !echo->full;
}

static void preflight_start(struct exchange *x) {
    head_init(&x->resp, &x->arena);
    const struct cors_conf *c = x->back_conf;
    struct head *h = &x->resp;
    struct str echo = str_on(arena_alloc(&x->arena, x->req.bytes + 1), x->req.bytes);
    bool ok = headers_allowed(c, &x->req, &echo);
    bool network = c->private_network && hdr_find(&x->req, asked_network).p;
    h->status = 204;
    ok = ok && put_origin(c, x, h) &&
         put(h, "access-control-allow-methods",
             c->any_method ? hdr_find(&x->req, asked_method) : c->methods) &&
         put(h, "access-control-allow-headers", c->any_header ? str_span(&echo) : c->headers) &&
         put(h, "access-control-max-age", c->max_age) &&
         (!network || put(h, "access-control-allow-private-network", SPAN("true"))) &&
         put(h, "vary",
             SPAN("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    if (!ok)
        h->status = 503;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops preflight_back = {"preflight", preflight_start, NULL, NULL};

const char *cors_preflight_wrong(const struct cors_conf *c, struct exchange *x) {
    struct str echo = str_on(arena_alloc(&x->arena, x->req.bytes + 1), x->req.bytes);
    if (!cors_allows(c, hdr_get(&x->req, HDR_ORIGIN)))
        return "cors: the origin is not allowed";
    if (!method_allowed(c, hdr_find(&x->req, asked_method)))
        return "cors: the method is not allowed";
    return headers_allowed(c, &x->req, &echo) ? NULL : "cors: a header is not allowed";
}

static enum verdict preflight(struct step *s) {
    const struct cors_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    const char *wrong = cors_preflight_wrong(c, x);
    if (wrong) {
        container_of(s, struct cors_step, step)->stays = s->filter->observe;
        return step_refuse(s, FAULT_CORS_REFUSED, wrong);
    }
    exchange_back(x, &preflight_back, c);
    return ANSWER;
}

/* ---- everything else ---- */

static enum verdict request(struct step *s) {
    const struct cors_conf *c = s->filter->conf;
    const struct head *h = &s->x->req;
    struct cors_step *cs = container_of(s, struct cors_step, step);
    if (!hdr_has(h, HDR_ORIGIN))
        return NEXT;
    if (cors_is_preflight(h))
        return preflight(s);
    cs->allowed = cors_allows(c, hdr_get(h, HDR_ORIGIN));
    cs->stays = s->filter->observe && !cs->allowed;
    return NEXT;
}

/* What the service says by itself: two answers to one question confuse browsers, and its word may
 * be looser. */
static void drop_said(struct head *h) {
    static const struct span prefix = SPAN("access-control-");
    for (uint16_t i = 0; i < h->count;) {
        struct span name = field_name(&h->field[i]);
        if (span_starts(name, prefix))
            hdr_remove_name(h, name);
        else
            i++;
    }
}

static enum verdict response(struct step *s) {
    const struct cors_conf *c = s->filter->conf;
    const struct cors_step *cs = container_of(s, struct cors_step, step);
    struct head *h = &s->x->resp;
    bool ok = true;
    if (cs->stays || s->x->tunnel)
        return NEXT;
    drop_said(h);
    if (cs->allowed)
        ok = put_origin(c, s->x, h) && put(h, "access-control-expose-headers", c->exposed);
    if (!c->origins.any && !varies(h))
        hdr_add(h, HDR_VARY, SPAN("Origin"));
    return ok ? NEXT : exchange_answer(s->x, FAULT_OUT_OF_MEMORY, "cors");
}

static const struct filter_ops ops = {.name = "cors",
                                      .phase = PHASE_GUARD,
                                      .step_size = sizeof(struct cors_step),
                                      .request = request,
                                      .response = response,
                                      .preflights = true};

const struct policy cors_policy = {.name = "cors",
                                   .form = &form,
                                   .ops = &ops,
                                   .size = sizeof(struct cors_conf),
                                   .finish = finish,
                                   .regexes = regexes};
