#include "conf/units.h"

struct unit {
    struct span name;
    uint64_t factor;
};

#define UNIT(name_, factor_)                                                                       \
    { {name_, sizeof name_ - 1}, factor_ }

static const struct unit durations[] = {
    UNIT("ms", 1), UNIT("s", 1000), UNIT("m", 60000), UNIT("h", 3600000), UNIT("d", 86400000),
};
static const struct unit sizes[] = {
    UNIT("B", 1),
    UNIT("KiB", 1024),
    UNIT("MiB", 1024 * 1024),
    UNIT("GiB", 1024 * 1024 * 1024),
    UNIT("TiB", 1024ull * 1024 * 1024 * 1024),
    UNIT("KB", 1000),
    UNIT("kB", 1000),
    UNIT("MB", 1000000),
    UNIT("GB", 1000000000),
    UNIT("TB", 1000000000000),
};
/* A month is 30 days, a year 365: a limit wants one length. */
static const struct unit periods[] = {
    UNIT("s", 1000),           UNIT("second", 1000),      UNIT("m", 60000),
    UNIT("minute", 60000),     UNIT("h", 3600000),        UNIT("hour", 3600000),
    UNIT("d", 86400000),       UNIT("day", 86400000),     UNIT("week", 604800000),
    UNIT("month", 2592000000), UNIT("year", 31536000000),
};

static size_t digits(struct span s) {
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

static const struct unit *unit_named(const struct unit *u, size_t count, struct span name) {
    for (size_t i = 0; i < count; i++)
        if (span_eq(u[i].name, name))
            return &u[i];
    return NULL;
}

static enum unit_result with_unit(struct span s, const struct unit *units, size_t count,
                                  uint64_t *out) {
    size_t n = digits(s);
    uint64_t v;
    if (n == 0)
        return UNIT_BAD;
    struct span name = span_from(s, n);
    while (name.n && name.p[0] == ' ')
        name = span_from(name, 1);
    if (name.n == 0)
        return UNIT_MISSING;
    const struct unit *u = unit_named(units, count, name);
    if (!u)
        return UNIT_BAD;
    if (!parse_dec(span_cut(s, 0, n), UINT64_MAX, &v))
        return n > 1 && s.p[0] == '0' ? UNIT_BAD : UNIT_RANGE;
    return __builtin_mul_overflow(v, u->factor, out) || *out > INT64_MAX ? UNIT_RANGE : UNIT_FINE;
}

enum unit_result units_duration(struct span s, uint64_t *ms) {
    return with_unit(s, durations, array_len(durations), ms);
}

enum unit_result units_size(struct span s, uint64_t *bytes) {
    return with_unit(s, sizes, array_len(sizes), bytes);
}

enum unit_result units_byterate(struct span s, uint64_t *bytes_per_s) {
    if (span_ends(s, SPAN("/s")))
        return units_size(span_cut(s, 0, s.n - 2), bytes_per_s);
    uint64_t ignored;
    enum unit_result r = units_size(s, &ignored);
    return r == UNIT_FINE ? UNIT_MISSING : r;
}

enum unit_result units_rate(struct span s, struct schema_rate *out) {
    ptrdiff_t slash = span_find(s, '/');
    if (slash < 0)
        return digits(s) == s.n && s.n ? UNIT_MISSING : UNIT_BAD;
    struct span number = span_cut(s, 0, (size_t)slash), period = span_from(s, (size_t)slash + 1);
    if (!parse_dec(number, INT64_MAX, &out->count))
        return number.n && digits(number) == number.n ? UNIT_RANGE : UNIT_BAD;
    const struct unit *u = unit_named(periods, array_len(periods), period);
    if (u) {
        out->per_ms = u->factor;
        return UNIT_FINE;
    }
    enum unit_result r = units_duration(period, &out->per_ms);
    return r == UNIT_FINE && out->per_ms == 0 ? UNIT_RANGE : r == UNIT_MISSING ? UNIT_BAD : r;
}

enum schema_calendar units_calendar(struct span s) {
    static const uint64_t length[] = {[PER_HOUR] = 3600000,
                                      [PER_DAY] = 86400000,
                                      [PER_WEEK] = 604800000,
                                      [PER_MONTH] = 2592000000,
                                      [PER_YEAR] = 31536000000};
    ptrdiff_t slash = span_find(s, '/');
    const struct unit *u =
        slash < 0 ? NULL : unit_named(periods, array_len(periods), span_from(s, (size_t)slash + 1));
    for (unsigned i = PER_HOUR; u && i < array_len(length); i++)
        if (length[i] == u->factor)
            return (enum schema_calendar)i;
    return PER_LENGTH;
}

enum unit_result units_per_second(struct span s, uint64_t *times) {
    struct schema_rate v;
    enum unit_result r = units_rate(s, &v);
    if (r != UNIT_FINE)
        return r;
    if (__builtin_mul_overflow(v.count, 1000, &v.count) || v.count % v.per_ms)
        return UNIT_RANGE;
    *times = v.count / v.per_ms;
    return UNIT_FINE;
}

enum unit_result units_percent(struct span s, uint64_t *hundredths) {
    size_t n = digits(s);
    uint64_t whole, part = 0;
    if (n == s.n && n)
        return UNIT_MISSING;
    if (!n || s.p[s.n - 1] != '%')
        return UNIT_BAD;
    struct span rest = span_cut(s, n, s.n - n - 1);
    if (!parse_dec(span_cut(s, 0, n), 100, &whole))
        return UNIT_RANGE;
    if (rest.n) {
        struct span d = span_from(rest, 1);
        if (rest.p[0] != '.' || d.n == 0 || d.n > 2 || digits(d) != d.n)
            return UNIT_BAD;
        part = (uint64_t)(d.p[0] - '0') * 10 + (d.n > 1 ? (uint64_t)(d.p[1] - '0') : 0);
    }
    *hundredths = whole * 100 + part;
    return *hundredths > 10000 ? UNIT_RANGE : UNIT_FINE;
}

static void put_largest(struct str *out, uint64_t v, const struct unit *u, size_t count) {
    size_t best = 0;
    for (size_t i = 0; i < count && v; i++)
        if (v % u[i].factor == 0)
            best = i;
    str_u64(out, v / u[best].factor);
    str_add(out, u[best].name);
}

void units_put_duration(struct str *out, uint64_t ms) {
    put_largest(out, ms, durations, 5);
}
void units_put_size(struct str *out, uint64_t bytes) {
    put_largest(out, bytes, sizes, 5);
}
void units_put_per_second(struct str *out, uint64_t times) {
    str_u64(out, times);
    str_lit(out, "/s");
}
