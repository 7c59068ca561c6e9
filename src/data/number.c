#include "data/number.h"
#include "base/env.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;

static void make_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    must(c_locale);
}

static double from_text(const char *z) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return strtod_l(z, NULL, c_locale);
}

static size_t digits(struct span s, size_t at) {
    size_t from = at;
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at - from;
}

static bool sign(struct span s, size_t at) {
    return at < s.n && (s.p[at] == '-' || s.p[at] == '+');
}

/* Digits before or behind the point there must be. */
static bool decimal(struct span s) {
    size_t at = sign(s, 0), whole = digits(s, at), part = 0;
    at += whole;
    if (at < s.n && s.p[at] == '.') {
        part = digits(s, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (at < s.n && lower(s.p[at]) == 'e') {
        at += 1 + (size_t)sign(s, at + 1);
        size_t n = digits(s, at);
        if (n == 0)
            return false;
        at += n;
    }
    return at == s.n;
}

/* Whole numbers of up to 15 digits, most there are, are exact without the library. */
static bool small(struct span s, double *out) {
    size_t at = s.n && s.p[0] == '-';
    int64_t v = 0;
    if (s.n - at == 0 || s.n - at > 15)
        return false;
    for (size_t i = at; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = at ? -(double)v : (double)v;
    return true;
}

bool number_read(struct span text, double *out) {
    char buf[128], *z = buf;
    if (small(text, out))
        return true;
    if (!decimal(text))
        return false;
    if (text.n >= sizeof buf && !(z = mem_try(text.n + 1)))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    *out = from_text(z);
    if (z != buf)
        mem_free(z);
    return true;
}

/* Printed and read back with more and more digits until it is the same. Fifteen are nearly always
 * enough, and a shorter form shows itself in them; only the very smallest numbers have fewer. */
static int shortest(double d, char *out) {
    int n = 0;
    for (int precision = fabs(d) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        n = snprintf(out, NUMBER_TEXT, "%.*g", precision, d);
        if (precision == 17 || from_text(out) == d)
            break;
    }
    return n;
}

static size_t whole(double d, char *out) {
    struct str s = str_on(out, NUMBER_TEXT);
    if (signbit(d))
        str_char(&s, '-');
    str_u64(&s, (uint64_t)fabs(d));
    return s.n;
}

size_t number_text(double d, char *out) {
    struct str s = str_on(out, NUMBER_TEXT);
    if (fabs(d) < 1e15 && d == floor(d))
        return whole(d, out);
    if (isfinite(d)) {
        int n = shortest(d, out);
        char *comma = memchr(out, ',', (size_t)n); /* the locale's, should there be one */
        if (comma)
            *comma = '.';
        return (size_t)n;
    }
    str_add(&s, isnan(d) ? SPAN("NaN") : d < 0 ? SPAN("-Infinity") : SPAN("Infinity"));
    return s.n;
}

/* Up to nine digits behind a point, without zeros at the end. */
static void fraction(struct str *s, uint32_t nanos) {
    char text[10] = {'.'};
    size_t n = 10;
    if (nanos == 0)
        return;
    for (size_t i = 9; i > 0; i--, nanos /= 10)
        text[i] = (char)('0' + nanos % 10);
    while (text[n - 1] == '0')
        n--;
    str_put(s, text, n);
}

static void padded(struct str *s, uint64_t v, uint64_t ten) {
    for (; ten > 1 && v < ten; ten /= 10)
        str_char(s, '0');
    str_u64(s, v);
}

struct day {
    int64_t year;
    unsigned month, day;
};

/* Years that begin in March have their leap day last; 400 of them have 146,097 days. */
static struct day day_of(int64_t days) {
    int64_t since = days + 719468; /* 0000-03-01 */
    int64_t era = (since >= 0 ? since : since - 146096) / 146097;
    unsigned in_era = (unsigned)(since - era * 146097);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153;
    return (struct day){(int64_t)year + era * 400 + (month >= 10),
                        month < 10 ? month + 3 : month - 9, in_year - (153 * month + 2) / 5 + 1};
}

size_t timestamp_text(int64_t seconds, int32_t nanos, char *out) {
    struct str s = str_on(out, MOMENT_TEXT);
    int64_t rest = seconds % 86400, days = seconds / 86400 - (rest < 0);
    uint64_t in_day = (uint64_t)(rest < 0 ? rest + 86400 : rest);
    struct day d = day_of(days);
    if (d.year < 0)
        str_char(&s, '-');
    padded(&s, (uint64_t)(d.year < 0 ? -d.year : d.year), 1000);
    str_char(&s, '-');
    padded(&s, d.month, 10);
    str_char(&s, '-');
    padded(&s, d.day, 10);
    str_char(&s, 'T');
    padded(&s, in_day / 3600, 10);
    str_char(&s, ':');
    padded(&s, in_day / 60 % 60, 10);
    str_char(&s, ':');
    padded(&s, in_day % 60, 10);
    fraction(&s, nanos > 0 ? (uint32_t)nanos : 0);
    str_char(&s, 'Z');
    return s.n;
}

size_t duration_text(int64_t seconds, int32_t nanos, char *out) {
    struct str s = str_on(out, MOMENT_TEXT);
    if (seconds < 0 || nanos < 0)
        str_char(&s, '-');
    str_u64(&s, seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds);
    fraction(&s, nanos < 0 ? 0 - (uint32_t)nanos : (uint32_t)nanos);
    str_char(&s, 's');
    return s.n;
}
