/*
 * h2_server - HTTP/2 clients: the life of a connection, and its time.
 *
 * It waits for requests, carries up to h2_max_concurrent_streams exchanges at once, leaves in peace
 * (GOAWAY, in two steps), and lingers: all is said, what still comes is thrown away for a while,
 * for closing at once could destroy the last words in the client's hands.
 */
#include "front/h2_conn.h"
#include "core/h1_wire.h"

enum { LINGER_MS = 2000, LINGER_BYTES = 64 * 1024, LOOK_MS = 1000, NOTICE_MS = 1000 };

static struct h2_conn *conn_of(struct door *d) {
    return container_of(d, struct h2_conn, door);
}

static void arm(struct h2_conn *c, uint64_t ms) {
    timer_start(&h2_thread(c)->loop.timers, &c->timer, h2_now(c) / 1000000, ms);
}

void h2_look_soon(struct h2_conn *c) {
    if (c->state == H2_OPEN &&
        (!timer_running(&c->timer) || c->timer.at > h2_now(c) / 1000000 + LOOK_MS))
        arm(c, LOOK_MS);
}

/* ---- ends ---- */

static void release(struct door *d) {
    mem_free(conn_of(d));
}

void h2_end_streams(struct list *streams, enum fault why) {
    while (list_linked(streams)) {
        struct h2_stream *s = container_of(streams->next, struct h2_stream, node);
        struct exchange *x = s->x;
        h2_stream_leave(s);
        exchange_abort(x, why);
    }
}

