/*
 * HTTP/2 clients that break rules, or keep them and cost too much: malformed requests, floods of
 * every kind (THREATS.md, group D). Whatever they do, nobody else notices.
 */
#include "h2_actor.h"
#include <stdio.h>
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

/* ---- single mistakes ---- */

/* The stream is reset, the request is counted as refused, and its neighbour goes on. */
static void malformed(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    h2_headers(c, 3, H2_END, ":method: GET\n:scheme: http\n:authority: a\n:path: /\nUpper: 1");
    h2_expect_rst(c, 3, NGHTTP2_PROTOCOL_ERROR);
    answered(p, s, c, 1);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, exchanges_rejected) == 1);
    play_check(p, rig_sum(p->rig, client_h2_glitches) >= 1);
    play_check(p, rig_sum(p->rig, client_h2_resets_sent) == 1);
}

/* A fault of the request itself is answered in words. */
static void refused_in_words(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_get(c, 1, "/%zz");
    h2_expect(c, 1, 0, ":status: 400\ncontent-type: application/problem+json");
    h2_expect_body(c, 1, "bad_percent");
    h2_headers(c, 3, 0, ":method: POST\n:scheme: http\n:authority: a\n:path: /a/../../b");
    h2_expect(c, 3, 0, ":status: 400");
    h2_expect_body(c, 3, "dot_escape");
    h2_expect_rst(c, 3, NGHTTP2_NO_ERROR);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, exchanges_rejected) == 2);
}

static void body_too_long(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 5");
    h2_data(c, 1, 0, "hell");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_expect(p, s, "hell");
    h2_data(c, 1, 0, "o and more");
    h2_expect_rst(c, 1, NGHTTP2_PROTOCOL_ERROR);
    play_end(p, s); /* no whole request came to it */
    h2_nothing(c);
}

static void body_too_short(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 5");
    h2_data(c, 1, H2_END, "hel");
    h2_expect_rst(c, 1, NGHTTP2_PROTOCOL_ERROR);
    h2_nothing(c);
}

static void trailers_end_it_short(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 5");
    h2_data(c, 1, 0, "hel");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    h2_headers(c, 1, H2_END, "x-sum: 1");
    h2_expect_rst(c, 1, NGHTTP2_PROTOCOL_ERROR);
    play_expect(p, s, "hel");
    play_end(p, s);
}

static void bad_trailers(struct play *p) {
    static const char *const lines[] = {":path: /x", "content-length: 3", "X-Up: 1"};
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < array_len(lines); i++) {
        h2_post(c, 2 * i + 1, "/up", "content-length: 3");
        h2_data(c, 2 * i + 1, 0, "abc");
        h2_headers(c, 2 * i + 1, H2_END, lines[i]);
        h2_expect_rst(c, 2 * i + 1, NGHTTP2_PROTOCOL_ERROR);
    }
    h2_nothing(c);
}

static void trailers_without_end(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "");
    h2_data(c, 1, 0, "abc");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    h2_headers(c, 1, 0, "x-sum: 1");
    h2_expect_rst(c, 1, NGHTTP2_PROTOCOL_ERROR);
    play_chunks(p, s, "abc");
    play_end(p, s); /* without a last chunk */
}

/* What is under way ends with the connection. */
static void connection_error(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    h2_frame(c, NGHTTP2_SETTINGS, 0, 5, NULL, 0);
    play_check(p, h2_expect_goaway(c, NGHTTP2_PROTOCOL_ERROR) == 1);
    h2_closed(c);
    play_end(p, s);
    play_check(p, rig_sum(p->rig, client_h2_goaways_error) == 1);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 1);
}

static void too_many_streams(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 101; i++)
        h2_post(c, 2 * i + 1, "/up", "content-length: 0");
    h2_expect_rst(c, 201, NGHTTP2_REFUSED_STREAM);
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, client_h2_streams) == 100);
    play_check(p, rig_sum(p->rig, client_h2_streams_refused) == 1);
}

/* Its body comes for a stream that we have answered and reset: it is thrown away, its window
 * given back. */
