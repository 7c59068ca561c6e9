#include "expr/zone_rule.h"
#include "expr/lib_time.h"

static bool take(struct span *s, char c) {
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = span_from(*s, 1);
    return true;
}

/* "CET" or "<+0330>". */
static bool take_name(struct span *s) {
    size_t n = 0;
    if (take(s, '<')) {
        ptrdiff_t end = span_find(*s, '>');
        *s = span_from(*s, end < 0 ? s->n : (size_t)end + 1);
        return end > 0;
    }
    while (n < s->n && lower(s->p[n]) >= 'a' && lower(s->p[n]) <= 'z')
        n++;
    *s = span_from(*s, n);
    return n >= 3;
}

static bool take_number(struct span *s, int max, int *out) {
    size_t n = 0;
    int v = 0;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && v <= max; n++)
        v = v * 10 + (s->p[n] - '0');
    *s = span_from(*s, n);
    *out = v;
    return n > 0 && v <= max;
}

/* [+-]hh[:mm[:ss]], up to 167 hours (RFC 8536). */
static bool take_time(struct span *s, int32_t *seconds) {
    int hours, minutes = 0, rest = 0;
    bool below = take(s, '-');
    if (!below)
        (void)take(s, '+');
    if (!take_number(s, 167, &hours))
        return false;
    if (take(s, ':') &&
        (!take_number(s, 59, &minutes) || (take(s, ':') && !take_number(s, 59, &rest))))
        return false;
    *seconds = (hours * 3600 + minutes * 60 + rest) * (below ? -1 : 1);
    return true;
}

static bool take_day(struct span *s, struct zone_day *d) {
    bool fine;
    if (take(s, 'M')) {
        d->form = DAY_OF_MONTH;
        fine = take_number(s, 12, &d->month) && d->month > 0 && take(s, '.') &&
               take_number(s, 5, &d->week) && d->week > 0 && take(s, '.') &&
               take_number(s, 6, &d->day);
    } else {
        d->form = take(s, 'J') ? DAY_JULIAN : DAY_OF_YEAR;
        fine = take_number(s, 365, &d->day) && (d->form == DAY_OF_YEAR || d->day > 0);
    }
    d->second = 7200;
    return fine && (!take(s, '/') || take_time(s, &d->second));
}

bool zone_rule_parse(struct span s, struct zone_rule *out) {
    int32_t west;
    *out = (struct zone_rule){0};
    if (!take_name(&s) || !take_time(&s, &west))
        return false;
    out->standard = -west;
    if (s.n == 0)
        return true;
    if (!take_name(&s))
        return false;
    out->changes = true;
    out->summer = out->standard + 3600;
    if (s.n > 0 && s.p[0] != ',') {
        if (!take_time(&s, &west))
            return false;
        out->summer = -west;
    }
    return take(&s, ',') && take_day(&s, &out->begin) && take(&s, ',') && take_day(&s, &out->end) &&
           s.n == 0;
}

/* Days since 1970 of the rule's day in that year. */
static int64_t day_in(const struct zone_day *d, int64_t year) {
    switch (d->form) {
    case DAY_JULIAN:
        return civil_days(year, 1, 1) + d->day - 1 + (civil_leap(year) && d->day > 59);
    case DAY_OF_YEAR:
        return civil_days(year, 1, 1) + d->day;
    case DAY_OF_MONTH:
        break;
    }
    int64_t first = civil_days(year, d->month, 1);
    int64_t next = d->month < 12 ? civil_days(year, d->month + 1, 1) : civil_days(year + 1, 1, 1);
    int64_t at = first + ((d->day - (first + 4)) % 7 + 7) % 7 + 7 * (d->week - 1);
    return at < next ? at : at - 7; /* week 5 is the last */
}

int64_t zone_rule_offset(const struct zone_rule *r, int64_t seconds) {
    struct civil c;
    if (!r->changes)
        return r->standard;
    civil_of(seconds + r->standard, &c);
    int64_t begin = day_in(&r->begin, c.year) * 86400 + r->begin.second - r->standard;
    int64_t end = day_in(&r->end, c.year) * 86400 + r->end.second - r->summer;
    bool summer = begin < end ? seconds >= begin && seconds < end
                              : seconds >= begin || seconds < end; /* the southern half */
    return summer ? r->summer : r->standard;
}
