/* Requests to services: printing them and sending what there is. */
#include "back/h1_client_conn.h"
#include "io/tcp.h"

static enum framing request_framing(const struct exchange *x, struct h1_print *how) {
    int64_t length = x->up_half.length;
    if (length < 0) {
        how->framing = FRAMING_CHUNKED;
    } else if (length > 0) {
        how->framing = FRAMING_LENGTH;
        how->length = (uint64_t)length;
    } else {
        enum method m = x->req.method;
        how->framing = FRAMING_NONE;
        how->no_length = m == METHOD_GET || m == METHOD_HEAD || m == METHOD_DELETE ||
                         m == METHOD_OPTIONS || m == METHOD_CONNECT;
    }
    return how->framing;
}

/* The head as text. False: no memory. */
static bool print_request(struct h1_client *c) {
    struct attempt *a = c->a;
    struct exchange *x = a->x;
    struct field extra[ATTEMPT_FIELDS] unzeroed;
    struct h1_print how = {.extra = extra, .authority = attempt_authority(a)};
    how.extra_count = attempt_fields(a, extra);
    enum framing framing = FRAMING_NONE;
    if (x->req.protocol.n)
        h1_client_tunnel_ask(c, &how);
    else
        framing = request_framing(x, &how);
    struct span text = h1_print_request(&x->req, &x->arena, &how);
    if (!text.p)
        return false;
    h1_writer_start(&c->p->w, text, framing, how.length, x->up_half.sink);
    if (framing != FRAMING_NONE)
        body_want(x->up_half.sink);
    return true;
}

bool h1_client_request(struct h1_client *c) {
    const struct head *req = &c->a->x->req;
    c->p = c->a->part = arena_zero(&c->a->x->arena, sizeof *c->p);
    if (req->protocol.n && !span_eq(req->protocol, SPAN("websocket"))) {
        h1_client_fail(c, FAULT_UPGRADE_NOT_ACCEPTED, "HTTP/1.1 carries WebSockets alone");
        return false;
    }
    if (!print_request(c)) {
        h1_client_fail(c, FAULT_OUT_OF_MEMORY, NULL);
        return false;
    }
    c->since = h1_client_now(c);
    h1_client_watch_phases(c);
    loop_output(&h1_client_thread(c)->loop, &c->output);
    return true;
}

/* The service takes no more. It may have answered before: reading will tell. */
static void write_broke(struct h1_client *c) {
    c->p->broken = true;
    if (c->a->sent_byte) /* else the whole of it may yet go elsewhere */
        body_stop(c->a->x->up_half.sink);
    if (c->p->ended) {
        h1_client_answered(c, 0);
        return;
    }
    c->c.stream.readable = true;
    h1_client_read(c);
}

void h1_client_flush(struct output *o) {
    struct h1_client *c = container_of(o, struct h1_client, output);
    struct iovec iov[H1_WRITER_IOV] unzeroed;
    struct attempt *a = c->a;
    if (!a || c->p->blocked || c->p->broken || c->state != CLIENT_BUSY)
        return;
    for (int n; (n = h1_writer_gather(&c->p->w, &a->x->arena, iov)) > 0;) {
        size_t all = 0, took;
        for (int i = 0; i < n; i++)
            all += iov[i].iov_len;
        if (stream_write(&c->c.stream, iov, n, &took) == IO_RESET) {
            write_broke(c);
            return;
        }
        if (took)
            a->sent_byte = true;
        count_add(h1_client_thread(c)->counters.upstream_bytes_sent, took);
        c->since = h1_client_now(c);
        h1_writer_took(&c->p->w, took);
        if (took < all) {
            c->p->blocked = true;
            tcp_acked(&c->c.stream, &c->acked);
            if (c->p->w.body)
                body_pace(c->p->w.body, false);
            return;
        }
        if (c->p->w.body && took >= c->p->w.body->limit / 2)
            body_pace(c->p->w.body, true);
    }
    if (!a->x->t.sent && h1_writer_done(&c->p->w))
        c->since = a->x->t.sent = h1_client_now(c);
    if (unlikely(c->p->open) && h1_writer_done(&c->p->w))
        h1_client_tunnel_sent(c);
}
