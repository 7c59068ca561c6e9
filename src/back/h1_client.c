#include "back/h1_client_conn.h"
#include "io/tcp.h"
#include <errno.h>

struct h1_client *h1_client_of(struct list *node) {
    return container_of(node, struct h1_client, node);
}
struct list *h1_client_node(struct h1_client *c) {
    return &c->node;
}
bool h1_client_kept(const struct h1_client *c) {
    return c->requests > 0;
}

static void arm(struct h1_client *c, uint64_t ms) {
    timer_start(&client_thread(c)->loop.timers, &c->timer, client_now(c) / 1000000, ms);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void client_free(struct deferred *d) {
    mem_free(container_of(d, struct h1_client, free));
}

static void close_now(struct h1_client *c) {
    if (c->state == CLIENT_CLOSED)
        return;
    must(!c->a);
    if (c->state == CLIENT_IDLE)
        pool_unidle(c->pool);
    if (c->state != CLIENT_CONNECTING) /* else it was never counted as opened */
        count_up(client_thread(c), upstream_connections_closed);
    c->state = CLIENT_CLOSED;
    list_remove(&c->node);
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    mem_free(c->in);
    c->in = NULL;
    loop_unwatch(&client_thread(c)->loop, &c->stream.watch);
    c->free.run = client_free;
    loop_after_turn(&client_thread(c)->loop, &c->free);
    pool_closed(c->pool);
}

void h1_client_close(struct h1_client *c) {
    close_now(c);
}

void h1_client_close_older(struct h1_client *c, uint32_t epoch) {
    if (c->epoch != epoch)
        close_now(c);
}

void h1_client_abandon(struct h1_client *c) {
    if (c->a)
        c->a->conn = NULL;
    c->a = NULL;
    close_now(c);
}

void client_fail(struct h1_client *c, enum fault why, const char *detail) {
    struct attempt *a = c->a;
    h1_client_abandon(c);
    attempt_failed(a, why, detail);
}

static void idle(struct h1_client *c) {
    struct pool *p = c->pool;
    c->state = CLIENT_IDLE;
    arm(c, c->idle_ms);
    pool_put_idle(p, &c->node);
}

/* Does the socket really have nothing more? Only asked where the last read filled its piece. */
static bool ran_dry(struct h1_client *c) {
    char byte; /* the scratch may be full */
    size_t got;
    if (c->stream.hung_up)
        return false;
    if (!c->stream.readable)
        return true;
    c->stream.readable = c->stream.ops->read(&c->stream, &byte, 1, &got) != IO_AGAIN;
    return !c->stream.readable;
}

void client_answered(struct h1_client *c, size_t excess) {
    struct attempt *a = c->a;
    bool sent = h1_writer_done(&a->w) && !a->broken;
    bool clean = sent && !excess && a->m.keep_alive && !a->m.auth_challenge && !a->m.upgrade &&
                 a->r.framing != FRAMING_CLOSE && a->r.framing != FRAMING_TUNNEL &&
                 c->epoch == endpoint_epoch(c->pool->endpoint) &&
                 c->requests < c->keepalive_requests && !client_thread(c)->draining;
    if (excess)
        count_up(client_thread(c), upstream_excess_bytes);
    if (a->m.keep_alive_s && a->m.keep_alive_s * 1000ull < c->idle_ms + 1000ull)
        c->idle_ms = a->m.keep_alive_s > 1 ? (a->m.keep_alive_s - 1) * 1000 : 1;
    a->conn = NULL;
    c->a = NULL;
    if (clean && ran_dry(c) && endpoint_may_idle(c->pool->endpoint))
        idle(c);
    else
        close_now(c);
    attempt_done(a);
}
/* ---- the request ----------------------------------------------------------------------------- */

/* The service takes no more. It may have answered before: reading will tell. */
static void write_broke(struct h1_client *c) {
    c->a->broken = true;
    if (c->a->sent_byte) /* else the whole of it may yet go elsewhere */
        body_stop(c->a->x->up_half.sink);
    c->stream.readable = true;
    client_read(c);
}

static void flush(struct output *o) {
    struct h1_client *c = container_of(o, struct h1_client, output);
    struct iovec iov[H1_WRITER_IOV] unzeroed;
    struct attempt *a = c->a;
    if (!a || a->blocked || a->broken || c->state != CLIENT_BUSY)
        return;
    for (int n; (n = h1_writer_gather(&a->w, &a->x->arena, iov)) > 0;) {
        size_t all = 0, took;
        for (int i = 0; i < n; i++)
            all += iov[i].iov_len;
        if (stream_write(&c->stream, iov, n, &took) == IO_RESET) {
            write_broke(c);
            return;
        }
        if (took)
            a->sent_byte = true;
        count_add(client_thread(c)->counters.upstream_bytes_sent, took);
        c->since = client_now(c);
        h1_writer_took(&a->w, took);
        if (took < all) {
            a->blocked = true;
            tcp_acked(&c->stream, &c->acked);
            if (a->w.body)
                body_pace(a->w.body, false);
            return;
        }
        if (a->w.body && took >= a->w.body->limit / 2)
            body_pace(a->w.body, true);
    }
    if (!a->x->t.sent && h1_writer_done(&a->w))
        c->since = a->x->t.sent = client_now(c);
}

static void watch_phases(struct h1_client *c);

void h1_client_send(struct h1_client *c, struct attempt *a) {
    c->a = a;
    c->requests++;
    c->since = client_now(c);
    if (c->state == CLIENT_IDLE)
        c->state = CLIENT_BUSY;
    watch_phases(c);
    loop_output(&client_thread(c)->loop, &c->output);
}

void h1_client_more(struct h1_client *c) {
    if (!c->a->blocked)
        loop_output(&client_thread(c)->loop, &c->output);
}

void h1_client_room(struct h1_client *c) {
    c->since = client_now(c); /* it was not the service that was silent */
    if (c->stream.readable && c->a && c->a->head_read)
        client_read(c);
}

/* ---- events, time ---------------------------------------------------------------------------- */

static void not_connected(struct h1_client *c, enum fault why, const char *detail) {
    count_up(client_thread(c), upstream_connections_failed);
    endpoint_connect_failed(c->pool->endpoint, &c->to);
    client_fail(c, why, detail);
}

static void connected(struct h1_client *c, uint32_t events) {
    int err = events & (EPOLLERR | EPOLLHUP) ? tcp_error(&c->stream) : 0;
    if ((events & (EPOLLERR | EPOLLHUP)) && !err)
        err = ECONNRESET;
    if (err) {
        not_connected(c, FAULT_CONNECT_FAILED, strerror(err));
        return;
    }
    if (!(events & EPOLLOUT))
        return;
    c->state = CLIENT_BUSY;
    c->since = c->a->x->t.connected = client_now(c);
    count_up(client_thread(c), upstream_connections_opened);
    atomic_fetch_add_explicit(&c->pool->endpoint->connects, 1, memory_order_relaxed);
    watch_phases(c);
    loop_output(&client_thread(c)->loop, &c->output);
    if (c->stream.readable) /* it spoke first, and this was the edge */
        loop_unfinished(&client_thread(c)->loop, &c->reader);
}

static void unasked(struct h1_client *c) {
    struct span got;
    if (stream_read(&client_thread(c)->loop, &c->stream, 1, &got) == IO_OK)
        count_up(client_thread(c), upstream_excess_bytes);
    else if (!c->stream.hung_up && !c->stream.readable)
        return; /* only an edge of writability */
    close_now(c);
}

static void ready(struct watch *w, uint32_t events) {
    struct h1_client *c = container_of(w, struct h1_client, stream.watch);
    stream_event(&c->stream, events);
    switch ((enum client_state)c->state) {
    case CLIENT_CONNECTING:
        connected(c, events);
        return;
    case CLIENT_IDLE:
        if (c->stream.readable)
            unasked(c);
        return;
    case CLIENT_BUSY:
        if ((events & EPOLLOUT) && c->a->blocked) {
            c->a->blocked = false;
            loop_output(&client_thread(c)->loop, &c->output);
        }
        if (c->stream.readable)
            client_read(c);
        return;
    case CLIENT_CLOSED:
        return;
    }
}

static void again(struct reader *r) {
    client_read(container_of(r, struct h1_client, reader));
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
        return body_room(&a->x->down_half.source) && !c->stream.readable
                   ? a->service->idle_timeout_ms
                   : 0;
    if (h1_writer_done(&a->w))
        return a->service->first_byte_timeout_ms;
    return a->blocked ? a->service->idle_timeout_ms : 0; /* else the client is the slow one */
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

static void watch_phases(struct h1_client *c) {
    enum fault meaning;
    uint64_t ms = phase(c, &meaning), passed = (client_now(c) - c->since) / 1000000;
    ms = ms ? (ms > passed ? ms - passed : 0) : 1000;
    ms = shortest_phase(c, ms);
    if (c->a->deadline_at) {
        uint64_t left =
            c->a->deadline_at > client_now(c) ? (c->a->deadline_at - client_now(c)) / 1000000 : 0;
        if (left < ms)
            ms = left;
    }
    arm(c, ms);
}

/* Blocked, and still it takes: of a large socket buffer a third must be free before that is told.
 */
static bool still_takes(struct h1_client *c) {
    uint64_t acked;
    if (c->state != CLIENT_BUSY || !c->a->blocked || c->a->head_read ||
        !tcp_acked(&c->stream, &acked) || acked == c->acked)
        return false;
    c->acked = acked;
    return true;
}

static void busy_timeout(struct h1_client *c) {
    if (still_takes(c))
        c->since = client_now(c);
    enum fault meaning;
    uint64_t ms = phase(c, &meaning);
    bool all = c->a->deadline_at && client_now(c) >= c->a->deadline_at;
    bool one = ms && client_now(c) - c->since >= ms * 1000000;
    const char *detail = all ? "timeout of the service" : NULL;
    if (!all && !one)
        watch_phases(c);
    else if (c->state == CLIENT_CONNECTING)
        not_connected(c, FAULT_CONNECT_TIMEOUT, detail);
    else
        client_fail(c, all ? FAULT_UPSTREAM_TIMEOUT : meaning, detail);
}

static void timed_out(struct timer *t) {
    struct h1_client *c = container_of(t, struct h1_client, timer);
    if (!c->a) {
        close_now(c);
        return;
    }
    busy_timeout(c);
}

static enum fault connect_fault(int err) {
    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
        return FAULT_LOCAL_RESOURCE;
    default:
        return FAULT_CONNECT_FAILED;
    }
}

struct h1_client *h1_client_connect(struct pool *p, const struct service_conf *s, enum fault *why) {
    struct h1_client *c = mem_try(sizeof *c);
    if (!c) {
        *why = FAULT_OUT_OF_MEMORY;
        return NULL;
    }
    *c = (struct h1_client){.pool = p,
                            .stream.watch.ready = ready,
                            .output.flush = flush,
                            .reader.again = again,
                            .timer.fire = timed_out,
                            .idle_ms = (uint32_t)s->keepalive_idle_ms,
                            .keepalive_requests = s->keepalive_requests};
    *why = FAULT_DNS_FAILED;
    int err = 0;
    if (endpoint_address(p->endpoint, &c->to, &c->epoch)) {
        err = tcp_connect(&p->thread->loop, &c->stream, &c->to);
        if (!err) {
            *why = FAULT_NONE;
            c->state = CLIENT_CONNECTING;
            return c;
        }
        *why = connect_fault(err);
        endpoint_connect_failed(p->endpoint, &c->to);
        count_up(p->thread, upstream_connections_failed);
    }
    mem_free(c);
    return NULL;
}
