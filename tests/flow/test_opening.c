/*
 * Clients that come by TLS: what they offer, how they end, what they do wrong. Each play is
 * performed as it is and then tortured.
 */
#include "knocks.h"
#include "tls/stream.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct tls_server *tls, *other_tls, *h1_tls;
static const char *client_certificate;

/* ---- what the listener asks for ---- */

static void speaks_tls(struct service_conf *c, struct snapshot *s) {
    (void)c;
    listener_of(s)->tls = tls;
    listener_of(s)->scheme = SPAN("https");
    s->limits.tls_handshake_timeout_ms = 10000;
}
static void no_h2_by_tls(struct service_conf *c, struct snapshot *s) {
    never_h2(c, s);
    speaks_tls(c, s);
    listener_of(s)->tls = h1_tls;
}
static void both(struct service_conf *c, struct snapshot *s) {
    needs_headers(c, s);
    speaks_tls(c, s);
}

static const struct tls_role plain_client = {.sni = "a.example"};
static const struct tls_role open_client = {.sni = "open.b.example"};
static const struct tls_role open_h2 = {.sni = "open.b.example", .alpn = "h2"};
static const struct tls_role both_client = {.sni = "a.example", .alpn = "http/1.1,h2"};
static const struct tls_role h1_client = {.sni = "a.example", .alpn = "http/1.1"};

static int tls_client(struct play *p, const struct tls_role *role) {
    int c = play_client(p);
    play_tls(p, c, role);
    return c;
}

/* ---- TLS ---- */

static void over_tls(struct play *p) {
    int c = tls_client(p, &h1_client);
    int s = served(p, c, -1, "GET / HTTP/1.1\nX-Forwarded-Proto: https");
    served(p, c, s, "GET / HTTP/1.1");
    play_check(p, strcmp(tls_actor_alpn(p->actor[c].tls), "http/1.1") == 0);
    play_check(p, rig_sum(p->rig, client_tls_handshakes_by_tls13) == 1);
    play_close(p, c);
}

/* Kept for a while, and then closed with a goodbye. (Where a socket takes single bytes, as in a
 * torture, the goodbye does not get out.) */
static void says_goodbye(struct play *p) {
    int c = tls_client(p, &h1_client);
    served(p, c, -1, "GET /");
    play_time(p, 61000);
    play_end(p, c);
}

/* Without ALPN, and in the older version. */
static void older_clients(struct play *p) {
    static const struct tls_role old = {.sni = "a.example", .max_version = TLS1_2_VERSION};
    int c = tls_client(p, &plain_client);
    play_check(p, strcmp(tls_actor_alpn(p->actor[c].tls), "") == 0);
    int s = served(p, c, -1, "GET /");
    c = tls_client(p, &old);
    served(p, c, s, "GET /");
    play_check(p, rig_sum(p->rig, client_tls_handshakes_by_tls12) == 1);
}

/* The gateway chooses HTTP/2 where it is offered, and not where the listener says so. */
static void by_alpn(struct play *p) {
    int c = tls_client(p, &h1_client), s = served(p, c, -1, "GET /");
    c = tls_client(p, &both_client);
    play_check(p, strcmp(tls_actor_alpn(p->actor[c].tls), "h2") == 0);
    struct h2_actor *a = h2_client_on(p, c, 0);
    asked_h2(p, a, 1, s, "a.example");
    asked_h2(p, a, 3, s, "a.example");
    h2_nothing(a);
    play_close(p, c);
}

static void no_h2_here(struct play *p) {
    int c = tls_client(p, &both_client);
    play_check(p, strcmp(tls_actor_alpn(p->actor[c].tls), "http/1.1") == 0);
    served(p, c, -1, "GET /");
}

static void resumed(struct play *p) {
    int c = tls_client(p, &h1_client);
    int s = served(p, c, -1, "GET /");
    struct tls_role again = h1_client;
    again.from = p->actor[c].tls;
    c = tls_client(p, &again);
    served(p, c, s, "GET /");
    play_check(p, tls_actor_resumed(p->actor[c].tls));
    play_check(p, rig_sum(p->rig, client_tls_resumed) == 1);
}

