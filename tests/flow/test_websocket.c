/*
 * The websocket policy on a tunnel: frames pass as they are; what is not legal or too much ends it
 * with the right close frame for both sides; a drain says goodbye between two frames.
 */
#include "filter/websocket.h"
#include "h2_actor.h"
#include "tunnels.h"
#include "core/facts.h"

enum { FIN = 0x80, TEXT = 1, BINARY, CLOSE = 8, PING, PONG };

static const struct websocket_conf shipped = {
    .limits = {.frame_max = 16 << 20, .message_max = 16 << 20, .fragments_max = 1024},
    .ping_rate = 10};
static const struct websocket_conf strict = {
    .limits = {.frame_max = 100, .message_max = 150, .fragments_max = 3, .utf8 = true},
    .ping_rate = 3};
static const struct websocket_conf none = {.off = true};

static void with(struct snapshot *s, const struct websocket_conf *conf) {
    struct route *r = (struct route *)(uintptr_t)s->route;
    struct plan *whole = arena_zero(&s->arena, sizeof *whole);
    struct filter *f = arena_zero(&s->arena, sizeof *f);
    *f = (struct filter){.ops = &websocket_ops, .conf = conf};
    *whole = r->plan;
    whole->filter = f;
    whole->count = 1;
    whole->steps_size = (websocket_ops.step_size + 15) & ~(size_t)15;
    r->whole = whole;
    r->idle_timeout_ms = 100000;
}
static void shipped_conf(struct service_conf *c, struct snapshot *s) {
    (void)c;
    with(s, &shipped);
}
static void strict_conf(struct service_conf *c, struct snapshot *s) {
    (void)c;
    with(s, &strict);
}
static void off_conf(struct service_conf *c, struct snapshot *s) {
    (void)c;
    with(s, &none);
}

/* ---- frames ---- */

enum { HEAD_MAX = 14 };
static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};

