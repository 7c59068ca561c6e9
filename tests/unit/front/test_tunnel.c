/*
 * front: tunnels through the HTTP/1.1 door. A service of the test's own accepts or refuses them;
 * both sides say and end in every order, and every byte arrives.
 */
#include "clients.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE                                                                                    \
    "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"       \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n"

/* ---- the service ---- */

static struct {
    struct exchange *x;
    struct op op;
    bool refuses, slow, ended;
    bool streams; /* no tunnel, but an answer that begins before the request has ended */
    size_t got, starts;
    char text[64 << 20];
} service;

static void service_gone(struct op *op) {
    (void)op;
    service.x = NULL;
}

static void accept_it(void) {
    struct exchange *x = service.x;
    x->tunnel = !service.refuses && !service.streams;
    x->streams = !service.refuses;
    x->resp.status = service.refuses ? 403 : 200;
    x->down_half.length = service.refuses ? 0 : -1;
    exchange_respond(x);
    if (service.refuses) {
        op_end(&service.op);
        service.x = NULL;
        body_end(&x->down_half.source, NULL);
    } else {
        body_want(x->up_half.sink);
    }
}

static void service_start(struct exchange *x) {
    assert_int_equal(x->req.method == METHOD_CONNECT, !service.streams);
    assert_true(service.streams || span_eq(x->req.protocol, SPAN("websocket")));
    assert_int_equal(x->up_half.source.in, 0); /* nothing is the tunnel's before it stands */
    service.starts++;
    service.x = x;
    op_start(&x->back_ops_list, &service.op, service_gone);
    if (!service.slow)
        accept_it();
}

static void service_reads(struct exchange *x) {
    struct body *b = x->up_half.sink;
    struct iovec iov[1];
    while (body_get(b, iov, 1, SIZE_MAX)) {
        assert_true(service.got + iov[0].iov_len < sizeof service.text);
        memcpy(service.text + service.got, iov[0].iov_base, iov[0].iov_len);
        service.got += iov[0].iov_len;
        body_pop(b, iov[0].iov_len);
    }
    service.ended = body_done(b);
}

static void service_says(const char *text) {
    assert_true(body_push_copy(&service.x->down_half.source, text, strlen(text)));
    turns();
}
static void service_ends(void) {
    body_end(&service.x->down_half.source, NULL);
    turns();
}

static const struct back_ops service_ops = {"service", service_start, service_reads, NULL};
static const struct plan service_plan = {.back = &service_ops};

static int enter(void **state) {
    begin(state);
    memset(&service, 0, sizeof service);
    open_door("127.0.0.1:0", &service_plan);
    return 0;
}

static int asks(const char *more) {
    char text[4096];
    int c = connect_from(NULL);
    snprintf(text, sizeof text, UPGRADE "%s", more);
    say(c, text);
    return c;
}

