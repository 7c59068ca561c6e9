/*
 * A request goes through: plays of proxying, each performed as it is and then tortured: in single
 * bytes, with the client leaving before every dispatch, with every system call and every allocation
 * failing in turn.
 */
#include "play.h"
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void get(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-One: 1\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s,
              "GET /a?b=c HTTP/1.1\r\nHost: shop.example\n!Content-Length\n!Transfer-Encoding");
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK\r\n\nContent-Length: 2\r\n\n!Transfer-Encoding");
    play_expect(p, c, "ok");
    play_nothing(p, c);
}

/* The second request finds the connection of the first. */
static void keep_alive(struct play *p) {
    int c = play_client(p), s = -1;
    for (int i = 0; i < 3; i++) {
        play_send(p, c, GET);
        if (i == 0)
            s = play_accept(p, 0);
        play_head(p, s, "GET / HTTP/1.1");
        play_send(p, s, OK_2);
        play_head(p, c, "HTTP/1.1 200 OK");
        play_expect(p, c, "ok");
    }
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
    play_check(p, rig_sum(p->rig, upstream_connections_reused) == 2);
}

static void post(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    play_fill(p, c, 2000);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up HTTP/1.1\nContent-Length: 5000\r\n");
    play_filled(p, s, 2000);
    play_fill(p, c, 3000);
    play_filled(p, s, 3000);
    play_send(p, s, "HTTP/1.1 201 Created\r\nLocation: /up/1\r\nContent-Length: 0\r\n\r\n");
    play_head(p, c, "HTTP/1.1 201 Created\nLocation: /up/1\nContent-Length: 0\r\n");
    play_nothing(p, c);
}

