/* From bytes to an exchange and its body. */
#include "front/h1_conn.h"

enum { HOLD_MS = 1000, READS_PER_TURN = 256 * 1024 };

/* Keeps bytes that were on the scratch. False: no memory. */
static bool keep_bytes(struct h1_conn *c, const char *p, size_t n, const struct h1_parser *parser) {
    struct h1_in *in = c->in;
    if (!in || in->cap < n) {
        size_t cap = n < 512 ? 1024 : 2 * n;
        in = mem_try(sizeof *in + cap);
        if (!in)
            return false;
        in->cap = (uint32_t)cap;
        in->limits = conn_limits(c)->h1_request;
        if (parser)
            in->parser = *parser;
        in->parser.limits = &in->limits;
        mem_free(c->in);
        c->in = in;
    }
    in->fresh = !parser;
    memmove(in->bytes, p, n);
    in->len = (uint32_t)n;
    return true;
}

bool h1_keep(struct h1_conn *c, struct span early) {
    return keep_bytes(c, early.p, early.n, NULL);
}

static bool begin(struct h1_conn *c, const struct h1_parser *p) {
    struct exchange *x = exchange_create(conn_thread(c), &h1_front, c);
    if (!x) {
        conn_reset(c);
        return false;
    }
    c->x = x;
    c->state = H1_BUSY;
    c->requests++;
    c->keep = false;
    c->work = arena_zero(&x->arena, sizeof *c->work);
    bool old = p->target_len && p->minor == 0;
    door_facts(&c->door, x, old ? "HTTP/1.0" : "HTTP/1.1", old ? 10 : 11);
    return true;
}

static struct h1_rules rules_of(const struct exchange *x) {
    const struct limits_conf *own = x->facts.listener ? x->facts.listener->limits : NULL;
    const struct limits_conf *l = own ? own : &x->snap->snapshot->limits;
    return (struct h1_rules){.uri = {l->keep_encoded_slash, l->query_params_max},
                             .scheme = x->facts.listener ? x->facts.listener->scheme : SPAN("http"),
                             .upgrades = true};
}

/* What is known of the request still goes into the head, for the log. */
void h1_refuse(struct h1_conn *c, const struct h1_parser *p, const char *bytes, enum fault why) {
    if (!begin(c, p))
        return;
    struct h1_rules rules = rules_of(c->x);
    enum fault f = h1_request(p, bytes, &rules, &c->x->req, &c->work->m);
    exchange_refuse(c->x, why ? why : f);
}

/* A tenth more or less for each connection, so that those that came together do not end together.
 */
static uint64_t age_max(const struct h1_conn *c, uint64_t ms) {
    uint64_t mixed =
        (c->door.opened + (uint64_t)(unsigned)c->door.stream.watch.fd) * 0x9e3779b97f4a7c15ull;
    return ms * (900 * 1024 + 200 * (mixed >> 54)) / 1024 * 1000; /* ns */
}

static bool may_keep(const struct h1_conn *c) {
    const struct limits_conf *l = conn_limits(c);
    return c->work->m.keep_alive && !conn_thread(c)->draining &&
           (!l->keepalive_requests || c->requests < l->keepalive_requests) &&
           (!l->max_connection_age_ms ||
            conn_now(c) - c->door.opened < age_max(c, l->max_connection_age_ms));
}

/* Body bytes to the exchange; returns false when the message is malformed (it has been dealt with).
 */
static bool feed(struct h1_conn *c, struct span in, size_t *used) {
    struct h1_work *w = c->work;
    struct exchange *x = c->x;
    w->body_last = conn_now(c);
    w->body_bytes += in.n;
    switch (h1_reader_feed(&w->r, &x->up_half.source, &x->arena, in, used)) {
    case H1_READ_MORE:
        return true;
    case H1_READ_END:
        w->request_done = true;
        /* They were judged; no service has asked for them (RFC 9110 6.5.1), so they end here. */
        x->up_half.source.trailers = NULL;
        return true;
    case H1_READ_FAULT:
        break;
    }
    c->keep = false;
    w->held = false;
    if (x->state == X_NEW)
        exchange_refuse(x, w->r.fault);
    else
        exchange_fail(x, w->r.fault, NULL);
    return false;
}

void h1_start(struct h1_conn *c) {
    struct exchange *x = c->x;
    c->work->held = false;
    if (c->work->request_done && !x->up_half.source.trailers) /* trailers need chunks */
        x->up_half.length = (int64_t)x->up_half.source.in;
    exchange_start(x);
}

/* A chunked request starts when it is whole, large, or pauses: so a malformed small one never
 * reaches a service, however its bytes were cut, and a whole one goes on with its length. */
