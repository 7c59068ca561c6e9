/*
 * Answers that go on: every piece passes at once, without a turn of the clock; they live by their
 * bytes and for as long as the route says, not by the deadline of a request or the patience with a
 * service.
 */
#include "play.h"

#define GET "GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

enum { SECOND = 1000 };

static void events_route(struct service_conf *c, struct snapshot *s) {
    struct route *r = (struct route *)(uintptr_t)s->route;
    c->timeout_ms = 40 * SECOND;
    r->request_timeout_ms = 20 * SECOND;
    r->idle_timeout_ms = 100 * SECOND;
}
static void short_route(struct service_conf *c, struct snapshot *s) {
    events_route(c, s);
    ((struct route *)(uintptr_t)s->route)->max_duration_ms = 250 * SECOND;
}

static void asked(struct play *p, int *c, int *s, const char *head) {
    *c = play_client(p);
    play_send(p, *c, GET);
    *s = play_accept(p, 0);
    play_head(p, *s, "GET /events\nccept: text/event-stream");
    play_send(p, *s, head);
    play_head(p, *c,
              "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n"
              "Transfer-Encoding: chunked\n!Content-Length");
}

/* Byte for byte as they come, also a single one. */
static void each_at_once(struct play *p) {
    int c, s;
    asked(p, &c, &s, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    play_send(p, s, "9\r\ndata: 1\n\n\r\n");
    play_chunks(p, c, "data: 1\n\n");
    play_send(p, s, "1\r\n:\r\n");
    play_chunks(p, c, ":");
    play_send(p, s, "5\r\ntwo");
    play_chunks(p, c, "two"); /* of a chunk that has not come whole */
    play_send(p, s, "\n\n\r\n0\r\n\r\n");
    play_chunks(p, c, "\n\n");
    play_chunked(p, c, 0, "");
    play_nothing(p, c);
}

static void until_close(struct play *p) {
    int c, s;
    asked(p, &c, &s, HEAD "\r\n");
    play_send(p, s, "data: 1\n\n");
    play_chunks(p, c, "data: 1\n\n");
    play_send(p, s, ":");
    play_chunks(p, c, ":");
    play_close(p, s);
    play_chunked(p, c, 0, "");
}

/* Any answer, and a request: what has come goes on while the rest has not. */
static void any_body(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\na");
    int s = play_accept(p, 0);
    play_head(p, s, "POST /");
    play_expect(p, s, "a");
    play_send(p, c, "b");
    play_expect(p, s, "b");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nw");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "w");
    play_send(p, c, "cd");
    play_expect(p, s, "cd");
    play_send(p, s, "x");
    play_expect(p, c, "x");
}

/* Beyond request_timeout, the service's timeout, its idle time: a word now and then is enough. */
static void goes_on(struct play *p) {
    int c, s;
    asked(p, &c, &s, HEAD "\r\n");
    for (int i = 0; i < 4; i++) {
        play_time(p, 99 * SECOND);
        play_send(p, s, ":\n\n");
        play_chunks(p, c, ":\n\n");
    }
    play_time(p, 99 * SECOND);
    play_nothing(p, c);
    play_time(p, 2 * SECOND);
    play_broken(p, c);
    play_quiet(p);
    play_check(p, p->lost || p->rig->last_fault == FAULT_STREAM_IDLE);
}

static void lasts_so_long(struct play *p) {
    int c, s;
    asked(p, &c, &s, HEAD "\r\n");
    for (int i = 0; i < 4; i++) {
        play_time(p, 60 * SECOND);
        play_send(p, s, ":\n\n");
        play_chunks(p, c, ":\n\n");
    }
    play_time(p, 9 * SECOND);
    play_nothing(p, c);
    play_time(p, 2 * SECOND);
    play_broken(p, c);
    play_quiet(p);
    play_check(p, p->lost || p->rig->last_fault == FAULT_MAX_DURATION);
}

/* Before its head an event stream is a request like others. */
static void never_begins(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    play_head(p, play_accept(p, 0), "GET /events");
    play_time(p, 21 * SECOND);
    play_head(p, c, "HTTP/1.1 504 ");
}

/* Who does not read holds up his own stream alone, and the service's with it. */
static void a_slow_reader(struct play *p) {
    enum { MUCH = 3 << 20 };
    int c, s, other, its;
    asked(p, &c, &s, HEAD "\r\n");
    play_fill(p, s, MUCH);
    play_quiet(p);
    play_check(p, play_backlog(p, s) > MUCH / 2);
    asked(p, &other, &its, HEAD "\r\n");
    play_send(p, its, "data: x\n\n");
    play_chunks(p, other, "data: x\n\n");
}

#define EVENTS .rig = {.tune = events_route}

static const struct scene scenes[] = {
    {.name = "each at once", .fn = each_at_once, EVENTS},
    {.name = "until close", .fn = until_close, EVENTS},
    {.name = "any body", .fn = any_body},
    {.name = "goes on", .fn = goes_on, EVENTS},
    {.name = "lasts so long", .fn = lasts_so_long, .rig = {.tune = short_route}},
    {.name = "never begins", .fn = never_begins, EVENTS},
    {.name = "a slow reader", .fn = a_slow_reader, EVENTS, .heavy = true},
};

int main(int argc, char **argv) {
    return play_main("flow/streams", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
