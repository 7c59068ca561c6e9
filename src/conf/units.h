/*
 * units - "250ms", "64KiB", "100/s", "20%": a number never stands without its unit.
 * Thread: any.
 */
#pragma once
#include "core/schema.h"

enum unit_result { UNIT_FINE, UNIT_MISSING /* a bare number */, UNIT_BAD, UNIT_RANGE };

must_use enum unit_result units_duration(struct span s, uint64_t *ms);
must_use enum unit_result units_size(struct span s, uint64_t *bytes);
must_use enum unit_result units_byterate(struct span s, uint64_t *bytes_per_s);
must_use enum unit_result units_rate(struct span s, struct schema_rate *out);
/* The word behind a rate's slash, where it is one of the calendar: 10/month, but not 10/30d. */
enum schema_calendar units_calendar(struct span rate);
/* UNIT_RANGE: not a whole number of times a second. */
must_use enum unit_result units_per_second(struct span s, uint64_t *times);
must_use enum unit_result units_percent(struct span s, uint64_t *hundredths);

/* As one would write them. */
void units_put_duration(struct str *out, uint64_t ms);
void units_put_size(struct str *out, uint64_t bytes);
void units_put_per_second(struct str *out, uint64_t times);
