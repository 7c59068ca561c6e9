/* core/record: what is told of an exchange, for each way in which it can have ended. */
#include "core/record.h"
#include "core/thread.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct exchange x;
static struct thread thread;
static struct snapshot snapshot;
static struct snapshot_ref ref = {.snapshot = &snapshot};
static struct route route = {.name = {"products", 8}};
static struct service_conf service = {.name = {"product", 7}};

static int64_t wall(void) {
    return 5000000000;
}

static int begin(void **state) {
    (void)state;
    env.wall_ns = wall;
    memset(&x, 0, sizeof x);
    memset(&thread, 0, sizeof thread);
    thread.loop.now = 2000;
    x.thread = &thread;
    thread.loop.now = 2000;
    x.snap = &ref;
    x.route = &route;
    x.service = &service;
    x.endpoint = SPAN("127.0.0.1:1");
    x.head_told = true;
    x.resp.status = 200;
    x.upstream_status = 201;
    x.end = X_END_COMPLETED;
    x.t = (struct times){
        .start = 1000, .back_start = 1100, .connected = 1150, .head = 1500, .end = 2000};
    half_init(&x.up_half, &x);
    half_init(&x.down_half, &x);
    x.up_half.source.in = 10;
    x.down_half.source.in = 20;
    x.bytes_in = 30;
    x.bytes_out = 40;
    x.attempts = 2;
    return 0;
}

static int finish(void **state) {
    (void)state;
    env = env_os;
    return 0;
}

static void an_answer_of_a_service(void **state) {
    struct record r;
    (void)state;
    record_make(&x, &r);
    assert_ptr_equal(r.x, &x);
    assert_ptr_equal(r.snapshot, &snapshot);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.end, X_END_COMPLETED);
    assert_int_equal(r.total_ns, 1000);
    assert_int_equal(r.wall_ns, 5000000000 - 1000); /* when it began */
    assert_int_equal(r.upstream_ns, 400);
    assert_int_equal(r.connect_ns, 50);
    assert_int_equal(r.request_body + r.response_body, 30);
    assert_int_equal(r.bytes_in + r.bytes_out, 70);
    assert_int_equal(r.attempts, 2);
    assert_true(span_eq(r.route, SPAN("products")) && span_eq(r.service, SPAN("product")));
    assert_true(span_eq(r.endpoint, SPAN("127.0.0.1:1")));
    assert_string_equal(r.code, "");
    assert_string_equal(r.who, "");
}

static void a_failure(void **state) {
    struct record r;
    (void)state;
    x.fault = FAULT_CONNECT_FAILED;
    x.upstream_status = 0;
    x.t.connected = 0;
    record_make(&x, &r);
    assert_string_equal(r.code, "connect_failed");
    assert_string_equal(r.who, "upstream");
    assert_int_equal(r.upstream_ns, -1); /* no service answered */
    assert_int_equal(r.connect_ns, -1);
}

static void a_client_that_went_before_the_head(void **state) {
    struct record r;
    (void)state;
    x.head_told = false;
    x.end = X_END_ABORTED;
    x.fault = FAULT_CLIENT_CLOSED;
    x.route = NULL;
    x.service = NULL;
    x.upstream_status = 0;
    record_make(&x, &r);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.end, X_END_ABORTED);
    assert_int_equal(r.route.n + r.service.n, 0);
    assert_string_equal(r.who, "client");
}

static void times_that_did_not_happen(void **state) {
    struct record r;
    (void)state;
    x.t.end = 0;
    thread.loop.now = 1700;
    record_make(&x, &r);
    assert_int_equal(r.total_ns, 700);
    x.t.start = 0;
    record_make(&x, &r);
    assert_int_equal(r.total_ns, 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {T(an_answer_of_a_service), T(a_failure),
                                       T(a_client_that_went_before_the_head),
                                       T(times_that_did_not_happen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