static void chunked_both_ways(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    play_fill_chunked(p, c, 3000, 700, "X-Sum: 12\r\n");
    int s = play_accept(p, 0);
    /* It has come whole, so it goes on with its length; a client's trailers end at the gateway. */
    play_head(p, s, "POST /up\nContent-Length: 3000\n!Transfer-Encoding\n!X-Sum");
    play_filled(p, s, 3000);
    play_send(p, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    play_fill_chunked(p, s, 4000, 999, "Server-Timing: a\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n!Content-Length");
    play_chunked(p, c, 4000, "server-timing: a\r\n");
    play_nothing(p, c);
}

static void until_close(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    play_fill(p, s, 1500);
    play_close(p, s);
    play_head(p, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked");
    play_chunked(p, c, 1500, "");
    play_nothing(p, c); /* the client's connection stays */
}

static void pipelining(struct play *p) {
    int c = play_client(p);
    play_send(p, c,
              "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
              "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
              "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    int s = play_accept(p, 0);
    for (int i = 1; i <= 4; i++) {
        char line[32] = "GET /0 HTTP/1.1",
             answer[64] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0";
        line[5] = (char)('0' + i);
        answer[strlen(answer) - 1] = (char)('0' + i);
        play_head(p, s, i == 3 ? "POST /3 HTTP/1.1" : line);
        if (i == 3)
            play_expect(p, s, "abc");
        play_send(p, s, answer);
    }
    for (int i = 1; i <= 4; i++) {
        char body[2] = {(char)('0' + i), 0};
        play_head(p, c,
                  i == 4 ? "HTTP/1.1 200 OK\nConnection: close" : "HTTP/1.1 200 OK\n!Connection");
        play_expect(p, c, body);
    }
    play_end(p, c);
}

static void expect_continue(struct play *p) {
    int c = play_client(p);
    play_send(p, c,
              "PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    play_expect(p, c, "HTTP/1.1 100 Continue\r\n\r\n");
    play_send(p, c, "body");
    int s = play_accept(p, 0);
    play_head(p, s, "PUT /big");
    play_expect(p, s, "body");
    play_send(p, s, "HTTP/1.1 204 No Content\r\n\r\n");
    play_head(p, c, "HTTP/1.1 204 No Content\n!Content-Length\n!Transfer-Encoding");
    play_nothing(p, c);
}

/* Interim answers of the service: 100 never crosses, nor what is not 103. */
static void interim_answers(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    play_nothing(p, c);
    play_send(p, s, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-No: 1\r\n\r\n");
    play_head(p, c, "HTTP/1.1 103 \nink: </a.css>; rel=preload\n!X-No\n!x-no");
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
}

static void head_request(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s, "HEAD /h HTTP/1.1");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Length: 12345");
    play_nothing(p, c);
    play_send(p, c, "GET /g HTTP/1.1\r\nHost: a\r\n\r\n"); /* on the same connections */
    play_head(p, s, "GET /g");
    play_send(p, s, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n");
    play_head(p, c, "HTTP/1.1 304 Not Modified\nag: \"x\"");
    play_nothing(p, c);
}

/* Answered before the upload is done: the answer arrives whole, the rest is not wanted. */
static void early_answer(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    play_fill(p, c, 1000);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /up");
    play_filled(p, s, 1000);
    play_send(p, s, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch");
    play_head(p, c, "HTTP/1.1 413\nConnection: close");
    play_expect(p, c, "much");
    play_end(p, c);
}

/* 2 MB to a client that reads nothing: the gateway takes from the service what it may hold, no
 * more. */
static void slow_reader(struct play *p) {
    enum { BODY = 2 << 20 };
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n");
    play_fill(p, s, BODY);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_quiet(p);
    play_check(p, play_backlog(p, s) > BODY / 2);
    play_filled(p, c, BODY / 2);
    play_filled(p, c, BODY / 2);
    play_check(p, play_backlog(p, s) == 0);
    play_nothing(p, c);
}

static void slow_service(struct play *p) {
    enum { BODY = 2 << 20 };
    int c = play_client(p);
    play_send(p, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n");
    play_fill(p, c, BODY);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /");
    play_quiet(p);
    play_check(p, play_backlog(p, c) > BODY / 2);
    play_filled(p, s, BODY);
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_nothing(p, c);
}

static void service_breaks_off(struct play *p) {
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    };
    for (size_t i = 0; i < array_len(answers); i++)
        for (int reset = 0; reset < 2; reset++) {
            int c = play_client(p);
            play_send(p, c, GET);
            int s = play_accept(p, 0);
            play_head(p, s, "GET /");
            play_send(p, s, answers[i]);
            play_quiet(p);
            if (reset)
                play_reset(p, s);
            else
                play_close(p, s);
            play_head(p, c, "HTTP/1.1 502 ");
            play_close(p, c);
        }
}

/* After the head only breaking off tells the client that the body is not whole. */
static void service_breaks_off_in_the_body(struct play *p) {
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    };
    for (size_t i = 0; i < array_len(answers); i++) {
        int c = play_client(p);
        play_send(p, c, GET);
        int s = play_accept(p, 0);
        play_head(p, s, "GET /");
        play_send(p, s, answers[i]);
        play_head(p, c, "HTTP/1.1 200 OK");
        if (i)
            play_chunks(p, c, "abc");
        else
            play_expect(p, c, "abc");
        if (i == 2)
            play_send(p, s, "rubbish\r\n");
        else
            play_close(p, s);
        play_broken(p, c);
    }
}

static void service_talks_rubbish(struct play *p) {
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\nb: c\r\n\r\n",
        "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    };
    for (size_t i = 0; i < array_len(answers); i++) {
        int c = play_client(p);
        play_send(p, c, GET);
        int s = play_accept(p, 0);
        play_head(p, s, "GET /");
        play_send(p, s, answers[i]);
        play_head(p, c, "HTTP/1.1 502 ");
        play_close(p, c);
        play_close(p, s);
    }
}

/* Bytes behind an answer: they are nobody's, and the connection is not used again. */
static void excess_bytes(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_nothing(p, c);
    play_send(p, c, GET);
    int again = play_accept(p, 0);
    play_head(p, again, "GET /");
    play_send(p, again, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
}

/* A kept connection that the service closes just as the next request comes: tried once more, anew.
 */
static void stale_connection(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_quiet(p);
    play_send(p, c, GET);
    play_head(p, s, "GET /");
    play_close(p, s);
    int again = play_accept(p, 0);
    play_head(p, again, "GET /");
    play_send(p, again, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
}

static void refused(struct play *p) {
    int listener = p->service[0];
    (void)listener;
    play_refuse(p, 0);
    int c = play_client(p);
    play_send(p, c, GET);
    play_head(p, c, "HTTP/1.1 502 ");
}

static void client_leaves(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_reset(p, c);
    play_end(p, s); /* nobody wants the answer: the request is given up */
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 1);
}

/* A client that has said all and shuts its side still gets its answer. */
static void client_shuts(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    play_shut(p, c);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_end(p, c);
}

static void bad_requests(struct play *p) {
    static const struct {
        const char *bytes, *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413 "},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        int c = play_client(p);
        play_send(p, c, cases[i].bytes);
        play_head(p, c, cases[i].answer);
        play_close(p, c);
    }
}

static void one_connection(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->max_connections = 1;
    c->max_pending = 1;
}

/* One connection at most: the second waits for it, the third is refused. */
static void limit(struct play *p) {
    int c[3], s;
    for (int i = 0; i < 3; i++) {
        c[i] = play_client(p);
        play_send(p, c[i], GET);
        play_quiet(p);
    }
    play_head(p, c[2], "HTTP/1.1 503 ");
    s = play_accept(p, 0);
    for (int i = 0; i < 2; i++) {
        play_head(p, s, "GET /");
        play_send(p, s, OK_2);
        play_head(p, c[i], "HTTP/1.1 200 OK");
        play_expect(p, c[i], "ok");
    }
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
}

/* Two workers share the limit. Whose connection it is only the seed knows. */
static void limit_over_workers(struct play *p) {
    int c[6];
    for (int i = 0; i < 6; i++) {
        c[i] = play_client(p);
        play_send(p, c[i], "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    for (int done = 0; done < 6 && !p->lost;) {
        int s = play_accept(p, 0);
        bool more = true;
        while (more && !p->lost) {
            play_head(p, s, "GET /");
            play_check(p, actor_accept(p->service[0]) < 0); /* never a second one */
            play_send(p, s, OK_2);
            play_quiet(p);
            done++;
            more = !p->lost && actor_waiting(p->actor[s].fd) > 0;
        }
        play_close(p, s);
    }
    for (int i = 0; i < 6; i++) {
        play_head(p, c[i], "HTTP/1.1 200 OK");
        play_expect(p, c[i], "ok");
        play_end(p, c[i]);
    }
}

static void many_pending(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->max_connections = 1;
}

static const struct scene scenes[] = {
    {.name = "get", .fn = get},
    {.name = "keep-alive", .fn = keep_alive},
    {.name = "post", .fn = post},
    {.name = "chunked both ways", .fn = chunked_both_ways},
    {.name = "answer until close", .fn = until_close},
    {.name = "pipelining", .fn = pipelining},
    {.name = "100-continue", .fn = expect_continue},
    {.name = "interim answers", .fn = interim_answers},
    {.name = "HEAD, 304", .fn = head_request},
    {.name = "early answer", .fn = early_answer},
    {.name = "slow reader", .fn = slow_reader, .heavy = true},
    {.name = "slow service", .fn = slow_service, .heavy = true},
    {.name = "service breaks off", .fn = service_breaks_off},
    {.name = "service breaks off in the body", .fn = service_breaks_off_in_the_body},
    {.name = "service talks rubbish", .fn = service_talks_rubbish},
    {.name = "excess bytes", .fn = excess_bytes},
    {.name = "stale connection", .fn = stale_connection},
    {.name = "refused", .fn = refused},
    {.name = "client leaves", .fn = client_leaves},
    {.name = "client shuts its side", .fn = client_shuts},
    {.name = "bad requests", .fn = bad_requests},
    {.name = "limit", .fn = limit, .rig = {.tune = one_connection}},
    {.name = "limit over workers",
     .fn = limit_over_workers,
     .rig = {.workers = 2, .tune = many_pending}},
};

int main(int argc, char **argv) {
    return play_main("proxy", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
