/*
 * Services that break the rules of HTTP/2, or obey them in a way that hurts (THREATS.md D26, J17):
 * the connection ends where it must, the others on it fail with a name for it, memory stays
 * bounded, and the next request is served. Each is performed as it is and then tortured.
 */
#include "h2_out.h"
#include <malloc.h>

/* A request is under way, and a neighbour; then the service does something that ends all. */
struct pair {
    int client, neighbour;
    struct h2_actor *s;
    uint32_t stream, other;
};

static struct pair begin(struct play *p) {
    struct pair t;
    t.client = ask(p, "/one");
    t.s = accept_h2(p);
    t.stream = asked(t.s, "/one");
    t.neighbour = ask(p, "/two");
    t.other = asked(t.s, "/two");
    return t;
}

/* A connection error: both requests fail with UPSTREAM_PROTOCOL, a new connection serves. */
static void all_ends(struct play *p, struct pair *t) {
    refused(p, t->client, 502, FAULT_UPSTREAM_PROTOCOL);
    refused(p, t->neighbour, 502, FAULT_UPSTREAM_PROTOCOL);
    h2_closed(t->s);
    play_check(p, COUNTED(p, upstream_h2_errors) == 1);
    int c = ask(p, "/again");
    struct h2_actor *s = accept_h2(p);
    answer(s, asked(s, "/again"));
    answered(p, c);
}

/* The stream's alone to bear. */
static void one_ends(struct play *p, struct pair *t, uint32_t code, enum fault why) {
    h2_expect_rst(t->s, t->stream, code);
    refused(p, t->client, fault_table[why].status, why);
    answer(t->s, t->other);
    answered(p, t->neighbour);
    play_check(p, COUNTED(p, upstream_h2_errors) == 0);
}

/* ---- frames out of place ---- */

static void data_before_head(struct play *p) {
    struct pair t = begin(p);
    h2_data(t.s, t.stream, 0, "hello");
    all_ends(p, &t);
}

static void data_between_heads(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 103\nlink: </a>");
    play_head(p, t.client, "HTTP/1.1 103 ");
    h2_data(t.s, t.stream, 0, "hello");
    one_ends(p, &t, NGHTTP2_PROTOCOL_ERROR, FAULT_UPSTREAM_PROTOCOL);
}

static void data_after_end(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, H2_END, ":status: 204");
    play_head(p, t.client, "HTTP/1.1 204 ");
    h2_data(t.s, t.stream, 0, "more"); /* late, for all that we still know of the stream */
    answer(t.s, t.other);
    answered(p, t.neighbour);
    served(p, t.s);
}

static void head_after_end(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    struct h2_actor *s = accept_h2(p);
    uint32_t n = h2_expect_request(s, 0, ":method: POST\n");
    h2_headers(s, n, H2_END, ":status: 204");
    h2_headers(s, n, H2_END, ":status: 200");
    play_head(p, c, "HTTP/1.1 204 ");
    play_close(p, c);
    c = ask(p, "/again");
    play_quiet(p);
    if (rig_sum(p->rig, upstream_connections_opened) > 1) /* both ways are legal */
        s = accept_h2(p);
    answer(s, asked(s, "/again"));
    answered(p, c);
}

static void push(struct play *p) {
    struct pair t = begin(p);
    h2_frame(t.s, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, t.stream, "\0\0\0\2\x88", 5);
    all_ends(p, &t);
}

static void head_of_no_stream(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, 99, H2_END, ":status: 200");
    all_ends(p, &t);
}

static void data_of_the_connection(struct play *p) {
    struct pair t = begin(p);
    h2_frame(t.s, NGHTTP2_DATA, 0, 0, "hello", 5);
    all_ends(p, &t);
}

static void reset_of_no_stream(struct play *p) {
    struct pair t = begin(p);
    h2_rst(t.s, 99, NGHTTP2_CANCEL);
    all_ends(p, &t);
}