static void late_body(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 20 && !p->lost; i++) {
        uint32_t stream = 2 * i + 1;
        h2_post(c, stream, "/%zz", "");
        h2_expect(c, stream, 0, ":status: 400");
        h2_expect_body(c, stream, "bad_percent");
        h2_expect_rst(c, stream, NGHTTP2_NO_ERROR);
        h2_fill(c, stream, 60000, 0);
    }
    answered(p, asked(p, c, 101), c, 101);
    h2_nothing(c);
    play_check(p, h2_room(c, 0) > 500000);
    play_check(p, rig_sum(p->rig, client_h2_goaways_flood) == 0);
}

/* ---- floods: each ends in ENHANCE_YOUR_CALM, or before ---- */

static void calmed(struct h2_actor *c) {
    h2_closed(c);
    h2_any_goaway(c, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void rapid_reset(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 1000; i++) {
        h2_get(c, 2 * i + 1, "/");
        h2_rst(c, 2 * i + 1, NGHTTP2_CANCEL);
    }
    calmed(c);
    play_check(p, rig_sum(p->rig, client_h2_reset_floods) == 1);
    play_check(p, rig_sum(p->rig, client_h2_streams) <= 201);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) <= 100);
}

/* Each of these mistakes makes us reset a valid request; or it ends the connection at once. */
static void made_you_reset(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 400; i++) {
        h2_post(c, 2 * i + 1, "/", "");
        h2_window(c, 2 * i + 1, 0x7fffffff);
    }
    calmed(c);
    play_check(p, rig_sum(p->rig, client_h2_reset_floods) == 1);
    play_check(p, rig_sum(p->rig, client_h2_streams) <= 400);
}

static void malformed_flood(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 1000; i++)
        h2_headers(c, 2 * i + 1, H2_END, ":method: GET\n:path: /");
    calmed(c);
    play_check(p, rig_sum(p->rig, exchanges_accepted) <= 201);
}

static void continuation_flood(struct play *p) {
    static char zeros[16384];
    struct h2_actor *c = h2_client(p);
    h2_headers(c, 1, H2_OPEN, ":method: GET\n:scheme: http\n:path: /");
    for (int i = 0; i < 20; i++)
        h2_frame(c, NGHTTP2_CONTINUATION, 0, 1, zeros, 0);
    calmed(c);
    play_check(p, rig_sum(p->rig, client_h2_header_floods) == 1);
    play_check(p, rig_sum(p->rig, exchanges_rejected) + rig_sum(p->rig, exchanges_aborted) == 1);
}

/* Index 62, a field of 2,900 bytes, as often as a block holds it. */
static void hpack_bomb(struct play *p) {
    static char lines[8192], bomb[16000];
    struct h2_actor *c = h2_client(p);
    int n = snprintf(lines, sizeof lines,
                     ":method: GET\n:scheme: http\n:authority: a\n:path: /\nx-a: %02900d", 1);
    must(n < (int)sizeof lines);
    memset(bomb, 0xbe, sizeof bomb);
    for (uint32_t i = 0; i < 50 && !p->lost; i++) {
        h2_headers(c, 2 * i + 1, H2_OPEN | H2_END, lines);
        h2_frame(c, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, bomb, sizeof bomb);
        h2_expect(c, 2 * i + 1, 0, ":status: 431");
        h2_expect_body(c, 2 * i + 1, "headers_too_large");
    }
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
}

static void flood_of(struct play *p, unsigned type, uint32_t stream, const char *bytes, size_t n,
                     unsigned times) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/", "content-length: 9");
    c->quiet = true;
    for (unsigned i = 0; i < times; i++)
        h2_frame(c, type, 0, stream, bytes, n);
    calmed(c);
    play_check(p, rig_sum(p->rig, client_h2_control_floods) == 1);
    play_check(p, rig_sum(p->rig, client_h2_goaways_flood) == 1);
}

