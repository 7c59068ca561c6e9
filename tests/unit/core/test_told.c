/* core/told and core/limits: what clients are told of limits, and what rates promise. */
#include "desk.h"
#include "core/limits.h"

#define WINDOW(suffix_, quota_, seconds_)                                                          \
    { .suffix = SPAN(suffix_), .quota = (quota_), .seconds = (seconds_) }

static const struct limit_window hour[] = {WINDOW("", 5, 3600)};
static const struct limit_window two[] = {WINDOW("-1s", 10, 1), WINDOW("-1d", 1000, 86400)};

#define TOLD(name_, w_, at_, left_, t_, hidden_)                                                   \
    {                                                                                              \
        .name = SPAN(name_), .window = (w_), .windows = array_len(w_), .at = (at_),                \
        .remaining = (left_), .reset_s = (t_), .hidden = (hidden_)                                 \
    }

static const struct {
    struct limit_told told[3];
    unsigned count;
    const char *policy, *state; /* NULL: no field of ours */
} rows[] = {
    {{TOLD("", hour, 0, 4, 720, false)}, 1, "\"default\";q=5;w=3600", "\"default\";r=4;t=720"},
    {{TOLD("api", hour, 0, 0, 3600, false)}, 1, "\"api\";q=5;w=3600", "\"api\";r=0;t=3600"},
    {{TOLD("api", two, 1, 7, 80000, false)},
     1,
     "\"api-1s\";q=10;w=1, \"api-1d\";q=1000;w=86400",
     "\"api-1d\";r=7;t=80000"},
    {{TOLD("", hour, 0, 1, 2, false), TOLD("api", hour, 0, 3, 4, false),
      TOLD("", two, 0, 5, 6, false)},
     3,
     "\"default\";q=5;w=3600, \"api\";q=5;w=3600, \"default-2-1s\";q=10;w=1, "
     "\"default-2-1d\";q=1000;w=86400",
     "\"default\";r=1;t=2, \"api\";r=3;t=4, \"default-2-1s\";r=5;t=6"},
    {{TOLD("a", hour, 0, 1, 2, true), TOLD("", hour, 0, 3, 4, false)},
     2,
     "\"default\";q=5;w=3600",
     "\"default\";r=3;t=4"},
    {{TOLD("", hour, 0, 1, 2, false), TOLD("", hour, 0, 3, 4, true),
      TOLD("", hour, 0, UINT64_MAX, UINT64_MAX, false)},
     3,
     "\"default\";q=5;w=3600, \"default-2\";q=5;w=3600",
     "\"default\";r=1;t=2, \"default-2\";r=18446744073709551615;t=18446744073709551615"},
    {{TOLD("a", hour, 0, 1, 2, true)}, 1, NULL, NULL},
    {{TOLD("a", hour, 0, 1, 2, true)}, 0, NULL, NULL},
};

static void is(struct span got, const char *wanted, const char *service) {
    if (!span_eq(got, span_z(wanted ? wanted : service)))
        fail_msg("got %.*s, wanted %s", SPAN_ARG(got), wanted ? wanted : service);
}

/* A service's own fields stay only where the gateway has nothing to say. */
static void fields(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct exchange x = {.magic = EXCHANGE_MAGIC};
        struct limit_told told[3];
        desk_open();
        x.arena = desk.snapshot->arena;
        head_init(&x.resp, &x.arena);
        hdr_add(&x.resp, HDR_RATELIMIT, SPAN("his"));
        hdr_add(&x.resp, HDR_RATELIMIT_POLICY, SPAN("his policy"));
        hdr_add(&x.resp, HDR_RATELIMIT_POLICY, SPAN("and more"));
        memcpy(told, rows[i].told, sizeof told);
        for (unsigned k = 0; k < rows[i].count; k++)
            limit_told_add(&x, &told[k]);
        for (unsigned k = rows[i].count; k--;) /* as answers pass: the last one first */
            limit_told_answer(&x, &told[k]);
        is(hdr_get(&x.resp, HDR_RATELIMIT_POLICY), rows[i].policy, "his policy");
        is(hdr_get(&x.resp, HDR_RATELIMIT), rows[i].state, "his");
        assert_int_equal(x.resp.count, rows[i].policy ? 2 : 3);
        limit_told_refusal(&x);
        assert_int_equal(x.own != NULL, rows[i].policy != NULL);
        for (const struct own_field *f = x.own; f; f = f->next)
            is(f->value, span_eq(f->name, SPAN("ratelimit")) ? rows[i].state : rows[i].policy, "");
        desk.snapshot->arena = x.arena;
        desk_close();
    }
}