static void start_or_hold(struct h1_conn *c) {
    struct h1_work *w = c->work;
    if (w->m.framing != FRAMING_CHUNKED || w->m.expect_continue || w->request_done ||
        c->x->up_half.source.size >= BODY_LIMIT) {
        h1_start(c);
        return;
    }
    w->held = true;
    conn_arm(c, HOLD_MS);
    if (c->door.stream.readable)
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

/* What came behind the head. False: it was malformed, and has been dealt with. */
static bool take_rest(struct h1_conn *c, struct span rest) {
    struct h1_work *w = c->work;
    size_t used = 0;
    if (w->m.upgrade) {
        bool kept = !rest.n || keep_bytes(c, rest.p, rest.n, NULL);
        if (!kept)
            exchange_refuse(c->x, FAULT_OUT_OF_MEMORY);
        return kept;
    }
    bool empty =
        w->m.framing == FRAMING_NONE || (w->m.framing == FRAMING_LENGTH && w->m.length == 0);
    if ((rest.n || empty) && !feed(c, rest, &used))
        return false;
    c->x->bytes_in += used;
    rest = span_from(rest, used);
    if (rest.n && w->request_done && !keep_bytes(c, rest.p, rest.n, NULL))
        c->keep = false; /* the next request is lost, so the connection ends */
    return true;
}

static void got_head(struct h1_conn *c, const struct h1_parser *p, const char *bytes, size_t n) {
    if (!begin(c, p))
        return;
    struct exchange *x = c->x;
    struct h1_work *w = c->work;
    const struct limits_conf *l = conn_limits(c);
    struct h1_rules rules = rules_of(x);
    x->bytes_in = p->length;
    enum fault f = h1_request(p, bytes, &rules, &x->req, &w->m);
    if (f || (f = door_refuses(&c->door, x))) {
        exchange_refuse(x, f);
        return;
    }
    if (w->m.stripped_identity)
        count_add(conn_thread(c)->counters.identity_headers_stripped, w->m.stripped_identity);
    c->keep = may_keep(c) && !w->m.upgrade; /* a refused tunnel's bytes would be a request */
    w->expect = w->m.expect_continue;
    x->up_half.length = w->m.framing == FRAMING_LENGTH ? (int64_t)w->m.length
                        : w->m.framing == FRAMING_NONE ? 0
                                                       : -1;
    h1_reader_start(&w->r, &w->m, true, &l->h1_trailers);
    w->body_since = w->body_last = conn_now(c);
    if (take_rest(c, span_of(bytes + p->length, n - p->length)))
        start_or_hold(c);
}

/* What had been kept, on the scratch. */
static size_t kept_bytes(struct h1_conn *c, struct span *got) {
    struct loop *l = &conn_thread(c)->loop;
    *got = span_of((const char *)l->scratch + l->scratch_used, c->in->len);
    memcpy(l->scratch + l->scratch_used, c->in->bytes, got->n);
    l->scratch_used += got->n;
    return got->n;
}

/* Where a head is read: behind what has come of it already, in one piece. */
static enum io_result read_more(struct h1_conn *c, struct span *all) {
    struct loop *l = &conn_thread(c)->loop;
    size_t had = c->in ? kept_bytes(c, all) : 0;
    struct span got;
    if (c->in && c->in->fresh)
        return IO_OK;
    enum io_result r = stream_read(l, &c->door.stream, SCRATCH_MIN, &got);
    if (r == IO_OK) {
        count_add(conn_thread(c)->counters.client_bytes_received, got.n);
        *all = span_of(got.p - had, got.n + had);
    } else {
        l->scratch_used -= had;
    }
    return r;
}

static struct h1_parser *parser_of(struct h1_conn *c) {
    struct h1_parser *p = &conn_thread(c)->parser;
    if (c->in && !c->in->fresh)
        return &c->in->parser;
    h1_parser_init(p, H1_REQUEST, &conn_limits(c)->h1_request);
    return p;
}

static void drop_in(struct h1_conn *c) {
    mem_free(c->in);
    c->in = NULL;
}

/* A part of a head: the clock for the whole of it runs from its first byte. */
static void head_incomplete(struct h1_conn *c, struct span all, const struct h1_parser *p) {
    bool first = !c->in || c->in->fresh;
    if (first) {
        drop_in(c);
        conn_arm(c, conn_limits(c)->header_timeout_ms);
    }
    if (!keep_bytes(c, all.p, all.n, p))
        conn_reset(c);
    else if (c->door.stream.readable) /* its edge came before, and another may not come */
        loop_unfinished(&conn_thread(c)->loop, &c->reader);
}

/* HTTP/2's first bytes (RFC 9113 3.4). Up to its first line's end they are what no parser of
 * HTTP/1.1 would have finished with, so no request is delayed by looking. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Its first bytes are those of HTTP/2: all of them, and the connection changes its door; or some.
 */
static bool was_preface(struct h1_conn *c, struct span all, const struct h1_parser *p) {
    size_t n = all.n < sizeof preface - 1 ? all.n : sizeof preface - 1;
    if (memcmp(all.p, preface, n) != 0 || !door_speaks_h2(&c->door))
        return false;
    if (n < sizeof preface - 1) {
        head_incomplete(c, all, p);
        return true;
    }
    conn_leave(c);
    h2_server_take_over(&c->door, all);
    return true;
}

static void read_head(struct h1_conn *c) {
    struct span all;
    enum io_result r = read_more(c, &all);
    if (r == IO_AGAIN)
        return;
    if (r != IO_OK) {
        conn_close(c);
        return;
    }
    struct h1_parser *p = parser_of(c);
    if (!c->requests && all.p[0] == 'P' && was_preface(c, all, p))
        return;
    switch (h1_parse(p, all.p, all.n)) {
    case H1_MORE:
        head_incomplete(c, all, p);
        break;
    case H1_FAULT: {
        struct h1_in *in = c->in; /* the parser may stand in it */
        c->in = NULL;
        h1_refuse(c, p, all.p, p->fault);
        mem_free(in);
        break;
    }
    case H1_DONE: {
        struct h1_in *in = c->in;
        c->in = NULL;
        got_head(c, p, all.p, all.n);
        mem_free(in);
        break;
    }
    }
}

/* ---- the request body ---- */

static size_t body_may(const struct h1_conn *c) {
    struct body *b = &c->x->up_half.source;
    if (c->work->held)
        return BODY_LIMIT;
    return body_read_size(b);
}

/* 240 B/s after 10 s, or what the configuration says: a client that trickles holds nobody up for
 * long. */
static bool too_slow(const struct h1_conn *c) {
    uint64_t rate = conn_route_limits(c)->body_min_rate, ns = conn_now(c) - c->work->body_since;
    return rate && !conn_streams(c) && ns > 10000000000ull &&
           c->work->body_bytes < rate * (ns / 1000000000ull);
}

void body_late(struct h1_conn *c) {
    c->work->held = false;
    if (c->x->state == X_NEW)
        exchange_refuse(c->x, FAULT_BODY_TIMEOUT);
    else
        exchange_fail(c->x, FAULT_BODY_TIMEOUT, NULL);
}

/* Only a tunnel has bytes that came before its body was read. */
static enum io_result more_body(struct h1_conn *c, size_t max, struct span *got) {
    if (unlikely(c->in != NULL)) {
        kept_bytes(c, got);
        drop_in(c);
        return IO_OK;
    }
    enum io_result r = stream_read(&conn_thread(c)->loop, &c->door.stream, max, got);
    if (r == IO_OK)
        count_add(conn_thread(c)->counters.client_bytes_received, got->n);
    return r;
}

/* The client says no more, but may go on listening. */
static void tunnel_end(struct h1_conn *c) {
    c->work->request_done = true;
    h1_reader_eof(&c->work->r, &c->x->up_half.source);
}

static void read_body(struct h1_conn *c) {
    size_t share = READS_PER_TURN, room;
    struct loop *l = &conn_thread(c)->loop;
    while (c->x && !c->work->request_done && (c->door.stream.readable || c->in) &&
           (room = body_may(c)) > 0) {
        struct span got;
        size_t used, want = room < share ? room : share;
        loop_scratch_reuse(l);
        if (want == 0 || SCRATCH_MAX - l->scratch_used < SCRATCH_MIN) {
            loop_unfinished(l, &c->reader);
            return;
        }
        enum io_result r = more_body(c, want, &got);
        if (r == IO_AGAIN)
            return;
        if (r == IO_END && c->work->m.upgrade) {
            tunnel_end(c);
            return;
        }
        if (r == IO_END && c->work->held) { /* perhaps it still listens */
            c->work->held = false;
            exchange_refuse(c->x, FAULT_BAD_CHUNK);
            return;
        }
        if (r != IO_OK) {
            conn_abort(c, FAULT_CLIENT_CLOSED);
            return;
        }
        share -= got.n < share ? got.n : share;
        if (!feed(c, got, &used))
            return;
        c->x->bytes_in += used;
        if (used < got.n && !keep_bytes(c, got.p + used, got.n - used, NULL))
            c->keep = false;
        if (!c->work->request_done && too_slow(c)) {
            body_late(c);
            return;
        }
        if (c->work->held)
            start_or_hold(c);
    }
}

void h1_read(struct h1_conn *c) {
    switch ((enum h1_state)c->state) {
    case H1_IDLE:
        read_head(c);
        return;
    case H1_BUSY:
        if (!c->work->request_done && conn_may_read_body(c))
            read_body(c);
        return;
    case H1_LINGER:
        conn_linger_read(c);
        return;
    case H1_CLOSED:
        return;
    }
}
