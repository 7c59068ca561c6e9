/*
 * h1_server - HTTP/1.1 clients: bytes become exchanges, answers become bytes.
 *
 * A connection is idle (waiting for a request, perhaps with a part of one), busy with one exchange,
 * or lingering (the answer has left, what still comes is thrown away). An idle connection owns no
 * buffer. Pipelined requests wait: one is in work, the rest stays in the socket or in one small
 * copy.
 */
#include "front/h1_conn.h"

enum { LINGER_MS = 2000, LINGER_BYTES = 64 * 1024, DRAIN_FRESH_MS = 1000 };

struct h1_conn *h1_server_of(struct list *node) {
    return container_of(node, struct h1_conn, node);
}

void conn_peer(const struct h1_conn *c, struct address *out) {
    sa_family_t family = c->peer.sa.sa_family;
    out->len = family == AF_INET ? sizeof c->peer.in : family == AF_INET6 ? sizeof c->peer.in6 : 0;
    memcpy(&out->sa, &c->peer, out->len);
}

/* ---- ends ---- */

static void conn_free(struct deferred *d) {
    struct h1_conn *c = container_of(d, struct h1_conn, free);
    unsigned char ip[16] = {0};
    struct address peer = {.len = 0};
    conn_peer(c, &peer);
    address_ip16(&peer, ip);
    struct thread *t = conn_thread(c);
    listener_released(c->listener, ip, c->counted);
    slab_give(&t->connections, c);
}

void conn_close(struct h1_conn *c) {
    if (c->state == H1_CLOSED)
        return;
    must(!c->x);
    c->state = H1_CLOSED;
    list_remove(&c->node);
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    mem_free(c->in);
    c->in = NULL;
    loop_unwatch(&conn_thread(c)->loop, &c->stream.watch);
    count_up(conn_thread(c), client_connections_closed);
    c->free.run = conn_free;
    loop_after_turn(&conn_thread(c)->loop, &c->free);
}

/* The answer breaks off: the client must not take it for whole. */
void conn_reset(struct h1_conn *c) {
    tcp_reset_on_close(c->stream.watch.fd);
    conn_close(c);
}

void conn_abort(struct h1_conn *c, enum fault why) {
    struct exchange *x = c->x;
    c->x = NULL;
    c->work = NULL;
    if (x)
        exchange_abort(x, why);
    conn_reset(c);
}

void conn_linger_read(struct h1_conn *c) {
    struct span got;
    while (c->stream.readable) {
        loop_scratch_reuse(&conn_thread(c)->loop);
        enum io_result r = stream_read(&conn_thread(c)->loop, &c->stream, SCRATCH_MIN, &got);
        if (r == IO_AGAIN)
            return;
        c->lingered += r == IO_OK ? (uint32_t)got.n : LINGER_BYTES;
        if (c->lingered >= LINGER_BYTES) {
            conn_close(c);
            return;
        }
    }
}

/* Closing at once could send RST and destroy the answer in the client's hands while it still sends.
 */
