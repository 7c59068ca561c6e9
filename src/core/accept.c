#include "core/accept.h"

/* "0.8" and the like in thousandths; what is no qvalue counts as 1. */
static unsigned qvalue(struct span s) {
    unsigned v = 0, scale = 100;
    if (!s.n || (s.p[0] != '0' && s.p[0] != '1') || s.n > 5 || (s.n > 1 && s.p[1] != '.'))
        return 1000;
    if (s.p[0] == '1')
        return 1000;
    for (size_t i = 2; i < s.n; i++, scale /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 1000;
        v += (unsigned)(s.p[i] - '0') * scale;
    }
    return v;
}

static unsigned range_quality(struct span parameters) {
    while (parameters.p) {
        struct span value = span_trim(span_split(&parameters, ';'));
        struct span name = span_split(&value, '=');
        if (value.p && span_eq_nocase(span_trim(name), SPAN("q")))
            return qvalue(span_trim(value));
    }
    return 1000;
}

/* 0: it does not cover the type; 1 any, 2 type/any, 3 exactly. */
static unsigned specificity(struct span range, struct span type, struct span subtype) {
    struct span sub = range, main = span_split(&sub, '/');
    if (!sub.p)
        return 0;
    if (span_eq(main, SPAN("*")) && span_eq(sub, SPAN("*")))
        return 1;
    if (!span_eq_nocase(main, type))
        return 0;
    return span_eq(sub, SPAN("*")) ? 2 : span_eq_nocase(sub, subtype) ? 3 : 0;
}

unsigned accept_quality(const struct head *h, struct span type, struct span subtype) {
    unsigned best = 0, quality = hdr_has(h, HDR_ACCEPT) ? 0 : 1000;
    size_t at = 0;
    const struct field *f;
    while ((f = hdr_next(h, SPAN("accept"), &at))) {
        struct span rest = field_value(f);
        while (rest.p) {
            struct span range = span_split(&rest, ',');
            struct span media = span_trim(span_split(&range, ';'));
            unsigned s = specificity(media, type, subtype);
            if (s > best || (s && s == best && range_quality(range) > quality)) {
                best = s;
                quality = range_quality(range);
            }
        }
    }
    return quality;
}
