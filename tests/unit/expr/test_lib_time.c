/* Timestamps, durations, the calendar, time zones. */
#include "base/env.h"
#include "expr/lib_time.h"
#include "expr/lib_zone.h"
#include "expr/zone_rule.h"
#include "lib_play.h"
#include <unistd.h>

static const struct row times[] = {
    {"timestamp('2023-08-26T12:39:00-07:00')", "timestamp(\"2023-08-26T19:39:00Z\")"},
    {"timestamp('2023-08-26t12:39:00.123456789123z')",
     "timestamp(\"2023-08-26T12:39:00.123456789Z\")"},
    {"timestamp('0001-01-01T00:00:00Z')", "timestamp(\"0001-01-01T00:00:00Z\")"},
    {"timestamp('0001-01-01T00:00:00+00:01')", "! the value is out of the range of timestamp"},
    {"timestamp('9999-12-31T23:59:59-00:01')", "! the value is out of the range of timestamp"},
    {"timestamp('0000-01-01T00:00:00Z')", "! the value is out of the range of timestamp"},
    {"timestamp('10000-01-01T00:00:00Z')", "! \"10000-01-01T00:00:00Z\" is no timestamp"},
    {"timestamp('2023-02-29T00:00:00Z')", "! \"2023-02-29T00:00:00Z\" is no timestamp"},
    {"timestamp('2024-02-29T00:00:00Z')", "timestamp(\"2024-02-29T00:00:00Z\")"},
    {"timestamp('1900-02-29T00:00:00Z')", "! \"1900-02-29T00:00:00Z\" is no timestamp"},
    {"timestamp('2023-13-01T00:00:00Z')", "! \"2023-13-01T00:00:00Z\" is no timestamp"},
    {"timestamp('2023-00-01T00:00:00Z')", "! \"2023-00-01T00:00:00Z\" is no timestamp"},
    {"timestamp('2023-01-01T24:00:00Z')", "! \"2023-01-01T24:00:00Z\" is no timestamp"},
    {"timestamp('2023-01-01T00:00:60Z')", "! \"2023-01-01T00:00:60Z\" is no timestamp"},
    {"timestamp('2023-01-01T00:00:00')", "! \"2023-01-01T00:00:00\" is no timestamp"},
    {"timestamp('2023-01-01T00:00:00.Z')", "! \"2023-01-01T00:00:00.Z\" is no timestamp"},
    {"timestamp('2023-01-01T00:00:00+24:00')", "! \"2023-01-01T00:00:00+24:00\" is no timestamp"},
    {"timestamp('2023-01-01 00:00:00Z')", "! \"2023-01-01 00:00:00Z\" is no timestamp"},
    {"timestamp('2023-01-01T00:00:00Zx')", "! \"2023-01-01T00:00:00Zx\" is no timestamp"},
    {"timestamp('')", "! \"\" is no timestamp"},
    {"timestamp(253402300799)", "timestamp(\"9999-12-31T23:59:59Z\")"},
    {"timestamp(253402300800)", "! the value is out of the range of timestamp"},
    {"timestamp(-62135596801)", "! the value is out of the range of timestamp"},
    {"duration('1h34us')", "duration(\"3600.000034s\")"},
    {"duration('-1.5h')", "duration(\"-5400s\")"},
    {"duration('+1m1ms')", "duration(\"60.001s\")"},
    {"duration('.5s') + duration('5.s')", "duration(\"5.5s\")"},
    {"duration('1µs') == duration('1μs') && duration('1us') == duration('1000ns')", "true"},
    {"duration('0') == duration('-0')", "true"},
    {"duration('0.9ns')", "duration(\"0s\")"},
    {"duration('9223372036.854775807s')", "duration(\"9223372036.854775807s\")"},
    {"duration('9223372036.854775808s')", "! the value is out of the range of duration"},
    {"duration('-9223372036.854775808s')", "duration(\"-9223372036.854775808s\")"},
    {"duration('99999999999999999999h')", "! the value is out of the range of duration"},
    {"duration('1')", "! \"1\" is no duration"},
    {"duration('1d')", "! \"1d\" is no duration"},
    {"duration('h')", "! \"h\" is no duration"},
    {"duration('.s')", "! \".s\" is no duration"},
    {"duration('')", "! \"\" is no duration"},
    {"duration('-')", "! \"-\" is no duration"},
    {"duration('1h -2m')", "! \"1h -2m\" is no duration"},
};

