/* From an answer to bytes: what the core tells its front. */
#include "front/h1_conn.h"
#include "front/relief.h"

/* In each send_stall_timeout at least so many bytes; a whole answer in so long. */
enum { SEND_LEAST = 1024, WHOLE_ANSWER_MS = 5 * 60 * 1000, LOOK_MS = 1000 };

/* What is to go out before the final head stands behind what of that has not left yet. */
static bool behind_pending(struct h1_conn *c, struct span *text) {
    struct span before = c->work->w.lit;
    if (!before.n)
        return text->p != NULL;
    char *both = text->p ? arena_try(&c->x->arena, before.n + text->n) : NULL;
    if (!both)
        return false;
    memcpy(both, before.p, before.n);
    memcpy(both + before.n, text->p, text->n);
    *text = span_of(both, before.n + text->n);
    return true;
}

static void say(struct h1_conn *c, struct span text) {
    if (behind_pending(c, &text))
        h1_writer_interim(&c->work->w, text);
    if (!c->work->blocked)
        loop_output(&conn_thread(c)->loop, &c->output);
}

static void interim(struct h1_conn *c, struct exchange *x) {
    struct h1_print how = {.framing = FRAMING_NONE, .no_length = true};
    if (x->facts.http_minor >= 11 && !c->work->w.lit.n)
        say(c, h1_print_response(x->interim, &x->arena, &how));
}

static bool bodiless(const struct exchange *x) {
    return x->req.method == METHOD_HEAD || x->resp.status == 204 || x->resp.status == 304;
}

/* RFC 6455 4.2.2. The connection ends with the tunnel. */
static enum framing tunnel_framing(struct h1_conn *c, struct exchange *x, struct h1_print *how) {
    char *accept = arena_alloc(&x->arena, 28);
    ws_accept(c->work->m.ws_key, accept);
    how->ws_key = span_of(accept, 28);
    how->framing = FRAMING_TUNNEL;
    x->resp.status = 101; /* for the record: what this client was told */
    return FRAMING_TUNNEL;
}

/* What the head says about the body's end, and what is really sent behind it. */
static enum framing answer_framing(struct h1_conn *c, struct exchange *x, struct h1_print *how) {
    int64_t length = x->down_half.length;
    if (x->tunnel)
        return tunnel_framing(c, x, how);
    if (bodiless(x)) {
        how->framing = length >= 0 && x->resp.status != 204 ? FRAMING_LENGTH : FRAMING_NONE;
        how->no_length = how->framing == FRAMING_NONE;
        how->length = length >= 0 ? (uint64_t)length : 0;
        return FRAMING_NONE;
    }
    if (length >= 0) {
        how->framing = FRAMING_LENGTH;
        how->length = (uint64_t)length;
        return FRAMING_LENGTH;
    }
    how->framing = x->facts.http_minor >= 11 ? FRAMING_CHUNKED : FRAMING_CLOSE;
    if (how->framing == FRAMING_CLOSE)
        c->keep = false;
    return how->framing;
}

