/*
 * lib_time - moments and lengths of time: parsed, added, taken apart (data/number.h prints them).
 *
 * Timestamps reach from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z, durations over
 * int64 nanoseconds (about 292 years), as CEL says; what would leave that is false, never wrapped.
 * Owner: none. Thread: any.
 */
#pragma once
#include "data/value.h"

enum time_result { TIME_FINE, TIME_MALFORMED, TIME_RANGE };

/* RFC 3339: "2023-08-26T12:39:00.5-07:00". Digits behind the ninth of a fraction are dropped. */
must_use enum time_result time_parse(struct span s, struct value *out);
/* "1h30m", "-1.5h", "0": numbers with h, m, s, ms, us, ns. */
must_use enum time_result duration_parse(struct span s, struct value *out);
must_use bool time_of(int64_t seconds, struct value *out);
must_use bool time_plus(const struct value *timestamp, const struct value *duration,
                        struct value *out);
must_use bool time_minus(const struct value *timestamp, const struct value *duration,
                         struct value *out);
must_use bool time_between(const struct value *later, const struct value *earlier,
                           struct value *out);
must_use bool duration_plus(const struct value *x, const struct value *y, struct value *out);
must_use bool duration_minus(const struct value *x, const struct value *y, struct value *out);
must_use bool duration_negate(const struct value *x, struct value *out);

/* A moment by the calendar, seconds since 1970 already moved to the zone. */
struct civil {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second;
    int week_day, year_day; /* from 0: Sunday, January 1st */
};
void civil_of(int64_t seconds, struct civil *out);
int64_t civil_days(int64_t year, int month, int day); /* since 1970-01-01 */
bool civil_leap(int64_t year);
