/* observe/nearest: a 404 tells the operator what was nearly meant, seldom enough. */
#include "observe/nearest.h"
#include "base/log.h"
#include "core/route.h"
#include "sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct sample s;
static struct thread thread;
static char told[16384];
static size_t told_n;

static struct segment product[] = {{.kind = SEGMENT_LITERAL, .text = {"api", 3}},
                                   {.kind = SEGMENT_LITERAL, .text = {"products", 8}},
                                   {.kind = SEGMENT_CAPTURE, .text = {"id", 2}}};
static struct segment order[] = {{.kind = SEGMENT_LITERAL, .text = {"orders", 6}}};
static struct path_match paths[] = {
    {.segment = product,
     .count = 3,
     .text = {"/api/products/{id}", 18},
     .where = {"shop.yaml", 21, 5}},
    {.segment = order, .count = 1, .text = {"/orders", 7}, .where = {"shop.yaml", 30, 5}}};
static struct route_match matches[] = {{.path = &paths[0], .path_count = 1},
                                       {.path = &paths[1], .path_count = 1}};
static struct route routes[] = {{.name = {"products", 8}, .match = &matches[0]},
                                {.name = {"orders", 6}, .match = &matches[1]}};

static void take(const char *line, size_t n) {
    assert_true(told_n + n < sizeof told);
    memcpy(told + told_n, line, n);
    told_n += n;
    told[told_n] = 0;
}

static int begin(void **state) {
    static uint64_t second = 1000;
    (void)state;
    log_event_output(take);
    log_event_level(LEVEL_INFO);
    told_n = 0;
    told[0] = 0;
    memset(&thread, 0, sizeof thread);
    thread.loop.now = second++ * 1000000000; /* each test has its own */
    arena_cache_init(&thread.loop.arenas);
    sample_init(&s);
    s.snapshot.route = routes;
    s.snapshot.route_count = 2;
    s.x.route = NULL;
    s.x.req.path = SPAN("/api/product/1");
    s.x.req.target = SPAN("/api/product/1?\x1b[2J");
    s.r.fault = FAULT_NO_ROUTE;
    return 0;
}

static int finish(void **state) {
    (void)state;
    sample_finish(&s);
    arena_cache_finish(&thread.loop.arenas);
    log_event_output(NULL);
    return 0;
}

static unsigned lines(void) {
    unsigned n = 0;
    for (size_t i = 0; i < told_n; i++)
        n += told[i] == '\n';
    return n;
}

static void the_nearest_comes_first(void **state) {
    static const char wanted[] =
        "info no_route: GET \"/api/product/1?\\u001b[2J\" at host \"shop.example\" matches no "
        "route; "
        "nearest: \"products\" (path is not \"/api/products/{id}\", shop.yaml:21) "
        "request_id=0123456789abcdef-1\n";
    (void)state;
    nearest_record(&thread, &s.r);
    assert_int_equal(lines(), 1);
    assert_non_null(strstr(told, wanted));
}

static void seldom_enough(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++)
        nearest_record(&thread, &s.r);
    assert_int_equal(lines(), NEAREST_RATE);
    thread.loop.now += 1000000000;
    nearest_record(&thread, &s.r);
    assert_int_equal(lines(), NEAREST_RATE + 1);
}

static void other_ends_are_not_told(void **state) {
    (void)state;
    s.r.fault = FAULT_METHOD_NOT_ALLOWED;
    nearest_record(&thread, &s.r);
    s.r.fault = FAULT_NONE;
    nearest_record(&thread, &s.r);
    s.r.fault = FAULT_NO_ROUTE;
    log_event_level(LEVEL_WARNING);
    nearest_record(&thread, &s.r);
    assert_int_equal(told_n, 0);
}

static void without_routes(void **state) {
    (void)state;
    s.snapshot.route_count = 0;
    nearest_record(&thread, &s.r);
    assert_non_null(strstr(told, "nearest: none request_id="));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {T(the_nearest_comes_first), T(seldom_enough),
                                       T(other_ends_are_not_told), T(without_routes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
