#include "limit/period.h"
#include "expr/lib_time.h"
#include "expr/lib_zone.h"

enum { DAY = 86400, HOUR = 3600 };

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* ---- local time to moments --------------------------------------------------------------------
 */

/* The change between two moments with different offsets. */
static int64_t change_between(const struct zone *z, int64_t low, int64_t high) {
    int64_t before = zone_offset(z, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone_offset(z, middle) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* The first moment that shows this time or, where clocks leap over it, a later one. */
static int64_t first_moment(const struct zone *z, int64_t local) {
    int64_t before = zone_offset(z, local - DAY), after = zone_offset(z, local + DAY);
    int64_t t = local - before, u = local - after;
    if (zone_offset(z, t) == before)
        return t;
    return zone_offset(z, u) == after ? u : change_between(z, local - DAY, local + DAY);
}

/* ---- numbers of periods -----------------------------------------------------------------------
 */

static int month_length(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && civil_leap(year));
}

static int64_t day_in(int64_t year, int month, int day) {
    int most = month_length(year, month);
    return civil_days(year, month, day < most ? day : most);
}

/* 1970-01-01 was a Thursday. */
static int64_t week_offset(const struct period_rule *r) {
    return 3 - r->week_day;
}

static int64_t begin_day(const struct period_rule *r, int64_t index) {
    switch (r->unit) {
    case PER_WEEK:
        return index * 7 - week_offset(r);
    case PER_MONTH:
        return day_in(floor_div(index, 12), (int)(index - floor_div(index, 12) * 12) + 1,
                      r->month_day);
    case PER_YEAR:
        return day_in(index, r->month, r->month_day);
    case PER_DAY:
    case PER_HOUR:
    case PER_LENGTH:
        break;
    }
    return index;
}

/* Hours that are no full ones by UTC: India, Nepal. */
static int64_t hour_shift(const struct period_rule *r, int64_t seconds) {
    int64_t off = zone_offset(r->zone, seconds);
    return off - floor_div(off, HOUR) * HOUR;
}

static int64_t begin_of(const struct period_rule *r, int64_t index) {
    if (r->unit == PER_LENGTH)
        return r->anchor + index * r->length;
    return first_moment(r->zone, begin_day(r, index) * DAY + r->second);
}

/* By the date that clocks show; at most one off where they are set back over midnight. */
static int64_t guess(const struct period_rule *r, int64_t seconds) {
    if (r->unit == PER_LENGTH)
        return floor_div(seconds - r->anchor, r->length);
    int64_t local = seconds + zone_offset(r->zone, seconds) - r->second;
    int64_t day = floor_div(local, DAY);
    struct civil c;
    civil_of(local, &c);
    switch (r->unit) {
    case PER_WEEK:
        return floor_div(day + week_offset(r), 7);
    case PER_MONTH:
        return c.year * 12 + c.month - 1 - (day < day_in(c.year, c.month, r->month_day));
    case PER_YEAR:
        return c.year - (day < day_in(c.year, r->month, r->month_day));
    case PER_DAY:
    case PER_HOUR:
    case PER_LENGTH:
        break;
    }
    return day;
}

static void hour_at(const struct period_rule *r, int64_t seconds, struct period *out) {
    int64_t shift = hour_shift(r, seconds);
    out->index = floor_div(seconds + shift, HOUR);
    out->from = out->index * HOUR - shift;
    out->to = out->from + HOUR;
}

void period_at(const struct period_rule *r, int64_t seconds, struct period *out) {
    if (r->unit == PER_HOUR) {
        hour_at(r, seconds, out);
        return;
    }
    int64_t i = guess(r, seconds);
    while (begin_of(r, i) > seconds)
        i--;
    while (begin_of(r, i + 1) <= seconds)
        i++;
    *out = (struct period){i, begin_of(r, i), begin_of(r, i + 1)};
}

/* ---- how it is written ------------------------------------------------------------------------
 */

static bool two(struct span s, size_t at, int *out) {
    if (s.n < at + 2 || s.p[at] < '0' || s.p[at] > '9' || s.p[at + 1] < '0' || s.p[at + 1] > '9')
        return false;
    *out = (s.p[at] - '0') * 10 + s.p[at + 1] - '0';
    return true;
}

/* "2026-01-15" */
static bool read_date(struct span s, int *year, int *month, int *day) {
    int century;
    if (s.n < 10 || s.p[4] != '-' || s.p[7] != '-' || !two(s, 0, &century) || !two(s, 2, year) ||
        !two(s, 5, month) || !two(s, 8, day))
        return false;
    *year += century * 100;
    return *year >= 1 && *month >= 1 && *month <= 12 && *day >= 1 &&
           *day <= month_length(*year, *month);
}

/* "06:00", "06:00:30" */
static bool read_clock(struct span s, int *second) {
    int h, m, sec = 0;
    if ((s.n != 5 && s.n != 8) || !two(s, 0, &h) || s.p[2] != ':' || !two(s, 3, &m))
        return false;
    if (s.n == 8 && (s.p[5] != ':' || !two(s, 6, &sec)))
        return false;
    *second = h * HOUR + m * 60 + sec;
    return h < 24 && m < 60 && sec < 60;
}

static void from_local(struct period_rule *r, int64_t local) {
    struct civil c;
    civil_of(local, &c);
    r->month = c.month;
    r->month_day = c.day;
    r->week_day = (c.week_day + 6) % 7;
    r->second = (int)(local - floor_div(local, DAY) * DAY);
    r->anchor = first_moment(r->zone, local);
}

static bool week_day(struct span s, struct period_rule *r) {
    static const char *const name[] = {"monday", "tuesday",  "wednesday", "thursday",
                                       "friday", "saturday", "sunday"};
    for (unsigned i = 0; i < array_len(name); i++)
        if (span_eq_nocase(s, span_z(name[i]))) {
            r->week_day = (int)i;
            return true;
        }
    return false;
}

static const char *short_anchor(struct span s, struct period_rule *r) {
    uint64_t day;
    if (week_day(s, r))
        return r->unit == PER_WEEK ? NULL : "`anchor` is a weekday: only a week begins with one";
    if (!parse_dec(s, 31, &day) || day < 1)
        return "`anchor` is a day of the month (15), a weekday (monday), a date (2026-01-15) or a "
               "date with a time (2026-01-15T06:00)";
    r->month_day = (int)day;
    return r->unit == PER_MONTH ? NULL
                                : "`anchor` is a day of the month: only a month begins with one";
}

const char *period_anchor(struct span s, struct period_rule *r) {
    int year, month, day, second = 0;
    struct value moment;
    from_local(r, -3 * DAY); /* a Monday: the other words get their first ones */
    r->month = r->month_day = 1;
    r->anchor = first_moment(r->zone, 0);
    if (!s.n)
        return NULL;
    if (!read_date(s, &year, &month, &day))
        return short_anchor(s, r);
    if (s.n > 16 && time_parse(s, &moment) == TIME_FINE) {
        int64_t at = moment.i;
        from_local(r, at + zone_offset(r->zone, at));
        r->anchor = at;
        return NULL;
    }
    if (s.n > 10 && (s.p[10] != 'T' || !read_clock(span_from(s, 11), &second)))
        return "`anchor` has a time that is none: 2026-01-15T06:00, or 2026-01-15T06:00:00Z";
    from_local(r, civil_days(year, month, day) * DAY + second);
    return NULL;
}
