/*
 * Services that speak HTTP/2 in clear text: plays of requests and answers, bodies and windows, of
 * how streams and connections end, and of time. Each is performed as it is and then tortured.
 */
#include "h2_out.h"

/* ---- requests and answers ---- */

static void get(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-One: 1\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(
        s, H2_END,
        ":method: GET\n:scheme: http\n:authority: shop.example\n:path: /a?b=c\nx-one: 1\n"
        "te: trailers\nvia: 1.1 sluice\nx-forwarded-proto: http\nx-forwarded-host: shop.example\n"
        "!content-length\n!connection");
    play_check(p, n == 1);
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 2\nx-two: 2");
    h2_data(s, n, H2_END, "ok");
    play_head(p, c,
              "HTTP/1.1 200 OK\r\n\nContent-Length: 2\r\n\nx-two: 2\nVia: 2 "
              "sluice\r\n\n!Transfer-Encoding");
    play_expect(p, c, "ok");
    play_nothing(p, c);
    h2_nothing(s);
    play_check(p, s->settings_seen & 1u << NGHTTP2_SETTINGS_ENABLE_PUSH);
    play_check(p, s->settings[NGHTTP2_SETTINGS_ENABLE_PUSH] == 0);
    play_check(p,
               s->settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE] == h1_response_limits.total_max);
    play_check(p, s->initial == 65535);
    play_check(p, h2_room(s, 0) == (1 << 20) - 2);
}

/* Answers come in another order than requests. */
static void shared(struct play *p) {
    static const char *const path[] = {"/0", "/1", "/2"};
    int c[3];
    uint32_t n[3];
    struct h2_actor *s = NULL;
    for (int i = 0; i < 3; i++) {
        c[i] = ask(p, path[i]);
        s = s ? s : accept_h2(p);
        n[i] = asked(s, path[i]);
    }
    play_check(p, n[0] == 1 && n[1] == 3 && n[2] == 5);
    for (int i = 2; i >= 0; i--) {
        answer(s, n[i]);
        answered(p, c[i]);
    }
    play_check(p, COUNTED(p, upstream_connections_opened) == 1);
    play_check(p, COUNTED(p, upstream_h2_connections) == 1);
    play_check(p, COUNTED(p, upstream_h2_streams) == 3);
    h2_nothing(s);
}

static void post(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    play_fill(p, c, 2000);
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, ":method: POST\n:path: /up\ncontent-length: 5000\n");
    h2_filled(s, n, 2000, 0);
    play_fill(p, c, 3000);
    h2_filled(s, n, 3000, H2_END);
    h2_headers(s, n, H2_END, ":status: 201\nlocation: /up/1");
    play_head(p, c, "HTTP/1.1 201 Created\nLocation: /up/1\nContent-Length: 0\r\n");
    play_nothing(p, c);
    h2_nothing(s);
}

static void post_empty(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, H2_END, ":method: POST\ncontent-length: 0\n");
    h2_headers(s, n, H2_END, ":status: 204");
    play_head(p, c, "HTTP/1.1 204 No Content\n!Content-Length\n!Transfer-Encoding");
    play_nothing(p, c);
}

/* Of unknown length: more than 64 KiB, so it starts before it is whole. */
static void post_chunked(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    play_send(p, c, "11170\r\n");
    play_fill(p, c, 70000);
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, ":method: POST\n!content-length\n!transfer-encoding");
    play_send(p, c, "\r\n");
    play_fill_chunked(p, c, 30000, 7000, "");
    h2_filled(s, n, 100000, H2_END);
    h2_headers(s, n, 0, ":status: 200");
    h2_fill(s, n, 4000, 0);
    h2_headers(s, n, H2_END, "server-timing: a\ncontent-length: 7");
    play_head(p, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n!Content-Length");
    play_chunked(p, c, 4000, "server-timing: a\r\n"); /* a length is no trailer */
    play_nothing(p, c);
}

static void without_bodies(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    h2_headers(s, h2_expect_request(s, H2_END, ":method: HEAD\n"), H2_END,
               ":status: 200\ncontent-length: 12345");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 12345");
    play_nothing(p, c);
    play_send(p, c, "GET /g HTTP/1.1\r\nHost: a\r\n\r\n");
    uint32_t n = asked(s, "/g");
    h2_headers(s, n, 0, ":status: 304\netag: \"x\"\ncontent-length: 99");
    h2_data(s, n, H2_END, ""); /* the end may come in a frame of its own */
    play_head(p, c, "HTTP/1.1 304 Not Modified\nETag: \"x\"");
    play_nothing(p, c);
    play_send(p, c, "HEAD /bad HTTP/1.1\r\nHost: a\r\n\r\n");
    n = h2_expect_request(s, H2_END, ":method: HEAD\n");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 5");
    h2_data(s, n, 0, "hello"); /* nobody's, and the stream's alone to bear */
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 5");
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    play_nothing(p, c);
    served(p, s);
}

