/*
 * HTTP/2 clients: how streams and connections end. Resets from either side, early answers, tunnels,
 * leaving in peace, and times that run out; each play is performed as it is and then tortured.
 */
#include "h2_actor.h"
#include <string.h>

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static int asked(struct play *p, struct h2_actor *c, uint32_t stream) {
    h2_get(c, stream, "/");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    return s;
}

static void answered(struct play *p, int s, struct h2_actor *c, uint32_t stream) {
    play_send(p, s, OK_2);
    h2_expect(c, stream, 0, ":status: 200");
    h2_expect_data(c, stream, H2_END, "ok");
}

/* ---- streams ---- */

static void client_resets(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int gone = asked(p, c, 1), stays = asked(p, c, 3);
    h2_rst(c, 1, NGHTTP2_CANCEL);
    play_end(p, gone);
    answered(p, stays, c, 3);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, client_h2_resets_received) == 1);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 1);
}

static void client_resets_an_upload(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 9");
    h2_data(c, 1, 0, "half");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_expect(p, s, "half");
    h2_rst(c, 1, NGHTTP2_CANCEL);
    play_end(p, s);
    h2_nothing(c);
}

static void client_leaves(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int a = asked(p, c, 1), b = asked(p, c, 3);
    play_close(p, c->who);
    play_end(p, a);
    play_end(p, b);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 2);
}

/* It has asked, and says no more: it is answered. */
static void client_shuts(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    play_shut(p, c->who);
    answered(p, s, c, 1);
    h2_closed(c);
}

static void service_breaks_off(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    h2_expect(c, 1, 0, ":status: 200");
    h2_expect_data(c, 1, 0, "half");
    play_reset(p, s);
    h2_expect_rst(c, 1, NGHTTP2_INTERNAL_ERROR);
    h2_nothing(c);
    answered(p, asked(p, c, 3), c, 3);
}

static void service_is_not_there(struct play *p) {
    struct h2_actor *c = h2_client(p);
    play_refuse(p, 0);
    h2_get(c, 1, "/");
    h2_expect(c, 1, 0, ":status: 502\ncontent-type: application/problem+json");
    h2_expect_body(c, 1, "connect_failed");
    h2_nothing(c);
}

/* Answered before the request has ended: the answer, its end, and no error. */
static void early_answer(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 100");
    h2_data(c, 1, 0, "begin");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_expect(p, s, "begin");
    play_send(p, s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    h2_expect(c, 1, 0, ":status: 403");
    h2_expect_data(c, 1, H2_END, "no");
    h2_expect_rst(c, 1, NGHTTP2_NO_ERROR);
    play_end(p, s); /* half a request was sent there */
    h2_data(c, 1, 0, "late");
    answered(p, asked(p, c, 3), c, 3);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, client_h2_resets_sent) == 0);
}

static void too_large(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 99999999999");
    h2_expect(c, 1, 0, ":status: 413");
    h2_expect_body(c, 1, "body_too_large");
    h2_expect_rst(c, 1, NGHTTP2_NO_ERROR);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
}

/* ---- tunnels ---- */

#define TUNNEL                                                                                     \
    ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: shop.example\n"            \
    ":path: /chat\nsec-websocket-version: 13\nsec-websocket-protocol: chat"

static int tunnel_asked(struct play *p, struct h2_actor *c, uint32_t stream) {
    h2_headers(c, stream, 0, TUNNEL);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /chat HTTP/1.1\nUpgrade: websocket\nSec-WebSocket-Protocol: chat");
    return s;
}

static void tunnel_agreed(struct play *p, int s) {
    char accept[29] = "";
    struct span key = play_field("sec-websocket-key");
    if (key.n <= 64)
        ws_accept(key, accept);
    play_send(p, s,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: ");
    play_send(p, s, accept);
    play_send(p, s, "\r\n\r\n");
}

static void tunnel(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = tunnel_asked(p, c, 1);
    tunnel_agreed(p, s);
    h2_expect(c, 1, 0, ":status: 200\nsec-websocket-protocol: chat\n!content-length\n!upgrade");
    h2_data(c, 1, 0, "to the service");
    play_expect(p, s, "to the service");
    play_send(p, s, "to the client");
    h2_expect_data(c, 1, 0, "to the client");
    h2_fill(c, 1, 3000, 0);
    play_filled(p, s, 3000);
    play_fill(p, s, 3000);
    h2_filled(c, 1, 3000, 0);
    h2_data(c, 1, H2_END, "bye");
    play_expect(p, s, "bye");
    play_end(p, s);
    play_send(p, s, "good bye");
    play_close(p, s);
    h2_expect_data(c, 1, H2_END, "good bye");
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, exchanges_completed) == 1);
}

