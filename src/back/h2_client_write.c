/* Gathering frames and sending them: one write a turn, or at the end of the drain where it pays. */
#include "back/h2_client_conn.h"
#include "io/tcp.h"

enum {
    WORTH_A_WRITE = 32 * 1024, /* less waits for the end of the turn */
    GATHER_MAX = 256 * 1024,
    WRITES_PER_TURN = 4,
};

void h2_client_mark(struct h2_client *c, size_t n) {
    struct loop *l = &h2_client_thread(c)->loop;
    if (c->state == H2_CLIENT_CLOSED)
        return;
    c->expected += n;
    if (c->expected < WORTH_A_WRITE) {
        loop_late_output(l, &c->output);
        return;
    }
    list_remove(&c->output.node);
    loop_output(l, &c->output);
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool keep_rest(struct h2_client *c, const char *p, size_t n) {
    c->rest = mem_try(n);
    if (!c->rest)
        return false;
    memcpy(c->rest, p, n);
    c->rest_at = 0;
    c->rest_len = n;
    return true;
}

/* Bodies are not to gather where nothing leaves. */
static void slow_down(struct h2_client *c) {
    c->blocked = true;
    tcp_acked(&c->c.stream, &c->acked);
    for (struct list *n = c->streams.next; n != &c->streams; n = n->next) {
        struct h2_part *p = container_of(n, struct h2_part, node);
        if (!p->sent)
            body_pace(p->a->x->up_half.sink, false);
    }
}

/* How many of them were taken. Fewer than n: it is blocked, or broken. */
static size_t send_some(struct h2_client *c, const char *bytes, size_t n) {
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    size_t took = 0;
    if (stream_write(&c->c.stream, &iov, 1, &took) == IO_RESET) {
        c->broken = true;
        return 0;
    }
    c->took += took;
    count_add(h2_client_thread(c)->counters.upstream_bytes_sent, took);
    if (took < n)
        slow_down(c);
    return took;
}

/* What was kept goes first. False: not all of it did. */
static bool send_rest(struct h2_client *c) {
    if (!c->rest)
        return true;
    size_t n = c->rest_len - c->rest_at, took = send_some(c, c->rest + c->rest_at, n);
    c->rest_at += took;
    if (took < n)
        return false;
    mem_free(c->rest);
    c->rest = NULL;
    return true;
}

/* ---- gathering ------------------------------------------------------------------------------- */

/* Into what is left of the scratch: nothing is read before it is sent. */
static bool gather(struct h2_client *c) {
    struct loop *l = &h2_client_thread(c)->loop;
    size_t room = SCRATCH_MAX - l->scratch_used;
    const uint8_t *bytes;
    ssize_t n = 0;
    c->out = (char *)l->scratch + l->scratch_used;
    c->out_max = room < GATHER_MAX ? room : GATHER_MAX;
    c->out_len = 0;
    c->full = false;
    c->calling = true;
    while (!c->full && c->out_max - c->out_len >= H2_FRAME_HEAD + H2_FRAME_MAX &&
           (n = nghttp2_session_mem_send(c->session, &bytes)) > 0) {
        memcpy(c->out + c->out_len, bytes, (size_t)n);
        c->out_len += (size_t)n;
        c->gathered += (size_t)n;
    }
    c->calling = false;
    if (n > 0)
        c->full = true;
    if (n < 0)
        h2_client_doom(c, n == NGHTTP2_ERR_NOMEM ? FAULT_OUT_OF_MEMORY : FAULT_INTERNAL,
                       NGHTTP2_INTERNAL_ERROR, nghttp2_strerror((int)n));
    return n >= 0;
}

static bool has_room(const struct h2_client *c) {
    return SCRATCH_MAX - h2_client_thread(c)->loop.scratch_used >= SCRATCH_MIN;
}

/* False: it stopped before all was sent. */
static bool send_gathered(struct h2_client *c) {
    size_t took = c->out_len ? send_some(c, c->out, c->out_len) : 0;
    if (took == c->out_len)
        return true;
    if (!c->broken && !keep_rest(c, c->out + took, c->out_len - took))
        h2_client_doom(c, FAULT_OUT_OF_MEMORY, NGHTTP2_INTERNAL_ERROR, NULL);
    return false;
}

static void write_all(struct h2_client *c) {
    struct loop *l = &h2_client_thread(c)->loop;
    if (!has_room(c)) {
        loop_late_output(l, &c->output); /* by then it is settled */
        return;
    }
    for (int i = 0; i < WRITES_PER_TURN; i++)
        if (!gather(c) || !send_gathered(c) || !c->full)
            return;
    loop_late_output(l, &c->output);
}

void h2_client_flush(struct output *o) {
    struct h2_client *c = container_of(o, struct h2_client, output);
    if (!h2_client_after(c))
        return;
    if (c->state != H2_CLIENT_OPEN || c->blocked || c->broken)
        return;
    c->expected = 0;
    if (send_rest(c))
        write_all(c);
    if (!h2_client_after(c) || !c->broken)
        return;
    /* It takes no more, but may have answered before. */
    c->c.stream.readable = true;
    h2_client_read(c);
    if (c->state == H2_CLIENT_OPEN && !list_linked(&c->reader.node))
        h2_client_lost(c, FAULT_UPSTREAM_RESET, c->last_word);
}

void h2_client_goodbye(struct h2_client *c) {
    if (c->state != H2_CLIENT_OPEN || c->blocked || c->broken || c->rest || !has_room(c))
        return;
    if (!c->doom) { /* resets do not go any more once the session ends */
        if (!gather(c) || !send_gathered(c) ||
            nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) != 0)
            return;
    }
    if (gather(c))
        send_gathered(c);
}