void conn_linger(struct h1_conn *c) {
    c->state = H1_LINGER;
    mem_free(c->in);
    c->in = NULL;
    c->stream.ops->shut(&c->stream);
    conn_arm(c, LINGER_MS);
    if (c->stream.readable)
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

static void again(struct reader *r) {
    struct h1_conn *c = container_of(r, struct h1_conn, reader);
    if (c->stream.readable || c->in)
        h1_read(c);
}

static void ready(struct watch *w, uint32_t events) {
    struct h1_conn *c = container_of(w, struct h1_conn, stream.watch);
    stream_event(&c->stream, events);
    if ((events & (EPOLLERR | EPOLLHUP)) && c->state == H1_BUSY) {
        conn_abort(c, FAULT_CLIENT_CLOSED);
        return;
    }
    if ((events & EPOLLOUT) && c->work && c->work->blocked) {
        c->work->blocked = false;
        loop_output(&conn_thread(c)->loop, &c->output);
    }
    if (c->stream.readable)
        h1_read(c);
}

/* ---- time ---- */

static void idle_timeout(struct h1_conn *c) {
    if (!c->in || c->in->fresh) {
        if (!c->requests)
            count_up(conn_thread(c), client_connections_silent);
        conn_close(c); /* nothing was asked, so nothing is answered */
        return;
    }
    struct h1_in *in = c->in;
    c->in = NULL;
    in->parser.fault = FAULT_HEADER_TIMEOUT; /* this head is not whole: nobody may read it as one */
    h1_refuse(c, &in->parser, in->bytes, FAULT_HEADER_TIMEOUT);
    mem_free(in);
}

/* Nobody pauses within the last line of a chunked body: what stands there is not its end. */
static void hold_over(struct h1_conn *c) {
    if (!c->work->r.in_trailers) {
        h1_start(c);
        return;
    }
    c->work->held = false;
    exchange_refuse(c->x, FAULT_BAD_CHUNK);
}

/* What waits in the socket waits for the service: that is not the client's time. */
static bool body_awaited(const struct h1_conn *c) {
    return !c->work->request_done && !c->stream.readable && body_room(&c->x->up_half.source) > 0;
}

static uint64_t next_look_ms(const struct h1_conn *c) {
    if (!c->work->blocked)
        return body_awaited(c) ? 1000 : conn_limits(c)->keepalive_timeout_ms;
    uint64_t ms = conn_route_limits(c)->send_stall_timeout_ms;
    uint64_t passed = conn_passed_ms(c, c->work->blocked_since);
    return ms > passed && ms - passed < 1000 ? ms - passed : 1000;
}

static void busy_timeout(struct h1_conn *c) {
    struct h1_work *w = c->work;
    if (w->held) {
        hold_over(c);
        return;
    }
    if (w->blocked && h1_stalled(c)) {
        conn_abort(c, FAULT_SEND_STALLED);
        return;
    }
    uint64_t ms = conn_route_limits(c)->body_idle_timeout_ms;
    conn_arm(c, next_look_ms(c));
    if (body_awaited(c) && ms && conn_passed_ms(c, w->body_last) >= ms)
        body_late(c);
}

static void timed_out(struct timer *t) {
    struct h1_conn *c = container_of(t, struct h1_conn, timer);
    switch ((enum h1_state)c->state) {
    case H1_IDLE:
        idle_timeout(c);
        return;
    case H1_BUSY:
        busy_timeout(c);
        return;
    case H1_LINGER:
        conn_close(c);
        return;
    case H1_CLOSED:
        return;
    }
}

/* ---- begin ---- */

struct h1_conn *h1_server_accept(struct listener *l, int fd, const struct address *peer) {
    struct slab *slab = &l->thread->connections;
    if (!slab->pages)
        slab_init(slab, sizeof(struct h1_conn), &l->thread->loop.arenas.pages);
    struct h1_conn *c = slab_take(slab);
    if (!c)
        return NULL;
    *c = (struct h1_conn){.listener = l,
                          .stream = {.ops = &tcp_stream, .watch = {.ready = ready}},
                          .output.flush = h1_flush,
                          .reader.again = again,
                          .timer.fire = timed_out,
                          .opened = l->thread->loop.now};
    if (peer->len && peer->sa.sa_family == AF_INET)
        c->peer.in = peer->in;
    else if (peer->len && peer->sa.sa_family == AF_INET6)
        c->peer.in6 = peer->in6;
    if (c->peer.sa.sa_family) {
        char text[ADDRESS_TEXT_MAX];
        struct span t = address_text(peer, text, false);
        c->peer_text_len = t.n <= sizeof c->peer_text ? (unsigned char)t.n : 0;
        memcpy(c->peer_text, t.p, c->peer_text_len);
    }
    if (!loop_watch(&l->thread->loop, &c->stream.watch, fd)) {
        slab_give(slab, c);
        return NULL;
    }
    list_append(&l->connections, &c->node);
    conn_arm(c, conn_limits(c)->first_byte_timeout_ms);
    return c;
}

void h1_server_counted(struct h1_conn *c, bool counted) {
    c->counted = counted;
}

static bool is_idle(const struct h1_conn *c) {
    return c->state == H1_IDLE && !c->in && !c->stream.readable;
}

bool h1_server_idle(const struct h1_conn *c, uint64_t *until) {
    *until = c->timer.at;
    return is_idle(c);
}

void h1_server_drain(struct h1_conn *c) {
    bool idle = is_idle(c);
    if (idle && !c->requests)
        conn_arm(c, DRAIN_FRESH_MS); /* just accepted: its first request is on its way */
    else if (idle)
        conn_close(c);
    else if (c->state == H1_BUSY && !c->work->head_written)
        c->keep = false;
}

void h1_server_kill(struct h1_conn *c) {
    if (c->x)
        conn_abort(c, FAULT_SHUTTING_DOWN);
    else
        conn_close(c);
}
