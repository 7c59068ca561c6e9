/*
 * HTTP/2 clients: plays of whole requests, of bodies both ways, of resets and leave-taking, each
 * performed as it is and then tortured.
 */
#include "h2_actor.h"
#include <stdio.h>
#include <string.h>

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void answered(struct h2_actor *c, uint32_t stream) {
    h2_expect(c, stream, 0, ":status: 200\ncontent-length: 2\n!transfer-encoding\n!connection");
    h2_expect_data(c, stream, H2_END, "ok");
}

static void get(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_headers(c, 1, H2_END,
               ":method: GET\n:scheme: http\n:authority: shop.example\n:path: /a?b=c\nx-one: 1\n"
               "cookie: a=1\ncookie: b=2");
    int s = play_accept(p, 0);
    play_head(p, s,
              "GET /a?b=c HTTP/1.1\nHost: shop.example\nx-one: 1\nCookie: a=1; b=2\n"
              "!Content-Length\n!Transfer-Encoding\n!Connection");
    play_send(p, s, OK_2);
    answered(c, 1);
    h2_nothing(c);
    play_check(p, c->settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS] == 100);
    play_check(p, c->settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL] == 1);
    play_check(p, c->settings[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES] == 1);
    play_check(p, h2_room(c, 0) >= 65535);
}

/* Answers come in the order in which they are there, one service connection each. */
static void many_at_once(struct play *p) {
    enum { N = 5 };
    struct h2_actor *c = h2_client(p);
    int s[N];
    for (uint32_t i = 0; i < N; i++) {
        char path[8] = "/0", line[16] = "GET /0 HTTP/1.1";
        path[1] = line[5] = (char)('0' + i);
        h2_get(c, 2 * i + 1, path);
        s[i] = play_accept(p, 0);
        play_head(p, s[i], line);
    }
    for (uint32_t i = N; i-- > 0;) {
        play_send(p, s[i], OK_2);
        answered(c, 2 * i + 1);
    }
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, client_h2_streams) == N);
    play_check(p, rig_sum(p->rig, client_h2_connections) == 1);
}

static void post(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 5000");
    h2_fill(c, 1, 2000, 0);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up HTTP/1.1\nContent-Length: 5000\r\n");
    play_filled(p, s, 2000);
    h2_fill(c, 1, 3000, H2_END);
    play_filled(p, s, 3000);
    play_send(p, s, "HTTP/1.1 201 Created\r\nLocation: /up/1\r\nContent-Length: 0\r\n\r\n");
    h2_expect(c, 1, H2_END, ":status: 201\nlocation: /up/1\ncontent-length: 0");
    h2_nothing(c);
}

/* The end comes in a frame of its own: the last byte waits for it. */
static void end_in_its_own_frame(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 5");
    h2_data(c, 1, 0, "hello");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up\nContent-Length: 5");
    play_expect(p, s, "hell");
    play_nothing(p, s);
    h2_data(c, 1, H2_END, "");
    play_expect(p, s, "o");
    play_send(p, s, OK_2);
    answered(c, 1);
}

/* Without a length: one that has come whole goes on with its length, another in chunks. */
static void unknown_length(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "");
    h2_fill(c, 1, 3000, H2_END);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    if (strstr(play_field("Content-Length").p, "3000"))
        play_filled(p, s, 3000);
    else
        play_chunked(p, s, 3000, "");
    play_send(p, s, OK_2);
    answered(c, 1);
    h2_post(c, 3, "/more", "");
    play_head(p, s, "POST /more\nTransfer-Encoding: chunked\n!Content-Length");
    h2_data(c, 3, 0, "abc");
    play_chunks(p, s, "abc");
    h2_headers(c, 3, H2_END, "x-sum: 1");
    play_chunked(p, s, 0, "x-sum: 1\r\n");
    play_send(p, s, OK_2);
    answered(c, 3);
}

static void empty_with_length(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/none", "content-length: 0");
    h2_nothing(c);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
    h2_data(c, 1, H2_END, "");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /none\nContent-Length: 0");
    play_send(p, s, OK_2);
    answered(c, 1);
}