static void interim_answers(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/");
    h2_headers(s, n, 0, ":status: 100");
    h2_headers(s, n, 0, ":status: 102");
    play_nothing(p, c);
    h2_headers(s, n, 0, ":status: 103\nlink: </a.css>; rel=preload\nx-no: 1");
    play_head(p, c, "HTTP/1.1 103 \nink: </a.css>; rel=preload\n!X-No\n!x-no");
    answer(s, n);
    answered(p, c);
}

static void too_many_interims(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/");
    for (int i = 0; i < 17; i++)
        h2_headers(s, n, 0, ":status: 103\nlink: </a>");
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    play_close(p, c);
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TOO_MANY_INTERIM);
}

/* An answer of gRPC that is its trailers alone. */
static void trailers_only(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    h2_headers(s, asked(s, "/"), H2_END,
               ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5");
    play_head(p, c, "HTTP/1.1 200 OK\ngrpc-status: 5\nContent-Length: 0\r\n");
    play_nothing(p, c);
}

/* ---- windows ---- */

static void large_answer(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 500000");
    for (int i = 0; i < 10; i++) {
        h2_fill(s, n, 50000, i == 9 ? H2_END : 0);
        if (i == 0)
            play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 500000");
        play_filled(p, c, 50000);
    }
    play_nothing(p, c);
    h2_nothing(s);
}

/* A client that does not read holds up its own stream, and what lies in the gateway is bounded. */
static void slow_client(struct play *p) {
    int slow = ask(p, "/slow");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/slow");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 3000000");
    size_t sent = 0;
    while (!p->lost && (h2_hear(s), h2_room(s, n) > 0)) {
        size_t part = (size_t)h2_room(s, n);
        h2_fill(s, n, part, 0);
        sent += part;
        play_check(p, sent < 2000000);
    }
    served(p, s); /* a neighbour */
    play_head(p, slow, "HTTP/1.1 200 OK\nContent-Length: 3000000");
    play_filled(p, slow, sent);
    for (size_t part; sent < 3000000; sent += part) {
        part = 3000000 - sent < 50000 ? 3000000 - sent : 50000;
        h2_fill(s, n, part, sent + part == 3000000 ? H2_END : 0);
        play_filled(p, slow, part);
    }
    play_nothing(p, slow);
}

static void large_request(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    play_fill(p, c, 500000);
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, "content-length: 500000\n");
    h2_filled(s, n, 500000, H2_END);
    answer(s, n);
    answered(p, c);
}

/* A service that opens no window gets no more, and the client is not read. */
static void slow_service(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    play_fill(p, c, 900000);
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, "content-length: 900000\n");
    s->hold = true;
    h2_filled(s, n, 65535, 0);
    h2_nothing(s);
    play_check(p, play_backlog(p, c) > 500000);
    s->hold = false;
    h2_window(s, 0, 65535);
    h2_window(s, n, 65535);
    h2_filled(s, n, 900000 - 65535, H2_END);
    answer(s, n);
    answered(p, c);
}

/* ---- ends of streams ---- */

static void early_answer(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    play_fill(p, c, 1000);
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, "content-length: 100000\n");
    h2_filled(s, n, 1000, 0);
    answer(s, n);
    h2_expect_rst(s, n, NGHTTP2_NO_ERROR);
    play_head(p, c, "HTTP/1.1 200 OK\nConnection: close");
    play_expect(p, c, "ok");
    play_close(p, c);
    served(p, s);
}

/* RFC 9113 8.1: the service wants no more of the request. Its answer stands. */
static void early_answer_and_reset(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, "content-length: 100000\n");
    answer(s, n);
    h2_rst(s, n, NGHTTP2_NO_ERROR);
    play_head(p, c, "HTTP/1.1 200 OK\nConnection: close");
    play_expect(p, c, "ok");
    play_close(p, c);
    served(p, s);
    play_check(p, COUNTED(p, upstream_h2_resets) == 0);
}

static void service_resets(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    h2_rst(s, asked(s, "/"), NGHTTP2_INTERNAL_ERROR);
    refused(p, c, 502, FAULT_UPSTREAM_RESET);
    c = ask(p, "/cut");
    uint32_t n = asked(s, "/cut");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 10");
    h2_data(s, n, 0, "12345");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 10");
    play_expect(p, c, "12345");
    h2_rst(s, n, NGHTTP2_CANCEL);
    play_broken(p, c);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_RESET);
    play_check(p, COUNTED(p, upstream_h2_resets) == 2);
    served(p, s);
}

