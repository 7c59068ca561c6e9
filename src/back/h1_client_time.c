/* How long each phase of an attempt may last. */
#include "back/h1_client_conn.h"
#include "io/tcp.h"

void h1_client_arm(struct h1_client *c, uint64_t ms) {
    timer_start(&h1_client_thread(c)->loop.timers, &c->timer, h1_client_now(c) / 1000000, ms);
}

/* Tunnels, event streams and the like: from the head on the exchange's own times hold. */
static bool streams(const struct h1_client *c) {
    return c->a->head_read && c->a->x->streams;
}

/* The phase an attempt is in: how long it may last, and what it means when it does not end. */
static uint64_t phase(const struct h1_client *c, enum fault *meaning) {
    const struct attempt *a = c->a;
    if (c->state == CLIENT_CONNECTING) {
        *meaning = FAULT_CONNECT_TIMEOUT;
        return a->service->connect_timeout_ms;
    }
    *meaning = a->head_read ? FAULT_UPSTREAM_IDLE : FAULT_UPSTREAM_TIMEOUT;
    if (a->head_read) /* what waits in the socket waits for the client */
        return body_room(&a->x->down_half.source) && !c->c.stream.readable
                   ? a->service->idle_timeout_ms
                   : 0;
    if (h1_writer_done(&c->p->w))
        return a->service->first_byte_timeout_ms;
    return c->p->blocked ? a->service->idle_timeout_ms : 0; /* else the client is the slow one */
}

/* Phases change without a word to the timer, so while it runs it looks as often as the shortest of
 * them asks for. */
static uint64_t shortest_phase(const struct h1_client *c, uint64_t ms) {
    const struct service_conf *s = c->a->service;
    if (c->state == CLIENT_CONNECTING)
        return ms;
    if (s->first_byte_timeout_ms && s->first_byte_timeout_ms < ms)
        ms = s->first_byte_timeout_ms;
    return s->idle_timeout_ms && s->idle_timeout_ms < ms ? s->idle_timeout_ms : ms;
}

void h1_client_watch_phases(struct h1_client *c) {
    enum fault meaning;
    if (streams(c)) {
        timer_stop(&c->timer);
        return;
    }
    uint64_t ms = phase(c, &meaning), passed = (h1_client_now(c) - c->since) / 1000000;
    ms = ms ? (ms > passed ? ms - passed : 0) : 1000;
    ms = shortest_phase(c, ms);
    if (c->a->deadline_at) {
        uint64_t left = c->a->deadline_at > h1_client_now(c)
                            ? (c->a->deadline_at - h1_client_now(c)) / 1000000
                            : 0;
        if (left < ms)
            ms = left;
    }
    h1_client_arm(c, ms);
}

/* Blocked, and still it takes: of a large socket buffer a third must be free before that is told.
 */
static bool still_takes(struct h1_client *c) {
    uint64_t acked;
    if (c->state != CLIENT_BUSY || !c->p->blocked || c->a->head_read ||
        !tcp_acked(&c->c.stream, &acked) || acked == c->acked)
        return false;
    c->acked = acked;
    return true;
}

static const char *connect_detail(struct h1_client *c, const char *detail) {
    const char *of_setup = setup_gave_up(&c->setup, &c->c);
    return detail ? detail : of_setup;
}

static void busy_timeout(struct h1_client *c) {
    if (streams(c))
        return;
    if (still_takes(c))
        c->since = h1_client_now(c);
    enum fault meaning;
    uint64_t ms = phase(c, &meaning);
    bool all = c->a->deadline_at && h1_client_now(c) >= c->a->deadline_at;
    bool one = ms && h1_client_now(c) - c->since >= ms * 1000000;
    const char *detail = all ? "timeout of the service" : NULL;
    if (!all && !one)
        h1_client_watch_phases(c);
    else if (c->state == CLIENT_CONNECTING)
        h1_client_fail(c, FAULT_CONNECT_TIMEOUT, connect_detail(c, detail));
    else
        h1_client_fail(c, all ? FAULT_UPSTREAM_TIMEOUT : meaning, detail);
}

void h1_client_timed_out(struct timer *t) {
    struct h1_client *c = container_of(t, struct h1_client, timer);
    if (c->a)
        busy_timeout(c);
    else
        h1_client_close(c);
}