static void tunnel_refused(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = tunnel_asked(p, c, 1);
    play_send(p, s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    h2_expect(c, 1, 0, ":status: 403");
    h2_expect_data(c, 1, H2_END, "no");
    h2_expect_rst(c, 1, NGHTTP2_NO_ERROR);
}

/* A 2xx of a service that has not agreed must not look as if it had. */
static void tunnel_not_accepted(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = tunnel_asked(p, c, 1);
    play_send(p, s, OK_2);
    h2_expect(c, 1, H2_END, ":status: 502\n!sec-websocket");
    h2_expect_rst(c, 1, NGHTTP2_NO_ERROR);
    h2_nothing(c);
}

static void tunnel_reset(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = tunnel_asked(p, c, 1);
    tunnel_agreed(p, s);
    h2_expect(c, 1, 0, ":status: 200");
    h2_rst(c, 1, NGHTTP2_CANCEL);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 1);
}

/* ---- leaving in peace ---- */

/* Told in two steps; what is under way ends, what comes after the last one is refused. */
static void drain(struct play *p) {
    struct h2_actor *c = h2_client(p), *idle = h2_client(p);
    c->quiet = true; /* the PING is not answered yet */
    int s = asked(p, c, 1);
    h2_hear(idle);
    rig_drain(p->rig);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 0x7fffffff);
    h2_expect_ping(c, false, 0);
    h2_get(c, 3, "/raced");
    int t = play_accept(p, 0);
    play_head(p, t, "GET /raced");
    play_send(p, t, OK_2);
    h2_expect(c, 3, 0, ":status: 200");
    h2_expect_data(c, 3, H2_END, "ok");
    h2_ping(c, true, 0);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 3);
    h2_get(c, 5, "/late");
    h2_expect_rst(c, 5, NGHTTP2_REFUSED_STREAM);
    answered(p, s, c, 1);
    h2_closed(c);
    h2_closed(idle);
}

static void drain_without_ping(struct play *p) {
    struct h2_actor *c = h2_client(p);
    c->quiet = true;
    h2_hear(c);
    rig_drain(p->rig);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 0x7fffffff);
    h2_expect_ping(c, false, 0);
    play_time(p, 1500);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 0);
    h2_closed(c);
}

static void few_requests(struct service_conf *c, struct snapshot *s) {
    (void)c;
    s->limits.h2_max_total_streams = 2;
}

static void last_request(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    answered(p, s, c, 1);
    h2_get(c, 3, "/last");
    play_head(p, s, "GET /last");
    answered(p, s, c, 3);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 0x7fffffff);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 3);
    h2_closed(c);
    play_check(p, rig_sum(p->rig, client_h2_goaways_graceful) == 2);
}

static void client_says_goaway(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    h2_goaway(c, 0, NGHTTP2_NO_ERROR);
    answered(p, s, c, 1);
    h2_closed(c);
}

/* ---- time ---- */

static void silent(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_hear(c);
    play_time(p, 9000);
    h2_nothing(c);
    play_time(p, 2000);
    h2_expect_goaway(c, NGHTTP2_NO_ERROR);
    h2_closed(c);
    play_check(p, rig_sum(p->rig, client_connections_silent) == 1);
}

static void idle(struct play *p) {
    struct h2_actor *c = h2_client(p);
    answered(p, asked(p, c, 1), c, 1);
    play_time(p, 50000);
    h2_nothing(c);
    play_time(p, 11000);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 1);
    h2_closed(c);
}

static void block_without_end(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_hear(c); /* their SETTINGS: nothing may come within the block, not even an ACK */
    h2_headers(c, 1, H2_OPEN, ":method: GET\n:scheme: http\n:path: /");
    h2_hear(c);
    play_time(p, 9000);
    h2_nothing(c);
    play_time(p, 3000);
    h2_expect_goaway(c, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_closed(c);
    play_check(p, rig_sum(p->rig, client_h2_header_floods) == 1);
}

static void slow_body(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 100");
    h2_data(c, 1, 0, "a");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_time(p, 29000);
    h2_hear(c);
    play_check(p, c->inbox == NULL);
    play_time(p, 3000);
    h2_expect(c, 1, 0, ":status: 408");
    play_expect(p, s, "a");
    play_end(p, s);
}

static void trickling_body(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 100000");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    for (int i = 0; i < 15 && !p->lost; i++) {
        h2_data(c, 1, 0, "a");
        play_time(p, 1000);
    }
    h2_expect(c, 1, 0, ":status: 408");
}