/* The service has not looked at it: once more on another connection, whatever the method. */
static void refused_stream(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    h2_rst(s, h2_expect_request(s, H2_END, ":method: POST\n"), NGHTTP2_REFUSED_STREAM);
    struct h2_actor *t = accept_h2(p);
    answer(t, h2_expect_request(t, H2_END, ":method: POST\n"));
    answered(p, c);
    c = ask(p, "/twice");
    h2_rst(s, asked(s, "/twice"), NGHTTP2_REFUSED_STREAM);
    h2_rst(t, asked(t, "/twice"), NGHTTP2_REFUSED_STREAM);
    refused(p, c, 503, FAULT_UPSTREAM_REFUSED_STREAM);
}

/* There may be no other connection: then where it was. */
static void refused_and_alone(struct play *p) {
    int busy = ask(p, "/busy"), c;
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/busy");
    c = ask(p, "/");
    h2_rst(s, asked(s, "/"), NGHTTP2_REFUSED_STREAM);
    answer(s, asked(s, "/"));
    answered(p, c);
    answer(s, n);
    answered(p, busy);
}

static void client_leaves(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/");
    play_reset(p, c);
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    h2_headers(s, n, 0, ":status: 200"); /* on their way when the reset came */
    h2_fill(s, n, 60000, 0);
    h2_expect_room(s, 0, (1 << 20) - 60000); /* given back, though nobody wanted it */
    c = ask(p, "/mid");
    n = asked(s, "/mid");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 100");
    h2_data(s, n, 0, "12345");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_reset(p, c);
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    served(p, s);
}

/* ---- ends of connections ---- */

static void goaway(struct play *p) {
    int a = ask(p, "/a"), b = ask(p, "/b");
    struct h2_actor *s = accept_h2(p);
    uint32_t first = h2_expect_request(s, H2_END, ":path: /");
    h2_expect_request(s, H2_END, ":path: /");
    h2_goaway(s, first, NGHTTP2_NO_ERROR);
    struct h2_actor *t = accept_h2(p); /* the second one goes elsewhere */
    answer(t, h2_expect_request(t, H2_END, ":path: /"));
    answer(s, first); /* the first one ends where it is */
    answered(p, a);
    answered(p, b);
    h2_closed(s);
    served(p, t);
    play_check(p, COUNTED(p, upstream_h2_goaways) == 1);
}

static void goaway_at_once(struct play *p) {
    int c = ask(p, "/");
    for (int i = 0; i < 2; i++) {
        struct h2_actor *s = accept_h2(p);
        h2_goaway(s, 0, NGHTTP2_ENHANCE_YOUR_CALM);
        h2_closed(s);
    }
    refused(p, c, 503, FAULT_UPSTREAM_REFUSED_STREAM);
}

static void connection_lost(struct play *p) {
    int a = ask(p, "/a");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/a");
    int b = ask(p, "/b");
    asked(s, "/b");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 10");
    h2_data(s, n, 0, "12345");
    play_head(p, a, "HTTP/1.1 200 OK");
    play_expect(p, a, "12345");
    play_close(p, s->who);
    play_broken(p, a);
    refused(p, b, 502, FAULT_UPSTREAM_CLOSED);
}

/* Kept, and closed by the service: the next request finds a new one, also when they cross. */
static void closed_while_idle(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    answer(s, asked(s, "/"));
    answered(p, c);
    play_close(p, s->who);
    play_quiet(p);
    play_send(p, c, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    s = accept_h2(p);
    answer(s, asked(s, "/2"));
    answered(p, c);
    play_send(p, c, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    asked(s, "/3");
    play_close(p, s->who);
    s = accept_h2(p);
    answer(s, asked(s, "/3"));
    answered(p, c);
}

static void keepalive(struct service_conf *shop, struct snapshot *s) {
    h2c(shop, s);
    shop->keepalive_requests = 2;
}
static void replaced_in_time(struct play *p) {
    int a = ask(p, "/a"), b = ask(p, "/b");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, H2_END, ""), m = h2_expect_request(s, H2_END, "");
    int c = ask(p, "/c");
    struct h2_actor *t = accept_h2(p);
    answer(t, asked(t, "/c"));
    answered(p, c);
    answer(s, n);
    answer(s, m);
    answered(p, a);
    answered(p, b);
    left(p, s);
    h2_nothing(t);
}

static void one_connection(struct service_conf *shop, struct snapshot *s) {
    h2c(shop, s);
    shop->max_connections = 1;
}
/* The rest waits in the pool. */
static void streams_of_the_service(struct play *p) {
    static const uint32_t one[] = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    int a = ask(p, "/a");
    struct h2_actor *s = h2_service_with(p, play_accept(p, PLAY_ANY), one, 1);
    uint32_t n = asked(s, "/a");
    h2_hear(s);
    int b = ask(p, "/b");
    h2_nothing(s);
    answer(s, n);
    answered(p, a);
    answer(s, asked(s, "/b"));
    answered(p, b);
    static const uint32_t two[] = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2};
    a = ask(p, "/c");
    n = asked(s, "/c");
    b = ask(p, "/d");
    h2_nothing(s);
    h2_settings(s, two, 1);
    answer(s, asked(s, "/d"));
    answer(s, n);
    answered(p, a);
    answered(p, b);
}

