/* admin: the back behind the admin listener, asked through a front of the test. */
#include "admin/admin.h"
#include "core/thread.h"
#include "observe/metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct thread thread;
static struct snapshot *snapshot;

/* What the front was told. */
static struct {
    int status;
    struct text body;
    bool ended, failed;
    char type[64], allow[64];
} got;

static void front_head(struct exchange *x) {
    struct span type = hdr_get(&x->resp, HDR_CONTENT_TYPE), allow = hdr_get(&x->resp, HDR_ALLOW);
    got.status = x->resp.status;
    memcpy(got.type, type.p, type.n);
    if (allow.n)
        memcpy(got.allow, allow.p, allow.n);
    body_want(x->down_half.sink);
}
static void front_readable(struct exchange *x) {
    struct body *b = x->down_half.sink;
    struct iovec iov[BODY_IOV];
    int n = body_get(b, iov, BODY_IOV, SIZE_MAX);
    for (int i = 0; i < n; i++) {
        text_put(&got.body, iov[i].iov_base, iov[i].iov_len);
        body_pop(b, iov[i].iov_len);
    }
    if (body_done(b)) {
        got.ended = true;
        exchange_finish(x);
    } else {
        exchange_wake(x);
    }
}
static void front_room(struct exchange *x) {
    (void)x;
}
static void front_failed(struct exchange *x) {
    (void)x;
    got.failed = true;
}
static const struct front_ops front = {"test",     front_head,   front_readable,
                                       front_room, front_failed, false};

static struct exchange *begin_request(const char *method, const char *host, const char *path) {
    struct exchange *x = exchange_create(&thread, &front, NULL);
    text_finish(&got.body);
    memset(&got, 0, sizeof got);
    got.body = text_new(8 << 20);
    x->plan = &admin_plan;
    x->req.method = method_lookup(span_z(method));
    x->req.method_text = span_z(method);
    x->req.scheme = SPAN("http");
    x->req.host = x->req.authority = span_z(host);
    x->req.path = x->req.target = span_z(path);
    body_end(&x->up_half.source, NULL);
    return x;
}

static void header(struct exchange *x, const char *name, const char *value) {
    assert_int_equal(hdr_put(&x->req, span_z(name), span_z(value), ORIGIN_CLIENT), FAULT_NONE);
}

static void go(struct exchange *x) {
    exchange_start(x);
    loop_drain(&thread.loop);
    text_put(&got.body, "", 1); /* for strstr */
}

static void get(const char *path) {
    go(begin_request("GET", "localhost", path));
}

static int begin(void **state) {
    static struct route route = {.name = {"products", 8}, .where = {"shop.yaml", 12, 5}};
    static struct span file = {"shop.yaml", 9};
    static struct listener_conf listener = {
        .name = {"public", 6}, .address_text = {"127.0.0.1:8080", 14}, .scheme = {"http", 4}};
    (void)state;
    metrics_start();
    if (!thread_init(&thread, 0) || !metrics_thread_init(&thread))
        return -1;
    me = &thread.loop;
    snapshot = snapshot_create();
    snapshot->generation = 3;
    snapshot->route = &route;
    snapshot->route_count = 1;
    snapshot->file = &file;
    snapshot->file_count = 1;
    snapshot->listener = &listener;
    snapshot->listener_count = 1;
    snapshot->limits.max_body = 1024;
    thread_use_snapshot(&thread, snapshot);
    admin_set_hooks(&(struct admin_hooks){0});
    return 0;
}

static int finish(void **state) {
    (void)state;
    text_finish(&got.body);
    memset(&got, 0, sizeof got);
    metrics_thread_finish(&thread);
    thread_finish(&thread);
    return 0;
}