static void trailers_of_answer(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_get(c, 1, "/t");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /t");
    play_send(p, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    play_fill_chunked(p, s, 4000, 999, "Server-Timing: a\r\n");
    h2_expect(c, 1, 0, ":status: 200\n!content-length\n!transfer-encoding");
    h2_filled(c, 1, 4000, 0);
    h2_expect(c, 1, H2_END, "server-timing: a\n!:status");
    h2_nothing(c);
}

static void heads_without_bodies(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_headers(c, 1, H2_END, ":method: HEAD\n:scheme: http\n:authority: a\n:path: /h");
    int s = play_accept(p, 0);
    play_head(p, s, "HEAD /h");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    h2_expect(c, 1, H2_END, ":status: 200\ncontent-length: 12345");
    h2_get(c, 3, "/m");
    play_head(p, s, "GET /m");
    play_send(p, s, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n");
    h2_expect(c, 3, H2_END, ":status: 304\netag: \"x\"");
    h2_get(c, 5, "/n");
    play_head(p, s, "GET /n");
    play_send(p, s, "HTTP/1.1 204 No Content\r\n\r\n");
    h2_expect(c, 5, H2_END, ":status: 204\n!content-length");
    h2_nothing(c);
}

static void interim_answers(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/big", "content-length: 4\nexpect: 100-continue");
    h2_expect(c, 1, 0, ":status: 100");
    h2_data(c, 1, H2_END, "body");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /big\n!Expect\n!expect");
    play_expect(p, s, "body");
    play_send(p, s, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-No: 1\r\n\r\n");
    h2_expect(c, 1, 0, ":status: 103\nlink: </a.css>; rel=preload\n!x-no");
    play_send(p, s, OK_2);
    answered(c, 1);
}

/* ---- flow control ---- */

/* Larger than every window and buffer on the way. */
static void large_upload(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/up", "content-length: 600000");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    for (int i = 0; i < 60; i++) {
        h2_fill(c, 1, 10000, i == 59 ? H2_END : 0);
        play_filled(p, s, i == 59 ? 10000 : 9999);
        if (i < 59) /* the last byte of all waits for the end, those before do not */
            play_filled(p, s, 1);
    }
    play_send(p, s, OK_2);
    answered(c, 1);
}

static void large_download(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_get(c, 1, "/down");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /down");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n");
    play_fill(p, s, 600000);
    h2_expect(c, 1, 0, ":status: 200\ncontent-length: 600000");
    h2_filled(c, 1, 600000, H2_END);
    h2_nothing(c);
}

/* Who does not read holds up neither the other streams nor more memory than its window. */
static void slow_reader(struct play *p) {
    struct h2_actor *c = h2_client(p);
    c->hold = true;
    h2_get(c, 1, "/slow");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /slow");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    play_fill(p, s, 900000);
    play_quiet(p);
    play_check(p, play_backlog(p, s) > 500000); /* the service is not read any more */
    h2_expect(c, 1, 0, ":status: 200");
    h2_window(c, 0, 1000000);
    h2_get(c, 3, "/quick");
    int other = play_accept(p, 0);
    play_head(p, other, "GET /quick");
    play_send(p, other, OK_2);
    answered(c, 3);
    c->hold = false;
    h2_window(c, 1, 100000);
    h2_filled(c, 1, 900000, H2_END);
}

/* A service that does not read holds up its own stream alone, and no more comes than its window. */
static void slow_service(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/slow", "content-length: 900000");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /slow");
    while (!p->lost && h2_room(c, 1) > 0) {
        h2_fill(c, 1, (size_t)h2_room(c, 1), 0);
        h2_hear(c);
    }
    uint64_t said = c->data_out[1];
    play_check(p, said < 500000);
    h2_post(c, 3, "/quick", "content-length: 3");
    h2_data(c, 3, H2_END, "abc");
    int other = play_accept(p, 0);
    play_head(p, other, "POST /quick");
    play_expect(p, other, "abc");
    play_send(p, other, OK_2);
    answered(c, 3);
    play_filled(p, s, said);
    while (!p->lost && said < 900000) {
        size_t part = 900000 - said < 20000 ? (size_t)(900000 - said) : 20000;
        said += part;
        h2_fill(c, 1, part, said == 900000 ? H2_END : 0);
        play_filled(p, s, part - (said == 900000 ? 0 : 0));
    }
    play_send(p, s, OK_2);
    answered(c, 1);
}

/* Two large answers share the connection. */
static void fair_share(struct play *p) {
    struct h2_actor *c = h2_client(p);
    h2_settings(c, (uint32_t[]){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000000}, 1);
    for (uint32_t id = 1; id <= 3; id += 2) {
        h2_get(c, id, "/big");
        int s = play_accept(p, 0);
        play_head(p, s, "GET /big");
        play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
        play_fill(p, s, 200000);
    }
    c->hold = true; /* 64 KiB of connection window are for both */
    h2_hear(c);
    h2_expect(c, 1, 0, ":status: 200");
    h2_expect(c, 3, 0, ":status: 200");
    h2_filled(c, 1, 16384, 0);
    play_check(p, c->p->lost || c->inbox != NULL);
    c->hold = false;
    h2_window(c, 0, 1000000);
    h2_filled(c, 3, 200000, H2_END);
    h2_filled(c, 1, 200000 - 16384, H2_END);
}

/* ---- ends ---- */

int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        {.name = "get", .fn = get},
        {.name = "many at once", .fn = many_at_once},
        {.name = "post", .fn = post},
        {.name = "end in its own frame", .fn = end_in_its_own_frame},
        {.name = "unknown length", .fn = unknown_length},
        {.name = "empty with length", .fn = empty_with_length},
        {.name = "trailers of an answer", .fn = trailers_of_answer},
        {.name = "heads without bodies", .fn = heads_without_bodies},
        {.name = "interim answers", .fn = interim_answers},
        {.name = "large upload", .fn = large_upload, .heavy = true},
        {.name = "large download", .fn = large_download, .heavy = true},
        {.name = "slow reader", .fn = slow_reader, .heavy = true},
        {.name = "slow service", .fn = slow_service, .heavy = true},
        {.name = "fair share", .fn = fair_share, .heavy = true},
    };
    return play_main("h2_in", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