static const struct row getters[] = {
    {"[timestamp('2023-12-25T12:34:56.789Z')].map(t, [t.getFullYear(), t.getMonth(), t.getDate(), "
     "t.getDayOfMonth(), t.getDayOfWeek(), t.getDayOfYear(), t.getHours(), t.getMinutes(), "
     "t.getSeconds(), t.getMilliseconds()])",
     "[[2023, 11, 25, 24, 1, 358, 12, 34, 56, 789]]"},
    {"[timestamp('0001-01-01T00:00:00Z')].map(t, [t.getFullYear(), t.getDayOfWeek(), "
     "t.getDayOfYear()])",
     "[[1, 1, 0]]"},
    {"[timestamp('2024-12-31T00:00:00Z')].map(t, [t.getDayOfYear(), t.getDayOfWeek()])",
     "[[365, 2]]"},
    {"[duration('1h30m1.234s')].map(d, [d.getHours(), d.getMinutes(), d.getSeconds(), "
     "d.getMilliseconds()])",
     "[[1, 90, 5401, 234]]"},
    {"[duration('-90.5s')].map(d, [d.getMinutes(), d.getSeconds(), d.getMilliseconds()])",
     "[[-1, -90, -500]]"},
    {"timestamp('9999-12-31T23:59:59Z').getFullYear('+14:00')", "10000"},
    {"timestamp('0001-01-01T00:00:00Z').getFullYear('-00:01')", "0"},
    {"timestamp('2009-02-13T23:31:30Z').getMinutes('-09:30')", "1"},
    {"timestamp('2009-02-13T23:31:30Z').getHours('2:00')", "1"},
    {"timestamp(0).getHours('24:00')", "! \"24:00\" is no offset like +02:00"},
    {"timestamp(0).getHours('+01:60')", "! \"+01:60\" is no offset like +02:00"},
    {"timestamp(0).getHours('+1:0')", "! \"+1:0\" is no offset like +02:00"},
    {"timestamp(0).getHours(':30')", "! \":30\" is no offset like +02:00"},
    {"timestamp(0).getHours('UTC')", "0"},
    {"timestamp(0).getHours('Mars/Olympus')", "! \"Mars/Olympus\" is no time zone"},
    {"timestamp(0).getHours('')", "! \"\" is no time zone"},
    {"timestamp(0).getHours('../passwd')", "! \"../passwd\" is no time zone"},
    {"timestamp(0).getHours('/etc/passwd')", "! \"/etc/passwd\" is no time zone"},
    {"timestamp(0).getHours('Europe')", "! \"Europe\" is no time zone"},
    {"timestamp(0).getHours('tzdata.zi')", "! \"tzdata.zi\" is no time zone"},
    {"['Nowhere', 'UTC'].map(x, timestamp(0).getHours(x))", "! \"Nowhere\" is no time zone"},
};

