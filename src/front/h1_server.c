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

/* ---- ends ---- */

static void release(struct door *d) {
    slab_give(&door_thread(d)->connections, conn_of(d));
}

void conn_leave(struct h1_conn *c) {
    must(!c->x);
    c->state = H1_CLOSED;
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    mem_free(c->in);
    c->in = NULL;
}

void conn_close(struct h1_conn *c) {
    if (c->state == H1_CLOSED)
        return;
    conn_leave(c);
    door_close(&c->door);
}

/* The answer breaks off: the client must not take it for whole. */
void conn_reset(struct h1_conn *c) {
    if (c->state == H1_CLOSED)
        return;
    conn_leave(c);
    door_reset(&c->door);
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
    while (c->door.stream.readable) {
        loop_scratch_reuse(&conn_thread(c)->loop);
        enum io_result r = stream_read(&conn_thread(c)->loop, &c->door.stream, SCRATCH_MIN, &got);
        if (r == IO_AGAIN)
            return;
        size_t lingered = c->lingered + (r == IO_OK ? got.n : LINGER_BYTES);
        c->lingered = lingered & 0xffffff;
        if (lingered >= LINGER_BYTES) {
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
    c->door.stream.ops->shut(&c->door.stream);
    conn_arm(c, LINGER_MS);
    if (c->door.stream.readable)
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

static void again(struct reader *r) {
    struct h1_conn *c = container_of(r, struct h1_conn, reader);
    if (c->door.stream.readable || c->in)
        h1_read(c);
}

/* Both directions shut look like it too: of a tunnel that has a last piece to read. */
static bool is_gone(const struct h1_conn *c, uint32_t events) {
    return (events & EPOLLERR) || ((events & EPOLLHUP) && !c->work->shut);
}

static void ready(struct watch *w, uint32_t events) {
    struct h1_conn *c = container_of(w, struct h1_conn, door.stream.watch);
    stream_event(&c->door.stream, events);
    if (c->state == H1_BUSY && is_gone(c, events)) {
        conn_abort(c, FAULT_CLIENT_CLOSED);
        return;
    }
    if ((events & EPOLLOUT) && c->work && c->work->blocked) {
        c->work->blocked = false;
        loop_output(&conn_thread(c)->loop, &c->output);
    }
    if (c->door.stream.readable)
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
    return !c->work->request_done && !c->door.stream.readable && !conn_streams(c) &&
           body_room(&c->x->up_half.source) > 0;
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

static struct h1_conn *create(struct thread *t) {
    struct slab *slab = &t->connections;
    if (!slab->pages)
        slab_init(slab, sizeof(struct h1_conn), &t->loop.arenas.pages);
    struct h1_conn *c = slab_take(slab);
    if (c)
        *c = (struct h1_conn){.door = {.ops = &h1_door, .stream.watch.ready = ready},
                              .output.flush = h1_flush,
                              .reader.again = again,
                              .timer.fire = timed_out};
    return c;
}

struct door *h1_server_accept(struct listener *l, int fd, const struct address *peer) {
    struct h1_conn *c = create(l->thread);
    if (!c)
        return NULL;
    if (!door_open(&c->door, l, fd, peer)) {
        slab_give(&l->thread->connections, c);
        return NULL;
    }
    conn_arm(c, conn_limits(c)->first_byte_timeout_ms);
    return &c->door;
}

void h1_server_take_over(struct door *from, struct span early) {
    struct thread *t = door_thread(from);
    struct h1_conn *c = create(t);
    if (!c || !door_take_over(from, &c->door)) {
        if (c)
            slab_give(&t->connections, c);
        door_reset(from);
        return;
    }
    conn_arm(c, t->draining ? DRAIN_FRESH_MS : conn_limits(c)->first_byte_timeout_ms);
    if (early.n && !h1_keep(c, early))
        conn_reset(c);
    else
        h1_read(c);
}

static bool is_idle(const struct h1_conn *c) {
    return c->state == H1_IDLE && !c->in && !c->door.stream.readable;
}

static bool idle(const struct door *d, uint64_t *until) {
    const struct h1_conn *c = (const void *)d; /* its first member */
    *until = c->timer.at;
    return is_idle(c);
}

static void drain(struct door *d) {
    struct h1_conn *c = conn_of(d);
    if (is_idle(c) && !c->requests)
        conn_arm(c, DRAIN_FRESH_MS); /* just accepted: its first request is on its way */
    else if (is_idle(c))
        conn_close(c);
    else if (c->state == H1_BUSY && !c->work->head_written)
        c->keep = false;
}

static void kill_now(struct door *d) {
    struct h1_conn *c = conn_of(d);
    if (c->x)
        conn_abort(c, FAULT_SHUTTING_DOWN);
    else
        conn_close(c);
}

const struct door_ops h1_door = {"h1", drain, kill_now, idle, release};