static void bodies_over_tls(struct play *p) {
    int c = tls_client(p, &h1_client);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 300000\r\n\r\n");
    play_fill(p, c, 300000);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_filled(p, s, 300000);
    play_send(p, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    play_fill_chunked(p, s, 300000, 10000, "");
    play_head(p, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked");
    play_chunked(p, c, 300000, "");
}

/* An answer that breaks off ends without goodbye, or its client would take it for whole. */
static void breaks_off(struct play *p) {
    int c = tls_client(p, &h1_client);
    play_send(p, c, "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\nConnection: close");
    play_expect(p, c, "half");
    play_reset(p, s);
    play_broken(p, c);
}

static void websocket_over_tls(struct play *p) {
    int c = tls_client(p, &h1_client);
    char accept[29] = "";
    play_send(p, c,
              "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: "
              "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
              "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /chat HTTP/1.1\nUpgrade: websocket");
    struct span key = play_field("sec-websocket-key");
    if (key.n <= 64)
        ws_accept(key, accept);
    play_send(p, s,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: ");
    play_send(p, s, accept);
    play_send(p, s, "\r\n\r\nhello");
    play_head(p, c, "HTTP/1.1 101 ");
    play_expect(p, c, "hello");
    play_fill(p, c, 20000);
    play_filled(p, s, 20000);
    play_send(p, s, "bye");
    play_shut(p, s);
    play_expect(p, c, "bye");
    play_end(p, c);
    play_send(p, c, "not yet");
    play_expect(p, s, "not yet");
    play_shut(p, c);
    play_end(p, s);
}

/* http:// where it should be https://: told so, and nothing reaches a service. */
static void plain_text(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET GET);
    play_head(p, c, "HTTP/1.1 400 Bad Request\nConnection: close");
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_TLS_NEEDED);
    play_check(p, rig_sum(p->rig, client_tls_failed_cleartext) == 1);
    play_check(p, rig_sum(p->rig, exchanges_accepted) == 1);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
    play_close(p, c);
    c = play_client(p);
    play_send(p, c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    play_head(p, c, "HTTP/1.1 505 \nConnection: close");
    play_close(p, c);
}

static void not_tls(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "\1\2\3\4 no hello at all, and quite long too");
    play_quiet(p);
    gone(p, c);
    play_check(p, rig_sum(p->rig, client_tls_failed_protocol) == 1);
}

/* Nothing within the time for the first byte; half a handshake; a whole one and no request. */
static void too_late(struct play *p) {
    int silent = play_client(p), half = play_client(p), done = tls_client(p, &h1_client);
    play_send_bytes(p, half, "\x16\x03\x01\x02\x00\x01", 6);
    play_time(p, 9000);
    play_nothing(p, silent);
    play_nothing(p, half);
    play_nothing(p, done);
    play_time(p, 2000);
    gone(p, silent);
    gone(p, half);
    gone(p, done);
    play_check(p, rig_sum(p->rig, client_tls_failed_timeout) == 1);
    play_check(p, rig_sum(p->rig, client_connections_silent) == 2);
}

static void leaves_midway(struct play *p) {
    int c = play_client(p);
    play_send_bytes(p, c, "\x16\x03\x01\x02\x00\x01", 6);
    play_quiet(p);
    play_close(p, c);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, client_tls_failed_closed) == 1);
}

/* A certificate is asked of clients of one name: a connection made for another carries no requests
 * for it. */
static void misdirected(struct play *p) {
    struct tls_role known = {.sni = "a.example", .certificate = client_certificate};
    int c = tls_client(p, &open_client);
    play_send(p, c, "GET / HTTP/1.1\r\nHost: open.b.example\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_send(p, c, GET);
    play_head(p, c, "HTTP/1.1 421 Misdirected Request");
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_MISDIRECTED);
    play_close(p, c);
    struct h2_actor *a = h2_client_on(p, tls_client(p, &open_h2), 0);
    asked_h2(p, a, 1, s, "open.b.example");
    h2_headers(a, 3, H2_END, ":method: GET\n:scheme: https\n:path: /\n:authority: a.example\n");
    h2_expect(a, 3, 0, ":status: 421");
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_MISDIRECTED);
    asked_h2(p, a, 5, s, "open.b.example"); /* the others are not to suffer for it */
    c = tls_client(p, &known);
    served(p, c, s, "GET /");
    play_close(p, c);
    c = play_client(p); /* shows none: in TLS 1.3 the client hears of it behind its handshake */
    play_tls(p, c, &plain_client);
    play_broken(p, c);
    play_check(p, rig_sum(p->rig, client_tls_failed_certificate) == 1);
}

static unsigned loaded;
static void mutual(struct service_conf *c, struct snapshot *s) {
    speaks_tls(c, s);
    listener_of(s)->tls = other_tls;
}
static void changing(struct service_conf *c, struct snapshot *s) {
    speaks_tls(c, s);
    if (loaded++ % 2)
        listener_of(s)->tls = NULL;
}

/* The listener stops speaking TLS while connections are open: they stay, new ones are clear. */
static void another_configuration(struct play *p) {
    int c = tls_client(p, &h1_client);
    int s = served(p, c, -1, "GET /"), half = play_client(p);
    play_send_bytes(p, half, "\x16\x03\x01\x02\x00\x01", 6);
    play_quiet(p);
    rig_reload(p->rig);
    served(p, c, s, "GET /");
    int plain = play_client(p);
    served(p, plain, s, "GET /");
    rig_reload(p->rig);
    served(p, plain, s, "GET /"); /* a connection in clear text stays too */
    play_close(p, half);
    play_close(p, c);
    loaded = 0;
}