static void verdicts(void **state) {
    (void)state;
    assert_string_equal(told_verdict_name(TOLD_ALLOWED), "allowed");
    assert_string_equal(told_verdict_name(TOLD_DELAYED), "delayed");
    assert_string_equal(told_verdict_name(TOLD_OBSERVED), "observed");
    assert_string_equal(told_verdict_name(TOLD_REFUSED), "refused");
    assert_string_equal(told_verdict_name(TOLD_UNAVAILABLE), "unavailable");
}

/* ---- what finish makes of rates ---- */

static const struct {
    struct schema_rate rate[2];
    unsigned rates;
    uint64_t burst;
    const char *policy;
} limits[] = {
    {{{20, 1000}}, 1, 0, "\"default\";q=20;w=1"},
    {{{20, 1000}}, 1, 40, "\"default\";q=40;w=2"},
    {{{1000, 86400000}}, 1, 20, "\"default\";q=20;w=1728"},
    {{{3, 1000}}, 1, 1, "\"default\";q=1;w=1"}, /* a third of a second, rounded up */
    {{{10, 1000}, {1000, 86400000}},
     2,
     20,
     "\"default-1s\";q=20;w=2, \"default-1d\";q=1000;w=86400"},
    {{{100, 3600000}, {2, 90000}}, 2, 7, "\"default-1h\";q=100;w=3600, \"default-90s\";q=7;w=315"},
    {{{5, 60000}, {50, 600000}}, 2, 0, "\"default-1m\";q=5;w=60, \"default-10m\";q=50;w=600"},
};

static void promises(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(limits); i++) {
        desk_open();
        struct rate_limit_conf c = {
            .rate = limits[i].rate, .rates = limits[i].rates, .burst = limits[i].burst};
        const char *wrong = rate_limit_finish(&desk.snapshot->arena, &c);
        if (wrong)
            fail_msg("%zu: %s", i, wrong);
        is(c.policy, limits[i].policy, "");
        assert_int_equal(c.cost_fixed, 1);
        assert_false(c.reads_body);
        desk_close();
    }
}

/* What a plan does not say is as the limit says that it stands in; other callers have that. */
static void plans(void **state) {
    (void)state;
    static const struct schema_rate one = {1, 1000}, nine = {9, 1000};
    struct rate_limit_plan plan[2] = {
        {.name = SPAN("gold"), .conf = {.rate = &nine, .rates = 1, .burst = 18}},
        {.name = SPAN("free"), .conf = {.rate = &one, .rates = 1}}};
    struct rate_limit_conf c = {.rate = &one,
                                .rates = 1,
                                .burst = 4,
                                .headers = true,
                                .name = SPAN("api"),
                                .plan = plan,
                                .plans = 2};
    desk_open();
    assert_null(rate_limit_finish(&desk.snapshot->arena, &c));
    const struct rate_limit_conf *gold = rate_limit_of(&c, SPAN("gold"));
    assert_ptr_equal(gold, &plan[0].conf);
    assert_true(gold->headers && !gold->plans);
    is(gold->policy, "\"api\";q=18;w=2", "");
    is(rate_limit_of(&c, SPAN("free"))->policy, "\"api\";q=1;w=1",
       ""); /* burst is the rate's own */
    assert_ptr_equal(rate_limit_of(&c, SPAN("none")), &c);
    assert_ptr_equal(rate_limit_of(&c, SPAN_NONE), &c);
    c.rates = 0;
    assert_null(rate_limit_of(&c, SPAN("none")));
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields), cmocka_unit_test(verdicts),
                                       cmocka_unit_test(promises), cmocka_unit_test(plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
