/*
 * knocks - how clients of a play knock where the door asks for a PROXY header or speaks HTTP/2 or
 * TLS.
 */
#pragma once
#include "h2_actor.h"
#include "play.h"
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no program needs all of them */

#define GET "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define V1 "PROXY TCP4 198.51.100.7 203.0.113.1 40000 443\r\n"

/* ---- what the listener asks for ---- */

static struct listener_conf *listener_of(const struct snapshot *s) {
    return (struct listener_conf *)(uintptr_t)s->listener;
}
static void trust(struct snapshot *s, const char *text, bool required) {
    struct cidr *c = arena_zero(&s->arena, sizeof *c);
    must(cidr_parse(span_z(text), c));
    listener_of(s)->proxy =
        (struct proxy_in_conf){.on = true, .required = required, .trusted = c, .trusted_count = 1};
}
static void takes_headers(struct service_conf *c, struct snapshot *s) {
    (void)c;
    trust(s, "192.0.2.0/24", false);
}
static void needs_headers(struct service_conf *c, struct snapshot *s) {
    (void)c;
    trust(s, "192.0.2.0/24", true);
}
static void trusts_others(struct service_conf *c, struct snapshot *s) {
    (void)c;
    trust(s, "10.9.0.0/16", true);
}
static void never_h2(struct service_conf *c, struct snapshot *s) {
    (void)c;
    listener_of(s)->no_h2 = true;
}

/* ---- asking ---- */

/* One request and its answer; what the service must have heard. */
static int served(struct play *p, int c, int s, const char *heard) {
    play_send(p, c, GET);
    if (s < 0)
        s = play_accept(p, 0);
    play_head(p, s, heard);
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    return s;
}

/* With or without goodbye. */
static void gone(struct play *p, int who) {
    play_check(p, actor_gone(p->actor[who].fd));
}

/* The same by HTTP/2. */
static void asked_h2(struct play *p, struct h2_actor *a, uint32_t stream, int s, const char *host) {
    char lines[200];
    snprintf(lines, sizeof lines, ":method: GET\n:scheme: %s\n:path: /\n:authority: %s\n",
             p->rig->conf.tls ? "https" : "http", host);
    h2_headers(a, stream, H2_END, lines);
    play_head(p, s, "GET / HTTP/1.1");
    play_send(p, s, OK_2);
    h2_expect(a, stream, 0, ":status: 200");
    h2_expect_data(a, stream, H2_END, "ok");
}