static void front_head(struct exchange *x) {
    struct h1_conn *c = x->front_data;
    struct h1_work *w = c->work;
    if (x->interim) {
        interim(c, x);
        return;
    }
    struct h1_print how = {0};
    enum framing framing = answer_framing(c, x, &how);
    /* What is unread of the request would be taken for the next one. */
    if (!w->request_done || fault_table[x->fault].close || conn_thread(c)->draining ||
        relief_parts(conn_thread(c)))
        c->keep = false;
    how.close = !c->keep;
    how.http10 = c->keep && x->facts.http_minor < 11;
    struct span text = h1_print_response(&x->resp, &x->arena, &how);
    if (!behind_pending(c, &text)) {
        conn_abort(c, FAULT_OUT_OF_MEMORY);
        return;
    }
    h1_writer_start(&w->w, text, framing, how.length, x->down_half.sink);
    w->head_written = true;
    if (framing == FRAMING_NONE)
        body_stop(x->down_half.sink);
    else
        body_want(x->down_half.sink);
    x->down_half.sink->pipes = framing == FRAMING_LENGTH && c->door.stream.ops->write_pipe;
    loop_output(&conn_thread(c)->loop, &c->output);
    if (x->tunnel) /* what came behind the request, and was nobody's until now */
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

static void front_readable(struct exchange *x) {
    struct h1_conn *c = x->front_data;
    if (!c->work->blocked)
        loop_output(&conn_thread(c)->loop, &c->output);
}

static void front_room(struct exchange *x) {
    struct h1_conn *c = x->front_data;
    struct h1_work *w = c->work;
    if (x->tunnel && w->head_written)
        loop_output(&conn_thread(c)->loop, &c->output); /* it may be over */
    if (w->request_done || x->up_half.source.stopped || !conn_may_read_body(c))
        return;
    if (w->expect && !x->head_told && x->facts.http_minor >= 11) {
        w->expect = false;
        if (x->up_half.source.in == 0)
            say(c, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    /* Since the last byte there was no room for more: that is not the client's time. */
    w->body_since += conn_now(c) - w->body_last;
    w->body_last = conn_now(c);
    if (!conn_streams(c))
        conn_arm(c, conn_route_limits(c)->body_idle_timeout_ms);
    if (c->door.stream.readable)
        h1_read(c);
}

static void front_failed(struct exchange *x) {
    struct h1_conn *c = x->front_data;
    c->x = NULL;
    c->work = NULL;
    conn_reset(c);
}

const struct front_ops h1_front = {"h1",       front_head,   front_readable,
                                   front_room, front_failed, false};

static void answer_left(struct h1_conn *c) {
    bool done = c->work->request_done, tunnel = c->x->tunnel;
    struct exchange *x = c->x;
    c->x = NULL;
    c->work = NULL;
    bool more = c->in || c->door.stream.readable;
    exchange_finish(x);
    if (!c->keep || (conn_thread(c)->draining && !more)) {
        if (done && (tunnel ? !c->in : !more))
            conn_close(c);
        else
            conn_linger(c);
        return;
    }
    c->state = H1_IDLE;
    conn_arm(c, conn_limits(c)->keepalive_timeout_ms);
    if (more)
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

/* A finished answer occupies memory until it has left, so it has an absolute time too. */
static bool overdue(struct h1_conn *c) {
    struct h1_work *w = c->work;
    if (!w->whole_since || !c->x->down_half.source.ended)
        w->whole_since = conn_now(c);
    return conn_route_limits(c)->send_stall_timeout_ms &&
           conn_passed_ms(c, w->whole_since) >= WHOLE_ANSWER_MS;
}

/* What the client has really taken. The socket's buffer tells of room only once a third of it is
 * free, which of megabytes takes a slow client longer than the stall timeout. */
static uint64_t taken(struct h1_conn *c) {
    uint64_t acked;
    return tcp_acked(&c->door.stream, &acked) ? acked : c->x->bytes_out;
}

bool h1_stalled(struct h1_conn *c) {
    struct h1_work *w = c->work;
    uint64_t ms = conn_route_limits(c)->send_stall_timeout_ms, now_taken = taken(c);
    if (overdue(c))
        return true;
    if (!w->blocked_looked) {
        w->blocked_looked = true;
        w->blocked_bytes = now_taken;
    }
    if (!ms || conn_passed_ms(c, w->blocked_since) < ms)
        return false;
    if (now_taken - w->blocked_bytes < SEND_LEAST)
        return true;
    w->blocked_since = conn_now(c);
    w->blocked_bytes = now_taken;
    return false;
}

static void blocked(struct h1_conn *c) {
    struct h1_work *w = c->work;
    w->blocked = true;
    if (w->w.body)
        body_pace(w->w.body, false);
    w->blocked_since = conn_now(c);
    w->blocked_looked = false;
    uint64_t ms = conn_route_limits(c)->send_stall_timeout_ms;
    conn_arm(c, ms < 2 * LOOK_MS ? (ms + 1) / 2 : LOOK_MS);
    if (overdue(c))
        conn_abort(c, FAULT_SEND_STALLED);
}

/* Vectors, or a pipe, to the socket. *all: what there was to send; 0: nothing. */
static enum io_result send_some(struct h1_conn *c, size_t *all, size_t *took) {
    struct iovec iov[H1_WRITER_IOV] unzeroed;
    struct h1_writer *w = &c->work->w;
    bool more;
    int n = h1_writer_gather(w, &c->x->arena, iov);
    *all = *took = 0;
    for (int i = 0; i < n; i++)
        *all += iov[i].iov_len;
    if (n)
        return stream_write(&c->door.stream, iov, n, took);
    struct pipe *p = h1_writer_pipe(w, all, &more);
    return p ? c->door.stream.ops->write_pipe(&c->door.stream, p, *all, more, took) : IO_OK;
}

/* All that the service had to say has left. The client may still have something to say (RFC 6455
 * does not end so, but what runs over TCP may): the tunnel ends when that has been taken too. */
static bool tunnel_over(struct h1_conn *c) {
    const struct body *up = c->x->up_half.sink;
    if (!c->work->shut)
        c->door.stream.ops->shut(&c->door.stream);
    c->work->shut = true;
    return up->stopped || body_done(up);
}

void h1_flush(struct output *o) {
    struct h1_conn *c = container_of(o, struct h1_conn, output);
    if (!c->x || c->work->blocked)
        return;
    struct h1_work *w = c->work;
    struct exchange *x = c->x;
    for (size_t all, took;;) {
        enum io_result r = send_some(c, &all, &took);
        if (r == IO_RESET) {
            conn_abort(c, FAULT_CLIENT_CLOSED);
            return;
        }
        if (!all)
            break;
        x->bytes_out += took;
        count_add(conn_thread(c)->counters.client_bytes_sent, took);
        h1_writer_took(&w->w, took);
        if (took < all) {
            blocked(c);
            return;
        }
        if (w->w.body && took >= w->w.body->limit / 2)
            body_pace(w->w.body, true);
    }
    if (w->head_written && h1_writer_done(&w->w) && (!x->tunnel || tunnel_over(c)))
        answer_left(c);
}