static void other_protocol(struct play *p) {
    int c = ask(p, "/");
    int s = play_accept(p, PLAY_ANY);
    play_expect(p, s, "PRI * HTTP/2.0\r\n");
    play_send(p, s, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    refused(p, c, 502, FAULT_UPSTREAM_PROTOCOL);
}

/* RFC 9113 6.8: it may not grow. */
static void goaway_takes_back(struct play *p) {
    struct pair t = begin(p);
    h2_goaway(t.s, t.other, NGHTTP2_NO_ERROR);
    h2_hear(t.s);
    h2_goaway(t.s, t.other + 2, NGHTTP2_NO_ERROR);
    all_ends(p, &t);
}

static void bad_hpack(struct play *p) {
    struct pair t = begin(p);
    h2_frame(t.s, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, t.stream, "\xff\xff\xff\xff\xff\x0f",
             6);
    all_ends(p, &t);
}

static void window_overflow(struct play *p) {
    struct pair t = begin(p);
    h2_window(t.s, 0, 0x7fffffff);
    all_ends(p, &t);
}

static void stream_window_overflow(struct play *p) {
    struct pair t = begin(p);
    h2_window(t.s, t.stream, 0x7fffffff);
    one_ends(p, &t, NGHTTP2_FLOW_CONTROL_ERROR, FAULT_UPSTREAM_PROTOCOL);
}

/* ---- messages ---- */

static void too_long(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200\ncontent-length: 3");
    h2_data(t.s, t.stream, 0, "hello");
    h2_expect_rst(t.s, t.stream, NGHTTP2_PROTOCOL_ERROR);
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_BAD_FRAMING);
    answer(t.s, t.other);
    answered(p, t.neighbour);
}

static void too_short(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200\ncontent-length: 10");
    play_head(p, t.client, "HTTP/1.1 200 ");
    h2_data(t.s, t.stream, H2_END, "");
    play_broken(p, t.client);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TRUNCATED);
    answer(t.s, t.other);
    answered(p, t.neighbour);
}

static void too_short_at_once(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, H2_END, ":status: 200\ncontent-length: 10");
    one_ends(p, &t, NGHTTP2_PROTOCOL_ERROR, FAULT_UPSTREAM_PROTOCOL);
}

static void bad_status(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 2000");
    one_ends(p, &t, NGHTTP2_PROTOCOL_ERROR, FAULT_UPSTREAM_BAD_STATUS);
}

static void bad_value(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200\nx-a: a\rb");
    one_ends(p, &t, NGHTTP2_PROTOCOL_ERROR, FAULT_UPSTREAM_PROTOCOL);
}

static void trailers_without_end(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200");
    play_head(p, t.client, "HTTP/1.1 200 ");
    h2_headers(t.s, t.stream, 0, "x-a: b");
    h2_expect_rst(t.s, t.stream, NGHTTP2_PROTOCOL_ERROR);
    play_broken(p, t.client);
    answer(t.s, t.other);
    answered(p, t.neighbour);
}

static void large_head(struct play *p) {
    static char lines[80000];
    struct pair t = begin(p);
    size_t n = (size_t)snprintf(lines, sizeof lines, ":status: 200");
    for (int i = 0; i < 70; i++)
        n += (size_t)snprintf(lines + n, sizeof lines - n, "\nx-%d: %01000d", i, i);
    h2_headers(t.s, t.stream, 0, lines);
    one_ends(p, &t, NGHTTP2_CANCEL, FAULT_UPSTREAM_HEADER_TOO_LARGE);
}

/* HPACK: one entry of the table, again and again. */
static void header_bomb(struct play *p) {
    static char block[16000];
    struct pair t = begin(p);
    memset(block, 0xbe, sizeof block);
    h2_headers(t.s, t.stream, 0, ":status: 103\nx-bomb: x");
    h2_frame(t.s, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, t.stream, block, sizeof block);
    one_ends(p, &t, NGHTTP2_CANCEL, FAULT_UPSTREAM_HEADER_TOO_LARGE);
}

/* ---- floods ---- */

