/*
 * back: the proxy, its connections and their pool, against services played over real loopback
 * sockets, with a virtual clock: reuse, limits, the queue, timeouts, services that misbehave.
 */
#include "../core/actors.h"
#include "back/pool.h"
#include "back/proxy.h"
#include "core/publish.h"
#include "io/tcp.h"
#include "service/service.h"
#include <errno.h>

static int listener;
static struct service_conf *shop;
static struct plan plan;
static struct snapshot *snapshot;

static struct service_conf *make_service(struct arena *a) {
    struct service_conf *c = arena_zero(a, sizeof *c);
    struct endpoint_conf *e = arena_zero(a, sizeof *e);
    struct target *t = arena_zero(a, sizeof *t);
    struct forward_conf *f = arena_zero(a, sizeof *f);
    char text[ADDRESS_TEXT_MAX];
    socklen_t n = sizeof e->address.in;
    assert_true(address_parse(SPAN("127.0.0.1:0"), &e->address));
    listener = tcp_listen(&e->address, 64);
    assert_true(listener >= 0 && getsockname(listener, &e->address.sa, &n) == 0);
    e->address_text = arena_span(a, address_text(&e->address, text, true));
    e->weight = 1;
    *c = (struct service_conf){.name = SPAN("shop"),
                               .endpoint = e,
                               .endpoint_count = 1,
                               .connect_timeout_ms = 3000,
                               .first_byte_timeout_ms = 15000,
                               .idle_timeout_ms = 30000,
                               .keepalive_idle_ms = 55000,
                               .keepalive_requests = 10000,
                               .max_connections = 2,
                               .max_pending = 3,
                               .queue_timeout_ms = 1000};
    *t = (struct target){.service = c, .weight = 1};
    *f = (struct forward_conf){.target = t, .target_count = 1, .weight_sum = 1};
    plan = (struct plan){.back = &proxy_back, .back_conf = f};
    return c;
}

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    pools_init();
    publish_join(thread);
    snapshot = thread->snap->snapshot;
    snapshot->limits.h1_response = h1_response_limits;
    snapshot->limits.h1_trailers = h1_trailer_limits;
    snapshot->limits.interim_responses_max = 16;
    snapshot->service = shop = make_service(&snapshot->arena);
    snapshot->service_count = 1;
    snapshot->free_parts = service_detach;
    service_attach(snapshot);
    return 0;
}
static int finish(void **state) {
    (void)state;
    while (list_linked(&thread->exchanges)) /* of a test that has failed: let it be told */
        exchange_abort(container_of(thread->exchanges.next, struct exchange, node), FAULT_INTERNAL);
    loop_drain(&thread->loop);
    pools_finish(thread);
    assert_int_equal(thread->counters.upstream_connections_opened,
                     thread->counters.upstream_connections_closed);
    publish_leave(thread);
    service_thread_finish(thread);
    close(listener);
    world_end();
    return 0;
}

static void turns(void) {
    for (int i = 0; i < 20; i++)
        loop_turn(&thread->loop, 0);
}
static void time_passes(uint64_t ms) {
    for (uint64_t step; ms; ms -= step) {
        step = ms < 250 ? ms : 250;
        clock_ns += step * MS;
        turns();
    }
}

static void get(struct asker *a) {
    *a = (struct asker){0};
    ask(a, &plan);
    loop_drain(&thread->loop);
    turns();
}