static void few_streams(struct service_conf *shop, struct snapshot *s) {
    one_connection(shop, s);
    shop->h2_streams = 1;
}
static void streams_of_the_configuration(struct play *p) {
    int a = ask(p, "/a"), b = ask(p, "/b");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, H2_END, "");
    h2_nothing(s);
    answer(s, n);
    answer(s, h2_expect_request(s, H2_END, ""));
    answered(p, a);
    answered(p, b);
}

/* ---- time ---- */

static void silent_service(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = asked(s, "/");
    play_time(p, 14000);
    play_nothing(p, c);
    play_time(p, 2000);
    if (p->rig->conf.sim.write_max != 1) /* the connection goes, too */
        h2_expect_rst(s, n, NGHTTP2_CANCEL);
    refused(p, c, 504, FAULT_UPSTREAM_TIMEOUT);
    c = ask(p, "/half"); /* nothing at all had come: on another connection */
    s = accept_h2(p);
    n = asked(s, "/half");
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 10");
    h2_data(s, n, 0, "12345");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "12345");
    play_time(p, 31000);
    if (p->rig->conf.sim.write_max != 1)
        h2_expect_rst(s, n, NGHTTP2_CANCEL);
    play_broken(p, c);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_IDLE);
}

static void window_never_opens(struct play *p) {
    static const uint32_t none[] = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    play_fill(p, c, 1000);
    struct h2_actor *s = h2_service_with(p, play_accept(p, PLAY_ANY), none, 1);
    uint32_t n = h2_expect_request(s, 0, "content-length: 1000\n");
    h2_hear(s); /* what had left before the setting came */
    play_time(p, 40000);
    play_head(p, c, "HTTP/1.1 504 ");
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TIMEOUT);
    (void)n;
    play_close(p, c);
}

static void idle_connection(struct play *p) {
    int c = ask(p, "/");
    struct h2_actor *s = accept_h2(p);
    answer(s, asked(s, "/"));
    answered(p, c);
    play_close(p, c);
    play_time(p, 50000);
    h2_nothing(s);
    play_time(p, 6000);
    left(p, s);
}

static void never_connects(struct play *p) {
    play_black_hole(p, 0);
    int a = ask(p, "/a"), b = ask(p, "/b");
    play_time(p, 3500);
    refused(p, a, 504, FAULT_CONNECT_TIMEOUT);
    refused(p, b, 504, FAULT_CONNECT_TIMEOUT);
}

static void connection_refused(struct play *p) {
    play_refuse(p, 0);
    int a = ask(p, "/a"), b = ask(p, "/b");
    refused(p, a, 502, FAULT_CONNECT_FAILED);
    refused(p, b, 502, FAULT_CONNECT_FAILED);
}

#define SCENE(fn, tuned)                                                                           \
    { #fn, fn, {.tune = tuned }, false }
int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        SCENE(get, h2c),
        SCENE(shared, h2c),
        SCENE(post, h2c),
        SCENE(post_empty, h2c),
        {"post_chunked", post_chunked, {.tune = h2c}, true},
        SCENE(without_bodies, h2c),
        SCENE(interim_answers, h2c),
        SCENE(too_many_interims, h2c),
        SCENE(trailers_only, h2c),
        {"large_answer", large_answer, {.tune = h2c}, true},
        {"slow_client", slow_client, {.tune = h2c}, true},
        {"large_request", large_request, {.tune = h2c}, true},
        {"slow_service", slow_service, {.tune = h2c}, true},
        SCENE(early_answer, h2c),
        SCENE(early_answer_and_reset, h2c),
        SCENE(service_resets, h2c),
        SCENE(refused_stream, h2c),
        SCENE(refused_and_alone, one_connection),
        SCENE(client_leaves, h2c),
        SCENE(goaway, h2c),
        SCENE(goaway_at_once, h2c),
        SCENE(connection_lost, h2c),
        SCENE(closed_while_idle, h2c),
        SCENE(replaced_in_time, keepalive),
        SCENE(streams_of_the_service, one_connection),
        SCENE(streams_of_the_configuration, few_streams),
        SCENE(silent_service, h2c),
        SCENE(window_never_opens, h2c),
        SCENE(idle_connection, h2c),
        SCENE(never_connects, h2c),
        SCENE(connection_refused, h2c),
    };
    return play_main("h2_out", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