static void flood(struct play *p, unsigned type, unsigned flags, uint32_t stream, const char *bytes,
                  size_t n) {
    struct pair t = begin(p);
    for (int i = 0; i < 3000; i++)
        h2_frame(t.s, type, flags, stream ? t.stream : 0, bytes, n);
    all_ends(p, &t);
}
static void settings_flood(struct play *p) {
    flood(p, NGHTTP2_SETTINGS, 0, 0, "", 0);
}
static void ping_flood(struct play *p) {
    flood(p, NGHTTP2_PING, 0, 0, "12345678", 8);
}
static void priority_flood(struct play *p) {
    flood(p, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\1", 5);
}
/* nghttp2 shows them to nobody: their bytes are what counts. */
static void unknown_flood(struct play *p) {
    static char bytes[16384];
    flood(p, 0x77, 0, 0, bytes, sizeof bytes);
}
static void window_flood(struct play *p) {
    flood(p, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void empty_data_flood(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200");
    play_head(p, t.client, "HTTP/1.1 200 ");
    for (int i = 0; i < 20; i++)
        h2_data(t.s, t.stream, 0, "");
    play_broken(p, t.client);
    refused(p, t.neighbour, 502, FAULT_UPSTREAM_PROTOCOL);
    h2_closed(t.s);
}

static void continuation_flood(struct play *p) {
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, H2_OPEN, ":status: 200");
    for (int i = 0; i < 100; i++)
        h2_frame(t.s, NGHTTP2_CONTINUATION, 0, t.stream, "", 0);
    all_ends(p, &t);
}

/* Only few of our own requests can be reset; those of streams that are gone count as nonsense. */
static void reset_flood(struct play *p) {
    struct pair t = begin(p);
    for (int i = 0; i < 3000; i++)
        h2_rst(t.s, t.stream, NGHTTP2_CANCEL);
    play_head(p, t.client, "HTTP/1.1 502 ");
    refused(p, t.neighbour, 502, FAULT_UPSTREAM_PROTOCOL);
    h2_closed(t.s);
}

static void small_budget(struct service_conf *shop, struct snapshot *s) {
    h2c(shop, s);
    s->limits.h2_reset_burst = 2;
    s->limits.h2_reset_rate = 1;
}
/* Every request is reset: after a while the next ones try another connection. */
static void reset_storm(struct play *p) {
    struct h2_actor *s = NULL;
    for (int i = 0; i < 3; i++) {
        int c = ask(p, "/");
        s = s ? s : accept_h2(p);
        h2_rst(s, asked(s, "/"), NGHTTP2_INTERNAL_ERROR);
        refused(p, c, 502, FAULT_UPSTREAM_RESET);
    }
    left(p, s);
    int c = ask(p, "/again");
    s = accept_h2(p);
    answer(s, asked(s, "/again"));
    answered(p, c);
}

/* One byte a frame, and padding around it. */
static void padding(struct play *p) {
    static char frame[257] = {(char)255, 'x'};
    struct pair t = begin(p);
    h2_headers(t.s, t.stream, 0, ":status: 200");
    play_head(p, t.client, "HTTP/1.1 200 ");
    for (int i = 0; i < 40000 && !t.s->ended; i++) {
        h2_frame(t.s, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, t.stream, frame, sizeof frame);
        if (i % 64 == 63) {
            h2_hear(t.s);
            if (!t.s->ended)
                play_chunks(p, t.client, "");
        }
    }
    (void)t.other;
    h2_hear(t.s);
    play_check(p, t.s->ended);
    play_check(p, COUNTED(p, upstream_h2_errors) == 1);
}

/* Frames that nobody reads the answers to: what waits to be sent is bounded. */
static void deaf_service(struct play *p) {
    struct pair t = begin(p);
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 900; i++)
        h2_ping(t.s, false, (uint64_t)i);
    play_quiet(p);
    play_check(p, mallinfo2().uordblks < before.uordblks + (1 << 20));
    answer(t.s, t.stream);
    answered(p, t.client);
}

/* ---- tunnels ---- */

#define UPGRADE                                                                                    \
    "GET /chat HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"    \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
static const uint32_t connects[] = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};

static void tunnel(struct play *p) {
    int c = play_client(p);
    play_send(p, c, UPGRADE);
    struct h2_actor *s = h2_service_with(p, play_accept(p, PLAY_ANY), connects, 1);
    uint32_t n = h2_expect_request(s, 0,
                                   ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: "
                                   "/chat\nsec-websocket-version: 13\n!upgrade\n!connection");
    play_send(p, c, "impatient");
    h2_nothing(s);
    h2_headers(s, n, 0, ":status: 200");
    play_head(p, c, "HTTP/1.1 101 \nUpgrade: websocket\nSec-WebSocket-Accept");
    h2_expect_data(s, n, 0, "impatient");
    h2_data(s, n, 0, "hello");
    play_expect(p, c, "hello");
    play_fill(p, c, 200000);
    h2_filled(s, n, 200000, 0);
    h2_data(s, n, H2_END, "bye");
    play_expect(p, c, "bye");
    play_end(p, c);
    play_send(p, c, "not yet");
    h2_expect_data(s, n, 0, "not yet");
    play_shut(p, c);
    h2_expect_data(s, n, H2_END, "");
    h2_nothing(s);
    served(p, s);
}