static void leave(struct h2_conn *c, enum fault why) {
    h2_end_streams(&c->streams, why);
    h2_end_streams(&c->leaving, why);
    c->state = H2_CLOSED;
    list_remove(&c->output.node);
    list_remove(&c->late.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    h2_out_drop(c);
    nghttp2_session_del(c->session);
    c->session = NULL;
}

static void close_now(struct h2_conn *c) {
    if (c->state == H2_CLOSED)
        return;
    leave(c, FAULT_CLIENT_CLOSED);
    door_close(&c->door);
}

void h2_lost(struct h2_conn *c, enum fault why) {
    if (c->state == H2_CLOSED)
        return;
    leave(c, why);
    door_reset(&c->door);
}

void h2_done(struct h2_conn *c) {
    if (c->read_ended) {
        close_now(c);
        return;
    }
    c->state = H2_LINGER;
    c->door.stream.ops->shut(&c->door.stream);
    arm(c, LINGER_MS);
    if (c->door.stream.readable)
        loop_unfinished(&h2_thread(c)->loop, &c->reader);
}

static void linger(struct h2_conn *c) {
    struct loop *l = &h2_thread(c)->loop;
    while (c->door.stream.readable) {
        struct span got;
        loop_scratch_reuse(l);
        enum io_result r = stream_read(l, &c->door.stream, SCRATCH_MIN, &got);
        if (r == IO_AGAIN)
            return;
        c->lingered += r == IO_OK ? (uint32_t)got.n : LINGER_BYTES;
        if (c->lingered >= LINGER_BYTES) {
            close_now(c);
            return;
        }
    }
}

static void read_on(struct h2_conn *c) {
    if (c->state == H2_OPEN)
        h2_read(c);
    else if (c->state == H2_LINGER)
        linger(c);
}

static void again(struct reader *r) {
    read_on(container_of(r, struct h2_conn, reader));
}

static void ready(struct watch *w, uint32_t events) {
    struct h2_conn *c = container_of(w, struct h2_conn, door.stream.watch);
    stream_event(&c->door.stream, events);
    if (events & (EPOLLERR | EPOLLHUP)) {
        h2_lost(c, FAULT_CLIENT_CLOSED);
        return;
    }
    if (events & EPOLLOUT && c->state == H2_OPEN)
        h2_writable(c);
    if (c->door.stream.readable)
        read_on(c);
}

/* ---- leaving in peace ---- */

void h2_leave_soon(struct h2_conn *c) {
    if (c->leave != H2_STAYS || c->over)
        return;
    c->leave = H2_NOTICED;
    c->since = h2_now(c);
    h2_check(c, nghttp2_submit_shutdown_notice(c->session)); /* a PING goes behind it */
    h2_dirty(c);
    h2_look_soon(c);
}

void h2_idle(struct h2_conn *c) {
    if (c->state != H2_OPEN)
        return;
    c->since = c->leave == H2_STAYS ? h2_now(c) : c->since;
    if (c->leave == H2_STAYS && !c->blocked)
        arm(c, h2_limits(c)->keepalive_timeout_ms);
    else
        h2_dirty(c);
}

/* A tenth more or less for each connection, so that those that came together do not end together.
 */
static bool too_old(const struct h2_conn *c) {
    uint64_t ms = h2_limits(c)->max_connection_age_ms;
    uint64_t mixed =
        (c->door.opened + (uint64_t)(unsigned)c->door.stream.watch.fd) * 0x9e3779b97f4a7c15ull;
    return ms &&
           h2_passed_ms(c, c->door.opened) >= ms * (900 * 1024 + 200 * (mixed >> 54)) / 1024 / 1000;
}

bool h2_worn_out(const struct h2_conn *c) {
    const struct limits_conf *l = h2_limits(c);
    uint32_t n = c->frames.streams;
    return (l->keepalive_requests && n >= l->keepalive_requests) ||
           (l->h2_max_total_streams && n >= l->h2_max_total_streams) || too_old(c);
}

/* ---- time ---- */

/* The body's next byte is the client's turn. What waits in the socket is not late, and a header
 * block has a time of its own. */
static bool body_awaited(const struct h2_stream *s) {
    return !s->request_done && s->c->section_of != s && !s->x->streams &&
           !s->c->door.stream.readable &&
           (s->x->state == X_NEW || body_room(&s->x->up_half.source) > 0);
}

static bool body_late(const struct h2_stream *s) {
    uint64_t ms = h2_route_limits(s)->body_idle_timeout_ms;
    return ms && h2_passed_ms(s->c, s->body_last) >= ms;
}

/* True: something of it is the client's turn. */
static bool look_at(struct h2_stream *s) {
    if (h2_stream_stalled(s)) {
        h2_stream_reset(s, NGHTTP2_CANCEL, FAULT_SEND_STALLED);
        return true;
    }
    bool awaited = body_awaited(s);
    if (awaited && body_late(s))
        h2_stream_late(s);
    return awaited || s->stall_since;
}

static bool look_at_streams(struct h2_conn *c) {
    bool watch = false;
    for (struct list *n = c->streams.next, *next; n != &c->streams; n = next) {
        next = n->next;
        watch |= look_at(container_of(n, struct h2_stream, node));
    }
    return watch;
}

/* The first request does not come, or no further one. */
static void look_idle(struct h2_conn *c) {
    const struct limits_conf *l = h2_limits(c);
    uint64_t ms = c->requests ? l->keepalive_timeout_ms : l->first_byte_timeout_ms;
    uint64_t passed = h2_passed_ms(c, c->since);
    if (!ms || passed < ms) {
        if (ms)
            arm(c, ms - passed);
        return;
    }
    if (!c->requests)
        count_up(h2_thread(c), client_connections_silent);
    h2_goaway_last(c);
    h2_look_soon(c);
}

static bool block_late(const struct h2_conn *c) {
    uint64_t ms = h2_limits(c)->header_timeout_ms;
    return c->frames.block && ms && h2_passed_ms(c, c->frames.block_since) >= ms;
}

static void look(struct h2_conn *c) {
    if (h2_blocked_long(c)) {
        h2_lost(c, FAULT_SEND_STALLED);
        return;
    }
    if (block_late(c))
        h2_flooded(c, H2_FLOOD_HEADERS, "a header block that does not end");
    if (c->leave == H2_NOTICED && h2_passed_ms(c, c->since) >= NOTICE_MS)
        h2_goaway_last(c);
    if (c->alive && too_old(c))
        h2_leave_soon(c);
    bool watch = look_at_streams(c);
    if (watch || c->blocked || c->frames.block || c->leave != H2_STAYS)
        arm(c, LOOK_MS);
    else if (c->alive)
        arm(c, h2_limits(c)->keepalive_timeout_ms);
    else
        look_idle(c);
}

static void timed_out(struct timer *t) {
    struct h2_conn *c = container_of(t, struct h2_conn, timer);
    if (c->state == H2_LINGER)
        close_now(c);
    else if (c->state == H2_OPEN)
        look(c);
}

/* ---- begin ---- */

static struct h2_conn *create(struct door *from) {
    struct h2_conn *c = mem_try(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct h2_conn){
        .door = {.ops = &h2_door, .stream.watch.ready = ready, .listener = from->listener},
        .output.flush = h2_output,
        .late.flush = h2_output_late,
        .reader.again = again,
        .timer.fire = timed_out};
    list_init(&c->streams);
    list_init(&c->leaving);
    c->fresh_last = &c->fresh;
    if (h2_session_start(c, h2_limits(c)) && door_take_over(from, &c->door))
        return c;
    h2_out_drop(c);
    nghttp2_session_del(c->session);
    mem_free(c);
    return NULL;
}

/* Body bytes are lent until the drain ends, so they must lie on the scratch. */
static struct span on_scratch(struct loop *l, struct span early) {
    const char *scratch = (const char *)l->scratch;
    if (early.n == 0 || (early.p >= scratch && early.p < scratch + SCRATCH_MAX))
        return early;
    must(early.n <= SCRATCH_MAX - l->scratch_used);
    char *to = (char *)l->scratch + l->scratch_used;
    memcpy(to, early.p, early.n);
    l->scratch_used += early.n;
    return span_of(to, early.n);
}

void h2_server_take_over(struct door *from, struct span early) {
    struct thread *t = door_thread(from);
    struct h2_conn *c = create(from);
    if (!c) {
        door_reset(from);
        return;
    }
    count_up(t, client_h2_connections);
    c->since = h2_now(c);
    arm(c, h2_limits(c)->first_byte_timeout_ms);
    h2_dirty(c);
    if (early.n)
        h2_take(c, on_scratch(&t->loop, early));
    h2_read(c);
}

static bool is_idle(const struct h2_conn *c) {
    return c->state == H2_OPEN && !c->alive && !c->out && !c->frames.block &&
           !c->door.stream.readable;
}

static bool idle(const struct door *d, uint64_t *until) {
    const struct h2_conn *c = (const void *)d; /* its first member */
    *until = c->timer.at;
    return is_idle(c);
}

static void drain(struct door *d) {
    struct h2_conn *c = conn_of(d);
    if (c->state == H2_OPEN)
        h2_leave_soon(c);
}

/* The last word is tried once. */
static void kill_now(struct door *d) {
    struct h2_conn *c = conn_of(d);
    if (c->state == H2_OPEN && !c->blocked) {
        h2_check(c, nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR));
        h2_output_last(c);
    }
    if (c->state == H2_OPEN && c->alive)
        h2_lost(c, FAULT_SHUTTING_DOWN);
    else
        close_now(c);
}

const struct door_ops h2_door = {"h2", drain, kill_now, idle, release};