static void heard_101(int c) {
    assert_int_equal(hear(c), 0);
    assert_int_equal(count("HTTP/1.1 101 Switching Protocols\r\n"), 1);
    assert_int_equal(count("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), 1);
    assert_int_equal(count("Connection: Upgrade\r\n") + count("Upgrade: websocket\r\n"), 2);
    assert_int_equal(count("Content-Length") + count("Transfer-Encoding") + count("close"), 0);
}

static void service_heard(const char *text) {
    assert_int_equal(service.got, strlen(text));
    assert_memory_equal(service.text, text, service.got);
}

/* ---- plays ---- */

static void both_ways(void **state) {
    (void)state;
    int c = asks("");
    heard_101(c);
    say(c, "ping");
    service_heard("ping");
    service_says("pong");
    assert_int_equal(hear(c), 0);
    assert_string_equal(heard, "pong");
    say(c, "GET / HTTP/1.1\r\n\r\n"); /* no request any more */
    service_heard("pingGET / HTTP/1.1\r\n\r\n");
    service_ends();
    assert_int_equal(hear(c), 1);
    close(c);
    turns();
    assert_int_equal(last.end, X_END_COMPLETED);
    assert_int_equal(last.status, 101);
    assert_int_equal(records[X_END_COMPLETED], 1);
}

/* Bytes right behind the head, cut at every byte: the tunnel's once it stands. */
static void early_bytes(void **state) {
    (void)state;
    static const char all[] = UPGRADE "early";
    for (size_t cut = 1; cut < sizeof all; cut++) {
        char first[sizeof all];
        service.slow = true;
        service.got = 0;
        memcpy(first, all, cut);
        first[cut] = 0;
        int c = connect_from(NULL);
        say(c, first);
        if (all[cut])
            say(c, all + cut);
        assert_int_equal(service.got, 0);
        accept_it();
        turns();
        heard_101(c);
        if (service.got != 5 || memcmp(service.text, "early", 5) != 0)
            fail_msg("cut at %zu: %zu bytes", cut, service.got);
        close(c);
        turns();
        service_ends();
    }
}

/* A refused tunnel is an ordinary answer; what stands behind is never a request. */
static void refused(void **state) {
    (void)state;
    static const char *const behind[] = {"", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"};
    service.refuses = true;
    for (size_t i = 0; i < array_len(behind); i++) {
        int c = asks(behind[i]);
        say(c, behind[i]);
        assert_int_equal(hear(c), 1);
        assert_true(count("HTTP/1.1 403 ") == 1 && count("Connection: close") == 1);
        assert_int_equal(count("HTTP/1.1"), 1);
        assert_int_equal(service.starts, i + 1);
        close(c);
        turns();
    }
}

enum who { CLIENT, SERVICE };

/* Each side ends in turn, and the other goes on for a while. */
static void half_closed(void **state) {
    (void)state;
    for (int first = CLIENT; first <= SERVICE; first++) {
        int c = asks("");
        heard_101(c);
        if (first == CLIENT) {
            say(c, "bye");
            shutdown(c, SHUT_WR);
            turns();
            assert_true(service.ended);
            time_passes(100000);
            service_says("still here");
            assert_int_equal(hear(c), 0);
            assert_string_equal(heard, "still here");
            service_ends();
            assert_int_equal(hear(c), 1);
        } else {
            service_says("bye");
            service_ends();
            assert_int_equal(hear(c), 1);
            assert_string_equal(heard, "bye");
            time_passes(100000);
            say(c, "still here");
            assert_int_equal(records[X_END_COMPLETED], 1);
            shutdown(c, SHUT_WR);
            turns();
            service_heard("byestill here");
            assert_true(service.ended);
        }
        assert_int_equal(records[X_END_COMPLETED], first + 1);
        assert_null(service.x);
        close(c);
        turns();
    }
    assert_int_equal(thread->counters.client_connections_closed, 2);
}

/* The end of the client's side waits for a service that takes its time. */
static void last_words_taken(void **state) {
    (void)state;
    int c = asks("");
    struct back_ops deaf = service_ops;
    heard_101(c);
    deaf.readable = NULL;
    service.x->back = &deaf;
    say(c, "last words");
    shutdown(c, SHUT_WR);
    turns();
    service_ends();
    assert_int_equal(hear(c), 1);
    assert_int_equal(records[X_END_COMPLETED], 0);
    service_reads(service.x);
    turns();
    assert_int_equal(records[X_END_COMPLETED], 1);
    service_heard("last words");
    close(c);
}

/* The service wants no more: the end of its own words is the end. */
static void service_stops(void **state) {
    (void)state;
    int c = asks("");
    heard_101(c);
    body_stop(service.x->up_half.sink);
    turns();
    say(c, "into the wind");
    service_says("end");
    service_ends();
    assert_int_equal(hear(c), 1);
    assert_string_equal(heard, "end");
    assert_int_equal(records[X_END_COMPLETED], 1);
    close(c);
    turns();
    assert_int_equal(thread->counters.client_connections_closed, 1);
}

/* Nobody is in a hurry: no timer of the door ends a tunnel that is only silent. */
static void silence(void **state) {
    (void)state;
    int c = asks("");
    heard_101(c);
    time_passes(3600000);
    service_says("hello?");
    assert_int_equal(hear(c), 0);
    assert_string_equal(heard, "hello?");
    say(c, "yes");
    service_heard("yes");
    time_passes(3600000);
    assert_int_equal(records[X_END_ABORTED], 0);
    close(c);
    turns();
    service_ends();
}

/* So with any other stream: an upload and its answer at once, both silent for long. */
static void silent_streams(void **state) {
    (void)state;
    service.streams = true;
    int c = connect_from(NULL);
    say(c, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\n");
    assert_int_equal(hear(c), 0);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    time_passes(3600000);
    say(c, "some");
    service_heard("some");
    time_passes(3600000);
    service_says("event");
    assert_int_equal(hear(c), 0);
    assert_string_equal(heard, "5\r\nevent");
    say(c, "thing");
    service_heard("something");
    assert_int_equal(records[X_END_ABORTED], 0);
    op_end(&service.op);
    struct exchange *x = service.x;
    service.x = NULL;
    body_end(&x->down_half.source, NULL);
    turns();
    assert_int_equal(records[X_END_COMPLETED], 1);
    close(c);
}

/* A service that reads nothing holds up its client, within the bounds of a body. */
static void back_pressure(void **state) {
    (void)state;
    static char piece[65536];
    int c = asks("");
    struct back_ops deaf = service_ops;
    size_t sent = 0;
    ssize_t n;
    heard_101(c);
    deaf.readable = NULL;
    service.x->back = &deaf;
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)('a' + i % 23);
    while ((n = send(c, piece + sent % 23, 23000, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
        sent += (size_t)n;
        turns();
        assert_true(sent < sizeof service.text);
    }
    assert_in_range(service.x->up_half.source.size, BODY_LIMIT / 2, BODY_LIMIT);
    service_reads(service.x);
    service.x->back = &service_ops;
    for (int i = 0; i < 1000 && service.got < sent; i++)
        turns();
    assert_int_equal(service.got, sent);
    for (size_t i = 0; i < service.got; i++)
        if (service.text[i] != (char)('a' + i % 23))
            fail_msg("byte %zu is another", i);
    close(c);
    turns();
}

static unsigned told;
static void goodbye(struct drain_op *d) {
    (void)d;
    told++;
    assert_true(body_push_copy(&service.x->down_half.source, "going away", 10));
    body_end(&service.x->down_half.source, NULL);
}

/* Whoever has a goodbye to say says it, and the door waits for it and for the client's. */
static void drained(void **state) {
    (void)state;
    struct drain_op op = {.drain = goodbye};
    int c = asks("");
    heard_101(c);
    drain_watch(thread, &op);
    told = 0;
    listeners_drain(thread);
    turns();
    assert_int_equal(told, 1);
    assert_int_equal(hear(c), 1);
    assert_string_equal(heard, "going away");
    assert_int_equal(records[X_END_COMPLETED], 0);
    say(c, "bye");
    service_heard("bye");
    close(c);
    turns();
    assert_int_equal(records[X_END_COMPLETED], 1);
    assert_int_equal(thread->counters.client_connections_closed, 1);
}

static void breaks(void **state) {
    (void)state;
    int c = asks("");
    heard_101(c);
    tcp_reset_on_close(c);
    close(c);
    turns();
    assert_null(service.x);
    assert_int_equal(last.fault, FAULT_CLIENT_CLOSED);
    c = asks("");
    heard_101(c);
    struct exchange *x = service.x;
    op_end(&service.op);
    service.x = NULL;
    exchange_fail(x, FAULT_UPSTREAM_RESET, NULL);
    turns();
    assert_int_equal(hear(c), -1);
    assert_int_equal(records[X_END_ABORTED], 2);
    close(c);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, enter, finish)
    const struct CMUnitTest tests[] = {
        T(both_ways),        T(early_bytes),   T(refused), T(half_closed),
        T(last_words_taken), T(service_stops), T(silence), T(silent_streams),
        T(back_pressure),    T(drained),       T(breaks),
    };
    return cmocka_run_group_tests_name("front/tunnel", tests, NULL, NULL);
}