/* Windows that stay shut, or open by a byte now and then: D20. */
static void zero_window(struct play *p) {
    const uint32_t none[] = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    struct h2_actor *c = h2_client_with(p, none, 1);
    c->hold = true;
    int s = asked(p, c, 1);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    play_fill(p, s, 900000);
    h2_expect(c, 1, 0, ":status: 200");
    for (int i = 0; i < 28 && !p->lost; i++) {
        h2_window(c, 1, 1);
        play_time(p, 1000);
    }
    h2_hear(c);
    play_check(p, !c->ended);
    play_time(p, 5000);
    h2_filled(c, 1, 28, 0);
    h2_expect_rst(c, 1, NGHTTP2_CANCEL);
    play_end(p, s);
    h2_nothing(c);
}

static void many_zero_windows(struct play *p) {
    enum { N = 10 };
    const uint32_t none[] = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    struct h2_actor *c = h2_client_with(p, none, 1);
    for (uint32_t i = 0; i < N; i++) {
        int s = asked(p, c, 2 * i + 1);
        play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
        play_fill(p, s, 900000);
    }
    play_time(p, 32000);
    for (uint32_t i = 0; i < N; i++) {
        h2_expect(c, 2 * i + 1, 0, ":status: 200");
        h2_expect_rst(c, 2 * i + 1, NGHTTP2_CANCEL);
    }
    h2_nothing(c);
}

/* It reads nothing at all: neither frames nor bytes. */
static void stuck_socket(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_window(c, 0, 1000000);
    h2_settings(c, (uint32_t[]){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000000}, 1);
    int s = asked(p, c, 1);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    play_fill(p, s, 900000);
    play_time(p, 29000);
    play_check(p, rig_sum(p->rig, client_connections_closed) == 0);
    play_time(p, 4000);
    play_check(p, rig_sum(p->rig, client_connections_closed) == 1);
    play_end(p, s);
}

static void old(struct service_conf *c, struct snapshot *s) {
    (void)c;
    s->limits.max_connection_age_ms = 20000;
}

/* Old connections leave, also under traffic. */
static void age(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    answered(p, s, c, 1);
    play_time(p, 23000);
    h2_nothing(c);
    h2_get(c, 3, "/");
    play_head(p, s, "GET /");
    answered(p, s, c, 3);
    h2_expect_goaway(c, NGHTTP2_NO_ERROR);
    h2_closed(c);
}

int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        {.name = "client resets", .fn = client_resets},
        {.name = "client resets an upload", .fn = client_resets_an_upload},
        {.name = "client leaves", .fn = client_leaves},
        {.name = "client shuts", .fn = client_shuts},
        {.name = "service breaks off", .fn = service_breaks_off},
        {.name = "service is not there", .fn = service_is_not_there},
        {.name = "early answer", .fn = early_answer},
        {.name = "too large", .fn = too_large},
        {.name = "tunnel", .fn = tunnel},
        {.name = "tunnel refused", .fn = tunnel_refused},
        {.name = "tunnel not accepted", .fn = tunnel_not_accepted},
        {.name = "tunnel reset", .fn = tunnel_reset},
        {.name = "drain", .fn = drain, .heavy = true}, /* nobody is served after it */
        {.name = "drain without ping", .fn = drain_without_ping, .heavy = true},
        {.name = "last request", .fn = last_request, .rig = {.tune = few_requests}},
        {.name = "client says goaway", .fn = client_says_goaway},
        {.name = "silent", .fn = silent},
        {.name = "idle", .fn = idle},
        {.name = "block without end", .fn = block_without_end},
        {.name = "slow body", .fn = slow_body},
        {.name = "trickling body", .fn = trickling_body},
        {.name = "zero window", .fn = zero_window, .heavy = true},
        {.name = "many zero windows", .fn = many_zero_windows, .heavy = true},
        {.name = "stuck socket", .fn = stuck_socket, .heavy = true},
        {.name = "age", .fn = age, .rig = {.tune = old}},
    };
    return play_main("h2_in_ends", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
