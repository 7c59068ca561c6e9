#include "back/h1_client.h"
#include "back/pool.h"
#include "io/pipe.h"
#include "io/tcp.h"
#include <errno.h>

enum { READS_PER_TURN = 256 * 1024 };

enum client_state { CLIENT_CONNECTING, CLIENT_BUSY, CLIENT_IDLE, CLIENT_CLOSED };

/* The part of a head that has come. */
struct client_in {
    struct h1_parser parser;
    uint32_t len, cap;
    char bytes[];
};

struct h1_client {
    struct stream stream;
    struct list node; /* in the pool's idle or busy list */
    struct pool *pool;
    struct attempt *a; /* NULL: idle */
    struct client_in *in;
    struct output output;
    struct reader reader;
    struct deferred free;
    struct timer timer;
    struct address to;
    uint64_t since; /* ns: the phase that the timer watches began */
    uint32_t epoch, requests, idle_ms, keepalive_requests;
    unsigned char state; /* enum client_state */
};

struct h1_client *h1_client_of(struct list *node) {
    return container_of(node, struct h1_client, node);
}
struct list *h1_client_node(struct h1_client *c) {
    return &c->node;
}
bool h1_client_kept(const struct h1_client *c) {
    return c->requests > 0;
}

static struct thread *thread_of(const struct h1_client *c) {
    return c->pool->thread;
}
static uint64_t now(const struct h1_client *c) {
    return thread_of(c)->loop.now;
}

