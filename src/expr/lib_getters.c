/* What timestamps and durations can be asked; timestamps in UTC or in a zone. */
#include "expr/lib.h"
#include "expr/lib_time.h"
#include "expr/lib_zone.h"

static const char *prepare_zone(struct arena *a, const struct expr_scope *s,
                                const struct value *constant, const void **out) {
    const char *why = NULL;
    (void)s;
    if (constant->kind != VALUE_STRING)
        return NULL;
    struct span name = value_span(constant);
    *out = zone_get(a, name, &why);
    return *out ? NULL
                : arena_fmt(a, "\"%.*s\" %s", name.n > 64 ? 64 : (int)name.n, name.n ? name.p : "",
                            why);
}

/* A file may have to be read for it: not quite free. */
static const struct zone *find_zone(struct expr_call *c) {
    const char *why = NULL;
    struct span name = lib_span(c, 1);
    const struct zone *z = expr_spend(c, 64) ? zone_get(c->run->arena, name, &why) : NULL;
    if (!z && why)
        expr_failf(c, "\"%.*s\" %s", name.n > 64 ? 64 : (int)name.n, name.n ? name.p : "", why);
    return z;
}

static bool local(struct expr_call *c, struct civil *out) {
    int64_t seconds = c->arg[0].i;
    if (c->args > 1) {
        const struct zone *z = c->prepared ? c->prepared : find_zone(c);
        if (!z)
            return false;
        seconds += zone_offset(z, seconds);
    }
    civil_of(seconds, out);
    return true;
}

static bool full_year(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.year);
}

static bool month(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.month - 1);
}

static bool date(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.day);
}

static bool day_of_month(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.day - 1);
}

static bool day_of_week(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.week_day);
}

static bool day_of_year(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.year_day);
}

static bool hours(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.hour);
}

static bool minutes(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.minute);
}

static bool seconds(struct expr_call *c) {
    struct civil t;
    return local(c, &t) && lib_int(c, t.second);
}

static bool milliseconds(struct expr_call *c) {
    struct civil t; /* a zone that does not exist is an error here too */
    return local(c, &t) && lib_int(c, c->arg[0].nanos / 1000000);
}

static bool duration_hours(struct expr_call *c) {
    return lib_int(c, c->arg[0].i / 3600);
}

static bool duration_minutes(struct expr_call *c) {
    return lib_int(c, c->arg[0].i / 60);
}

static bool duration_seconds(struct expr_call *c) {
    return lib_int(c, c->arg[0].i);
}

static bool duration_milliseconds(struct expr_call *c) {
    return lib_int(c, c->arg[0].nanos / 1000000);
}

#define GETTER(name, how)                                                                          \
    {.signature = "timestamp." name "() -> int", .fn = how}, {                                     \
        .signature = "timestamp." name "(string) -> int", .fn = how, .prepare = prepare_zone       \
    }

const struct expr_function lib_getters[] = {
    GETTER("getFullYear", full_year),
    GETTER("getMonth", month),
    GETTER("getDate", date),
    GETTER("getDayOfMonth", day_of_month),
    GETTER("getDayOfWeek", day_of_week),
    GETTER("getDayOfYear", day_of_year),
    GETTER("getHours", hours),
    {.signature = "duration.getHours() -> int", .fn = duration_hours},
    GETTER("getMinutes", minutes),
    {.signature = "duration.getMinutes() -> int", .fn = duration_minutes},
    GETTER("getSeconds", seconds),
    {.signature = "duration.getSeconds() -> int", .fn = duration_seconds},
    GETTER("getMilliseconds", milliseconds),
    {.signature = "duration.getMilliseconds() -> int", .fn = duration_milliseconds},
    {0},
};
