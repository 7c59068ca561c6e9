#include "expr/lib_time.h"

enum { NANOS = 1000000000 };
#define TIME_FIRST INT64_C(-62135596800) /* 0001-01-01 */
#define TIME_LAST INT64_C(253402300799)  /* 9999-12-31T23:59:59 */

/* Nanoseconds of anything that fits a value. */
__extension__ static __int128 nanos_of(const struct value *v) {
    return (__int128)v->i * NANOS + v->nanos;
}

__extension__ static bool duration_of(__int128 nanos, struct value *out) {
    if (nanos > INT64_MAX || nanos < INT64_MIN)
        return false;
    int64_t n = (int64_t)nanos;
    *out = (struct value){.kind = VALUE_DURATION, .i = n / NANOS, .nanos = (int32_t)(n % NANOS)};
    return true;
}

__extension__ static bool timestamp_of(__int128 nanos, struct value *out) {
    __int128 seconds = nanos / NANOS;
    int32_t rest = (int32_t)(nanos % NANOS);
    if (rest < 0) {
        rest += NANOS;
        seconds--;
    }
    if (seconds < TIME_FIRST || seconds > TIME_LAST)
        return false;
    *out = (struct value){.kind = VALUE_TIMESTAMP, .i = (int64_t)seconds, .nanos = rest};
    return true;
}

bool time_of(int64_t seconds, struct value *out) {
    *out = (struct value){.kind = VALUE_TIMESTAMP, .i = seconds};
    return seconds >= TIME_FIRST && seconds <= TIME_LAST;
}

bool time_plus(const struct value *timestamp, const struct value *duration, struct value *out) {
    return timestamp_of(nanos_of(timestamp) + nanos_of(duration), out);
}

bool time_minus(const struct value *timestamp, const struct value *duration, struct value *out) {
    return timestamp_of(nanos_of(timestamp) - nanos_of(duration), out);
}

bool time_between(const struct value *later, const struct value *earlier, struct value *out) {
    return duration_of(nanos_of(later) - nanos_of(earlier), out);
}

bool duration_plus(const struct value *x, const struct value *y, struct value *out) {
    return duration_of(nanos_of(x) + nanos_of(y), out);
}

bool duration_minus(const struct value *x, const struct value *y, struct value *out) {
    return duration_of(nanos_of(x) - nanos_of(y), out);
}

bool duration_negate(const struct value *x, struct value *out) {
    return duration_of(-nanos_of(x), out);
}

bool civil_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Counted in eras of 400 years that begin on March 1st: then a leap day is the last of a year. */
int64_t civil_days(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void civil_of(int64_t seconds, struct civil *out) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);
    out->day = (int)(of_year - (153 * month + 2) / 5 + 1);
    out->month = month < 10 ? month + 3 : month - 9;
    out->year = year + era * 400 + (out->month <= 2);
    out->hour = (int)(rest / 3600);
    out->minute = (int)(rest / 60 % 60);
    out->second = (int)(rest % 60);
    out->week_day = (int)(((days + 4) % 7 + 7) % 7);
    out->year_day = (int)(days - civil_days(out->year, 1, 1));
}

/* Reads from the front of *s. */
static bool take_number(struct span *s, size_t digits, int *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < digits; i++) {
        if (i >= s->n || s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s->p[i] - '0');
    }
    *s = span_from(*s, digits);
    *out = (int)v;
    return true;
}

static bool take_char(struct span *s, char c) {
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = span_from(*s, 1);
    return true;
}

static bool take_fraction(struct span *s, int32_t *nanos) {
    int32_t v = 0, unit = NANOS / 10;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, unit /= 10)
        v += unit * (s->p[i] - '0');
    *s = span_from(*s, i);
    *nanos = v;
    return i > 0;
}

