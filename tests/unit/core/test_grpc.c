/*
 * core: what is particular about gRPC calls. Their timeout, their plan and their body's limit, by
 * way of a router; how their status gets into the record.
 */
#include "core/route.h"
#include "desk.h"

enum { MS = 1000000 };

static struct op gone;
static struct exchange *started; /* the exchange that a service holds */
static struct head trailers;

static void op_gone(struct op *op) {
    (void)op;
    started = NULL;
}
static void service_start(struct exchange *x) {
    started = x;
    op_start(&x->back_ops_list, &gone, op_gone);
}
static const struct back_ops service_ops = {"service", service_start, NULL, NULL};

static uint64_t clock_ns;
static uint64_t clock_now(void) {
    return clock_ns;
}

static struct route route;
static struct route_match match;
static struct plan whole;
static struct record last;
static void note(struct thread *t, const struct record *r) {
    (void)t;
    last = *r;
}

static int begin(void **state) {
    (void)state;
    clock_ns = 1000 * (uint64_t)MS;
    env.now_ns = clock_now;
    desk_open();
    desk.thread.sink[0] = note;
    whole = (struct plan){.back = &service_ops};
    route = (struct route){.name = SPAN("r"),
                           .match = &match,
                           .plan = {.back = &service_ops},
                           .whole = &whole,
                           .max_body = 100,
                           .request_timeout_ms = 30000,
                           .idle_timeout_ms = 60000};
    desk.snapshot->route = &route;
    desk.snapshot->route_count = 1;
    desk.snapshot->router = router_build(&desk.snapshot->arena, &route, 1, NULL);
    return 0;
}
static int finish(void **state) {
    (void)state;
    if (started)
        exchange_abort(started, FAULT_CLIENT_CLOSED);
    desk_close();
    env = env_os;
    return 0;
}

static struct exchange *call(const char *type, const char *timeout) {
    return timeout ? desk_exchange("POST", "a.test", "/s/M", "content-type", type, "grpc-timeout",
                                   timeout, NULL)
                   : desk_exchange("POST", "a.test", "/s/M", "content-type", type, NULL);
}

static void start(struct exchange *x) {
    exchange_start(x);
    loop_drain(&desk.thread.loop);
}

static void pass(uint64_t ms) {
    struct loop *l = &desk.thread.loop;
    for (uint64_t end = clock_ns + ms * MS; clock_ns < end;) {
        clock_ns += 10 * MS;
        loop_turn(l, 0);
    }
}

static void answer(struct exchange *x) {
    x->resp.status = 200;
    x->down_half.length = -1;
    hdr_add(&x->resp, HDR_CONTENT_TYPE, SPAN("application/grpc"));
    exchange_respond(x);
    loop_drain(&desk.thread.loop);
}

static void plans_and_bodies(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool own, rare, limited;
    } cases[] = {
        {"application/grpc", false, true, false},
        {"Application/gRPC+proto", false, true, false},
        {"application/grpc-web-text", false, true, false},
        {"application/grpc", true, true, true},
        {"application/grpcx", false, false, true},
        {"application/json", false, false, true},
        {"application/g", false, false, true},
        {"text/plain", false, false, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct exchange *x = call(cases[i].type, NULL);
        route.max_body_own = cases[i].own;
        start(x);
        assert_ptr_equal(x->plan, cases[i].rare ? &whole : &route.plan);
        assert_int_equal(x->max_body == 100, cases[i].limited);
        desk_drop(x);
    }
    struct exchange *x = desk_exchange("CONNECT", "a.test", "/ws", NULL);
    x->req.protocol = SPAN("websocket");
    start(x);
    assert_ptr_equal(x->plan, &whole);
    assert_true(x->max_body == UINT64_MAX);
    desk_drop(x);
    route.whole = NULL; /* no such filters */
    x = call("application/grpc", NULL);
    start(x);
    assert_ptr_equal(x->plan, &route.plan);
    desk_drop(x);
}

