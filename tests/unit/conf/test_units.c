#include "conf/units.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct row {
    const char *text;
    enum unit_result result;
    uint64_t value;
};

static void durations(void **state) {
    static const struct row rows[] = {
        {"250ms", UNIT_FINE, 250},
        {"2s", UNIT_FINE, 2000},
        {"5m", UNIT_FINE, 300000},
        {"1h", UNIT_FINE, 3600000},
        {"1d", UNIT_FINE, 86400000},
        {"0s", UNIT_FINE, 0},
        {"2 s", UNIT_FINE, 2000},
        {"30", UNIT_MISSING, 0},
        {"0", UNIT_MISSING, 0},
        {"", UNIT_BAD, 0},
        {"s", UNIT_BAD, 0},
        {"-1s", UNIT_BAD, 0},
        {"1.5s", UNIT_BAD, 0},
        {"1S", UNIT_BAD, 0},
        {"1min", UNIT_BAD, 0},
        {"01s", UNIT_BAD, 0},
        {"1s2", UNIT_BAD, 0},
        {"99999999999999999999s", UNIT_RANGE, 0},
        {"9223372036854775807d", UNIT_RANGE, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(units_duration(span_z(rows[i].text), &v), rows[i].result);
        if (rows[i].result == UNIT_FINE)
            assert_int_equal(v, rows[i].value);
    }
}

static void sizes(void **state) {
    static const struct row rows[] = {
        {"1B", UNIT_FINE, 1},
        {"64KiB", UNIT_FINE, 65536},
        {"10MB", UNIT_FINE, 10000000},
        {"1GiB", UNIT_FINE, 1u << 30},
        {"2kB", UNIT_FINE, 2000},
        {"1TiB", UNIT_FINE, 1ull << 40},
        {"1024", UNIT_MISSING, 0},
        {"10M", UNIT_BAD, 0},
        {"10mb", UNIT_BAD, 0},
        {"KiB", UNIT_BAD, 0},
        {"99999999999TiB", UNIT_RANGE, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(units_size(span_z(rows[i].text), &v), rows[i].result);
        if (rows[i].result == UNIT_FINE)
            assert_int_equal(v, rows[i].value);
    }
}

static void byterates(void **state) {
    static const struct row rows[] = {
        {"240B/s", UNIT_FINE, 240}, {"1KiB/s", UNIT_FINE, 1024}, {"240", UNIT_MISSING, 0},
        {"240B", UNIT_MISSING, 0},  {"240/s", UNIT_MISSING, 0},  {"B/s", UNIT_BAD, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(units_byterate(span_z(rows[i].text), &v), rows[i].result);
        if (rows[i].result == UNIT_FINE)
            assert_int_equal(v, rows[i].value);
    }
}

static void rates(void **state) {
    static const struct {
        const char *text;
        enum unit_result result;
        uint64_t count, per_ms;
    } rows[] = {
        {"100/s", UNIT_FINE, 100, 1000},
        {"5000/day", UNIT_FINE, 5000, 86400000},
        {"10/5s", UNIT_FINE, 10, 5000},
        {"1000/1h", UNIT_FINE, 1000, 3600000},
        {"1/month", UNIT_FINE, 1, 2592000000},
        {"100", UNIT_MISSING, 0, 0},
        {"100/", UNIT_BAD, 0, 0},
        {"/s", UNIT_BAD, 0, 0},
        {"100/5", UNIT_BAD, 0, 0},
        {"100/0s", UNIT_RANGE, 0, 0},
        {"x/s", UNIT_BAD, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct schema_rate r = {0};
        assert_int_equal(units_rate(span_z(rows[i].text), &r), rows[i].result);
        if (rows[i].result != UNIT_FINE)
            continue;
        assert_int_equal(r.count, rows[i].count);
        assert_int_equal(r.per_ms, rows[i].per_ms);
    }
}

static void times_a_second(void **state) {
    static const struct row rows[] = {
        {"33/s", UNIT_FINE, 33},
        {"0/s", UNIT_FINE, 0},
        {"600/m", UNIT_FINE, 10},
        {"10/100ms", UNIT_FINE, 100},
        {"7200/h", UNIT_FINE, 2},
        {"33", UNIT_MISSING, 0},
        {"33/m", UNIT_RANGE, 0},
        {"1/day", UNIT_RANGE, 0},
        {"x/s", UNIT_BAD, 0},
        {"33s", UNIT_BAD, 0},
        {"9223372036854775807/s", UNIT_RANGE, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(units_per_second(span_z(rows[i].text), &v), rows[i].result);
        if (rows[i].result == UNIT_FINE)
            assert_int_equal(v, rows[i].value);
    }
}

static void percents(void **state) {
    static const struct row rows[] = {
        {"20%", UNIT_FINE, 2000}, {"0%", UNIT_FINE, 0},        {"100%", UNIT_FINE, 10000},
        {"0.5%", UNIT_FINE, 50},  {"12.34%", UNIT_FINE, 1234}, {"20", UNIT_MISSING, 0},
        {"101%", UNIT_RANGE, 0},  {"100.01%", UNIT_RANGE, 0},  {"1.234%", UNIT_BAD, 0},
        {"%", UNIT_BAD, 0},       {"1.%", UNIT_BAD, 0},        {"a%", UNIT_BAD, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(units_percent(span_z(rows[i].text), &v), rows[i].result);
        if (rows[i].result == UNIT_FINE)
            assert_int_equal(v, rows[i].value);
    }
}

static void printed_as_written(void **state) {
    static const char *const texts[] = {"250ms", "2s", "5m", "1h", "1d", "90s"};
    (void)state;
    for (size_t i = 0; i < array_len(texts); i++) {
        char buf[32];
        uint64_t v;
        struct str s = str_on(buf, sizeof buf);
        assert_int_equal(units_duration(span_z(texts[i]), &v), UNIT_FINE);
        units_put_duration(&s, v);
        assert_true(span_eq(str_span(&s), span_z(texts[i])));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),          cmocka_unit_test(sizes),
        cmocka_unit_test(byterates),          cmocka_unit_test(rates),
        cmocka_unit_test(times_a_second),     cmocka_unit_test(percents),
        cmocka_unit_test(printed_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