static const struct row zones[] = {
    {"timestamp('2023-12-25T00:00:00Z').getDate('America/Los_Angeles')", "24"},
    {"timestamp('2009-02-13T23:31:30Z').getMinutes('Asia/Kathmandu')", "16"},
    /* the minute before and of a change, in both halves of the world */
    {"timestamp('2023-03-26T00:59:59Z').getHours('Europe/Paris')", "1"},
    {"timestamp('2023-03-26T01:00:00Z').getHours('Europe/Paris')", "3"},
    {"timestamp('2023-10-29T00:59:59Z').getHours('Europe/Paris')", "2"},
    {"timestamp('2023-10-29T01:00:00Z').getHours('Europe/Paris')", "2"},
    {"timestamp('2023-04-01T15:59:59Z').getHours('Australia/Sydney')", "2"},
    {"timestamp('2023-04-01T16:00:00Z').getHours('Australia/Sydney')", "2"},
    {"timestamp('2023-01-01T00:00:00Z').getHours('Australia/Sydney')", "11"},
    /* behind the table, by the rule */
    {"timestamp('2400-07-01T00:00:00Z').getHours('Europe/Paris')", "2"},
    {"timestamp('2400-01-01T00:00:00Z').getHours('Europe/Paris')", "1"},
    {"timestamp('2400-01-01T00:00:00Z').getHours('Australia/Sydney')", "11"},
    {"timestamp('2400-07-01T00:00:00Z').getHours('Australia/Sydney')", "10"},
    {"timestamp('2400-07-01T00:00:00Z').getHours('Asia/Tokyo')", "9"},
    /* before it: local mean time */
    {"timestamp('1800-01-01T00:00:00Z').getMinutes('Europe/Paris')", "9"},
    {"['Europe/Paris', 'Asia/Tokyo', 'Europe/Paris'].map(x, timestamp(0).getHours(x))",
     "[1, 9, 1]"},
    {"timestamp(0).getHours('EST5EDT')", "19"},
    {"timestamp(0).getHours('Etc/GMT+5')", "19"},
};

static void test_times(void **state) {
    (void)state;
    lib_table(times, array_len(times));
}

static void test_getters(void **state) {
    (void)state;
    lib_table(getters, array_len(getters));
}

static void test_zones(void **state) {
    (void)state;
    if (access("/usr/share/zoneinfo/Europe/Paris", R_OK) != 0) {
        print_message("the system has no time zones: package tzdata\n");
        skip();
    }
    lib_table(zones, array_len(zones));
}

/* Every day of 1600 years there and back. */
static void test_calendar(void **state) {
    struct civil before, c;
    (void)state;
    civil_of(civil_days(1200, 1, 1) * 86400 - 1, &before);
    for (int64_t day = civil_days(1200, 1, 1); day < civil_days(2800, 1, 1); day++) {
        civil_of(day * 86400 + 86399, &c);
        bool next = c.day == before.day + 1 && c.month == before.month;
        bool month =
            c.day == 1 && (c.month == before.month + 1 ||
                           (c.month == 1 && before.month == 12 && c.year == before.year + 1));
        if (civil_days(c.year, c.month, c.day) != day || !(next || month) ||
            c.week_day != (before.week_day + 1) % 7 || c.hour != 23 || c.second != 59)
            fail_msg("day %lld: %d-%d", (long long)day, c.month, c.day);
        before = c;
    }
}

static const struct {
    const char *rule;
    int64_t at;
    int64_t want; /* seconds east; -1: no rule */
} rules[] = {
    {"UTC0", 0, 0},
    {"<+0330>-3:30", 0, 12600},
    {"CET-1CEST,M3.5.0,M10.5.0/3", 1679792399, 3600}, /* 2023-03-26T00:59:59Z */
    {"CET-1CEST,M3.5.0,M10.5.0/3", 1679792400, 7200},
    {"CET-1CEST,M3.5.0,M10.5.0/3", 1698541199, 7200},
    {"CET-1CEST,M3.5.0,M10.5.0/3", 1698541200, 3600},
    {"EST5EDT,J60,J300", 1677650399, -18000}, /* 2023-03-01T05:59:59Z: the 60th day at 2 */
    {"EST5EDT,J60,J300", 1677654000, -14400},
    {"EST5EDT,59/0,300/-1", 1677646799, -18000}, /* counted from 0: the same day, at midnight */
    {"EST5EDT,59/0,300/-1", 1677646800, -14400},
    {"IST-2IDT,M3.4.4/26,M10.5.0", 1679615999, 7200}, /* 26 hours into a Thursday: Friday at 2 */
    {"IST-2IDT,M3.4.4/26,M10.5.0", 1679616000, 10800},
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1679792400, -3600},
    {"XXX3YYY2:30:15,M1.1.1,M12.5.0", 1688169600, -9015},
    {"", 0, -1},
    {"CE-1", 0, -1},
    {"CET", 0, -1},
    {"CET-1CEST", 0, -1},
    {"CET-1CEST,M3.5.0", 0, -1},
    {"CET-1CEST,M13.5.0,M10.5.0", 0, -1},
    {"CET-1CEST,M3.6.0,M10.5.0", 0, -1},
    {"CET-1CEST,M3.5.7,M10.5.0", 0, -1},
    {"CET-168", 0, -1},
    {"CET-1CEST,J0,J1", 0, -1},
    {"CET-1CEST,J1,J366", 0, -1},
    {"CET-1CEST,M3.5.0,M10.5.0x", 0, -1},
    {"<CET-1", 0, -1},
};