/* Z, +hh:mm, -hh:mm; seconds east. */
static bool take_offset(struct span *s, int *seconds) {
    int hours, minutes;
    *seconds = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    bool west = s->n > 0 && s->p[0] == '-';
    if (!take_char(s, west ? '-' : '+') || !take_number(s, 2, &hours) || !take_char(s, ':') ||
        !take_number(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
    return true;
}

static int month_days(int64_t year, int month) {
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && civil_leap(year));
}

static bool take_date(struct span *s, struct civil *c) {
    int year;
    if (!take_number(s, 4, &year) || !take_char(s, '-') || !take_number(s, 2, &c->month) ||
        !take_char(s, '-') || !take_number(s, 2, &c->day))
        return false;
    c->year = year;
    return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= month_days(year, c->month);
}

static bool take_clock(struct span *s, struct civil *c) {
    return take_number(s, 2, &c->hour) && take_char(s, ':') && take_number(s, 2, &c->minute) &&
           take_char(s, ':') && take_number(s, 2, &c->second) && c->hour < 24 && c->minute < 60 &&
           c->second < 60;
}

enum time_result time_parse(struct span s, struct value *out) {
    struct civil c = {0};
    int32_t nanos = 0;
    int east;
    if (!take_date(&s, &c) || !(take_char(&s, 'T') || take_char(&s, 't')) || !take_clock(&s, &c))
        return TIME_MALFORMED;
    if (take_char(&s, '.') && !take_fraction(&s, &nanos))
        return TIME_MALFORMED;
    if (!take_offset(&s, &east) || s.n > 0)
        return TIME_MALFORMED;
    int64_t seconds = civil_days(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 +
                      c.second - east;
    if (!time_of(seconds, out))
        return TIME_RANGE;
    out->nanos = nanos;
    return TIME_FINE;
}

static const struct {
    struct span name;
    int64_t nanos;
} units[] = {
    /* those that begin like a longer one behind it */
    {SPAN("ns"), 1},
    {SPAN("us"), 1000},
    {SPAN("\u00b5s"), 1000},
    {SPAN("\u03bcs"), 1000},
    {SPAN("ms"), 1000000},
    {SPAN("s"), NANOS},
    {SPAN("m"), 60 * INT64_C(1000000000)},
    {SPAN("h"), 3600 * INT64_C(1000000000)},
};

static int64_t take_unit(struct span *s) {
    for (size_t i = 0; i < array_len(units); i++)
        if (span_starts(*s, units[i].name)) {
            *s = span_from(*s, units[i].name.n);
            return units[i].nanos;
        }
    return 0;
}

/* One number with its unit, added to *sum; what it holds below a nanosecond is dropped. */
__extension__ static enum time_result take_part(struct span *s, __int128 *sum) {
    __int128 whole = 0, part = 0, scale = 1;
    size_t seen = 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1), seen++) {
        whole = whole * 10 + (s->p[0] - '0');
        if (whole > INT64_MAX)
            return TIME_RANGE;
    }
    if (take_char(s, '.'))
        for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1), seen++)
            if (scale < NANOS * (__int128)NANOS) {
                part = part * 10 + (s->p[0] - '0');
                scale *= 10;
            }
    int64_t unit = take_unit(s);
    if (seen == 0 || unit == 0)
        return TIME_MALFORMED;
    *sum += whole * unit + part * unit / scale;
    return *sum > (__int128)INT64_MAX + 1 ? TIME_RANGE : TIME_FINE;
}

enum time_result duration_parse(struct span s, struct value *out) {
    __extension__ __int128 sum = 0;
    bool below = take_char(&s, '-');
    if (!below)
        (void)take_char(&s, '+');
    if (s.n == 0)
        return TIME_MALFORMED;
    if (span_eq(s, SPAN("0")))
        s.n = 0;
    while (s.n > 0) {
        enum time_result r = take_part(&s, &sum);
        if (r != TIME_FINE)
            return r;
    }
    return duration_of(below ? -sum : sum, out) ? TIME_FINE : TIME_RANGE;
}
