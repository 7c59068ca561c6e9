#include "identity/credential.h"

/* ---- finding ----------------------------------------------------------------------------------
 */

static struct span in_header(const struct head *h, struct span lower_name, bool *more) {
    size_t at = 0;
    const struct field *f = hdr_next(h, lower_name, &at);
    *more |= f && hdr_next(h, lower_name, &at);
    return f ? field_value(f) : SPAN_NONE;
}

static struct span in_query(const struct head *h, struct span name, bool *more) {
    struct span found = SPAN_NONE, rest = h->has_query ? h->query : SPAN_NONE;
    while (rest.p) {
        struct span value = query_get(span_split(&rest, '&'), name);
        if (!value.p)
            continue;
        *more |= found.p != NULL;
        found = value;
    }
    return found;
}

static bool is_cookie(struct span part, struct span name) {
    struct span value = span_trim(part);
    return span_eq(span_split(&value, '='), name) && value.p;
}

static struct span in_cookie(const struct head *h, struct span name, bool *more) {
    unsigned count = 0;
    size_t at = 0;
    const struct field *f;
    if (!hdr_has(h, HDR_COOKIE))
        return SPAN_NONE;
    while ((f = hdr_next(h, SPAN("cookie"), &at)) != NULL)
        for (struct span rest = field_value(f); rest.p;)
            count += is_cookie(span_split(&rest, ';'), name);
    *more |= count > 1;
    return cookie_get(h, name);
}

struct span credential_find(const struct head *h, enum credential_in in, struct span name,
                            bool *more) {
    switch (in) {
    case CREDENTIAL_HEADER:
        return in_header(h, name, more);
    case CREDENTIAL_QUERY:
        return in_query(h, name, more);
    case CREDENTIAL_COOKIE:
        break;
    }
    return in_cookie(h, name, more);
}

static int hex_digit(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool credential_decode(struct arena *a, struct span *s) {
    if (span_find(*s, '%') < 0 && span_find(*s, '+') < 0)
        return true;
    char *out = arena_alloc(a, s->n);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++, n++) {
        out[n] = s->p[i] == '+' ? ' ' : s->p[i];
        if (s->p[i] != '%')
            continue;
        int high = i + 2 < s->n ? hex_digit(s->p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s->p[i + 2]) : -1;
        if (low < 0)
            return false;
        out[n] = (char)(high << 4 | low);
        i += 2;
    }
    *s = span_of(out, n);
    return true;
}

/* ---- taking it out ----------------------------------------------------------------------------
 */

static struct span cookies_without(struct arena *a, struct span text, struct span name) {
    struct str out = str_on(arena_alloc(a, 2 * text.n + 1), 2 * text.n + 1);
    for (struct span rest = text; rest.p;) {
        struct span part = span_trim(span_split(&rest, ';'));
        if (is_cookie(part, name) || !part.n)
            continue;
        if (out.n)
            str_lit(&out, "; ");
        str_add(&out, part);
    }
    return str_span(&out);
}

static void drop_cookie(struct exchange *x, struct span name) {
    size_t at = 0;
    const struct field *f;
    struct span kept = SPAN_NONE;
    while ((f = hdr_next(&x->req, SPAN("cookie"), &at)) != NULL) {
        struct span one = cookies_without(&x->arena, field_value(f), name);
        if (kept.n && one.n)
            one = span_z(arena_fmt(&x->arena, "%.*s; %.*s", SPAN_ARG(kept), SPAN_ARG(one)));
        kept = one.n ? one : kept;
    }
    hdr_remove(&x->req, HDR_COOKIE);
    if (kept.n)
        (void)!hdr_put(&x->req, SPAN("cookie"), kept, ORIGIN_GATEWAY);
}

static void drop_parameter(struct exchange *x, struct span name) {
    struct span text = x->req.query;
    struct str out = str_on(arena_alloc(&x->arena, text.n + 1), text.n + 1);
    bool first = true;
    for (struct span rest = text; rest.p;) {
        struct span part = span_split(&rest, '&');
        if (query_get(part, name).p)
            continue;
        if (!first)
            str_char(&out, '&');
        first = false;
        str_add(&out, part);
    }
    x->req.query = str_span(&out);
    x->req.has_query = x->req.query.n > 0;
}

void credential_drop(struct exchange *x, enum credential_in in, struct span name) {
    bool more = false;
    if (!credential_find(&x->req, in, name, &more).p)
        return;
    switch (in) {
    case CREDENTIAL_HEADER:
        hdr_remove_name(&x->req, name);
        break;
    case CREDENTIAL_QUERY:
        drop_parameter(x, name);
        break;
    case CREDENTIAL_COOKIE:
        drop_cookie(x, name);
        break;
    }
}