static void arm(struct h1_client *c, uint64_t ms) {
    timer_start(&thread_of(c)->loop.timers, &c->timer, now(c) / 1000000, ms);
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
        count_up(thread_of(c), upstream_connections_closed);
    c->state = CLIENT_CLOSED;
    list_remove(&c->node);
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    mem_free(c->in);
    c->in = NULL;
    loop_unwatch(&thread_of(c)->loop, &c->stream.watch);
    c->free.run = client_free;
    loop_after_turn(&thread_of(c)->loop, &c->free);
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

/* The attempt has failed; its connection goes first, so that a new try does not find it. */
static void fail(struct h1_client *c, enum fault why, const char *detail) {
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

/* The answer has been read to its end, `excess` bytes lie behind it. */
static void answer_read(struct h1_client *c, size_t excess) {
    struct attempt *a = c->a;
    bool sent = h1_writer_done(&a->w) && !a->broken;
    bool clean = sent && !excess && a->m.keep_alive && !a->m.auth_challenge && !a->m.upgrade &&
                 a->r.framing != FRAMING_CLOSE && a->r.framing != FRAMING_TUNNEL &&
                 c->epoch == endpoint_epoch(c->pool->endpoint) &&
                 c->requests < c->keepalive_requests && !thread_of(c)->draining;
    if (excess)
        count_up(thread_of(c), upstream_excess_bytes);
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

/* ---- the answer ------------------------------------------------------------------------------ */

static const struct limits_conf *limits(const struct h1_client *c) {
    const struct exchange *x = c->a->x;
    return x->route && x->route->limits ? x->route->limits : &x->snap->snapshot->limits;
}

static enum fault as_upstream(enum fault f) {
    switch (fault_table[f].status) {
    case 431:
        return FAULT_UPSTREAM_HEADER_TOO_LARGE;
    case 503:
        return f; /* our own memory */
    default:
        return fault_table[f].who == FAULT_WHO_UPSTREAM ? f : FAULT_UPSTREAM_BAD_FRAMING;
    }
}

static bool feed(struct h1_client *c, struct span in) {
    struct attempt *a = c->a;
    struct exchange *x = a->x;
    size_t used;
    switch (h1_reader_feed(&a->r, &x->down_half.source, &x->arena, in, &used)) {
    case H1_READ_MORE:
        return true;
    case H1_READ_END:
        answer_read(c, in.n - used);
        return false;
    case H1_READ_FAULT:
        fail(c, as_upstream(a->r.fault), fault_table[a->r.fault].code);
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
    enum fault f = h1_response(p, bytes, &x->req, a->tunnel, h, &m);
    if (!f && ++a->interims > limits(c)->interim_responses_max)
        f = FAULT_UPSTREAM_TOO_MANY_INTERIM;
    if (f) {
        fail(c, as_upstream(f), fault_table[f].code);
        return false;
    }
    if (h->status == 103)
        exchange_interim(x, h);
    return true;
}

static int64_t answer_length(const struct h1_message *m) {
    switch (m->framing) {
    case FRAMING_NONE: /* HEAD, 204, 304: what the answer would have had, if it was said */
        return m->declared ? (int64_t)m->length : -1;
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
    enum fault f = h1_response(p, bytes, &x->req, a->tunnel, &x->resp, &a->m);
    if (f) {
        head_init(&x->resp, &x->arena);
        fail(c, as_upstream(f), fault_table[f].code);
        return false;
    }
    a->head_read = true;
    x->upstream_status = x->resp.status;
    x->down_half.length = answer_length(&a->m);
    h1_reader_start(&a->r, &a->m, false, &limits(c)->h1_trailers);
    exchange_respond(x);
    return c->a == a; /* a filter may have answered instead */
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
    struct h1_parser *p = c->in ? &c->in->parser : &thread_of(c)->parser;
    if (!c->in)
        h1_parser_init(p, H1_RESPONSE, &limits(c)->h1_response);
    for (;;) {
        enum h1_status s = h1_parse(p, all.p, all.n);
        if (s == H1_FAULT) {
            fail(c, as_upstream(p->fault), fault_table[p->fault].code);
            return;
        }
        if (s == H1_MORE) {
            if (!keep_head(c, all, p))
                fail(c, FAULT_OUT_OF_MEMORY, NULL);
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
        p = &thread_of(c)->parser;
        h1_parser_init(p, H1_RESPONSE, &limits(c)->h1_response);
        if (!all.n)
            return;
    }
    if (c->a == a &&
        (all.n || a->r.framing == FRAMING_NONE || (a->r.framing == FRAMING_LENGTH && !a->r.left)))
        feed(c, all);
}

static void read_ended(struct h1_client *c, enum io_result r) {
    struct attempt *a = c->a;
    if (!a->head_read) {
        fail(c, r == IO_RESET ? FAULT_UPSTREAM_RESET : FAULT_UPSTREAM_CLOSED, NULL);
        return;
    }
    if (r == IO_END && h1_reader_eof(&a->r, &a->x->down_half.source) == H1_READ_END)
        answer_read(c, 0);
    else
        fail(c, FAULT_UPSTREAM_TRUNCATED, NULL);
}

static enum io_result read_piece(struct h1_client *c, size_t want, struct span *all) {
    struct loop *l = &thread_of(c)->loop;
    size_t had = c->in ? c->in->len : 0;
    struct span got;
    if (had) {
        memcpy(l->scratch + l->scratch_used, c->in->bytes, had);
        l->scratch_used += had;
    }
    enum io_result r = stream_read(l, &c->stream, want, &got);
    if (r != IO_OK) {
        l->scratch_used -= had;
        return r;
    }
    count_add(thread_of(c)->counters.upstream_bytes_received, got.n);
    *all = span_of(got.p - had, got.n + had);
    return IO_OK;
}

/* A long body goes from socket to socket where nobody on the way looks at it. One pipe at a time:
 * the next when this one is empty. False: this is not for a pipe. */
static bool read_pipe(struct h1_client *c) {
    struct attempt *a = c->a;
    struct half *h = &a->x->down_half;
    struct body *b = &h->source;
    uint64_t left = a->head_read ? h1_reader_plain(&a->r) : 0;
    if (left < PIPE_WORTH || !half_takes_pipe(h) || !c->stream.ops->read_pipe)
        return false;
    b->full = true; /* whatever happens, tell when there is room again */
    if (b->size)
        return true;
    struct pipe *p = pipe_take(&thread_of(c)->loop);
    if (!p)
        return false;
    size_t got, want = left < b->limit ? (size_t)left : b->limit;
    enum io_result r = c->stream.ops->read_pipe(&c->stream, p, want, &got);
    struct slice *s = r == IO_OK ? slice_pipe(&thread_of(c)->loop.pond, p, got) : NULL;
    if (!s)
        p->give(p, r == IO_OK ? got : 0);
    if (r == IO_AGAIN) {
        c->stream.readable = false;
        return true;
    }
    c->since = now(c);
    if (r != IO_OK) {
        read_ended(c, r);
    } else if (!s) {
        fail(c, FAULT_OUT_OF_MEMORY, NULL);
    } else {
        count_add(thread_of(c)->counters.upstream_bytes_received, got);
        body_push(b, s);
        if (h1_reader_passed(&a->r, b, got) == H1_READ_END)
            answer_read(c, 0);
    }
    return true;
}

static void read_answer(struct h1_client *c) {
    struct loop *l = &thread_of(c)->loop;
    size_t share = READS_PER_TURN;
    while (c->a && c->stream.readable) {
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
        c->since = now(c);
        if (r != IO_OK) {
            read_ended(c, r);
            return;
        }
        share -= all.n < share ? all.n : share;
        if (!a->got_byte) {
            a->got_byte = true;
            a->x->t.first_byte = now(c);
        }
        if (!a->head_read)
            take_heads(c, all);
        else if (!feed(c, all))
            return;
    }
}

/* ---- the request ----------------------------------------------------------------------------- */

/* The service takes no more. It may have answered before: reading will tell. */
static void write_broke(struct h1_client *c) {
    c->a->broken = true;
    if (c->a->sent_byte) /* else the whole of it may yet go elsewhere */
        body_stop(c->a->x->up_half.sink);
    c->stream.readable = true;
    read_answer(c);
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
        count_add(thread_of(c)->counters.upstream_bytes_sent, took);
        c->since = now(c);
        h1_writer_took(&a->w, took);
        if (took < all) {
            a->blocked = true;
            if (a->w.body)
                body_pace(a->w.body, false);
            return;
        }
        if (a->w.body && took >= a->w.body->limit / 2)
            body_pace(a->w.body, true);
    }
    if (!a->x->t.sent && h1_writer_done(&a->w))
        c->since = a->x->t.sent = now(c);
}

static void watch_phases(struct h1_client *c);

void h1_client_send(struct h1_client *c, struct attempt *a) {
    c->a = a;
    c->requests++;
    c->since = now(c);
    if (c->state == CLIENT_IDLE)
        c->state = CLIENT_BUSY;
    watch_phases(c);
    loop_output(&thread_of(c)->loop, &c->output);
}

void h1_client_more(struct h1_client *c) {
    if (!c->a->blocked)
        loop_output(&thread_of(c)->loop, &c->output);
}

void h1_client_room(struct h1_client *c) {
    c->since = now(c); /* it was not the service that was silent */
    if (c->stream.readable && c->a && c->a->head_read)
        read_answer(c);
}

/* ---- events, time ---------------------------------------------------------------------------- */

static void not_connected(struct h1_client *c, enum fault why, const char *detail) {
    count_up(thread_of(c), upstream_connections_failed);
    endpoint_connect_failed(c->pool->endpoint, &c->to);
    fail(c, why, detail);
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
    c->since = c->a->x->t.connected = now(c);
    count_up(thread_of(c), upstream_connections_opened);
    atomic_fetch_add_explicit(&c->pool->endpoint->connects, 1, memory_order_relaxed);
    watch_phases(c);
    loop_output(&thread_of(c)->loop, &c->output);
    if (c->stream.readable) /* it spoke first, and this was the edge */
        loop_unfinished(&thread_of(c)->loop, &c->reader);
}

static void unasked(struct h1_client *c) {
    struct span got;
    if (stream_read(&thread_of(c)->loop, &c->stream, 1, &got) == IO_OK)
        count_up(thread_of(c), upstream_excess_bytes);
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
            loop_output(&thread_of(c)->loop, &c->output);
        }
        if (c->stream.readable)
            read_answer(c);
        return;
    case CLIENT_CLOSED:
        return;
    }
}

static void again(struct reader *r) {
    read_answer(container_of(r, struct h1_client, reader));
}

/* The phase an attempt is in: how long it may last, and what it means when it does not end. */
static uint64_t phase(const struct h1_client *c, enum fault *meaning) {
    const struct attempt *a = c->a;
    if (c->state == CLIENT_CONNECTING) {
        *meaning = FAULT_CONNECT_TIMEOUT;
        return a->service->connect_timeout_ms;
    }
    *meaning = a->head_read ? FAULT_UPSTREAM_IDLE : FAULT_UPSTREAM_TIMEOUT;
    if (a->head_read)
        return body_room(&a->x->down_half.source) ? a->service->idle_timeout_ms : 0;
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
    uint64_t ms = phase(c, &meaning), passed = (now(c) - c->since) / 1000000;
    ms = ms ? (ms > passed ? ms - passed : 0) : 1000;
    ms = shortest_phase(c, ms);
    if (c->a->deadline_at) {
        uint64_t left = c->a->deadline_at > now(c) ? (c->a->deadline_at - now(c)) / 1000000 : 0;
        if (left < ms)
            ms = left;
    }
    arm(c, ms);
}

static void busy_timeout(struct h1_client *c) {
    enum fault meaning;
    uint64_t ms = phase(c, &meaning);
    bool all = c->a->deadline_at && now(c) >= c->a->deadline_at;
    bool one = ms && now(c) - c->since >= ms * 1000000;
    const char *detail = all ? "timeout of the service" : NULL;
    if (!all && !one)
        watch_phases(c);
    else if (c->state == CLIENT_CONNECTING)
        not_connected(c, FAULT_CONNECT_TIMEOUT, detail);
    else
        fail(c, all ? FAULT_UPSTREAM_TIMEOUT : meaning, detail);
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
