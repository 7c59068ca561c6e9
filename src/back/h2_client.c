#include "back/h2_client_conn.h"
#include "io/tcp.h"

enum { READS_PER_TURN = 256 * 1024, STREAMS_UNTOLD = 100, STREAMS_MAX = 1000 };
/* Before the numbers of streams run out. */
enum { REQUESTS_MAX = 1 << 30 };

static void arm(struct h2_client *c, uint64_t ms) {
    timer_start(&h2_client_thread(c)->loop.timers, &c->timer, h2_client_now(c) / 1000000, ms);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void free_it(struct deferred *d) {
    mem_free(container_of(d, struct h2_client, free));
}

static void close_now(struct h2_client *c) {
    enum h2_client_state was = (enum h2_client_state)c->state;
    if (was == H2_CLIENT_CLOSED)
        return;
    must(!c->calling && !c->c.streams);
    c->state = H2_CLIENT_CLOSED;
    c->c.streams_max = 0;
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    nghttp2_session_del(c->session);
    c->session = NULL;
    mem_free(c->rest);
    c->rest = NULL;
    c->free.run = free_it;
    loop_after_turn(&h2_client_thread(c)->loop, &c->free);
    client_closed(&c->c, was != H2_CLIENT_CONNECTING);
}

static void say_goodbye(struct h2_client *c) {
    h2_client_goodbye(c);
    close_now(c);
}

/* Why a stream fails that its connection takes along. */
static enum fault of_stream(const struct h2_client *c, const struct h2_part *p, enum fault why) {
    bool gone = why == FAULT_UPSTREAM_CLOSED || why == FAULT_UPSTREAM_RESET;
    if (!p->begun && (gone || why == FAULT_UPSTREAM_PROTOCOL) && c->state == H2_CLIENT_OPEN)
        return FAULT_UPSTREAM_REFUSED_STREAM; /* the service has not seen it */
    return p->a->head_read && gone ? FAULT_UPSTREAM_TRUNCATED : why;
}

static void tell(struct h2_part *p) {
    struct attempt *a = p->a;
    if (!op_pending(&a->op))
        return; /* the end of another one took it along */
    if (p->fault) {
        attempt_failed(a, p->fault, p->detail);
        return;
    }
    body_end(&a->x->down_half.source, p->trailers);
    attempt_done(a);
}

/* Words of this connection, which ends, for one that goes on. */
static const char *lasting(const struct h2_client *c, struct exchange *x, const char *detail) {
    return detail == c->reason ? arena_text(&x->arena, span_z(detail)) : detail;
}

void h2_client_lost(struct h2_client *c, enum fault why, const char *detail) {
    struct list parts;
    list_init(&parts);
    h2_client_retire(c);
    for (struct list *n = c->streams.next; n != &c->streams; n = n->next) {
        struct h2_part *p = container_of(n, struct h2_part, node);
        p->fault = of_stream(c, p, why);
        p->detail = lasting(c, p->a->x, detail);
    }
    list_splice(&c->over, &c->streams);
    for (struct list *n; (n = list_shift(&c->over));) {
        h2_part_detach(container_of(n, struct h2_part, node));
        list_append(&parts, n);
    }
    close_now(c);
    for (struct list *n; (n = list_shift(&parts));)
        tell(container_of(n, struct h2_part, node));
}

void h2_client_doom(struct h2_client *c, enum fault why, uint32_t code, const char *detail) {
    if (c->doom)
        return;
    c->doom = why;
    c->doom_detail = detail;
    if (!c->broken && nghttp2_session_terminate_session(c->session, code) != 0)
        c->broken = true;
}

/* Without a stream: kept for the next one, or not. */
static void rest(struct h2_client *c) {
    bool keep = !c->retired && !h2_client_thread(c)->draining &&
                c->c.epoch == endpoint_epoch(c->c.pool->endpoint) &&
                endpoint_may_idle(c->c.pool->endpoint);
    if (!keep)
        say_goodbye(c);
    else if (!timer_running(&c->timer))
        arm(c, c->idle_ms);
}

/* nghttp2 ends the session by itself where frames break the rules. After a GOAWAY of the service
 * that shows only when its own one is sent. */
static bool ended_itself(const struct h2_client *c) {
    return c->state == H2_CLIENT_OPEN && !c->goaway && !c->doom &&
           !nghttp2_session_check_request_allowed(c->session);
}

bool h2_client_after(struct h2_client *c) {
    for (struct list *n; c->state != H2_CLIENT_CLOSED && (n = list_shift(&c->over));) {
        struct h2_part *p = container_of(n, struct h2_part, node);
        h2_part_detach(p);
        tell(p);
    }
    if (c->state == H2_CLIENT_CLOSED)
        return false;
    if (ended_itself(c))
        c->doom = FAULT_UPSTREAM_PROTOCOL;
    if (c->doom) {
        if (c->doom == FAULT_UPSTREAM_PROTOCOL)
            count_up(h2_client_thread(c), upstream_h2_errors);
        h2_client_goodbye(c);
        h2_client_lost(c, c->doom, c->doom_detail ? c->doom_detail : c->reason);
        return false;
    }
    if (!c->c.streams && c->state == H2_CLIENT_OPEN)
        rest(c);
    return c->state != H2_CLIENT_CLOSED;
}

/* ---- how many streams ------------------------------------------------------------------------ */

void h2_client_room(struct h2_client *c) {
    uint32_t most = STREAMS_UNTOLD, before = c->c.streams_max;
    if (c->told)
        most = nghttp2_session_get_remote_settings(c->session,
                                                   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    c->c.streams_max = c->retired ? 0 : most < c->streams_limit ? most : c->streams_limit;
    if (c->c.streams_max > before)
        pool_has_room(c->c.pool);
}

void h2_client_retire(struct h2_client *c) {
    c->retired = true;
    c->c.streams_max = 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Parses what was read. False: the connection is closed. */
static bool take(struct h2_client *c, struct span in) {
    c->heard = h2_client_now(c);
    count_add(h2_client_thread(c)->counters.upstream_bytes_received, in.n);
    c->calling = true;
    ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)in.p, in.n);
    c->calling = false;
    const char *why = n < 0 ? nghttp2_strerror((int)n) : h2_guard_bytes(&c->guard, in.n);
    if (n == NGHTTP2_ERR_NOMEM)
        h2_client_doom(c, FAULT_OUT_OF_MEMORY, NGHTTP2_INTERNAL_ERROR, NULL);
    else if (why)
        h2_client_doom(c, FAULT_UPSTREAM_PROTOCOL, NGHTTP2_ENHANCE_YOUR_CALM, why);
    if (!h2_client_after(c))
        return false;
    if (nghttp2_session_want_write(c->session))
        h2_client_mark(c, 0);
    return true;
}

static void ended(struct h2_client *c, enum io_result r) {
    h2_client_lost(c, r == IO_RESET ? FAULT_UPSTREAM_RESET : FAULT_UPSTREAM_CLOSED, c->last_word);
}

void h2_client_read(struct h2_client *c) {
    struct loop *l = &h2_client_thread(c)->loop;
    size_t share = READS_PER_TURN;
    while (c->state == H2_CLIENT_OPEN && c->c.stream.readable) {
        struct span got;
        loop_scratch_reuse(l);
        if (share == 0 || SCRATCH_MAX - l->scratch_used < 2 * SCRATCH_MIN) {
            loop_unfinished(l, &c->reader);
            return;
        }
        enum io_result r = stream_read(l, &c->c.stream, SCRATCH_MIN, &got);
        if (r == IO_AGAIN)
            return;
        if (r != IO_OK) {
            ended(c, r);
            return;
        }
        share -= got.n < share ? got.n : share;
        if (!take(c, got))
            return;
    }
}

static void connected(struct h2_client *c, uint32_t events) {
    const char *detail;
    switch (client_connected(&c->c, events, &detail)) {
    case CLIENT_NOT_YET:
        return;
    case CLIENT_REFUSED:
        h2_client_lost(c, FAULT_CONNECT_FAILED, detail);
        return;
    case CLIENT_CONNECTED:
        break;
    }
    count_up(h2_client_thread(c), upstream_h2_connections);
    c->state = H2_CLIENT_OPEN;
    timer_stop(&c->timer);
    for (struct list *n = c->streams.next; n != &c->streams; n = n->next) {
        struct h2_part *p = container_of(n, struct h2_part, node);
        p->since = p->a->x->t.connected = h2_client_now(c);
        h2_part_watch(p);
    }
    if (h2_client_after(c))
        h2_client_mark(c, 0);
}

static void ready(struct watch *w, uint32_t events) {
    struct h2_client *c = container_of(w, struct h2_client, c.stream.watch);
    stream_event(&c->c.stream, events);
    if (c->state == H2_CLIENT_CONNECTING)
        connected(c, events);
    if (c->state != H2_CLIENT_OPEN)
        return;
    if ((events & EPOLLOUT) && c->blocked) {
        c->blocked = false;
        loop_output(&h2_client_thread(c)->loop, &c->output);
    }
    h2_client_read(c);
}

static void again(struct reader *r) {
    h2_client_read(container_of(r, struct h2_client, reader));
}

static void timed_out(struct timer *t) {
    struct h2_client *c = container_of(t, struct h2_client, timer);
    if (c->state == H2_CLIENT_CONNECTING) {
        client_connect_failed(&c->c);
        h2_client_lost(c, FAULT_CONNECT_TIMEOUT, NULL);
    } else if (!c->c.streams) {
        say_goodbye(c);
    }
}

/* ---- what pool and proxy ask ------------------------------------------------------------------
 */

static void send_attempt(struct client *client, struct attempt *a) {
    struct h2_client *c = h2_client_of(client);
    struct h2_part *p = h2_part_start(c, a);
    client->requests++;
    client->streams++;
    if (client->requests >= c->keepalive_requests)
        h2_client_retire(c);
    count_up(h2_client_thread(c), upstream_h2_streams);
    if (c->state == H2_CLIENT_OPEN)
        timer_stop(&c->timer);
    h2_part_watch(p);
    if (!a->x->req.protocol.n || c->told)
        h2_part_begin(p); /* else the service must first say whether it can do that */
    /* What is over by now is told by the flush: not inside of this call. */
    h2_client_mark(c, 0);
}

static void more(struct client *client, struct attempt *a) {
    (void)client;
    h2_part_more(a->part);
}

static void room(struct client *client, struct attempt *a) {
    struct h2_part *p = a->part;
    (void)client;
    p->since = h2_client_now(p->c); /* it was not the service that was silent */
    h2_part_credit(p);
    if (nghttp2_session_want_write(p->c->session))
        h2_client_mark(p->c, 0);
}

/* Both directions of a tunnel have ended, and the word of it has yet to go. */
static bool ends_well(const struct h2_part *p) {
    return p->ended && !p->sent && body_done(p->a->x->up_half.sink);
}

static void abandon(struct client *client, struct attempt *a) {
    struct h2_client *c = h2_client_of(client);
    struct h2_part *p = a->part;
    if (ends_well(p))
        h2_part_more(p);
    else if (!p->over)
        h2_part_over(p, FAULT_NONE, NULL, NGHTTP2_CANCEL);
    h2_part_detach(p);
    h2_client_mark(c, 0);
}

static void close_idle(struct client *client) {
    struct h2_client *c = h2_client_of(client);
    if (c->calling || c->c.streams)
        h2_client_retire(c);
    else
        say_goodbye(c);
}

static void retire(struct client *client) {
    struct h2_client *c = h2_client_of(client);
    h2_client_retire(c);
    if (!c->c.streams && !c->calling)
        say_goodbye(c);
}

static const struct client_ops ops = {
    .name = "h2",
    .send = send_attempt,
    .more = more,
    .room = room,
    .abandon = abandon,
    .close = close_idle,
    .retire = retire,
};

static struct h2_client *create(struct pool *p, const struct service_conf *s) {
    struct h2_client *c = mem_try(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct h2_client){.c = {.pool = p, .ops = &ops, .stream.watch.ready = ready},
                            .output.flush = h2_client_flush,
                            .reader.again = again,
                            .timer.fire = timed_out,
                            .idle_ms = (uint32_t)s->keepalive_idle_ms,
                            .connect_ms = (uint32_t)s->connect_timeout_ms,
                            .keepalive_requests = s->keepalive_requests < REQUESTS_MAX
                                                      ? s->keepalive_requests
                                                      : REQUESTS_MAX,
                            .streams_limit = s->h2_streams ? s->h2_streams : STREAMS_MAX};
    list_init(&c->streams);
    list_init(&c->over);
    if (h2_client_start(c, &p->thread->snap->snapshot->limits)) {
        h2_client_room(c);
        return c;
    }
    mem_free(c);
    return NULL;
}

static void discard(struct h2_client *c) {
    nghttp2_session_del(c->session);
    mem_free(c);
}

struct client *h2_client_connect(struct pool *p, const struct service_conf *s, enum fault *why) {
    struct h2_client *c = create(p, s);
    *why = c ? client_connect(&c->c, s) : FAULT_OUT_OF_MEMORY;
    if (!*why) {
        arm(c, c->connect_ms);
        return &c->c;
    }
    if (c)
        discard(c);
    return NULL;
}

struct client *h2_client_take_over(struct client *from, const struct service_conf *s) {
    struct pool *p = from->pool;
    struct h2_client *c = create(p, s);
    if (!c)
        return NULL;
    if (!stream_move(&p->thread->loop, &from->stream, &c->c.stream)) {
        discard(c);
        return NULL;
    }
    c->c.to = from->to;
    c->c.epoch = from->epoch;
    c->state = H2_CLIENT_OPEN;
    list_remove(&from->node);
    list_append(&p->shared, &c->c.node);
    count_up(p->thread, upstream_h2_connections);
    arm(c, c->idle_ms);
    h2_client_mark(c, 0);
    loop_unfinished(&p->thread->loop, &c->reader); /* it may have spoken already */
    return &c->c;
}
