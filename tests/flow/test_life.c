/*
 * The gateway's own life: reloads under traffic, draining, endpoints that come and go.
 */
#include "play.h"
#include "service/endpoint.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static int asked(struct play *p, int c) {
    play_send(p, c, GET);
    int s = play_accept(p, 0);
    play_head(p, s, "GET /");
    return s;
}

static void answered(struct play *p, int c, int s) {
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
}

/* Requests under way end as they began; connections on both sides stay. */
static void reload(struct play *p) {
    int c = play_client(p), s = asked(p, c);
    for (int i = 0; i < 5; i++) {
        rig_reload(p->rig);
        answered(p, c, s);
        play_nothing(p, c);
        play_send(p, c, GET);
        play_head(p, s, "GET /");
    }
    answered(p, c, s);
    play_check(p, rig_sum(p->rig, upstream_connections_opened) == 1);
    play_check(p, rig_sum(p->rig, client_connections_closed) == 0);
}

/* An old snapshot lives as long as its last exchange. */
static void old_snapshots_end(struct play *p) {
    int c = play_client(p), s = asked(p, c);
    struct snapshot *first = p->rig->snapshot;
    snapshot_ref_atomic(first);
    for (int i = 0; i < 3; i++) {
        rig_reload(p->rig);
        play_quiet(p);
    }
    play_check(p, atomic_load(&first->refs) > 1);
    answered(p, c, s);
    play_quiet(p);
    play_check(p, atomic_load(&first->refs) == 1);
    snapshot_unref_atomic(first);
}

static unsigned moved;
static void elsewhere(struct service_conf *c, struct snapshot *s) {
    (void)s;
    if (moved++ == 0)
        return;
    struct endpoint_conf *e = (struct endpoint_conf *)(uintptr_t)&c->endpoint[0];
    e->address_text = SPAN("10.0.0.2:80");
    must(address_parse(e->address_text, &e->address));
}

/* The endpoint leaves the service: its idle connection is closed, one in use after its answer. */
static void endpoint_leaves(struct play *p) {
    moved = 1;
    int c = play_client(p), other = play_client(p);
    int busy = asked(p, c), idle = asked(p, other);
    answered(p, other, idle);
    play_nothing(p, idle);
    rig_reload(p->rig);
    play_end(p, idle);
    play_nothing(p, busy);
    answered(p, c, busy);
    play_end(p, busy);
    moved = 0; /* for the next performance */
}

static void drain(struct play *p) {
    int idle = play_client(p), c = play_client(p);
    int s = asked(p, idle);
    answered(p, idle, s);
    play_send(p, c, GET);
    play_head(p, s, "GET /");
    rig_drain(p->rig);
    play_end(p, idle);
    play_send(p, s, OK_2);
    play_head(p, c, "HTTP/1.1 200 OK\nConnection: close");
    play_expect(p, c, "ok");
    play_end(p, c);
    play_end(p, s);
    play_check(p, rig_sum(p->rig, client_connections_closed) == 2);
}

/* Round robin over two endpoints. */
static void two_endpoints(struct play *p) {
    unsigned got[2] = {0};
    for (int i = 0; i < 6 && !p->lost; i++) {
        int c = play_client(p);
        play_send(p, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        play_quiet(p);
        int fd = p->lost ? -1 : actor_accept(p->service[0]);
        int which = fd >= 0 ? 0 : 1;
        if (fd >= 0)
            actor_close(fd);
        else
            play_close(p, play_accept(p, 1));
        got[which]++;
        play_head(p, c, "HTTP/1.1 502 ");
        play_close(p, c);
    }
    play_check(p, got[0] == 3 && got[1] == 3);
}

int main(int argc, char **argv) {
    static const struct scene scenes[] = {
        {.name = "reload", .fn = reload},
        {.name = "reload, two workers", .fn = reload, .rig = {.workers = 2}},
        {.name = "old snapshots end", .fn = old_snapshots_end},
        {.name = "endpoint leaves", .fn = endpoint_leaves, .rig = {.tune = elsewhere}},
        {.name = "drain", .fn = drain, .heavy = true}, /* nobody is served after it */
        {.name = "two endpoints", .fn = two_endpoints, .rig = {.endpoints = 2}, .heavy = true},
    };
    return play_main("life", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
