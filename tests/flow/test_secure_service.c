/*
 * Services behind TLS: plays of handshakes that come about and that do not, of sessions that are
 * resumed, of a first connection that others wait for, and of the PROXY header in front of it all.
 */
#include "h2_out.h"
#include "tls/stream.h"
#include "tls_actor.h"
#include <stdlib.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
#define OK_H1 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct tls_client *trusting, *trusting_other, *distrusting, *either, *only_h2;
static struct tls_role shop_role = {.server = true}, wrong_role = {.server = true},
                       h1_role = {.server = true, .alpn = "http/1.1"},
                       h2_role = {.server = true, .alpn = "h2"},
                       both_role = {.server = true, .alpn = "h2,http/1.1"};

static void told(void *ctx, const struct tls_problem *problem) {
    (void)ctx;
    must(!problem->error);
}

static struct tls_client *client_of_ca(const char *ca, bool h1, bool h2) {
    struct tls_client_settings s = {
        .ca = span_z(ca), .name = SPAN("shop.example"), .offer_h1 = h1, .offer_h2 = h2};
    struct tls_client *c = tls_client_create(&s, told, NULL);
    must(c);
    return c;
}

static void secure(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->tls = trusting;
}
static void suspicious(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->tls = distrusting;
}
static void few_streams(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->tls = either;
    shop->protocol = PROTOCOL_AUTO;
    shop->h2_streams = 2;
}
static void h2_alone(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->tls = only_h2;
    shop->protocol = PROTOCOL_H2;
}
static void by_alpn(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->tls = either;
    shop->protocol = PROTOCOL_AUTO;
}

/* ---- it comes about ---- */

static int secure_accept(struct play *p) {
    int s = play_accept(p, PLAY_ANY);
    play_tls(p, s, &shop_role);
    return s;
}

static void served_h1(struct play *p, int c, int s) {
    play_head(p, s, "GET / HTTP/1.1\r\nHost: shop.example");
    play_send(p, s, OK_H1);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
}

static void kept(struct play *p) {
    int c = play_client(p), s = -1;
    for (int i = 0; i < 3; i++) {
        play_send(p, c, GET);
        if (i == 0)
            s = secure_accept(p);
        served_h1(p, c, s);
    }
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 1);
    play_close(p, s); /* an idle one: nobody is harmed */
    play_send(p, c, GET);
    s = secure_accept(p);
    served_h1(p, c, s);
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 2);
    play_check(p, rig_sum(p->rig, upstream_tls_resumed) == 1);
    play_check(p, rig_sum(p->rig, upstream_excess_bytes) == 0);
}

static void both_ways(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    play_fill(p, c, 500000);
    int s = secure_accept(p);
    play_head(p, s, "POST /up HTTP/1.1\nContent-Length: 500000");
    play_filled(p, s, 500000);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    play_fill(p, s, 900000);
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 900000");
    play_filled(p, c, 900000);
    play_send(p, c, GET);
    served_h1(p, c, s);
}

/* Tickets on an idle connection are the layer's own matter: it stays. */
static void tickets_while_idle(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = secure_accept(p);
    served_h1(p, c, s);
    play_quiet(p);
    play_ticket(p, s);
    play_quiet(p);
    play_send(p, c, GET);
    served_h1(p, c, s);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
    play_send(p, s,
              "HTTP/1.1 200 OK\r\n"); /* but an answer that nobody asked for is one too many */
    play_quiet(p);
    play_check(p, actor_gone(p->actor[s].fd));
    play_check(p, rig_sum(p->rig, upstream_excess_bytes) == 1);
}

/* The end of the connection ends the body, if it is an end: close_notify. */
static void until_close(struct play *p) {
    for (int whole = 0; whole < 2; whole++) {
        int c = play_client(p);
        play_send(p, c, GET);
        int s = secure_accept(p);
        play_head(p, s, "GET /");
        play_send(p, s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome");
        play_head(p, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked");
        play_chunks(p, c, "some");
        if (whole) {
            play_close(p, s);
            play_expect(p, c, "\r\n0\r\n\r\n");
        } else {
            play_close_now(p, s);
            play_broken(p, c);
            play_quiet(p);
            play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TRUNCATED);
        }
        play_close(p, c);
    }
}

#define ASK_WS                                                                                     \
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void agree(struct play *p, int s) {
    char accept[29] = "";
    if (play_field("sec-websocket-key").n <= 64)
        ws_accept(play_field("sec-websocket-key"), accept);
    play_send(p, s,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: ");
    play_send(p, s, accept);
    play_send(p, s, "\r\n\r\n");
}

static void websocket(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK_WS);
    int s = secure_accept(p);
    play_head(p, s, "GET /chat");
    agree(p, s);
    play_send(p, s, "hello");
    play_head(p, c, "HTTP/1.1 101 ");
    play_expect(p, c, "hello");
    play_send(p, c, "hello to you");
    play_expect(p, s, "hello to you");
    play_shut(p, c);
    play_end(p, s);
    play_send(p, s, "bye");
    play_close(p, s);
    play_expect(p, c, "bye");
    play_end(p, c);
}

/* ---- it does not come about ---- */

static void failed(struct play *p, int c, int status, enum fault why) {
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    play_head(p, c, line);
    play_quiet(p);
    play_check(p, p->rig->last_fault == why);
    play_check(p, rig_sum(p->rig, upstream_tls_failed) == 1);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 0);
}

