/* Answers of services: heads, bodies, ends. */
#include "back/h1_client_conn.h"
#include "io/pipe.h"
#include "tls/stream.h"

enum { READS_PER_TURN = 256 * 1024 };

static const struct limits_conf *limits(const struct h1_client *c) {
    return attempt_limits(c->a);
}

static bool feed(struct h1_client *c, struct span in) {
    struct attempt *a = c->a;
    struct exchange *x = a->x;
    size_t used;
    switch (h1_reader_feed(&c->p->r, &x->down_half.source, &x->arena, in, &used)) {
    case H1_READ_MORE:
        return true;
    case H1_READ_END:
        h1_client_answered(c, in.n - used);
        return false;
    case H1_READ_FAULT:
        h1_client_fail(c, fault_of_upstream(c->p->r.fault), fault_table[c->p->r.fault].code);
        return false;
    }
    return false;
}

/* 100 never crosses, 103 does, others are dropped; a flood of them is refused. */
static bool take_interim(struct h1_client *c, const struct h1_parser *p, const char *bytes) {
    struct attempt *a = c->a;
    struct exchange *x = a->x;
    struct h1_message m;
    struct head *h = arena_alloc(&x->arena, sizeof *h);
    head_init(h, &x->arena);
    enum fault f = h1_response(p, bytes, &x->req, c->p->tunnel, h, &m);
    if (!f && ++c->p->interims > limits(c)->interim_responses_max)
        f = FAULT_UPSTREAM_TOO_MANY_INTERIM;
    if (f) {
        h1_client_fail(c, fault_of_upstream(f), fault_table[f].code);
        return false;
    }
    if (h->status == 103)
        exchange_interim(x, h);
    return true;
}

static int64_t answer_length(const struct h1_message *m, int status) {
    switch (m->framing) {
    case FRAMING_NONE: /* HEAD, 204, 304: what the answer would have had, if it was said */
        return status == 205 ? 0 : m->declared ? (int64_t)m->length : -1;
    case FRAMING_LENGTH:
        return (int64_t)m->length;
    case FRAMING_CHUNKED:
    case FRAMING_CLOSE:
    case FRAMING_TUNNEL:
        return -1;
    }
    return -1;
}

/* The final head. False: the attempt has ended or left the connection. */
static bool take_final(struct h1_client *c, const struct h1_parser *p, const char *bytes) {
    struct attempt *a = c->a;
    struct exchange *x = a->x;
    enum fault f = h1_response(p, bytes, &x->req, c->p->tunnel, &x->resp, &c->p->m);
    if (f) {
        head_init(&x->resp, &x->arena);
        h1_client_fail(c, fault_of_upstream(f), fault_table[f].code);
        return false;
    }
    if (c->p->m.upgrade && !h1_client_tunnel_agreed(c)) {
        head_init(&x->resp, &x->arena);
        h1_client_fail(c, FAULT_UPGRADE_NOT_ACCEPTED, "Sec-WebSocket-Accept does not fit the key");
        return false;
    }
    x->tunnel = c->p->m.upgrade;
    x->upstream_status = p->status;
    x->down_half.length = answer_length(&c->p->m, x->resp.status);
    h1_reader_start(&c->p->r, &c->p->m, false, &limits(c)->h1_trailers);
    attempt_answered(a);
    exchange_respond(x);
    if (c->a != a) /* a filter may have answered instead */
        return false;
    if (x->tunnel)
        h1_client_tunnel_open(c);
    if (x->streams)
        h1_client_watch_phases(c);
    return true;
}

static bool keep_head(struct h1_client *c, struct span all, const struct h1_parser *p) {
    struct client_in *in = c->in;
    if (!in || in->cap < all.n) {
        size_t cap = all.n < 512 ? 1024 : 2 * all.n;
        in = mem_try(sizeof *in + cap);
        if (!in)
            return false;
        in->cap = (uint32_t)cap;
        in->parser = *p;
        mem_free(c->in);
        c->in = in;
    }
    memmove(in->bytes, all.p, all.n);
    in->len = (uint32_t)all.n;
    return true;
}

/* Takes heads from `all`, interim ones and the final one; then what follows is body. */
static void take_heads(struct h1_client *c, struct span all) {
    struct attempt *a = c->a;
    struct h1_parser *p = c->in ? &c->in->parser : &h1_client_thread(c)->parser;
    if (!c->in)
        h1_parser_init(p, H1_RESPONSE, &limits(c)->h1_response);
    for (;;) {
        enum h1_status s = h1_parse(p, all.p, all.n);
        if (s == H1_FAULT) {
            h1_client_fail(c, fault_of_upstream(p->fault), fault_table[p->fault].code);
            return;
        }
        if (s == H1_MORE) {
            if (!keep_head(c, all, p))
                h1_client_fail(c, FAULT_OUT_OF_MEMORY, NULL);
            return;
        }
        bool final = p->status >= 200 || p->status == 101;
        if (final ? !take_final(c, p, all.p) : !take_interim(c, p, all.p))
            return;
        all = span_from(all, p->length);
        mem_free(c->in); /* p may have stood there */
        c->in = NULL;
        if (final)
            break;
        p = &h1_client_thread(c)->parser;
        h1_parser_init(p, H1_RESPONSE, &limits(c)->h1_response);
        if (!all.n)
            return;
    }
    if (c->a == a && (all.n || c->p->r.framing == FRAMING_NONE ||
                      (c->p->r.framing == FRAMING_LENGTH && !c->p->r.left)))
        feed(c, all);
}

