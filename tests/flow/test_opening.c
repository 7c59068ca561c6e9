/*
 * Connections that say first who they are and what they speak: PROXY headers and TLS, in pieces, in
 * time, wrong and right. Each play is performed as it is and then tortured.
 */
#include "play.h"
#include "front/listener.h"
#include "tls/stream.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define V1 "PROXY TCP4 198.51.100.7 203.0.113.1 40000 443\r\n"

static struct tls_server *tls, *other_tls;
static const char *client_certificate;

/* ---- what the listener asks for ---- */

static struct listener_conf *listener_of(const struct snapshot *s) {
    return (struct listener_conf *)(uintptr_t)s->listener;
}
static void speaks_tls(struct service_conf *c, struct snapshot *s) {
    (void)c;
    listener_of(s)->tls = tls;
    listener_of(s)->scheme = SPAN("https");
    s->limits.tls_handshake_timeout_ms = 10000;
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
static void both(struct service_conf *c, struct snapshot *s) {
    needs_headers(c, s);
    speaks_tls(c, s);
}

static const struct tls_role plain_client = {.sni = "a.example"};
static const struct tls_role open_client = {.sni = "open.b.example"};
static const struct tls_role h1_client = {.sni = "a.example", .alpn = "http/1.1"};

static int tls_client(struct play *p, const struct tls_role *role) {
    int c = play_client(p);
    play_tls(p, c, role);
    return c;
}

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

/* ---- PROXY headers ---- */

static void v1_in_pieces(struct play *p) {
    static const char all[] = V1 GET;
    int s = -1;
    for (size_t cut = 1; cut < sizeof V1 + 4; cut++) {
        int c = play_client(p);
        play_send_bytes(p, c, all, cut);
        play_quiet(p);
        play_send(p, c, all + cut);
        s = s < 0 ? play_accept(p, 0) : s;
        play_head(p, s, "GET /\nX-Forwarded-For: 198.51.100.7\n!192.0.2");
        play_send(p, s, OK_2);
        play_head(p, c, "HTTP/1.1 200 OK");
        play_close(p, c);
        play_quiet(p);
    }
}

static void one_v1(struct play *p) {
    int c = play_client(p);
    play_send(p, c, V1);
    play_nothing(p, c);
    int s = served(p, c, -1, "GET /\nX-Forwarded-For: 198.51.100.7\n!192.0.2");
    served(p, c, s, "GET /\nX-Forwarded-For: 198.51.100.7");
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

/* The balancer looks after us itself. */
static void by_itself(struct play *p) {
    static const unsigned char local[] = {'\r', '\n', '\r', '\n', 0,    '\r', '\n', 'Q',
                                          'U',  'I',  'T',  '\n', 0x20, 0,    0,    0};
    int c = play_client(p);
    play_send_bytes(p, c, local, sizeof local);
    served(p, c, -1, "GET /\nX-Forwarded-For: 192.0.2.1");
    c = play_client(p);
    play_send(p, c, "PROXY UNKNOWN\r\n");
    play_send(p, c, GET);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, exchanges_accepted) == 2);
    play_close(p, c);
}

static void dropped(struct play *p, const char *said) {
    uint64_t before = rig_sum(p->rig, client_proxy_headers_refused);
    int c = play_client(p);
    play_send(p, c, said);
    play_quiet(p);
    gone(p, c);
    play_check(p, rig_sum(p->rig, client_proxy_headers_refused) == before + 1);
    play_check(p, rig_sum(p->rig, exchanges_accepted) == 0);
    play_close(p, c);
}

static void wrong_headers(struct play *p) {
    static char longest[1000];
    dropped(p, "PROXY TCP4 198.51.100.7 203.0.113.1 40000\r\n" GET);
    dropped(p, "PROXY TCP4 198.51.100.300 203.0.113.1 40000 443\r\n" GET);
    dropped(p, "PROXY TCP4 198.51.100.7 203.0.113.1 40000 443\n" GET);
    dropped(p, GET); /* the listener requires one */
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "PROXY ", 6);
    dropped(p, longest);
    int c = play_client(p); /* never whole */
    play_send(p, c, "PROXY TCP4 198.51.100.7 ");
    play_time(p, 11000);
    gone(p, c);
}

static void without_header(struct play *p) {
    int c = play_client(p);
    int s = served(p, c, -1, "GET /\nX-Forwarded-For: 192.0.2.1");
    c = play_client(p);
    play_send(p, c, "P"); /* may become a header, or not */
    play_nothing(p, c);
    play_send(p, c, "UT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    play_head(p, s, "PUT /");
    play_close(p, c);
    play_close(p, s);
}

/* Anybody may say where he comes from; only the trusted are believed. */
static void not_trusted(struct play *p) {
    dropped(p, V1 GET);
    int c = play_client(p);
    served(p, c, -1, "GET /\nX-Forwarded-For: 192.0.2.1");
}

/* Who stands behind the balancer is counted, not the balancer. */
static void counted_by_source(struct play *p) {
    static const char other[] = "PROXY TCP4 198.51.100.8 203.0.113.1 40000 443\r\n";
    int c[4];
    listener_limits(0, 2);
    for (int i = 0; i < 4; i++) {
        c[i] = play_client(p);
        play_send(p, c[i], i < 3 ? V1 : other);
        play_quiet(p);
    }
    for (int i = 0; i < 4; i++)
        play_check(p, actor_gone(p->actor[c[i]].fd) == (i == 2));
    play_check(p, rig_sum(p->rig, client_connections_refused_address) == 1);
    play_close(p, c[0]);
    play_quiet(p);
    int again = play_client(p);
    play_send(p, again, V1);
    served(p, again, -1, "GET /\nX-Forwarded-For: 198.51.100.7");
    listener_limits(0, 0);
}

static const struct scene scenes[] = {
    {.name = "over TLS", .fn = over_tls, .rig = {.tune = speaks_tls, .tls = &h1_client}},
    {.name = "says goodbye",
     .fn = says_goodbye,
     .rig = {.tune = speaks_tls, .tls = &h1_client},
     .heavy = true},
    {.name = "older clients", .fn = older_clients, .rig = {.tune = speaks_tls, .tls = &h1_client}},
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
    {.name = "v1 in pieces",
     .fn = v1_in_pieces,
     .rig = {.tune = needs_headers, .proxy_header = V1},
     .heavy = true},
    {.name = "one v1", .fn = one_v1, .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "v2 and TLS",
     .fn = v2_and_tls,
     .rig = {.tune = both, .proxy_header = V1, .tls = &h1_client}},
    {.name = "by itself", .fn = by_itself, .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "wrong headers",
     .fn = wrong_headers,
     .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "counted by source",
     .fn = counted_by_source,
     .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "without header", .fn = without_header, .rig = {.tune = takes_headers}},
    {.name = "not trusted", .fn = not_trusted, .rig = {.tune = trusts_others}},
};

static void told(void *ctx, const struct tls_problem *pr) {
    (void)ctx;
    if (pr->error)
        fprintf(stderr, "%s: %s\n", pr->part, pr->text);
}

static struct tls_server *server(const struct tls_cert_conf *cert, uint32_t n) {
    struct tls_server_conf conf = {.name = SPAN("door"), .cert = cert, .cert_count = n};
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
    tls = server(&one, 1);
    other_tls = server(two, 2);
}

int main(int argc, char **argv) {
    char dir[] = "/tmp/sluice-opening-XXXXXX", command[64];
    must(mkdtemp(dir));
    tls_init();
    make_servers(dir);
    int failed = play_main("flow/opening", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
    tls_server_unref(tls);
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