static void another_name(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_tls_refused(p, s, &wrong_role);
    failed(p, c, 502, FAULT_UPSTREAM_TLS_VERIFY);
}

static void another_authority(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_tls_refused(p, s, &shop_role);
    failed(p, c, 502, FAULT_UPSTREAM_TLS_VERIFY);
}

static void clear_text(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_send(p, s, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    failed(p, c, 502, FAULT_UPSTREAM_TLS);
    play_close(p, s);
}

static void goes_away(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_close(p, s);
    failed(p, c, 502, FAULT_UPSTREAM_TLS);
}

static void is_silent(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_time(p, 2500);
    play_nothing(p, c);
    play_time(p, 1000);
    failed(p, c, 504, FAULT_CONNECT_TIMEOUT);
    play_close(p, s);
}

/* ---- who waits for whose handshake ---- */

/* Three at once: they wait for the first one's handshake, and when that says HTTP/1.1 each opens
 * its own connection. From then on nobody waits for another. */
static void one_decides(struct play *p) {
    int c[3], s[3];
    for (int i = 0; i < 3; i++) {
        c[i] = play_client(p);
        play_send(p, c[i], GET);
    }
    s[0] = play_accept(p, 0);
    play_quiet(p);
    play_check(p, p->rig->worker[0]->counters.upstream_connections_opened == 0);
    play_tls(p, s[0], &h1_role);
    for (int i = 1; i < 3; i++) {
        s[i] = play_accept(p, 0);
        play_tls(p, s[i], &h1_role);
    }
    for (int i = 0; i < 3; i++) {
        play_head(p, s[i], "GET / ");
        play_send(p, s[i], OK_H1);
    }
    for (int i = 0; i < 3; i++) {
        play_head(p, c[i], "HTTP/1.1 200 OK");
        play_expect(p, c[i], "ok");
    }
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 3);
}

static struct h2_actor *secure_h2(struct play *p) {
    int s = play_accept(p, PLAY_ANY);
    play_tls(p, s, &h2_role);
    return h2_service(p, s);
}

/* Three at once: when the first one's handshake says HTTP/2 they all go over it. */
static void one_for_all(struct play *p) {
    int c[4];
    uint32_t n[3];
    for (int i = 0; i < 3; i++)
        c[i] = ask(p, "/");
    struct h2_actor *s = secure_h2(p);
    for (int i = 0; i < 3; i++)
        n[i] = asked(s, "/");
    for (int i = 2; i >= 0; i--)
        answer(s, n[i]);
    for (int i = 0; i < 3; i++)
        answered(p, c[i]);
    served(p, s);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 1);
    play_check(p, rig_sum(p->rig, upstream_h2_connections) == 1);
    play_close(p, s->who); /* an idle one */
    play_quiet(p);
    c[3] = ask(p, "/4");
    s = secure_h2(p);
    answer(s, asked(s, "/4"));
    answered(p, c[3]);
    play_check(p, rig_sum(p->rig, upstream_tls_resumed) == 1);
}

/* Its streams are used up: another one, and again one handshake for all who wait. */
static void used_up(struct play *p) {
    int c[5];
    uint32_t n[2];
    struct h2_actor *s = NULL, *t;
    for (int i = 0; i < 2; i++) {
        c[i] = ask(p, "/s");
        s = s ? s : secure_h2(p);
        n[i] = asked(s, "/s");
    }
    for (int i = 2; i < 4; i++)
        c[i] = ask(p, "/t");
    t = secure_h2(p);
    uint32_t m = asked(t, "/t"), k = asked(t, "/t");
    answer(s, n[0]);
    answered(p, c[0]);
    c[4] = ask(p, "/s"); /* the first one has room again */
    uint32_t last = asked(s, "/s");
    answer(s, last);
    answer(s, n[1]);
    answer(t, m);
    answer(t, k);
    for (int i = 1; i < 5; i++)
        answered(p, c[i]);
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 2);
}

