#include "expr/lib_number.h"
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t plain;

static void make_plain(void) {
    plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    must(plain);
}

/* Nothing here calls setlocale, but a program that embeds this may. */
static double read_double(const char *z) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_plain);
    return strtod_l(z, NULL, plain);
}

struct digits {
    char d[18];
    int n, exponent; /* d[0] . d[1].. times ten to the exponent */
};

/* The fewest that read back as the same: what needs less than 15 digits ends in zeros with 15. */
static void shortest(double d, struct digits *out) {
    char text[32];
    for (int precision = 14; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (read_double(text) == d)
            break;
    }
    const char *e = strchr(text, 'e');
    bool below = e[1] == '-';
    out->n = 0;
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            out->d[out->n++] = *p;
    while (out->n > 1 && out->d[out->n - 1] == '0')
        out->n--;
    out->exponent = 0;
    for (const char *p = e + 2; *p; p++)
        out->exponent = out->exponent * 10 + (*p - '0');
    out->exponent = below ? -out->exponent : out->exponent;
}

static void put_fixed(struct str *s, const struct digits *g) {
    if (g->exponent < 0)
        str_lit(s, "0.");
    for (int i = -1; i > g->exponent; i--)
        str_char(s, '0');
    for (int i = 0; i < g->n; i++) {
        str_char(s, g->d[i]);
        if (i == g->exponent && i + 1 < g->n)
            str_char(s, '.');
    }
    for (int i = g->n; i <= g->exponent; i++)
        str_char(s, '0');
}

static void put_exponent(struct str *s, const struct digits *g) {
    str_char(s, g->d[0]);
    if (g->n > 1)
        str_char(s, '.');
    str_put(s, g->d + 1, (size_t)g->n - 1);
    str_fmt(s, "e%+03d", g->exponent);
}

size_t number_print(char out[NUMBER_MAX], double d, enum number_style style) {
    struct str s = str_on(out, NUMBER_MAX);
    struct digits g;
    if (isnan(d)) {
        str_lit(&s, "NaN");
        return s.n;
    }
    if (signbit(d))
        str_char(&s, '-');
    if (isinf(d)) {
        str_lit(&s, "Infinity");
        return s.n;
    }
    shortest(fabs(d), &g);
    if (style == NUMBER_FIXED || (g.exponent >= -4 && g.exponent < 21))
        put_fixed(&s, &g);
    else
        put_exponent(&s, &g);
    return s.n;
}

static size_t digits_at(struct span s, size_t at) {
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* digits [. digits] [e sign digits], at least one digit in front of the exponent. */
static bool decimal(struct span s) {
    size_t whole = digits_at(s, 0), at = whole, part = 0;
    if (at < s.n && s.p[at] == '.') {
        part = digits_at(s, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (at < s.n && lower(s.p[at]) == 'e') {
        at++;
        if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
            at++;
        size_t n = digits_at(s, at);
        if (n == 0)
            return false;
        at += n;
    }
    return at == s.n;
}

bool number_parse(struct span s, double *out) {
    char z[400];
    bool below = s.n > 0 && s.p[0] == '-';
    struct span bare = below || (s.n > 0 && s.p[0] == '+') ? span_from(s, 1) : s;
    double d;
    if (span_eq_nocase(bare, SPAN("nan"))) {
        d = NAN;
    } else if (span_eq_nocase(bare, SPAN("inf")) || span_eq_nocase(bare, SPAN("infinity"))) {
        d = INFINITY;
    } else {
        if (bare.n >= sizeof z || !decimal(bare))
            return false;
        memcpy(z, bare.p, bare.n);
        z[bare.n] = 0;
        d = read_double(z);
        if (isinf(d))
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