static void drained(struct play *p) {
    int c = tls_client(p, &h1_client), silent = play_client(p);
    int s = served(p, c, -1, "GET /");
    (void)s;
    play_quiet(p);
    rig_drain(p->rig);
    play_quiet(p);
    gone(p, c);
    play_time(p, 1100);
    gone(p, silent);
}

/* Version 2 with an IPv6 source, then TLS: all of it in one piece. */
static void v2_and_tls(struct play *p) {
    static const unsigned char v2[] = {
        '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U',  'I',  'T',  '\n', 0x21,
        0x21, 0,    36,   0x20, 1, 0x0d, 0xb8, 0,   0,    0,    0,    0,    0,
        0,    0,    0,    0,    0, 9,    0x20, 1,   0x0d, 0xb8, 0,    0,    0,
        0,    0,    0,    0,    0, 0,    0,    0,   1,    0x9c, 0x40, 1,    0xbb};
    int c = play_client(p);
    play_send_bytes(p, c, v2, sizeof v2);
    play_tls(p, c, &h1_client);
    served(p, c, -1, "GET /\nX-Forwarded-For: 2001:db8::9\nX-Forwarded-Proto: https");
}

static const struct scene scenes[] = {
    {.name = "over TLS", .fn = over_tls, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "says goodbye",
     .fn = says_goodbye,
     .rig = {.tune = speaks_tls, .tls = &h1_client},
     .heavy = true},
    {.name = "older clients", .fn = older_clients, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "by ALPN", .fn = by_alpn, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "no h2 here", .fn = no_h2_here, .rig = {.tune = no_h2_by_tls, .tls = &h1_client}},
    {.name = "resumed", .fn = resumed, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "bodies over TLS",
     .fn = bodies_over_tls,
     .rig = {.tune = speaks_tls, .tls = &h1_client, .sim.buffer = 20000},
     .heavy = true},
    {.name = "breaks off", .fn = breaks_off, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "WebSocket over TLS",
     .fn = websocket_over_tls,
     .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "plain text", .fn = plain_text, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "not TLS", .fn = not_tls, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "too late", .fn = too_late, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "leaves midway", .fn = leaves_midway, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "misdirected", .fn = misdirected, .rig = {.tune = mutual, .tls = &open_client}},
    {.name = "another configuration",
     .fn = another_configuration,
     .rig = {.tune = changing, .tls = &h1_client},
     .heavy = true},
    {.name = "drained", .fn = drained, .rig = {.tune = speaks_tls}, .heavy = true},
    {.name = "v2 and TLS",
     .fn = v2_and_tls,
     .rig = {.tune = both, .proxy_header = V1, .tls = &h1_client}},
};

static void told(void *ctx, const struct tls_problem *pr) {
    (void)ctx;
    if (pr->error)
        fprintf(stderr, "%s: %s\n", pr->part, pr->text);
}

static struct tls_server *server(const struct tls_cert_conf *cert, uint32_t n, bool no_h2) {
    struct tls_server_conf conf = {
        .name = SPAN("door"), .cert = cert, .cert_count = n, .no_h2 = no_h2};
    struct tls_server *s = tls_server_create(&conf, told, NULL);
    must(s);
    return s;
}

/* Read once: a configuration is not part of the plays. */
static void make_servers(const char *dir) {
    static char ca[512];
    static struct tls_client_conf needs = {.mode = TLS_CLIENT_REQUIRE};
    struct span a = span_z(tls_actor_certificate(dir, "a.example"));
    struct span b = span_z(tls_actor_certificate(dir, "*.b.example"));
    client_certificate = tls_actor_certificate(dir, "ann");
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    needs.ca = span_z(ca);
    struct tls_cert_conf one = {.certificate = a, .private_key = a};
    struct tls_cert_conf two[] = {{.certificate = b, .private_key = b},
                                  {.certificate = a, .private_key = a, .client = &needs}};
    tls = server(&one, 1, false);
    h1_tls = server(&one, 1, true);
    other_tls = server(two, 2, false);
}

int main(int argc, char **argv) {
    char dir[] = "/tmp/sluice-opening-XXXXXX", command[64];
    must(mkdtemp(dir));
    tls_init();
    make_servers(dir);
    int failed = play_main("flow/opening", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
    tls_server_unref(tls);
    tls_server_unref(h1_tls);
    tls_server_unref(other_tls);
    tls_thread_finish();
    snprintf(command, sizeof command, "%s/ca.pem", dir);
    unlink(command);
    for (int i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "%s/%d.pem", dir, i);
        unlink(command);
    }
    rmdir(dir);
    return failed;
}
