/*
 * The first bytes of a connection: PROXY headers and HTTP/2's preface, in pieces, wrong and right,
 * too late. Each play is performed as it is and then tortured.
 */
#include "knocks.h"
#include "front/listener.h"

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

/* ---- HTTP/2's preface in clear text ---- */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Cut at every byte; behind a PROXY header too. */
static void preface_in_pieces(struct play *p) {
    int c = play_client(p);
    if (p->rig->conf.proxy_header)
        play_send(p, c, p->rig->conf.proxy_header);
    int s = served(p, c, -1, "GET /");
    for (size_t cut = 1; cut < sizeof preface - 1; cut++) {
        c = play_client(p);
        if (p->rig->conf.proxy_header)
            play_send(p, c, p->rig->conf.proxy_header);
        play_send_bytes(p, c, preface, cut);
        play_nothing(p, c);
        struct h2_actor *a = h2_client_on(p, c, cut);
        asked_h2(p, a, 1, s, "a.example");
        play_close(p, c);
        play_quiet(p);
    }
    play_check(p, rig_sum(p->rig, client_h2_connections) == sizeof preface - 2);
}

static void one_preface(struct play *p) {
    int c = play_client(p), s = served(p, c, -1, "GET /");
    c = play_client(p);
    play_send_bytes(p, c, preface, 16);
    play_nothing(p, c);
    struct h2_actor *a = h2_client_on(p, c, 16);
    asked_h2(p, a, 1, s, "a.example");
    play_close(p, c);
}

/* Bytes that only begin like it are a request as soon as they are one, or refused; and on a
 * connection that has spoken HTTP/1.1 it is no preface any more. */
static void only_like_a_preface(struct play *p) {
    static const struct {
        const char *first, *rest, *answer;
    } cases[] = {
        {"P", "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200"},
        {"PR", "OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"},
        {"PRI ", "/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"},
        {"PRI * HTTP/", "1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"PRI * HTTP/2.0\r\n", "Host: a\r\n\r\n", "HTTP/1.1 505"},
        {"PRI * HTTP/2.0\r\n\r\nSM", "\r\n\r\r", "HTTP/1.1 505"},
    };
    int s = -1;
    for (size_t i = 0; i < array_len(cases); i++) {
        int c = play_client(p);
        play_send(p, c, cases[i].first);
        play_nothing(p, c);
        play_send(p, c, cases[i].rest);
        if (strstr(cases[i].answer, "200")) {
            s = s < 0 ? play_accept(p, 0) : s;
            play_head(p, s, "/ HTTP/1.1");
            play_send(p, s, OK_2);
        }
        play_head(p, c, cases[i].answer);
        play_close(p, c);
    }
    int c = play_client(p);
    served(p, c, s, "GET /");
    play_send(p, c, preface);
    play_head(p, c, "HTTP/1.1 505");
    play_close(p, c);
}

static void clear_no_h2(struct play *p) {
    int c = play_client(p);
    play_send(p, c, preface);
    play_head(p, c, "HTTP/1.1 505 \nConnection: close");
    play_close(p, c);
}

/* Half of it, and then nothing: as late as any head. */
static void half_a_preface(struct play *p) {
    int c = play_client(p);
    play_send_bytes(p, c, preface, 20);
    play_time(p, 9000);
    play_nothing(p, c);
    play_time(p, 2000);
    play_head(p, c, "HTTP/1.1 408 ");
    play_close(p, c);
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
    {.name = "v1 in pieces",
     .fn = v1_in_pieces,
     .rig = {.tune = needs_headers, .proxy_header = V1},
     .heavy = true},
    {.name = "one v1", .fn = one_v1, .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "by itself", .fn = by_itself, .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "wrong headers",
     .fn = wrong_headers,
     .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "counted by source",
     .fn = counted_by_source,
     .rig = {.tune = needs_headers, .proxy_header = V1}},
    {.name = "without header", .fn = without_header, .rig = {.tune = takes_headers}},
    {.name = "preface in pieces", .fn = preface_in_pieces, .heavy = true},
    {.name = "preface behind a header",
     .fn = preface_in_pieces,
     .rig = {.tune = needs_headers, .proxy_header = V1},
     .heavy = true},
    {.name = "one preface", .fn = one_preface},
    {.name = "only like a preface", .fn = only_like_a_preface},
    {.name = "half a preface", .fn = half_a_preface},
    {.name = "clear no h2", .fn = clear_no_h2, .rig = {.tune = never_h2}},
    {.name = "not trusted", .fn = not_trusted, .rig = {.tune = trusts_others}},
};

int main(int argc, char **argv) {
    return play_main("flow/first_bytes", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