static void settings_flood(struct play *p) {
    flood_of(p, NGHTTP2_SETTINGS, 0, "", 0, 5000);
}
static void settings_churn(struct play *p) {
    flood_of(p, NGHTTP2_SETTINGS, 0, "\0\1\0\0\0\0\0\1\0\0\20\0", 12, 5000);
}
static void ping_flood(struct play *p) {
    flood_of(p, NGHTTP2_PING, 0, "12345678", 8, 5000);
}
static void priority_flood(struct play *p) {
    flood_of(p, NGHTTP2_PRIORITY, 1, "\0\0\0\0\1", 5, 5000);
}
static void window_flood(struct play *p) {
    flood_of(p, NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4, 5000);
}
static void empty_data_flood(struct play *p) {
    flood_of(p, NGHTTP2_DATA, 1, "", 0, 100);
}
static void unknown_flood(struct play *p) {
    flood_of(p, 0x77, 0, "", 0, 5000);
}

/* Single bytes in frames of their own: fine for a while, and not for megabytes. */
static void overhead(struct play *p) {
    static char bytes[256] = {(char)255};
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/", "");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /");
    for (unsigned i = 0; i < 40000 && !c->ended && !p->lost; i++) {
        h2_frame(c, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, bytes, sizeof bytes);
        if (i % 100 == 99)
            h2_hear(c);
    }
    calmed(c);
    play_check(p, rig_sum(p->rig, client_h2_control_floods) == 1);
}

/* Three quarters of the glitches: it is asked to leave before it comes to an error. */
static void warned(struct play *p) {
    struct h2_actor *c = h2_client(p);
    int s = asked(p, c, 1);
    for (unsigned i = 0; i < 800; i++)
        h2_frame(c, 0x77, 0, 0, "", 0);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 0x7fffffff);
    answered(p, s, c, 1);
    play_check(p, h2_expect_goaway(c, NGHTTP2_NO_ERROR) == 1);
    h2_closed(c);
    play_check(p, rig_sum(p->rig, client_h2_goaways_flood) == 0);
}

/* It asks and asks and takes nothing: what is kept for it stays small. */
static void never_reads(struct play *p) {
    struct h2_actor *c = h2_client(p);
    for (uint32_t i = 0; i < 600; i++) {
        h2_get(c, 2 * i + 1, "/%zz");
        if (i % 50 == 49)
            play_quiet(p);
    }
    play_check(p, rig_sum(p->rig, client_connections_closed) == 0);
    play_time(p, 40000);
    play_check(p, rig_sum(p->rig, client_connections_closed) == 1);
}

/* What is not HTTP/2. */
static void no_preface(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nno preface");
    play_head(p, c, "HTTP/1.1 ");
}

int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        {.name = "malformed", .fn = malformed},
        {.name = "refused in words", .fn = refused_in_words},
        {.name = "body too long", .fn = body_too_long},
        {.name = "body too short", .fn = body_too_short},
        {.name = "trailers end it short", .fn = trailers_end_it_short},
        {.name = "bad trailers", .fn = bad_trailers},
        {.name = "trailers without end", .fn = trailers_without_end},
        {.name = "connection error", .fn = connection_error},
        {.name = "too many streams", .fn = too_many_streams, .heavy = true},
        {.name = "late body", .fn = late_body, .heavy = true},
        {.name = "rapid reset", .fn = rapid_reset, .heavy = true},
        {.name = "made you reset", .fn = made_you_reset, .heavy = true},
        {.name = "malformed flood", .fn = malformed_flood, .heavy = true},
        {.name = "continuation flood", .fn = continuation_flood},
        {.name = "hpack bomb", .fn = hpack_bomb, .heavy = true},
        {.name = "settings flood", .fn = settings_flood, .heavy = true},
        {.name = "settings churn", .fn = settings_churn, .heavy = true},
        {.name = "ping flood", .fn = ping_flood, .heavy = true},
        {.name = "priority flood", .fn = priority_flood, .heavy = true},
        {.name = "window flood", .fn = window_flood, .heavy = true},
        {.name = "empty data flood", .fn = empty_data_flood},
        {.name = "unknown flood", .fn = unknown_flood, .heavy = true},
        {.name = "overhead", .fn = overhead, .heavy = true},
        {.name = "warned", .fn = warned, .heavy = true},
        {.name = "never reads", .fn = never_reads, .heavy = true},
        {.name = "no preface", .fn = no_preface},
    };
    return play_main("h2_in_bad", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