static void bodies_both_ways(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    play_fill(p, c, 300000);
    struct h2_actor *s = secure_h2(p);
    uint32_t n = h2_expect_request(s, 0, ":scheme: http\n:path: /up\ncontent-length: 300000");
    h2_filled(s, n, 300000, H2_END);
    h2_headers(s, n, 0, ":status: 200\ncontent-length: 300000");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 300000");
    for (int i = 0; i < 6; i++) {
        h2_fill(s, n, 50000, i == 5 ? H2_END : 0);
        play_filled(p, c, 50000);
    }
}

/* The service's HTTP/2 carries no WebSockets: they go over HTTP/1.1, everything else does not. */
static void websocket_beside_h2(struct play *p) {
    int c = play_client(p), other;
    play_send(p, c, ASK_WS);
    struct h2_actor *s = secure_h2(p);
    int t = play_accept(p, PLAY_ANY);
    play_tls(p, t, &both_role);
    play_check(p, strcmp(tls_actor_alpn(p->actor[t].tls), "http/1.1") == 0);
    play_head(p, t, "GET /chat HTTP/1.1\nUpgrade: websocket");
    agree(p, t);
    play_head(p, c, "HTTP/1.1 101 ");
    play_send(p, c, "hello");
    play_expect(p, t, "hello");
    served(p, s);
    other = play_client(p);
    play_send(p, other, ASK_WS);
    int u = play_accept(p, PLAY_ANY);
    play_tls(p, u, &both_role);
    play_head(p, u, "GET /chat HTTP/1.1");
    play_send(p, u, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    play_head(p, other, "HTTP/1.1 403 ");
    served(p, s); /* though an idle connection of HTTP/1.1 is there now */
}

/* HTTP/2 alone will do, and the service does not offer it. */
static void no_h2(struct play *p) {
    int c = ask(p, "/");
    int s = play_accept(p, 0);
    play_tls(p, s, &shop_role);
    refused(p, c, 502, FAULT_UPSTREAM_TLS);
    play_quiet(p);
    play_check(p, actor_gone(p->actor[s].fd));
}

/* The first one leaves before its handshake is over: the others wait for the next, not each for its
 * own. */
static void the_first_leaves(struct play *p) {
    int c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = ask(p, "/");
        play_quiet(p);
    }
    int s = play_accept(p, 0);
    play_reset(p, c[0]);
    struct h2_actor *h2 = secure_h2(p);
    uint32_t n = asked(h2, "/"), m = asked(h2, "/");
    answer(h2, n);
    answer(h2, m);
    answered(p, c[1]);
    answered(p, c[2]);
    play_check(p, actor_gone(p->actor[s].fd));
    play_check(p, rig_sum(p->rig, upstream_tls_handshakes) == 1);
}

/* The first one fails: so does its request alone, and the next one decides. */
static void the_first_fails(struct play *p) {
    int c[3], s[3];
    for (int i = 0; i < 3; i++) {
        c[i] = play_client(p);
        play_send(p, c[i], GET);
    }
    s[0] = play_accept(p, 0);
    play_quiet(p);
    play_close(p, s[0]);
    for (int i = 1; i < 3; i++) {
        s[i] = play_accept(p, 0);
        play_tls(p, s[i], &h1_role);
        play_head(p, s[i], "GET / ");
        if (i == 1)
            play_quiet(p); /* from here on nobody waits for another */
    }
    for (int i = 1; i < 3; i++)
        play_send(p, s[i], OK_H1);
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        play_head(p, c[i], "HTTP/1.1 ");
        failed += play_status() == 502;
    }
    play_check(p, failed == 1);
}

/* A reload changes whom to trust: what was made before is not used any more. */
static void another_identity(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = secure_accept(p);
    served_h1(p, c, s);
    struct tls_client *before = trusting;
    trusting = trusting_other;
    rig_reload(p->rig);
    play_quiet(p);
    trusting = before;
    play_send(p, c, GET);
    int fresh = secure_accept(p);
    play_check(p, actor_gone(p->actor[s].fd));
    served_h1(p, c, fresh);
    play_check(p, rig_sum(p->rig, upstream_connections_reused) == 0);
}

/* ---- the PROXY header ---- */

static void header_v1(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->proxy_protocol = 1;
}
static void header_and_tls(struct service_conf *shop, struct snapshot *s) {
    secure(shop, s);
    shop->proxy_protocol = 1;
}
static void header_and_h2(struct service_conf *shop, struct snapshot *s) {
    h2c(shop, s);
    shop->proxy_protocol = 1;
}
static void header_v2(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->proxy_protocol = 2;
}