/* The service's side. */
static int service_accept(void) {
    turns();
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    turns();
    return fd; /* -1: nobody has come */
}
static char heard[1 << 16];
static bool service_hears(int fd, const char *what) {
    turns();
    ssize_t n = recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT);
    heard[n > 0 ? n : 0] = 0;
    return n > 0 && strstr(heard, what);
}
static void service_says(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns();
}
static bool gone(int fd) { /* the gateway has closed it */
    char c;
    turns();
    ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static uint32_t idle(void) {
    struct endpoint *e = endpoint_get(shop->name, shop->endpoint->address_text);
    uint32_t n = pool_idle(thread, e);
    endpoint_unref(e);
    return n;
}

/* What proves a clean end, and what does not. */
static void kept_or_not(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        int status;
        bool kept;
    } cases[] = {
        {OK, 200, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 200, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, false},
        {OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, false}, /* left over */
        {OK "\r\n", 200, false},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, false},
        {"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno", 401, false},
        {"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", 502, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 502, false},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct asker a;
        get(&a);
        int s = service_accept();
        assert_true(service_hears(s, "GET / HTTP/1.1\r\nHost: a.example\r\n"));
        service_says(s, cases[i].answer);
        if (!a.done || a.status != cases[i].status || gone(s) == cases[i].kept ||
            (idle() == 1) != cases[i].kept)
            fail_msg("case %zu: %d %d, %u idle", i, a.done, a.status, idle());
        service_says(s, ""); /* whatever: the next one is new */
        close(s);
        turns();
        assert_int_equal(idle(), 0); /* who closes an idle one is forgotten */
    }
}

/* Bytes on an idle connection are nobody's answer. */
static void unasked_bytes(void **state) {
    (void)state;
    struct asker a;
    get(&a);
    int s = service_accept();
    assert_true(service_hears(s, "GET /"));
    service_says(s, OK);
    assert_int_equal(idle(), 1);
    service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_int_equal(idle(), 0);
    assert_true(gone(s) && thread->counters.upstream_excess_bytes == 1);
    close(s);
}

/* Two connections at most; three wait, in order; the fourth is refused. */
static void the_queue(void **state) {
    (void)state;
    struct asker a[6];
    for (int i = 0; i < 6; i++)
        get(&a[i]);
    int s[2] = {service_accept(), service_accept()};
    assert_int_equal(service_accept(), -1);
    assert_true(a[5].done && a[5].status == 503 && last.fault == FAULT_QUEUE_FULL);
    assert_true(service_hears(s[0], "GET /") && service_hears(s[1], "GET /"));
    for (int i = 0; i < 5; i++) {
        for (int k = i; k < 5; k++)
            assert_false(a[k].done);
        service_says(s[i % 2], OK);
        assert_answer(&a[i], 200, "ok");
        if (i < 3)
            assert_true(service_hears(s[i % 2], "GET /")); /* at once the next one */
    }
    assert_int_equal(thread->counters.upstream_connections_opened, 2);
    assert_int_equal(thread->counters.upstream_connections_reused, 3);
    assert_int_equal(idle(), 2);
    close(s[0]);
    close(s[1]);
    turns();
}

