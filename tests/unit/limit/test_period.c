/* limit/period: when periods of quotas begin and end, by the clocks of real zones. */
#include "limit/period.h"
#include "base/arena.h"
#include "expr/lib_time.h"
#include "expr/lib_zone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

static int64_t at(const char *text) {
    struct value v;
    assert_int_equal(time_parse(span_z(text), &v), TIME_FINE);
    return v.i;
}

/* Debian without tzdata knows no names. */
static bool zone_known(const char *zone) {
    const char *why;
    return zone_get(&arena, span_z(zone), &why) != NULL;
}

static struct period_rule rule(enum schema_calendar unit, int64_t length, const char *zone,
                               const char *anchor) {
    const char *why = NULL;
    struct period_rule r = {.unit = unit, .length = length};
    r.zone = zone_get(&arena, span_z(zone), &why);
    assert_non_null(r.zone);
    why = period_anchor(span_z(anchor), &r);
    if (why)
        fail_msg("%s: %s", anchor, why);
    return r;
}

static const struct row {
    const char *what;
    enum schema_calendar unit;
    int64_t length;
    const char *zone, *anchor, *now, *from, *to;
} rows[] = {
    {"a day", PER_DAY, 0, "UTC", "", "2026-11-25T13:00:00Z", "2026-11-25T00:00:00Z",
     "2026-11-26T00:00:00Z"},
    {"its first moment", PER_DAY, 0, "UTC", "", "2026-11-25T00:00:00Z", "2026-11-25T00:00:00Z",
     "2026-11-26T00:00:00Z"},
    {"a day of Berlin", PER_DAY, 0, "Europe/Berlin", "", "2026-11-25T23:30:00Z",
     "2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"},
    {"a day of 23 hours", PER_DAY, 0, "Europe/Berlin", "", "2026-03-29T12:00:00Z",
     "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
    {"a day of 25 hours", PER_DAY, 0, "Europe/Berlin", "", "2026-10-25T12:00:00Z",
     "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
    {"the hour that comes twice", PER_DAY, 0, "Europe/Berlin", "2026-01-01T02:30",
     "2026-10-25T01:15:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
    {"a time that is leapt over", PER_DAY, 0, "Europe/Berlin", "2026-01-01T02:30",
     "2026-03-29T10:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
    {"a midnight that is not", PER_DAY, 0, "America/Sao_Paulo", "", "2018-11-04T12:00:00Z",
     "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
    {"a midnight that comes twice", PER_DAY, 0, "America/Sao_Paulo", "", "2018-02-18T02:30:00Z",
     "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
    {"India's hours", PER_HOUR, 0, "Asia/Kolkata", "", "2026-11-25T13:40:00Z",
     "2026-11-25T13:30:00Z", "2026-11-25T14:30:00Z"},
    {"an hour", PER_HOUR, 0, "UTC", "", "2026-11-25T13:59:59Z", "2026-11-25T13:00:00Z",
     "2026-11-25T14:00:00Z"},
    {"a week from Monday", PER_WEEK, 0, "UTC", "", "2026-11-25T13:00:00Z", "2026-11-23T00:00:00Z",
     "2026-11-30T00:00:00Z"},
    {"a week from Wednesday", PER_WEEK, 0, "UTC", "wednesday", "2026-11-25T00:00:00Z",
     "2026-11-25T00:00:00Z", "2026-12-02T00:00:00Z"},
    {"a week from a date", PER_WEEK, 0, "UTC", "2026-01-15", "2026-11-25T00:00:00Z",
     "2026-11-19T00:00:00Z", "2026-11-26T00:00:00Z"},
    {"a month", PER_MONTH, 0, "UTC", "", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z",
     "2027-01-01T00:00:00Z"},
    {"a month from the 15th", PER_MONTH, 0, "Europe/Berlin", "15", "2026-03-20T00:00:00Z",
     "2026-03-14T23:00:00Z", "2026-04-14T22:00:00Z"},
    {"31: February", PER_MONTH, 0, "UTC", "31", "2026-02-27T00:00:00Z", "2026-01-31T00:00:00Z",
     "2026-02-28T00:00:00Z"},
    {"31: from the end of February", PER_MONTH, 0, "UTC", "31", "2026-02-28T00:00:00Z",
     "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"},
    {"31: a leap year", PER_MONTH, 0, "UTC", "31", "2028-02-29T12:00:00Z", "2028-02-29T00:00:00Z",
     "2028-03-31T00:00:00Z"},
    {"31: April", PER_MONTH, 0, "UTC", "31", "2026-04-30T12:00:00Z", "2026-04-30T00:00:00Z",
     "2026-05-31T00:00:00Z"},
    {"a year", PER_YEAR, 0, "UTC", "", "2026-11-25T00:00:00Z", "2026-01-01T00:00:00Z",
     "2027-01-01T00:00:00Z"},
    {"a year from a date", PER_YEAR, 0, "UTC", "2020-12-24", "2026-12-23T00:00:00Z",
     "2025-12-24T00:00:00Z", "2026-12-24T00:00:00Z"},
    {"a year from February 29th", PER_YEAR, 0, "UTC", "2024-02-29", "2026-03-01T00:00:00Z",
     "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z"},
    {"30 days from a date", PER_LENGTH, 30 * 86400, "UTC", "2026-01-15", "2026-02-20T00:00:00Z",
     "2026-02-14T00:00:00Z", "2026-03-16T00:00:00Z"},
    {"before the date", PER_LENGTH, 30 * 86400, "UTC", "2026-01-15", "2026-01-14T00:00:00Z",
     "2025-12-16T00:00:00Z", "2026-01-15T00:00:00Z"},
    {"a length over a change of clocks", PER_LENGTH, 7 * 86400, "Europe/Berlin", "2026-03-25T12:00",
     "2026-03-30T00:00:00Z", "2026-03-25T11:00:00Z", "2026-04-01T11:00:00Z"},
    {"a moment of another zone", PER_DAY, 0, "Europe/Berlin", "2026-01-15T04:00:00Z",
     "2026-11-25T13:00:00Z", "2026-11-25T04:00:00Z", "2026-11-26T04:00:00Z"},
};

static void known_periods(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        if (!zone_known(r->zone))
            continue;
        struct period_rule rule_ = rule(r->unit, r->length, r->zone, r->anchor);
        struct period p;
        period_at(&rule_, at(r->now), &p);
        if (p.from != at(r->from) || p.to != at(r->to))
            fail_msg("%s: from %lld (%+lld), to %lld (%+lld)", r->what, (long long)p.from,
                     (long long)(p.from - at(r->from)), (long long)p.to,
                     (long long)(p.to - at(r->to)));
    }
}

/* Whatever the zone does: periods follow each other without gaps, each numbered one higher. */
static void no_gaps(void **state) {
    static const char *const zone[] = {"UTC",
                                       "Europe/Berlin",
                                       "America/Sao_Paulo",
                                       "Asia/Kolkata",
                                       "Australia/Lord_Howe",
                                       "Africa/Cairo",
                                       "America/New_York",
                                       "+05:45"};
    static const struct {
        enum schema_calendar unit;
        int64_t length;
        const char *anchor;
    } kind[] = {{PER_DAY, 0, ""},
                {PER_DAY, 0, "2026-01-01T02:30"},
                {PER_WEEK, 0, "friday"},
                {PER_MONTH, 0, "31"},
                {PER_YEAR, 0, "2024-02-29"},
                {PER_LENGTH, 100000, "2026-01-15T06:00"}};
    (void)state;
    for (size_t z = 0; z < sizeof zone / sizeof *zone; z++)
        for (size_t k = 0; zone_known(zone[z]) && k < sizeof kind / sizeof *kind; k++) {
            struct period_rule r = rule(kind[k].unit, kind[k].length, zone[z], kind[k].anchor);
            struct period p, next;
            period_at(&r, at("2015-06-01T00:00:00Z"), &p);
            for (unsigned n = 0; n < 3000; n++, p = next) {
                struct period again;
                assert_true(p.from < p.to);
                period_at(&r, p.from, &again);
                assert_int_equal(again.index, p.index);
                period_at(&r, p.to - 1, &again);
                assert_int_equal(again.index, p.index);
                assert_int_equal(again.from, p.from);
                period_at(&r, p.to, &next);
                assert_int_equal(next.from, p.to);
                assert_int_equal(next.index, p.index + 1);
            }
        }
}

static void wrong_anchors(void **state) {
    static const struct {
        enum schema_calendar unit;
        const char *anchor, *why;
    } wrong[] = {{PER_MONTH, "32", "is a day of the month (15)"},
                 {PER_MONTH, "0", "is a day of the month (15)"},
                 {PER_MONTH, "mondays", "is a day of the month (15)"},
                 {PER_MONTH, "monday", "only a week begins with one"},
                 {PER_WEEK, "15", "only a month begins with one"},
                 {PER_DAY, "15", "only a month begins with one"},
                 {PER_MONTH, "2026-02-30", "is a day of the month (15)"},
                 {PER_MONTH, "2026-13-01", "is a day of the month (15)"},
                 {PER_MONTH, "2026-01-15T25:00", "has a time that is none"},
                 {PER_MONTH, "2026-01-15 06:00", "has a time that is none"},
                 {PER_MONTH, "2026-01-15T06:00:00X", "has a time that is none"}};
    const char *why;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct period_rule r = {.unit = wrong[i].unit};
        r.zone = zone_get(&arena, SPAN("UTC"), &why);
        why = period_anchor(span_z(wrong[i].anchor), &r);
        if (!why || !strstr(why, wrong[i].why))
            fail_msg("%s: %s", wrong[i].anchor, why ? why : "taken");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_periods), cmocka_unit_test(no_gaps),
                                       cmocka_unit_test(wrong_anchors)};
    arena_init(&arena, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