static void says_who(struct play *p) {
    int c = play_client(p);
    for (int i = 0; i < 2; i++) { /* each on a connection of its own */
        play_send(p, c, GET);
        int s = play_accept(p, 0);
        struct span got = play_proxy_header(p, s, 1);
        play_check(p, span_starts(got, SPAN("PROXY TCP4 192.0.2.1 127.0.0.1 ")));
        play_check(p, span_ends(got, SPAN(" 8080\r\n")));
        if (p->rig->conf.service_tls)
            play_tls(p, s, p->rig->conf.service_tls);
        served_h1(p, c, s);
        play_quiet(p);
        play_check(p, actor_gone(p->actor[s].fd));
    }
    play_check(p, rig_sum(p->rig, upstream_connections_reused) == 0);
}

static void says_who_in_bytes(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    struct span got = play_proxy_header(p, s, 2);
    play_check(p, span_starts(got, SPAN("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\x7f\0\0\1")));
    play_check(p, span_ends(got, SPAN("\x1f\x90"))); /* 8080 */
    served_h1(p, c, s);
    play_end(p, s);
}

static void says_who_and_h2(struct play *p) {
    for (int i = 0; i < 2; i++) {
        int c = ask(p, "/");
        int s = play_accept(p, 0);
        play_check(p, span_starts(play_proxy_header(p, s, 1), SPAN("PROXY TCP4 192.0.2.1 ")));
        struct h2_actor *h2 = h2_service(p, s);
        answer(h2, asked(h2, "/"));
        answered(p, c);
        left(p, h2);
    }
}

static const struct scene scenes[] = {
    {.name = "kept", .fn = kept, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "both ways",
     .fn = both_ways,
     .rig = {.sim.buffer = 20000, .tune = secure, .service_tls = &shop_role},
     .heavy = true},
    {.name = "tickets while idle",
     .fn = tickets_while_idle,
     .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "until close", .fn = until_close, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "websocket", .fn = websocket, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "another name",
     .fn = another_name,
     .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "another authority",
     .fn = another_authority,
     .rig = {.tune = suspicious},
     .heavy = true}, /* nobody could be served at the end */
    {.name = "clear text", .fn = clear_text, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "goes away", .fn = goes_away, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "is silent", .fn = is_silent, .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "one decides", .fn = one_decides, .rig = {.tune = by_alpn, .service_tls = &h1_role}},
    {.name = "one for all", .fn = one_for_all, .rig = {.tune = by_alpn, .service_tls = &h2_role}},
    {.name = "used up", .fn = used_up, .rig = {.tune = few_streams, .service_tls = &h2_role}},
    {.name = "bodies both ways",
     .fn = bodies_both_ways,
     .rig = {.tune = by_alpn, .service_tls = &h2_role},
     .heavy = true},
    {.name = "websocket beside HTTP/2",
     .fn = websocket_beside_h2,
     .rig = {.tune = by_alpn, .service_tls = &h2_role}},
    {.name = "no HTTP/2", .fn = no_h2, .rig = {.tune = h2_alone}, .heavy = true},
    {.name = "the first leaves",
     .fn = the_first_leaves,
     .rig = {.tune = by_alpn, .service_tls = &h2_role}},
    {.name = "the first fails",
     .fn = the_first_fails,
     .rig = {.tune = by_alpn, .service_tls = &h1_role}},
    {.name = "another identity",
     .fn = another_identity,
     .rig = {.tune = secure, .service_tls = &shop_role}},
    {.name = "says who", .fn = says_who, .rig = {.tune = header_v1, .service_proxy = 1}},
    {.name = "says who, and TLS",
     .fn = says_who,
     .rig = {.tune = header_and_tls, .service_proxy = 1, .service_tls = &shop_role}},
    {.name = "says who, and HTTP/2",
     .fn = says_who_and_h2,
     .rig = {.tune = header_and_h2, .service_proxy = 1}},
    {.name = "says who in bytes",
     .fn = says_who_in_bytes,
     .rig = {.tune = header_v2, .service_proxy = 2}},
};

int main(int argc, char **argv) {
    char dir[] = "/tmp/sluice-flow-XXXXXX", own[64];
    must(mkdtemp(dir));
    shop_role.certificate = h1_role.certificate = h2_role.certificate = both_role.certificate =
        tls_actor_certificate(dir, "shop.example");
    wrong_role.certificate = tls_actor_certificate(dir, "bank.example,shop.example.net");
    snprintf(own, sizeof own, "%s/ca.pem", dir);
    trusting = client_of_ca(own, true, false);
    trusting_other = client_of_ca(own, true, true);
    either = client_of_ca(own, true, true);
    only_h2 = client_of_ca(own, false, true);
    distrusting = client_of_ca("", true, false);
    int failed = play_main("secure service", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
    tls_client_unref(trusting);
    tls_client_unref(trusting_other);
    tls_client_unref(either);
    tls_client_unref(distrusting);
    tls_client_unref(only_h2);
    tls_actor_clear(dir);
    return failed;
}