static void pages(void **state) {
    static const struct {
        const char *path, *type, *contains;
    } row[] = {
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8", "\nsluice_config_generation 3\n"},
        {"/status", "application/json", "\"generation\":3,\"files\":[\"shop.yaml\"]"},
        {"/routes", "application/json", "\"name\":\"products\""},
        {"/livez", "text/plain; charset=utf-8", "ok\n"},
        {"/readyz", "text/plain; charset=utf-8", "ok\n"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        get(row[i].path);
        assert_int_equal(got.status, 200);
        assert_string_equal(got.type, row[i].type);
        assert_non_null(strstr(got.body.p, row[i].contains));
        assert_true(got.ended);
    }
    struct exchange *x = begin_request("GET", "localhost", "/status");
    header(x, "accept", "text/plain");
    go(x);
    assert_non_null(strstr(got.body.p, "configuration  number 3: shop.yaml; 1 routes"));
}

/* The answer that is under way is itself in flight. */
static void conservation(void **state) {
    struct metrics_totals t;
    (void)state;
    get("/livez");
    get("/metrics");
    assert_non_null(strstr(got.body.p, "\nsluice_exchanges_accepted_total 2\n"));
    assert_non_null(strstr(got.body.p, "\nsluice_exchanges_completed_total 1\n"));
    assert_non_null(strstr(got.body.p, "\nsluice_exchanges_in_flight 1\n"));
    metrics_totals(&t);
    assert_int_equal(t.value[METRIC_exchanges_completed], 2);
    assert_int_equal(t.in_flight, 0);
}

/* THREATS.md K03 */
static void hosts(void **state) {
    static const struct {
        const char *host;
        int status;
    } row[] = {
        {"localhost", 200},      {"127.0.0.1", 200}, {"127.9.9.9", 200},
        {"[::1]", 200},          {"", 200},          {"evil.test", 403},
        {"10.0.0.1", 403},       {"[::2]", 403},     {"localhost.evil.test", 403},
        {"127.0.0.1.evil", 403}, {"0.0.0.0", 403},   {"[::]", 403},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        go(begin_request("GET", row[i].host, "/livez"));
        assert_int_equal(got.status, row[i].status);
        if (row[i].status == 403)
            assert_non_null(strstr(got.body.p, "\"code\":\"admin_host\""));
    }
}

/* Who lets others in is asked by address. */
static void hosts_of_an_open_listener(void **state) {
    static const struct {
        const char *admin, *host;
        int status;
    } row[] = {
        {"0.0.0.0:1", "10.0.0.1", 200},   {"10.0.0.1:1", "10.0.0.1", 200},
        {"[::]:1", "[fe80::2]", 200},     {"0.0.0.0:1", "evil.test", 403},
        {"127.0.0.1:1", "10.0.0.1", 403}, {"[::1]:1", "10.0.0.1", 403},
        {"unix:/run/x", "10.0.0.1", 403},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        assert_true(address_parse(span_z(row[i].admin), &snapshot->admin));
        go(begin_request("GET", row[i].host, "/livez"));
        assert_int_equal(got.status, row[i].status);
    }
    snapshot->admin.len = 0;
}

static void what_is_not_offered(void **state) {
    static const struct {
        const char *method, *path, *allow;
        int status;
    } row[] = {
        {"GET", "/", "", 404},
        {"GET", "/metrics/", "", 404},
        {"POST", "/metrics", "GET, HEAD", 405},
        {"DELETE", "/status", "GET, HEAD", 405},
        {"GET", "/reload", "POST", 405},
        {"HEAD", "/livez", "", 200},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        go(begin_request(row[i].method, "localhost", row[i].path));
        assert_int_equal(got.status, row[i].status);
        assert_string_equal(got.allow, row[i].allow);
        if (row[i].status >= 400)
            assert_string_equal(got.type, "application/problem+json");
    }
}

static const char *draining(void *ctx) {
    (void)ctx;
    return "draining";
}

static void readiness(void **state) {
    (void)state;
    admin_set_hooks(&(struct admin_hooks){.not_ready = draining});
    get("/readyz");
    assert_int_equal(got.status, 503);
    assert_string_equal(got.body.p, "draining\n");
    get("/livez");
    assert_int_equal(got.status, 200);
}

static struct admin_reload *asked;
static void reload(void *ctx, struct admin_reload *r) {
    ++*(int *)ctx;
    asked = r;
}

static struct exchange *reload_request(const char *accept) {
    struct exchange *x = begin_request("POST", "localhost", "/reload");
    header(x, "content-type", "application/json");
    if (accept)
        header(x, "accept", accept);
    return x;
}

static void reloads(void **state) {
    int calls = 0;
    (void)state;
    go(reload_request(NULL));
    assert_int_equal(got.status, 404); /* no hook */
    admin_set_hooks(&(struct admin_hooks){.ctx = &calls, .reload = reload});
    go(reload_request(NULL));
    assert_int_equal(calls, 1);
    assert_int_equal(got.status, 0); /* it waits */
    assert_false(admin_reload_json(asked));
    admin_reload_done(asked, true, SPAN("configuration 4 is in force"), SPAN_NONE);
    loop_drain(&thread.loop);
    assert_int_equal(got.status, 200);
    go(reload_request("application/json"));
    assert_true(admin_reload_json(asked));
    got.body.n = 0;
    admin_reload_done(asked, false, SPAN("refused"), SPAN("[{\"code\":\"E1\"}]\n"));
    loop_drain(&thread.loop);
    text_put(&got.body, "", 1);
    assert_int_equal(got.status, 400);
    assert_string_equal(
        got.body.p, "{\"ok\":false,\"message\":\"refused\",\"diagnostics\":[{\"code\":\"E1\"}]}\n");
    assert_int_equal(calls, 2);
}

static void the_asker_goes_before_the_outcome(void **state) {
    int calls = 0;
    (void)state;
    admin_set_hooks(&(struct admin_hooks){.ctx = &calls, .reload = reload});
    struct exchange *x = reload_request(NULL);
    go(x);
    exchange_abort(x, FAULT_CLIENT_CLOSED);
    loop_drain(&thread.loop);
    admin_reload_done(asked, true, SPAN("done"), SPAN_NONE);
    loop_drain(&thread.loop);
    assert_int_equal(got.status, 0);
}

/* THREATS.md K04 */
static void a_web_page_cannot_reload(void **state) {
    static const struct {
        const char *type, *origin;
    } row[] = {{"text/plain", NULL},
               {"application/x-www-form-urlencoded", NULL},
               {NULL, NULL},
               {"application/json", "http://evil.test"},
               {"application/json", "null"}};
    int calls = 0;
    (void)state;
    admin_set_hooks(&(struct admin_hooks){.ctx = &calls, .reload = reload});
    for (size_t i = 0; i < array_len(row); i++) {
        struct exchange *x = begin_request("POST", "localhost", "/reload");
        if (row[i].type)
            header(x, "content-type", row[i].type);
        if (row[i].origin)
            header(x, "origin", row[i].origin);
        go(x);
        assert_int_equal(got.status, 403);
        assert_non_null(strstr(got.body.p, "admin_origin"));
    }
    assert_int_equal(calls, 0);
}

/* Larger than the body's room: it goes on as there is room. */
static void a_long_page(void **state) {
    enum { ROUTES = 5000 };
    static struct route route[ROUTES];
    (void)state;
    for (int i = 0; i < ROUTES; i++)
        route[i].name = SPAN("a route with a long name that takes some room");
    snapshot->route = route;
    snapshot->route_count = ROUTES;
    get("/routes");
    assert_int_equal(got.status, 200);
    assert_true(got.ended);
    assert_true(got.body.n > 4 * BODY_LIMIT);
    assert_int_equal(got.body.p[got.body.n - 3], ']');
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        T(pages),
        T(conservation),
        T(hosts),
        T(hosts_of_an_open_listener),
        T(what_is_not_offered),
        T(readiness),
        T(reloads),
        T(the_asker_goes_before_the_outcome),
        T(a_web_page_cannot_reload),
        T(a_long_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