static size_t head_of(unsigned char out[HEAD_MAX], unsigned first, uint64_t n, bool masked) {
    size_t at = 2;
    out[0] = (unsigned char)first;
    out[1] = (unsigned char)((masked ? 0x80 : 0) | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (int shift = n < 126 ? 0 : n < 65536 ? 16 : 64; shift; shift -= 8)
        out[at++] = (unsigned char)(n >> (shift - 8));
    if (masked)
        memcpy(out + at, key, 4);
    return at + (masked ? 4 : 0);
}

static size_t frame_of(unsigned char *out, unsigned first, const char *text, bool masked) {
    size_t n = strlen(text), at = head_of(out, first, n, masked);
    for (size_t i = 0; i < n; i++)
        out[at + i] = (unsigned char)text[i] ^ (masked ? key[i & 3] : 0);
    return at + n;
}

static void say_frame(struct play *p, int who, unsigned first, const char *text, bool masked) {
    unsigned char frame[600];
    play_send_bytes(p, who, frame, frame_of(frame, first, text, masked));
}

static void hear_frame(struct play *p, int who, unsigned first, const char *text, bool masked) {
    unsigned char frame[600];
    play_expect_bytes(p, who, frame, frame_of(frame, first, text, masked));
}

/* The client says it, and the service hears it unchanged; or the other way round. */
static void frame(struct play *p, int from, int to, unsigned first, const char *text) {
    say_frame(p, from, first, text, p->actor[from].client);
    hear_frame(p, to, first, text, p->actor[from].client);
}

/* Our own close frame: masked, with a mask of our own, towards the service. */
static void hear_close(struct play *p, int who, unsigned code, const char *reason) {
    unsigned char got[40];
    bool masked = !p->actor[who].client;
    size_t n = (masked ? 8u : 4u) + strlen(reason), have = 0;
    while (have < n && !p->lost)
        have += play_hear(p, who, got + have, n - have, "a close frame");
    if (p->lost)
        return;
    unsigned char *payload = got + (masked ? 6 : 2);
    for (size_t i = 0; masked && i < strlen(reason) + 2; i++)
        payload[i] ^= got[2 + (i & 3)];
    play_check(p, got[0] == (FIN | CLOSE));
    play_check(p, got[1] == ((masked ? 0x80 : 0) | (strlen(reason) + 2)));
    play_check(p, payload[0] == code >> 8 && payload[1] == (code & 255));
    play_check(p, memcmp(payload + 2, reason, strlen(reason)) == 0);
}

static void both_parted(struct play *p, int c, int s, enum fault why) {
    play_end(p, s);
    play_end(p, c);
    play_close(p, s);
    play_close(p, c);
    nothing_kept(p);
    play_check(p, p->lost || p->rig->last_fault == why);
    play_check(p, p->lost || p->rig->last_end == X_END_COMPLETED);
    play_check(p, rig_sum(p->rig, tunnels) == 1);
}

/* ---- plays ---- */

#define BYE                                                                                        \
    "\x03\xe8"                                                                                     \
    "bye"

static void frames_pass(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    frame(p, c, s, FIN | TEXT, "hello");
    frame(p, s, c, FIN | TEXT, "");
    frame(p, c, s, TEXT, "in two");
    frame(p, c, s, FIN | PING, "between");
    frame(p, s, c, FIN | PONG, "between");
    frame(p, c, s, FIN, " pieces");
    frame(p, s, c, FIN | BINARY, "\x01\x02\xff");
    frame(p, c, s, FIN | CLOSE, BYE);
    frame(p, s, c, FIN | CLOSE, BYE);
    play_close(p, s);
    play_end(p, c);
    play_quiet(p); /* nobody waits for a client that has said goodbye */
    play_check(p, p->rig->records == 1 && p->rig->last_fault == FAULT_NONE);
    play_close(p, c);
    nothing_kept(p);
}

/* Larger than every queue, both ways at once. The key is none, so the pattern stays one. */
static void long_frames(struct play *p) {
    enum { N = 400000 };
    unsigned char head[HEAD_MAX], masked[HEAD_MAX];
    size_t n = head_of(head, FIN | BINARY, N, false), m = head_of(masked, FIN | BINARY, N, true);
    int c, s;
    memset(masked + m - 4, 0, 4);
    open_both(p, &c, &s);
    play_send_bytes(p, c, masked, m);
    play_fill(p, c, N);
    play_send_bytes(p, s, head, n);
    play_fill(p, s, N);
    play_expect_bytes(p, s, masked, m);
    play_filled(p, s, N);
    play_expect_bytes(p, c, head, n);
    play_filled(p, c, N);
    frame(p, c, s, FIN | TEXT, "still in step");
    frame(p, s, c, FIN | TEXT, "so it is");
    play_close(p, s);
    play_close(p, c);
    nothing_kept(p);
}

static void refused_by(struct play *p, bool client, unsigned first, const char *text, bool masked,
                       unsigned code, const char *reason) {
    int c, s;
    open_both(p, &c, &s);
    frame(p, c, s, FIN | TEXT, "fine");
    frame(p, s, c, FIN | TEXT, "fine");
    say_frame(p, client ? c : s, first, text, masked);
    hear_close(p, s, code, reason);
    hear_close(p, c, code, reason);
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

static void client_does_not_mask(struct play *p) {
    refused_by(p, true, FIN | TEXT, "bare", false, 1002, "malformed frame");
}
static void service_masks(struct play *p) {
    refused_by(p, false, FIN | TEXT, "hidden", true, 1002, "malformed frame");
}
static void unknown_opcode(struct play *p) {
    refused_by(p, true, FIN | 11, "", true, 1002, "malformed frame");
}
static const char long_text[] = "----------------------------------------------------------------"
                                "----------------------------------------------------------------";
static void too_long_of_the_client(struct play *p) {
    refused_by(p, true, FIN | TEXT, long_text, true, 1009, "too big");
}
static void too_long_of_the_service(struct play *p) {
    refused_by(p, false, FIN | TEXT, long_text, false, 1009, "too big");
}

/* What is found in the middle of a frame that has begun to pass: no close frame can follow there.
 */
static void no_utf8(struct play *p) {
    unsigned char frame[64];
    size_t n = frame_of(frame, FIN | TEXT,
                        "good\xff"
                        "bad",
                        true);
    int c, s;
    open_both(p, &c, &s);
    play_send_bytes(p, c, frame, n);
    play_expect_bytes(p, s, frame, 10); /* its head and "good" */
    hear_close(p, c, 1007, "not UTF-8");
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

static void in_pieces(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    frame(p, c, s, TEXT, "one");
    frame(p, c, s, 0, "two");
    frame(p, c, s, 0, "three");
    say_frame(p, c, 0, "four", true);
    hear_close(p, s, 1009, "too big");
    hear_close(p, c, 1009, "too big");
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

/* Three at once, then one in a third of a second; not a fourth. A service may ping as it likes. */
static void pings(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    for (int i = 0; i < 3; i++)
        frame(p, c, s, FIN | PING, "");
    play_time(p, 400);
    frame(p, c, s, FIN | PING, "");
    for (int i = 0; i < 10; i++)
        frame(p, s, c, FIN | PING, "");
    play_time(p, 2000);
    for (int i = 0; i < 3; i++)
        frame(p, c, s, FIN | PING, "");
    play_nothing(p, c);
    frame(p, c, s, FIN | PING, ""); /* this one has passed, but it was the last */
    hear_close(p, s, 1008, "too many pings");
    hear_close(p, c, 1008, "too many pings");
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

/* The other side is in the middle of a frame: it comes to its end first. */
static void not_within_a_frame(struct play *p) {
    unsigned char frame[600];
    size_t n = frame_of(frame, FIN | TEXT, "a frame that takes its time", false);
    int c, s;
    open_both(p, &c, &s);
    play_send_bytes(p, s, frame, 9);
    play_expect_bytes(p, c, frame, 9);
    say_frame(p, c, FIN | TEXT, "bare", false);
    hear_close(p, s, 1002, "malformed frame");
    play_end(p, s);
    play_nothing(p, c);
    play_send_bytes(p, s, frame + 9, n - 9);
    play_send(p, s, "never passed");
    play_expect_bytes(p, c, frame + 9, n - 9);
    hear_close(p, c, 1002, "malformed frame");
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

/* And where it does not, the tunnel ends all the same. */
static void stuck_within_a_frame(struct play *p) {
    unsigned char frame[600];
    (void)frame_of(frame, FIN | TEXT, "never to end", false);
    int c, s;
    open_both(p, &c, &s);
    play_send_bytes(p, s, frame, 9);
    play_expect_bytes(p, c, frame, 9);
    say_frame(p, c, FIN | TEXT, "bare", false);
    hear_close(p, s, 1002, "malformed frame");
    play_time(p, 1000);
    play_nothing(p, c);
    play_time(p, 2000);
    both_parted(p, c, s, FAULT_BAD_WEBSOCKET_FRAME);
}

/* Its end in the middle of a frame is passed on, without the part of a head that nobody judged. */
static void ends_within_a_frame(struct play *p) {
    unsigned char frame[600];
    (void)frame_of(frame, FIN | TEXT, "cut", true);
    for (size_t cut = 1; cut < 9 && !p->lost; cut += 3) {
        int c, s;
        open_both(p, &c, &s);
        play_send_bytes(p, c, frame, cut);
        play_shut(p, c);
        if (cut >= 6)
            play_expect_bytes(p, s, frame, cut);
        play_end(p, s);
        play_close(p, s);
        play_end(p, c);
        play_close(p, c);
        nothing_kept(p);
    }
}

/* ---- drains ---- */

static void going_away(struct play *p, int c, int s) {
    rig_drain(p->rig);
    hear_close(p, c, 1001, "going away");
    hear_close(p, s, 1001, "going away");
}

/* Both say goodbye in turn; what they say meanwhile is for nobody. */
static void drained(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    frame(p, c, s, FIN | TEXT, "hello");
    going_away(p, c, s);
    say_frame(p, c, FIN | TEXT, "but", true);
    say_frame(p, c, FIN | CLOSE, "\x03\xe9", true);
    play_nothing(p, c);
    say_frame(p, s, FIN | TEXT, "still", false);
    say_frame(p, s, FIN | CLOSE, "\x03\xe9", false);
    both_parted(p, c, s, FAULT_NONE);
}

static void drained_without_an_answer(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    going_away(p, c, s);
    play_time(p, 1000);
    play_nothing(p, c);
    play_nothing(p, s);
    play_time(p, 2000);
    both_parted(p, c, s, FAULT_NONE);
}

static void drained_within_a_frame(struct play *p) {
    unsigned char frame[600];
    size_t n = frame_of(frame, FIN | TEXT, "half", true);
    int c, s;
    open_both(p, &c, &s);
    play_send_bytes(p, c, frame, 8);
    play_expect_bytes(p, s, frame, 8);
    rig_drain(p->rig);
    hear_close(p, c, 1001, "going away");
    play_nothing(p, s);
    play_send_bytes(p, c, frame + 8, n - 8);
    play_expect_bytes(p, s, frame + 8, n - 8);
    hear_close(p, s, 1001, "going away");
    play_close(p, c);
    play_close(p, s);
    nothing_kept(p);
}

/* Accepted while the thread drains already. */
static void drained_before_it_stood(struct play *p) {
    int c = play_client(p), s = ask(p, c);
    rig_drain(p->rig);
    agree(p, s, "");
    agreed(p, c);
    hear_close(p, c, 1001, "going away");
    hear_close(p, s, 1001, "going away");
    play_close(p, c);
    play_close(p, s);
    nothing_kept(p);
}

/* ---- a client of HTTP/2 ---- */

static struct h2_actor *h2_open(struct play *p, int *s) {
    struct h2_actor *c = h2_client(p);
    h2_headers(c, 1, 0,
               ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: shop.example\n"
               ":path: /chat?x=1\nsec-websocket-version: 13\nsec-websocket-protocol: chat");
    *s = play_accept(p, 0);
    play_head(p, *s, "GET /chat?x=1 HTTP/1.1\nUpgrade: websocket");
    agree(p, *s, "");
    h2_expect(c, 1, 0, ":status: 200\nsec-websocket-protocol: chat\n!sec-websocket-accept");
    return c;
}
static void h2_frames(struct h2_actor *c, int s) {
    unsigned char frame[64];
    h2_frame(c, NGHTTP2_DATA, 0, 1, frame, frame_of(frame, FIN | TEXT, "hello", true));
    hear_frame(c->p, s, FIN | TEXT, "hello", true);
    say_frame(c->p, s, FIN | TEXT, "hi", false);
    h2_expect_bytes(c, 1, 0, frame, frame_of(frame, FIN | TEXT, "hi", false));
}

static void h2_refused(struct play *p) {
    unsigned char frame[64];
    int s;
    struct h2_actor *c = h2_open(p, &s);
    h2_frames(c, s);
    h2_frame(c, NGHTTP2_DATA, 0, 1, frame, frame_of(frame, FIN | TEXT, "bare", false));
    hear_close(p, s, 1002, "malformed frame");
    h2_expect_data(c, 1, H2_END,
                   "\x88\x11\x03\xea"
                   "malformed frame");
    play_end(p, s);
    play_close(p, s);
    h2_get(c, 3, "/next"); /* the connection goes on */
    s = play_accept(p, 0);
    play_head(p, s, "GET /next");
    play_send(p, s, "HTTP/1.1 204 No\r\n\r\n");
    h2_expect(c, 3, H2_END, ":status: 204");
}

static void h2_drained(struct play *p) {
    unsigned char frame[64];
    int s;
    struct h2_actor *c = h2_open(p, &s);
    h2_frames(c, s);
    rig_drain(p->rig);
    h2_expect_data(c, 1, 0,
                   "\x88\x0c\x03\xe9"
                   "going away");
    hear_close(p, s, 1001, "going away");
    h2_frame(c, NGHTTP2_DATA, H2_END, 1, frame, frame_of(frame, FIN | CLOSE, "\x03\xe9", true));
    say_frame(p, s, FIN | CLOSE, "\x03\xe9", false);
    h2_expect_data(c, 1, H2_END, "");
    play_end(p, s);
    h2_closed(c);
}

/* ---- without WebSockets ---- */

static void off(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    play_head(p, c, "HTTP/1.1 403 Forbidden\napplication/problem+json\n!Upgrade");
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_WEBSOCKET_OFF);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
    play_close(p, c);
}

/* The route's silence, not the service's or the connection's. */
static void silent(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_time(p, 99000);
    frame(p, c, s, FIN | PING, "");
    play_time(p, 99000);
    play_nothing(p, c);
    play_time(p, 2000);
    play_broken(p, c);
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_STREAM_IDLE);
    nothing_kept(p);
}

#define SHIPPED .rig = {.tune = shipped_conf}
#define STRICT .rig = {.tune = strict_conf}

static const struct scene scenes[] = {
    {.name = "frames pass", .fn = frames_pass, SHIPPED},
    {.name = "long frames",
     .fn = long_frames,
     .rig = {.tune = shipped_conf, .sim.buffer = 8192},
     .heavy = true},
    {.name = "client does not mask", .fn = client_does_not_mask, SHIPPED},
    {.name = "service masks", .fn = service_masks, SHIPPED},
    {.name = "unknown opcode", .fn = unknown_opcode, SHIPPED},
    {.name = "too long, of the client", .fn = too_long_of_the_client, STRICT},
    {.name = "too long, of the service", .fn = too_long_of_the_service, STRICT},
    {.name = "no UTF-8", .fn = no_utf8, STRICT},
    {.name = "in too many pieces", .fn = in_pieces, STRICT},
    {.name = "pings", .fn = pings, STRICT},
    {.name = "not within a frame", .fn = not_within_a_frame, SHIPPED},
    {.name = "stuck within a frame", .fn = stuck_within_a_frame, SHIPPED},
    {.name = "ends within a frame", .fn = ends_within_a_frame, SHIPPED},
    {.name = "drained", .fn = drained, SHIPPED},
    {.name = "drained without an answer", .fn = drained_without_an_answer, SHIPPED},
    {.name = "drained within a frame", .fn = drained_within_a_frame, SHIPPED},
    {.name = "drained before it stood", .fn = drained_before_it_stood, SHIPPED},
    {.name = "h2, refused", .fn = h2_refused, SHIPPED},
    {.name = "h2, drained", .fn = h2_drained, SHIPPED},
    {.name = "off", .fn = off, .rig = {.tune = off_conf}},
    {.name = "silent", .fn = silent, SHIPPED},
};

int main(int argc, char **argv) {
    return play_main("flow/websocket", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
