/* Readers of the small lists that stand inside fields and queries. */
#include "http/head.h"

static struct span cookie_in(struct span field, struct span name) {
    while (field.p) {
        struct span pair = span_trim(span_split(&field, ';'));
        if (pair.n > name.n && pair.p[name.n] == '=' && span_starts(pair, name))
            return span_from(pair, name.n + 1);
    }
    return SPAN_NONE;
}

struct span cookie_get(const struct head *h, struct span name) {
    size_t at = 0;
    const struct field *f;
    while ((f = hdr_next(h, SPAN("cookie"), &at))) {
        struct span v = cookie_in(field_value(f), name);
        if (v.p)
            return v;
    }
    return SPAN_NONE;
}

static int hex_value(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A service decodes "%61=1" to "a": a policy that looks for "a" must find it too. */
static bool same_decoded(struct span enc, struct span name) {
    size_t k = 0;
    for (size_t i = 0; i < enc.n; i++, k++) {
        char c = enc.p[i] == '+' ? ' ' : enc.p[i];
        int hi = i + 2 < enc.n ? hex_value(enc.p[i + 1]) : -1;
        int lo = i + 2 < enc.n ? hex_value(enc.p[i + 2]) : -1;
        if (c == '%' && hi >= 0 && lo >= 0) {
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (k >= name.n || name.p[k] != c)
            return false;
    }
    return k == name.n;
}

struct span query_get(struct span query, struct span name) {
    while (query.p) {
        struct span value = span_split(&query, '&');
        struct span key = span_split(&value, '=');
        if (same_decoded(key, name))
            return value.p ? value : span_from(key, key.n);
    }
    return SPAN_NONE;
}

bool list_has(struct span value, struct span token) {
    while (value.p)
        if (span_eq_nocase(span_trim(span_split(&value, ',')), token))
            return true;
    return false;
}
