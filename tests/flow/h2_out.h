/*
 * h2_out - what the plays about services of HTTP/2 (test_h2_out, test_h2_out_bad) share: clients
 * speak HTTP/1.1, the service h2c with prior knowledge. Owner: the test. Thread: one.
 */
#pragma once
#include "h2_actor.h"
#include <stdio.h>
#include <string.h>

#define OK_2 ":status: 200\ncontent-length: 2"
#define COUNTED(p, name) rig_sum((p)->rig, name)

static inline void h2c(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->protocol = PROTOCOL_H2;
}

/* A client that asks for `path`. */
static inline int ask(struct play *p, const char *path) {
    char text[256];
    int c = play_client(p);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: shop.example\r\n\r\n", path);
    play_send(p, c, text);
    return c;
}

static inline struct h2_actor *accept_h2(struct play *p) {
    return h2_service(p, play_accept(p, PLAY_ANY));
}

static inline uint32_t asked(struct h2_actor *s, const char *path) {
    char piece[256];
    snprintf(piece, sizeof piece, ":path: %s\n", path);
    return h2_expect_request(s, H2_END, piece);
}

static inline void answer(struct h2_actor *s, uint32_t stream) {
    h2_headers(s, stream, 0, OK_2);
    h2_data(s, stream, H2_END, "ok");
}

static inline void answered(struct play *p, int c) {
    play_head(p, c, "HTTP/1.1 200 OK\r\n\nContent-Length: 2\r\n\n!Transfer-Encoding");
    play_expect(p, c, "ok");
}

/* A request over the connection that stands, and its answer. */
static inline void served(struct play *p, struct h2_actor *s) {
    int c = ask(p, "/again");
    answer(s, asked(s, "/again"));
    answered(p, c);
    play_close(p, c);
}

/* It leaves in order: its last frame goes if it goes at once. */
static inline void left(struct play *p, struct h2_actor *s) {
    if (p->rig->conf.sim.write_max != 1)
        h2_expect_goaway(s, NGHTTP2_NO_ERROR);
    h2_closed(s);
}

/* The gateway's own answer. */
static inline void refused(struct play *p, int c, int status, enum fault why) {
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    play_head(p, c, line);
    play_close(p, c);
    play_quiet(p);
    play_check(p, p->rig->last_fault == why);
}