/* A waiting one takes the place of a connection that is closed, and its own time. */
static void waiting(void **state) {
    (void)state;
    struct asker a[4];
    for (int i = 0; i < 4; i++)
        get(&a[i]);
    int s = service_accept(), other = service_accept();
    assert_true(service_hears(s, "GET /"));
    service_says(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_answer(&a[0], 200, "ok");
    close(s);
    s = service_accept();
    assert_true(s >= 0 && service_hears(s, "GET /"));
    asker_leaves(&a[2]); /* it had been given the connection: that is lost */
    loop_drain(&thread->loop);
    assert_true(gone(s));
    close(s);
    s = service_accept();
    assert_true(s >= 0 && service_hears(s, "GET /"));
    service_says(s, OK);
    assert_answer(&a[3], 200, "ok");
    struct asker b;
    asker_leaves(&a[1]);
    loop_drain(&thread->loop);
    turns();
    close(other);
    for (int i = 0; i < 3; i++)
        get(&a[i]);
    get(&b);
    time_passes(900);
    assert_false(a[2].done || b.done);
    time_passes(200);
    assert_true(b.done && b.status == 503 && a[2].done && last.fault == FAULT_QUEUE_TIMEOUT);
    asker_leaves(&a[0]);
    asker_leaves(&a[1]);
    loop_drain(&thread->loop);
    close(s);
    turns();
}

/* Who must not use a kept connection gets a new one, though the limit is reached by kept ones. */
static void stale_at_the_limit(void **state) {
    (void)state;
    struct asker a[2];
    shop->max_connections = 2;
    get(&a[0]);
    get(&a[1]);
    int s[2] = {service_accept(), service_accept()};
    for (int i = 0; i < 2; i++) {
        assert_true(service_hears(s[i], "GET /"));
        service_says(s[i], OK);
    }
    assert_int_equal(idle(), 2);
    shop->max_connections = 1; /* lowered by a reload */
    get(&a[0]);
    int used = service_hears(s[1], "GET /") ? 1 : 0;
    if (!used)
        assert_true(service_hears(s[0], "GET /"));
    close(s[used]); /* instead of an answer: it crossed with the request */
    int fresh = service_accept();
    assert_true(fresh >= 0 && service_hears(fresh, "GET /"));
    service_says(fresh, OK);
    assert_answer(&a[0], 200, "ok");
    close(fresh);
    close(s[1 - used]);
    turns();
}

/* The request went to a connection that the service had closed: a body of which nothing was sent is
 * sent again, whatever the method; else it is the asker's to decide. */
static void a_stale_connection(void **state) {
    (void)state;
    for (int body = 0; body < 2; body++) {
        struct asker a;
        get(&a);
        int s = service_accept();
        assert_true(service_hears(s, "GET /"));
        service_says(s, OK);
        assert_int_equal(idle(), 1);
        tcp_reset_on_close(s);
        close(s); /* and the gateway has not looked yet */
        a = (struct asker){.body = "abc", .body_len = body ? 3 : 0, .with_head = 3};
        ask(&a, &plan);
        loop_drain(&thread->loop);
        s = service_accept();
        assert_true(s >= 0 && service_hears(s, body ? "\r\n\r\nabc" : "GET /"));
        service_says(s, OK);
        assert_answer(&a, 200, "ok");
        close(s);
        turns();
    }
}

/* ---- time ---- */

static void each_phase_has_its_time(void **state) {
    (void)state;
    static const struct {
        const char *answer; /* what comes of it */
        uint64_t least, most;
        enum fault fault;
    } cases[] = {
        {NULL, 14900, 15400, FAULT_UPSTREAM_TIMEOUT},
        {"HTTP/1.1 200", 14900, 15400, FAULT_UPSTREAM_TIMEOUT},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", 29900, 30400, FAULT_UPSTREAM_IDLE},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct asker a;
        get(&a);
        int s = service_accept();
        assert_true(service_hears(s, "GET /"));
        if (cases[i].answer)
            service_says(s, cases[i].answer);
        uint64_t start = clock_ns;
        while (!a.done && !a.fails && clock_ns - start < 60000ull * MS)
            time_passes(100);
        uint64_t took = (clock_ns - start) / MS;
        if (took < cases[i].least || took > cases[i].most || last.fault != cases[i].fault)
            fail_msg("case %zu: %s after %d ms", i, fault_table[last.fault].code, (int)took);
        assert_true(gone(s));
        close(s);
        turns();
    }
}

/* A phase that is shorter than the one before it is kept to as well. */
static void a_shorter_phase(void **state) {
    (void)state;
    struct asker a;
    shop->idle_timeout_ms = 5000;
    get(&a);
    int s = service_accept();
    assert_true(service_hears(s, "GET /"));
    time_passes(3000);
    service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
    time_passes(4500);
    assert_int_equal(a.fails, 0);
    time_passes(1000);
    assert_true(a.fails == 1 && last.fault == FAULT_UPSTREAM_IDLE);
    close(s);
}

/* The surplus ages: the connection that came back last is used first. */
static void newest_first(void **state) {
    (void)state;
    struct asker a[2];
    get(&a[0]);
    get(&a[1]);
    int s[2] = {service_accept(), service_accept()};
    for (int i = 0; i < 2; i++)
        assert_true(service_hears(s[i], "GET /"));
    service_says(s[1], OK);
    service_says(s[0], OK);
    for (int i = 0; i < 3; i++) {
        get(&a[0]);
        assert_true(service_hears(s[0], "GET /"));
        service_says(s[0], OK);
        time_passes(20000);
    }
    assert_true(gone(s[1]) && idle() == 1);
    close(s[0]);
    close(s[1]);
    turns();
}

/* Keep-Alive: timeout=N, with a second to spare; never longer than our own. */
static void keep_alive_hints(void **state) {
    (void)state;
    static const struct {
        const char *hint;
        uint64_t idle_ms;
    } cases[] = {{"timeout=5", 4000},     {"timeout=5, max=100", 4000}, {"timeout=1", 1},
                 {"timeout=1000", 55000}, {"timeout=4294968", 55000},   {"timeout=x", 55000}};
    for (size_t i = 0; i < array_len(cases); i++) {
        struct asker a;
        char answer[200];
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 200 OK\r\nKeep-Alive: %s\r\nContent-Length: 2\r\n\r\nok", cases[i].hint);
        get(&a);
        int s = service_accept();
        assert_true(service_hears(s, "GET /"));
        service_says(s, answer);
        uint64_t start = clock_ns;
        while (idle() && clock_ns - start < 100000ull * MS)
            time_passes(10);
        uint64_t took = (clock_ns - start) / MS;
        if (took < cases[i].idle_ms || took > cases[i].idle_ms + 300)
            fail_msg("%s: closed after %d ms", cases[i].hint, (int)took);
        close(s);
    }
}

/* ---- odd services ---- */

/* It speaks as soon as it is connected to, before it was asked. */
static void speaks_first(void **state) {
    (void)state;
    struct asker a = {0};
    ask(&a, &plan);
    loop_drain(&thread->loop); /* connecting: not yet seen as connected */
    int s = accept(listener, NULL, NULL);
    assert_true(s >= 0);
    static const char early[] = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
    assert_int_equal(send(s, early, sizeof early - 1, 0), sizeof early - 1);
    turns(); /* both in one event */
    assert_answer(&a, 503, "no");
    close(s);
    turns();
}

static void refuses(void **state) {
    (void)state;
    struct asker a;
    close(listener);
    get(&a);
    assert_true(a.done && a.status == 502 && last.fault == FAULT_CONNECT_FAILED);
    assert_int_equal(thread->counters.upstream_connections_failed, 1);
    assert_int_equal(thread->counters.upstream_connections_opened, 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
}

/* A large answer that ends exactly with a full read, whatever the size of the reads. */
static void exact_reads(void **state) {
    (void)state;
    static char big[3 << 20];
    memset(big, 'x', sizeof big);
    for (size_t n = (1 << 20) - 200; n <= 1 << 20; n += 37) {
        struct asker a;
        char head[100];
        get(&a);
        int s = service_accept();
        assert_true(service_hears(s, "GET /"));
        int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
        assert_int_equal(send(s, head, (size_t)len, 0), len);
        for (size_t at = 0; at < n;) {
            ssize_t w = send(s, big + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            at += w > 0 ? (size_t)w : 0;
            turns();
        }
        assert_true(a.done && a.total == n);
        close(s);
        turns();
    }
}

/* Registries that last are made at first use and stay. */
static int make_registries(void **state) {
    begin(state);
    mem_kept = SIZE_MAX;
    return finish(state);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(kept_or_not),
        T(unasked_bytes),
        T(the_queue),
        T(waiting),
        T(stale_at_the_limit),
        T(a_stale_connection),
        T(each_phase_has_its_time),
        T(a_shorter_phase),
        T(newest_first),
        T(keep_alive_hints),
        T(speaks_first),
        T(refuses),
        T(exact_reads),
    };
    return cmocka_run_group_tests_name("back/pool", tests, make_registries, NULL);
}