/* What TLS knows about the end: a service of TLS 1.3 refuses a client's certificate behind the
 * handshake. */
static const char *last_words(const struct h1_client *c) {
    struct span words = span_z(tls_failure(&c->c.stream));
    return words.n ? arena_text(&c->a->x->arena, words) : NULL;
}

static void read_ended(struct h1_client *c, enum io_result r) {
    struct attempt *a = c->a;
    if (!a->head_read) {
        h1_client_fail(c, r == IO_RESET ? FAULT_UPSTREAM_RESET : FAULT_UPSTREAM_CLOSED,
                       last_words(c));
        return;
    }
    bool whole = r == IO_END && h1_reader_eof(&c->p->r, &a->x->down_half.source) == H1_READ_END;
    if (whole && c->p->open)
        h1_client_tunnel_ended(c);
    else if (whole)
        h1_client_answered(c, 0);
    else
        h1_client_fail(c, FAULT_UPSTREAM_TRUNCATED, last_words(c));
}

static enum io_result read_piece(struct h1_client *c, size_t want, struct span *all) {
    struct loop *l = &h1_client_thread(c)->loop;
    size_t had = c->in ? c->in->len : 0;
    struct span got;
    if (had) {
        memcpy(l->scratch + l->scratch_used, c->in->bytes, had);
        l->scratch_used += had;
    }
    enum io_result r = stream_read(l, &c->c.stream, want, &got);
    if (r != IO_OK) {
        l->scratch_used -= had;
        return r;
    }
    count_add(h1_client_thread(c)->counters.upstream_bytes_received, got.n);
    *all = span_of(got.p - had, got.n + had);
    return IO_OK;
}

/* A long body goes from socket to socket where nobody on the way looks at it. One pipe at a time:
 * the next when this one is empty. False: this is not for a pipe. */
static bool read_pipe(struct h1_client *c) {
    struct attempt *a = c->a;
    struct half *h = &a->x->down_half;
    struct body *b = &h->source;
    uint64_t left = a->head_read ? h1_reader_plain(&c->p->r) : 0;
    if (left < PIPE_WORTH || !half_takes_pipe(h) || !c->c.stream.ops->read_pipe)
        return false;
    b->full = true; /* whatever happens, tell when there is room again */
    if (b->size)
        return true;
    struct pipe *p = pipe_take(&h1_client_thread(c)->loop);
    if (!p)
        return false;
    /* Also for a reader that falls behind: small pieces would cost more than what they save, and
     * these bytes lie where the socket's own buffer is, a few at a time in it. */
    size_t most = b->limit > PIPE_PIECE ? b->limit : PIPE_PIECE;
    size_t got, want = left < most ? (size_t)left : most;
    enum io_result r = c->c.stream.ops->read_pipe(&c->c.stream, p, want, &got);
    struct slice *s = r == IO_OK ? slice_pipe(&h1_client_thread(c)->loop.pond, p, got) : NULL;
    if (!s)
        p->give(p, r == IO_OK ? got : 0);
    if (r == IO_AGAIN) {
        c->c.stream.readable = false;
        return true;
    }
    c->since = h1_client_now(c);
    if (r != IO_OK) {
        read_ended(c, r);
    } else if (!s) {
        h1_client_fail(c, FAULT_OUT_OF_MEMORY, NULL);
    } else {
        count_add(h1_client_thread(c)->counters.upstream_bytes_received, got);
        body_push(b, s);
        if (h1_reader_passed(&c->p->r, b, got) == H1_READ_END)
            h1_client_answered(c, 0);
    }
    return true;
}

void h1_client_read(struct h1_client *c) {
    struct loop *l = &h1_client_thread(c)->loop;
    size_t share = READS_PER_TURN;
    while (c->a && c->c.stream.readable && !c->p->ended) {
        struct attempt *a = c->a;
        size_t want = a->head_read ? body_read_size(&a->x->down_half.source) : SCRATCH_MIN;
        struct span all;
        if (!want)
            return; /* room will be told */
        if (read_pipe(c))
            return;
        loop_scratch_reuse(l);
        if (share == 0 || SCRATCH_MAX - l->scratch_used < 2 * SCRATCH_MIN) {
            loop_unfinished(l, &c->reader);
            return;
        }
        size_t left = SCRATCH_MAX - l->scratch_used;
        enum io_result r = read_piece(c, want < left ? want : left, &all);
        if (r == IO_AGAIN)
            return;
        c->since = h1_client_now(c);
        if (r != IO_OK) {
            read_ended(c, r);
            return;
        }
        share -= all.n < share ? all.n : share;
        if (!a->got_byte) {
            a->got_byte = true;
            a->x->t.first_byte = h1_client_now(c);
        }
        if (!a->head_read)
            take_heads(c, all);
        else if (!feed(c, all))
            return;
    }
}
