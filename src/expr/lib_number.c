#include "expr/lib_number.h"
#include "data/number.h"
#include <math.h>

/* "-1.5e+21" taken apart: digits, and the place of the point behind the first of them. */
struct parts {
    char digit[NUMBER_TEXT];
    int n, point;
};

static void take_apart(struct span text, struct parts *out) {
    int point = -1, exponent = 0;
    bool below = false;
    size_t at = 0;
    *out = (struct parts){0};
    for (; at < text.n && text.p[at] != 'e'; at++)
        if (text.p[at] == '.')
            point = out->n;
        else if (text.p[at] != '-')
            out->digit[out->n++] = text.p[at];
    for (at++; at < text.n; at++)
        if (text.p[at] >= '0' && text.p[at] <= '9')
            exponent = exponent * 10 + (text.p[at] - '0');
        else
            below = below || text.p[at] == '-';
    out->point = (point < 0 ? out->n : point) + (below ? -exponent : exponent);
}

size_t number_fixed(char out[NUMBER_FIXED], double d) {
    char text[NUMBER_TEXT];
    struct str s = str_on(out, NUMBER_FIXED);
    struct span short_form = span_of(text, number_text(d, text));
    struct parts p;
    if (!isfinite(d) || span_find(short_form, 'e') < 0) {
        str_add(&s, short_form);
        return s.n;
    }
    take_apart(short_form, &p);
    if (signbit(d))
        str_char(&s, '-');
    if (p.point <= 0)
        str_lit(&s, "0.");
    for (int i = p.point; i < 0; i++)
        str_char(&s, '0');
    for (int i = 0; i < p.n; i++) {
        if (i > 0 && i == p.point)
            str_char(&s, '.');
        str_char(&s, p.digit[i]);
    }
    for (int i = p.n; i < p.point; i++)
        str_char(&s, '0');
    return s.n;
}

bool number_parse(struct span s, double *out) {
    bool below = s.n > 0 && s.p[0] == '-';
    struct span bare = below || (s.n > 0 && s.p[0] == '+') ? span_from(s, 1) : s;
    double d;
    if (span_eq_nocase(bare, SPAN("nan"))) {
        d = NAN;
    } else if (span_eq_nocase(bare, SPAN("inf")) || span_eq_nocase(bare, SPAN("infinity"))) {
        d = INFINITY;
    } else if (bare.n == 0 || bare.p[0] == '-' || bare.p[0] == '+' || !number_read(bare, &d) ||
               isinf(d)) {
        return false;
    }
    *out = below ? -d : d;
    return true;
}

bool number_parse_uint(struct span s, uint64_t *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return s.n > 0;
}

bool number_parse_int(struct span s, int64_t *out) {
    uint64_t v;
    bool below = s.n > 0 && s.p[0] == '-';
    if (below || (s.n > 0 && s.p[0] == '+'))
        s = span_from(s, 1);
    if (!number_parse_uint(s, &v) || v > (uint64_t)INT64_MAX + below)
        return false;
    *out = (int64_t)(below ? 0 - v : v);
    return true;
}
