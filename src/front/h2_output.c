/* Frames on their way out: made at the end of the drain, written once at the end of the turn. */
#include "front/h2_conn.h"

enum { SPARE_BUFFERS = 16, WRITES_PER_TURN = 8, SEND_LEAST = 1024 };

struct spare { /* of the thread */
    struct h2_out *free;
    unsigned count;
};

/* ---- buffers ---- */

static struct spare *spare(struct thread *t) {
    if (!t->local[LOCAL_H2])
        t->local[LOCAL_H2] = mem_alloc(sizeof(struct spare));
    return t->local[LOCAL_H2];
}

static struct h2_out *take(struct thread *t) {
    struct spare *p = spare(t);
    struct h2_out *out = p->free;
    if (out) {
        p->free = out->next;
        p->count--;
    } else if (!(out = mem_try(sizeof *out))) {
        return NULL;
    }
    out->n = out->at = 0;
    return out;
}

static void give(struct thread *t, struct h2_out *out) {
    struct spare *p = spare(t);
    if (p->count >= SPARE_BUFFERS) {
        mem_free(out);
        return;
    }
    out->next = p->free;
    p->free = out;
    p->count++;
}

void h2_out_drop(struct h2_conn *c) {
    if (c->out)
        give(h2_thread(c), c->out);
    c->out = NULL;
}

void h2_server_finish(struct thread *t) {
    struct spare *p = t->local[LOCAL_H2];
    for (struct h2_out *out; p && (out = p->free);) {
        p->free = out->next;
        mem_free(out);
    }
    mem_free(p);
    t->local[LOCAL_H2] = NULL;
}

unsigned char *h2_out_room(struct h2_conn *c, size_t n) {
    if (!c->out && !(c->out = take(h2_thread(c)))) {
        c->broken = true;
        return NULL;
    }
    struct h2_out *out = c->out;
    if (n > H2_OUT_SIZE - out->n) {
        c->full = true;
        return NULL;
    }
    unsigned char *at = out->bytes + out->n;
    out->n += n;
    c->made += n;
    return at;
}

/* ---- making ---- */

/* Their last frame stands in the output now. */
static void note_leaving(struct h2_conn *c) {
    for (struct list *n = c->leaving.prev; n != &c->leaving; n = n->prev) {
        struct h2_stream *s = container_of(n, struct h2_stream, node);
        if (s->end_at)
            return;
        s->end_at = c->made;
    }
}

/* A control frame or a head: at most as large as one frame may be, which always fits into what is
 * left below H2_OUT_FULL. */
static bool add_frame(struct h2_conn *c, const uint8_t *p, ssize_t n) {
    unsigned char *to = h2_out_room(c, (size_t)n);
    if (to)
        memcpy(to, p, (size_t)n);
    return to != NULL;
}

static void make(struct h2_conn *c) {
    c->full = false;
    while (!c->full && !c->broken && (!c->out || c->out->n < H2_OUT_FULL)) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        if (n <= 0) {
            h2_check(c, (int)n);
            break;
        }
        if (!add_frame(c, p, n))
            c->broken = true; /* the frame is lost */
    }
    c->full |= c->out && c->out->n >= H2_OUT_FULL;
    note_leaving(c);
}

/* ---- writing ---- */

static void finish_written(struct h2_conn *c) {
    while (list_linked(&c->leaving)) {
        struct h2_stream *s = container_of(c->leaving.next, struct h2_stream, node);
        struct exchange *x = s->x;
        if (!s->end_at || s->end_at > c->written)
            return;
        h2_stream_leave(s);
        exchange_finish(x);
    }
}

/* What has come for streams that wait stays small while the socket takes nothing. */
static void block(struct h2_conn *c) {
    c->blocked = true;
    c->stall_since = 0;
    h2_look_soon(c);
}

/* False: no more can be written now, or ever. */
static bool write_out(struct h2_conn *c) {
    struct h2_out *out = c->out;
    size_t took = 0;
    if (!out)
        return true;
    struct iovec iov = {out->bytes + out->at, out->n - out->at};
    if (iov.iov_len && stream_write(&c->door.stream, &iov, 1, &took) == IO_RESET) {
        h2_lost(c, FAULT_CLIENT_CLOSED);
        return false;
    }
    out->at += took;
    c->written += took;
    count_add(h2_thread(c)->counters.client_bytes_sent, took);
    finish_written(c);
    if (out->at < out->n) {
        block(c);
        return false;
    }
    h2_out_drop(c);
    return true;
}

/* ---- both ---- */

/* Of use no more: no memory, or all has been said. True: it has ended. */
static bool ended(struct h2_conn *c) {
    if (c->broken) {
        h2_lost(c, FAULT_OUT_OF_MEMORY);
        return true;
    }
    if (c->over)
        h2_end_streams(&c->streams, FAULT_MALFORMED_H2);
    if (c->out || c->alive)
        return false;
    bool quiet = c->read_ended || (!nghttp2_session_want_read(c->session) &&
                                   !nghttp2_session_want_write(c->session));
    if (quiet)
        h2_done(c);
    return quiet;
}

/* Much at once goes out now: bodies are still on the scratch, and neighbours need not wait for the
 * end of the turn. */
void h2_output(struct output *o) {
    struct h2_conn *c = container_of(o, struct h2_conn, output);
    if (c->state != H2_OPEN || c->blocked)
        return;
    for (int i = 0; i < WRITES_PER_TURN; i++) {
        make(c);
        if (c->broken || !c->full)
            break;
        if (!write_out(c))
            return;
    }
    if (c->out || c->full || c->broken || c->over || !c->alive)
        loop_late_output(&h2_thread(c)->loop, &c->late);
}

void h2_output_late(struct output *o) {
    struct h2_conn *c = container_of(o, struct h2_conn, late);
    if (c->state != H2_OPEN || c->blocked)
        return;
    make(c);
    if (!c->broken && !write_out(c))
        return;
    if (ended(c))
        return;
    if (c->full)
        loop_late_output(&h2_thread(c)->loop, &c->late);
    else if (c->unsent) /* for want of windows, or of more of the answer */
        h2_look_soon(c);
}

void h2_output_last(struct h2_conn *c) {
    make(c);
    if (!c->broken)
        write_out(c);
}

void h2_writable(struct h2_conn *c) {
    if (!c->blocked)
        return;
    c->blocked = false;
    if (write_out(c))
        h2_dirty(c);
}

/* What the client has really taken: the socket's buffer tells of room only in large steps. */
bool h2_blocked_long(struct h2_conn *c) {
    uint64_t ms = h2_limits(c)->send_stall_timeout_ms, taken;
    if (!ms || !c->blocked)
        return false;
    if (!tcp_acked(&c->door.stream, &taken))
        taken = c->written;
    if (!c->stall_since || taken - c->stall_bytes >= SEND_LEAST) {
        c->stall_since = h2_now(c);
        c->stall_bytes = taken;
    }
    return h2_passed_ms(c, c->stall_since) >= ms;
}
