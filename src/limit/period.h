/*
 * period - the stretches of time that quotas count in: by the calendar of a time zone, or of one
 * length.
 *
 * Days, weeks, months and years begin at midnight (or the anchor's time of day) of the zone,
 * whatever its clocks do: a day may have 23 or 25 hours, and begins at the first moment that shows
 * its time. A month that is too short for the anchor's day begins with its last one. Hours are 3600
 * seconds, from a full hour of the zone; a length is always that long. Every period has a number
 * that grows by one from each to the next and depends on the rule alone, so two processes speak of
 * the same one. Owner: whoever embeds it; the zone outlives the rule. Thread: any.
 */
#pragma once
#include "core/schema.h"

struct zone;

struct period_rule {
    enum schema_calendar unit;
    int64_t length;          /* PER_LENGTH: seconds */
    const struct zone *zone; /* expr/lib_zone.h */
    int64_t anchor;          /* PER_LENGTH: when one begins, seconds since the epoch */
    int month, month_day;    /* 1..12, 1..31 */
    int week_day;            /* from 0: Monday */
    int second;              /* of the day, by the zone's clocks */
};

struct period {
    int64_t index, from, to; /* seconds since the epoch, UTC; `to` is the next one's `from` */
};

/* The anchor as written: "15" (day of the month), "monday", "2026-01-15", "2026-01-15T06:00",
 * "2026-01-15T06:00:00Z"; empty: midnight of the 1st, of Monday, of January 1st. Unit, length and
 * zone are set. NULL, or a sentence. */
const char *period_anchor(struct span text, struct period_rule *r);
void period_at(const struct period_rule *r, int64_t seconds, struct period *out);
