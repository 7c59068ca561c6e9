/*
 * What happens when nothing happens: every time limit, on the virtual clock. Each play looks one
 * second before its limit, when nothing may have happened, and one second after it.
 */
#include "play.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void until_just_before(struct play *p, int who, uint64_t limit_ms) {
    play_time(p, limit_ms - 1000);
    play_nothing(p, who);
    play_time(p, 2000);
}

static int asked(struct play *p, int *c) {
    *c = play_client(p);
    play_send(p, *c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    return s;
}

static void silent_client(struct play *p) {
    int c = play_client(p);
    until_just_before(p, c, 10000);
    play_end(p, c); /* nothing was asked: nothing is answered */
}

static void half_a_head(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "GET / HTTP/1.1\r\nHo");
    play_quiet(p);
    until_just_before(p, c, 10000);
    play_head(p, c, "HTTP/1.1 408 \nConnection: close");
}

/* Bytes now and then do not help: the limit is on the whole head. */
static void dripping_head(struct play *p) {
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    int c = play_client(p);
    for (int i = 0; i < 9; i++) {
        char one[2] = {head[i], 0};
        play_send(p, c, one);
        play_time(p, 1000);
    }
    play_nothing(p, c);
    play_time(p, 2000);
    play_head(p, c, "HTTP/1.1 408 ");
}

static void idle_client(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200");
    play_expect(p, c, "ok");
    until_just_before(p, c, 60000);
    play_end(p, c);
}

static void body_that_stops(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n");
    play_fill(p, c, 8000);
    int s = play_accept(p, 0);
    play_head(p, s, "POST /");
    play_filled(p, s, 8000);
    play_time(p, 29000);
    play_nothing(p, c);
    play_time(p, 3000); /* looked at once a second */
    play_head(p, c, "HTTP/1.1 408 ");
    play_end(p, s);
}

static void silence_from_connecting(struct play *p) {
    play_black_hole(p, 0);
    int c = play_client(p);
    play_send(p, c, GET);
    play_quiet(p);
    until_just_before(p, c, 3000);
    play_head(p, c, "HTTP/1.1 504 ");
}

static void service_does_not_answer(struct play *p) {
    int c, s = asked(p, &c);
    until_just_before(p, c, 15000);
    play_head(p, c, "HTTP/1.1 504 ");
    play_end(p, s);
}

static void service_falls_silent(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    play_head(p, c, "HTTP/1.1 200");
    play_expect(p, c, "abc");
    until_just_before(p, c, 30000);
    play_broken(p, c);
    play_end(p, s);
}

static void five_seconds(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->timeout_ms = 5000;
}

/* The service's own timeout is on the whole answer, however lively it is. */
static void service_takes_too_long(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200");
    for (int i = 0; i < 4; i++) {
        play_time(p, 1000);
        play_send(p, s, "a");
        play_expect(p, c, "a");
    }
    play_nothing(p, c);
    play_time(p, 2000);
    play_broken(p, c);
}

static void one_connection(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->max_connections = 1;
}

static void waiting_in_the_queue(struct play *p) {
    int c;
    (void)asked(p, &c);
    int second = play_client(p);
    play_send(p, second, GET);
    play_time(p, 500);
    play_nothing(p, second);
    play_time(p, 1000);
    play_head(p, second, "HTTP/1.1 503 ");
}

static void client_does_not_read(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    play_fill(p, s, 1000000);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 0);
    play_time(p, 29000);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 0);
    play_time(p, 2000);
    play_check(p, rig_sum(p->rig, exchanges_aborted) == 1);
    play_check(p, p->lost || p->rig->last_fault == FAULT_SEND_STALLED);
}

static void idle_service_connection(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200");
    play_expect(p, c, "ok");
    until_just_before(p, s, 55000);
    play_end(p, s);
}

/* A service that says how long it keeps connections is left a second earlier. */
static void service_says_how_long(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nok");
    play_head(p, c, "HTTP/1.1 200\n!Keep-Alive\n!keep-alive");
    play_expect(p, c, "ok");
    until_just_before(p, s, 4000);
    play_end(p, s);
}

/* An hour old: closed after an answer that says so, never in the middle of something. */
static void old_connection(struct play *p) {
    int c = play_client(p);
    for (int i = 0; i < 5 && !p->lost;
         i++) { /* about a request a minute; 200 s, a tenth more or less */
        play_send(p, c, GET);
        int s = play_accept(p, 0);
        play_head(p, s, "GET /");
        play_send(p, s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        play_close(p, s);
        play_head(p, c, i < 4 ? "HTTP/1.1 200\n!Connection" : "HTTP/1.1 200\nConnection: close");
        play_expect(p, c, "ok");
        if (i < 4)
            play_time(p, 59000);
    }
    play_end(p, c);
}

static void short_times(struct service_conf *c, struct snapshot *s) {
    struct route *r = (struct route *)(uintptr_t)s->route;
    c->timeout_ms = 5000;
    c->idle_timeout_ms = 10000;
    r->request_timeout_ms = 20000;
    r->idle_timeout_ms = 60000;
}
/* From the head on an event stream is bound by the route's own silence alone. */
static void event_stream(struct play *p) {
    int c, s = asked(p, &c);
    play_send(p, s,
              "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
              "Transfer-Encoding: chunked\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200\nTransfer-Encoding: chunked");
    for (int i = 0; i < 3; i++) {
        play_time(p, 50000);
        play_send(p, s, "8\r\ndata: x\n\r\n");
        play_chunks(p, c, "data: x\n");
    }
    until_just_before(p, c, 60000);
    play_broken(p, c);
    play_check(p, p->rig->last_fault == FAULT_STREAM_IDLE);
}
/* Until then as any other. */
static void event_stream_without_head(struct play *p) {
    int c, s = asked(p, &c);
    until_just_before(p, c, 5000);
    play_head(p, c, "HTTP/1.1 504 ");
    play_close(p, s);
}

int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        {.name = "silent client", .fn = silent_client},
        {.name = "half a head", .fn = half_a_head},
        {.name = "dripping head", .fn = dripping_head},
        {.name = "idle client", .fn = idle_client},
        {.name = "body that stops", .fn = body_that_stops},
        {.name = "silence from connecting", .fn = silence_from_connecting},
        {.name = "service does not answer", .fn = service_does_not_answer},
        {.name = "service falls silent", .fn = service_falls_silent},
        {.name = "service takes too long",
         .fn = service_takes_too_long,
         .rig = {.tune = five_seconds}},
        {.name = "waiting in the queue",
         .fn = waiting_in_the_queue,
         .rig = {.tune = one_connection}},
        {.name = "client does not read", .fn = client_does_not_read, .heavy = true},
        {.name = "idle service connection", .fn = idle_service_connection},
        {.name = "service says how long", .fn = service_says_how_long},
        {.name = "event stream", .fn = event_stream, .rig = {.tune = short_times}},
        {.name = "event stream without head",
         .fn = event_stream_without_head,
         .rig = {.tune = short_times}},
        {.name = "old connection", .fn = old_connection, .heavy = true},
    };
    return play_main("time", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