/* The lesser of what the call and the route say, from the start. */
static void timeouts(void **state) {
    (void)state;
    static const struct {
        const char *timeout;
        uint64_t request_timeout_ms, ends_ms; /* 0: never */
    } cases[] = {
        {NULL, 30000, 30000},         {"5S", 30000, 5000}, {"2M", 30000, 30000},
        {"500000u", 30000, 500},      {"5S", 0, 5000},     {"0n", 30000, 0},
        {"99999999H", 30000, 30000},  {"99999999H", 0, 0}, {NULL, 0, 0},
        {"1H", 7200000, 3600 * 1000},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct exchange *x = call("application/grpc", cases[i].timeout);
        route.request_timeout_ms = cases[i].request_timeout_ms;
        exchange_start(x);
        uint64_t want = cases[i].ends_ms ? x->t.start + cases[i].ends_ms * MS : 0;
        if (cases[i].timeout && strcmp(cases[i].timeout, "0n") == 0)
            want = x->t.start;
        assert_true(x->deadline_at == want);
        assert_int_equal(timer_running(&x->deadline), want != 0);
        desk_drop(x);
    }
    assert_int_equal(last.fault, FAULT_CLIENT_CLOSED);
    struct exchange *x = call("application/grpc", "0n"); /* at once, and once */
    start(x);
    pass(20);
    assert_int_equal(last.fault, FAULT_REQUEST_TIMEOUT);
    assert_int_equal(last.grpc_status, GRPC_DEADLINE_EXCEEDED);
    x = desk_exchange("POST", "a.test", "/", "grpc-timeout", "1S", NULL); /* no gRPC call */
    route.request_timeout_ms = 30000;
    start(x);
    assert_true(x->deadline_at == x->t.start + 30000ull * MS);
    desk_drop(x);
}

static void malformed_timeouts(void **state) {
    (void)state;
    static const char *const bad[] = {"", "1", "S", "-1S", "1X", "1 S", "123456789S", "1.5S"};
    for (size_t i = 0; i < array_len(bad); i++) {
        start(call("application/grpc", bad[i]));
        assert_int_equal(last.fault, FAULT_BAD_GRPC_TIMEOUT);
        assert_true(strncmp(desk.head, "200\n", 4) == 0);
        assert_string_equal(desk_field("grpc-status"), "13");
        assert_null(started);
    }
}

/* From the head on: a call that said a timeout keeps it, one without lives by its bytes. */
static void after_the_head(void **state) {
    (void)state;
    for (int said = 0; said < 2; said++) {
        struct exchange *x = call("application/grpc", said ? "40S" : NULL);
        start(x);
        pass(20000);
        answer(x);
        assert_true(x->streams);
        pass(15000); /* beyond request_timeout */
        assert_ptr_equal(started, x);
        pass(6000); /* beyond what the call said */
        assert_int_equal(started == NULL, said);
        assert_int_equal(desk.failed, said);
        if (said) {
            assert_int_equal(last.fault, FAULT_REQUEST_TIMEOUT);
        } else {
            pass(40000); /* silent for a minute */
            assert_null(started);
            assert_int_equal(last.fault, FAULT_STREAM_IDLE);
        }
        desk.failed = false;
    }
}

static void status_text(struct head *h, const char *value) {
    head_init(h, &started->arena);
    assert_int_equal(hdr_put(h, SPAN("grpc-status"), span_z(value), ORIGIN_UPSTREAM), 0);
}

static void statuses(void **state) {
    (void)state;
    static const struct {
        const char *type, *value;
        bool in_head, none;
        int want;
    } cases[] = {
        {"application/grpc", "0", false, false, GRPC_OK},
        {"application/grpc", "5", false, false, GRPC_NOT_FOUND},
        {"application/grpc", "7", true, false, GRPC_PERMISSION_DENIED},
        {"application/grpc", "99", false, false, GRPC_UNKNOWN},
        {"application/grpc", "0", false, true, -1},
        {"text/plain", "5", false, false, -1},
    };
    uint64_t failures = 0, calls = 0;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct exchange *x = call(cases[i].type, NULL);
        start(x);
        status_text(&trailers, cases[i].value);
        if (cases[i].in_head)
            assert_int_equal(hdr_put(&x->resp, SPAN("grpc-status"), span_z(cases[i].value), 0), 0);
        answer(x);
        op_end(&gone);
        started = NULL;
        body_end(&x->down_half.source, cases[i].in_head || cases[i].none ? NULL : &trailers);
        loop_drain(&desk.thread.loop);
        assert_int_equal(last.end, X_END_COMPLETED);
        assert_int_equal(last.grpc_status, cases[i].want);
        calls += strcmp(cases[i].type, "application/grpc") == 0;
        failures += strcmp(cases[i].type, "application/grpc") == 0 && cases[i].want != GRPC_OK;
        assert_int_equal(desk.thread.counters.grpc_calls, calls);
        assert_int_equal(desk.thread.counters.grpc_failures, failures);
    }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {T(plans_and_bodies), T(timeouts), T(malformed_timeouts),
                                       T(after_the_head), T(statuses)};
    return cmocka_run_group_tests_name("core/grpc", tests, NULL, NULL);
}
