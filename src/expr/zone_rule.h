/*
 * zone_rule - the rule at the end of a time zone's file, as POSIX writes it in TZ:
 * "CET-1CEST,M3.5.0,M10.5.0/3". It holds for every year behind the file's table. Owner: whoever
 * embeds it. Thread: any.
 */
#pragma once
#include "base/str.h"

struct zone_day {
    enum { DAY_JULIAN, DAY_OF_YEAR, DAY_OF_MONTH } form;
    int day, week, month; /* Jn: 1..365 without leap days; n: 0..365; Mmonth.week.day */
    int32_t second;       /* of that day, local time before the change; may leave the day */
};
struct zone_rule {
    int32_t standard, summer; /* seconds east of UTC */
    bool changes;             /* between the two, on these days */
    struct zone_day begin, end;
};

must_use bool zone_rule_parse(struct span s, struct zone_rule *out);
int64_t zone_rule_offset(const struct zone_rule *r, int64_t seconds);