static void tunnel_refused(struct play *p) {
    int c = play_client(p);
    play_send(p, c, UPGRADE);
    struct h2_actor *s = h2_service_with(p, play_accept(p, PLAY_ANY), connects, 1);
    uint32_t n = h2_expect_request(s, 0, ":method: CONNECT\n:protocol: websocket\n");
    h2_headers(s, n, 0, ":status: 403\ncontent-length: 2");
    h2_data(s, n, H2_END, "no");
    play_head(p, c, "HTTP/1.1 403 Forbidden\nContent-Length: 2");
    play_expect(p, c, "no");
    h2_expect_rst(s, n, NGHTTP2_NO_ERROR);
    play_close(p, c);
    served(p, s);
}

static void tunnel_unknown(struct play *p) {
    int c = play_client(p);
    play_send(p, c, UPGRADE);
    struct h2_actor *s = accept_h2(p);
    refused(p, c, 502, FAULT_UPGRADE_NOT_ACCEPTED);
    h2_nothing(s);
    served(p, s);
}

static void tunnel_broken(struct play *p) {
    int c = play_client(p);
    play_send(p, c, UPGRADE);
    struct h2_actor *s = h2_service_with(p, play_accept(p, PLAY_ANY), connects, 1);
    uint32_t n = h2_expect_request(s, 0, ":protocol: websocket\n");
    h2_headers(s, n, 0, ":status: 200");
    play_head(p, c, "HTTP/1.1 101 ");
    h2_rst(s, n, NGHTTP2_INTERNAL_ERROR);
    play_broken(p, c);
    c = play_client(p);
    play_send(p, c, UPGRADE);
    n = h2_expect_request(s, 0, ":protocol: websocket\n");
    h2_headers(s, n, 0, ":status: 200");
    play_head(p, c, "HTTP/1.1 101 ");
    play_reset(p, c);
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    served(p, s);
}

#define SCENE(fn, tuned)                                                                           \
    { #fn, fn, {.tune = tuned }, false }
#define HEAVY(fn)                                                                                  \
    { #fn, fn, {.tune = h2c }, true }
int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        SCENE(data_before_head, h2c),
        SCENE(data_between_heads, h2c),
        SCENE(data_after_end, h2c),
        SCENE(head_after_end, h2c),
        SCENE(push, h2c),
        SCENE(head_of_no_stream, h2c),
        SCENE(data_of_the_connection, h2c),
        SCENE(reset_of_no_stream, h2c),
        SCENE(other_protocol, h2c),
        SCENE(goaway_takes_back, h2c),
        SCENE(bad_hpack, h2c),
        SCENE(window_overflow, h2c),
        SCENE(stream_window_overflow, h2c),
        SCENE(too_long, h2c),
        SCENE(too_short, h2c),
        SCENE(too_short_at_once, h2c),
        SCENE(bad_status, h2c),
        SCENE(bad_value, h2c),
        SCENE(trailers_without_end, h2c),
        HEAVY(large_head),
        HEAVY(header_bomb),
        HEAVY(settings_flood),
        HEAVY(ping_flood),
        HEAVY(priority_flood),
        HEAVY(unknown_flood),
        HEAVY(window_flood),
        SCENE(empty_data_flood, h2c),
        HEAVY(continuation_flood),
        HEAVY(reset_flood),
        SCENE(reset_storm, small_budget),
        HEAVY(padding),
        HEAVY(deaf_service),
        SCENE(tunnel, h2c),
        SCENE(tunnel_refused, h2c),
        SCENE(tunnel_unknown, h2c),
        SCENE(tunnel_broken, h2c),
    };
    return play_main("h2_out_bad", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