static void test_rules(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(rules); i++) {
        struct zone_rule r;
        bool fine = zone_rule_parse(span_z(rules[i].rule), &r);
        int64_t got = fine ? zone_rule_offset(&r, rules[i].at) : -1;
        if (got != rules[i].want)
            fail_msg("%s at %lld: %lld, not %lld", rules[i].rule, (long long)rules[i].at,
                     (long long)got, (long long)rules[i].want);
    }
}

/* A file of zones that was cut, or has a wrong byte: refused or read, never beyond its end. More
 * names than are kept, too. */
static char hostile[4096];
static size_t hostile_n, hostile_at;

static int hostile_open(const char *path, int flags, mode_t mode) {
    (void)path, (void)flags, (void)mode;
    hostile_at = 0;
    return 1000;
}

static ssize_t hostile_read(int fd, void *p, size_t n) {
    (void)fd;
    n = n < hostile_n - hostile_at ? n : hostile_n - hostile_at;
    memcpy(p, hostile + hostile_at, n);
    hostile_at += n;
    return (ssize_t)n;
}

static int hostile_close(int fd) {
    (void)fd;
    return 0;
}

static bool ask_hostile(unsigned number) {
    static const int64_t at[] = {INT64_C(-62135596800), -1, 0, 1700000000, INT64_C(253402300799)};
    struct arena a;
    char name[32];
    const char *why = NULL;
    snprintf(name, sizeof name, "Test/Zone%u", number);
    arena_init(&a, NULL);
    const struct zone *z = zone_get(&a, span_z(name), &why);
    for (size_t i = 0; z && i < array_len(at); i++) {
        int64_t east = zone_offset(z, at[i]);
        if (east < -608400 || east > 608400)
            fail_msg("%s: %lld", name, (long long)east);
    }
    arena_finish(&a);
    return z != NULL;
}

static void test_hostile_files(void **state) {
    (void)state;
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Paris", "rb");
    if (!f) {
        print_message("the system has no time zones: package tzdata\n");
        skip();
    }
    size_t whole = fread(hostile, 1, sizeof hostile, f);
    fclose(f);
    assert_true(whole > 100 && whole < sizeof hostile);
    env.open = hostile_open;
    env.read = hostile_read;
    env.close = hostile_close;
    unsigned number = 0, read = 0;
    for (hostile_n = 0; hostile_n < whole; hostile_n += 1 + hostile_n / 64)
        read += ask_hostile(number++);
    assert_int_equal(read, 0); /* a cut one has lost its rule or more */
    hostile_n = whole;
    assert_true(ask_hostile(number++));
    for (size_t at = 0; at < whole; at++)
        for (unsigned flip = 1; flip < 256; flip *= 16) {
            hostile[at] = (char)(hostile[at] ^ (char)(flip * 9));
            read += ask_hostile(number++);
            hostile[at] = (char)(hostile[at] ^ (char)(flip * 9));
        }
    assert_true(read > ZONES_KEPT);
    env = env_os;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times), cmocka_unit_test(test_getters),
        cmocka_unit_test(test_zones), cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_rules), cmocka_unit_test(test_hostile_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
