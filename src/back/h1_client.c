#include "back/h1_client_conn.h"
#include "back/h2_client.h"

/* ---- ends ------------------------------------------------------------------------------------ */

static void free_it(struct deferred *d) {
    mem_free(container_of(d, struct h1_client, free));
}

/* It is of no use any more; its socket is another matter. */
static void leave(struct h1_client *c) {
    c->state = CLIENT_CLOSED;
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    timer_stop(&c->timer);
    mem_free(c->in);
    c->in = NULL;
    c->free.run = free_it;
    loop_after_turn(&h1_client_thread(c)->loop, &c->free);
}

/* What others wait for: whether it is one to share. */
static void decided(struct h1_client *c, bool shared) {
    if (c->deciding)
        pool_decided(c->c.pool, shared);
    c->deciding = false;
}

void h1_client_close(struct h1_client *c) {
    enum client_state was = (enum client_state)c->state;
    if (was == CLIENT_CLOSED)
        return;
    must(!c->a);
    if (was == CLIENT_IDLE)
        pool_unidle(c->c.pool);
    if (c->deciding)
        pool_undecided(c->c.pool);
    leave(c);
    client_closed(&c->c, was != CLIENT_CONNECTING);
}

static void attempt_left(struct h1_client *c) {
    if (c->a)
        c->a->conn = NULL;
    c->a = NULL;
    c->p = NULL;
    c->c.streams = 0;
}

/* What is under way cannot be used by anybody else. */
static void give_up(struct h1_client *c) {
    if (c->p && c->p->open && c->a->x->end != X_END_COMPLETED)
        h1_client_tunnel_break(c); /* else all has been said that was to be */
    attempt_left(c);
    h1_client_close(c);
}

void h1_client_fail(struct h1_client *c, enum fault why, const char *detail) {
    struct attempt *a = c->a;
    give_up(c);
    attempt_failed(a, why, detail);
}

static void idle(struct h1_client *c) {
    c->state = CLIENT_IDLE;
    h1_client_arm(c, c->idle_ms);
    pool_put_idle(&c->c);
}

/* Does the socket really have nothing more? Only asked where the last read filled its piece. */
static bool ran_dry(struct h1_client *c) {
    char byte; /* the scratch may be full */
    size_t got;
    if (c->c.stream.hung_up)
        return false;
    if (!c->c.stream.readable)
        return true;
    c->c.stream.readable = c->c.stream.ops->read(&c->c.stream, &byte, 1, &got) != IO_AGAIN;
    return !c->c.stream.readable;
}

/* The proof of a clean end. */
static bool may_be_kept(const struct h1_client *c) {
    const struct h1_part *p = c->p;
    return h1_writer_done(&p->w) && !p->broken && p->m.keep_alive && !p->m.auth_challenge &&
           !p->m.upgrade && p->r.framing != FRAMING_CLOSE && p->r.framing != FRAMING_TUNNEL &&
           c->c.epoch == endpoint_epoch(c->c.pool->endpoint) && !c->own &&
           c->c.requests < c->keepalive_requests && !h1_client_thread(c)->draining;
}

void h1_client_answered(struct h1_client *c, size_t excess) {
    struct attempt *a = c->a;
    bool clean = may_be_kept(c) && !excess;
    uint32_t told = c->p->m.keep_alive_s;
    if (excess)
        count_up(h1_client_thread(c), upstream_excess_bytes);
    if (told && told * 1000ull < c->idle_ms + 1000ull)
        c->idle_ms = told > 1 ? (told - 1) * 1000 : 1;
    attempt_left(c);
    if (clean && ran_dry(c) && endpoint_may_idle(c->c.pool->endpoint))
        idle(c);
    else
        h1_client_close(c);
    attempt_done(a);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The service has chosen HTTP/2: the connection goes on as another kind of client. */
static void hand_over(struct h1_client *c) {
    struct attempt *a = c->a;
    struct client *h2 = h2_client_take_over(&c->c, a->service);
    if (!h2) {
        h1_client_fail(c, FAULT_OUT_OF_MEMORY, NULL);
        return;
    }
    bool shared = !c->own && h2->epoch == endpoint_epoch(h2->pool->endpoint);
    attempt_left(c);
    decided(c, shared);
    leave(c);
    a->conn = h2;
    h2->ops->send(h2, a);
    if (!shared && a->conn == h2)
        h2->ops->retire(h2);
}

static void connected(struct h1_client *c) {
    const struct service_conf *s = c->a->service;
    c->state = CLIENT_BUSY;
    c->a->x->t.connected = h1_client_now(c);
    if (client_chose_h2(&c->c, s)) {
        hand_over(c);
        return;
    }
    if (client_must_be_h2(s)) {
        h1_client_fail(c, FAULT_UPSTREAM_TLS, "the service does not offer HTTP/2 (ALPN)");
        return;
    }
    decided(c, false);
    if (!h1_client_request(c))
        return;
    if (c->c.stream.readable) /* it spoke first, and this was the edge */
        loop_unfinished(&h1_client_thread(c)->loop, &c->reader);
}

static void set_up(struct h1_client *c, uint32_t events) {
    switch (setup_go(&c->setup, &c->c, c->a, events)) {
    case SETUP_WAIT:
        return;
    case SETUP_FAILED:
        h1_client_fail(c, c->setup.why, c->setup.detail);
        return;
    case SETUP_READY:
        connected(c);
        return;
    }
}

static void unasked(struct h1_client *c) {
    struct span got;
    if (stream_read(&h1_client_thread(c)->loop, &c->c.stream, 1, &got) == IO_OK)
        count_up(h1_client_thread(c), upstream_excess_bytes);
    else if (!c->c.stream.hung_up && !c->c.stream.readable)
        return; /* only an edge of writability */
    h1_client_close(c);
}

static void ready(struct watch *w, uint32_t events) {
    struct h1_client *c = container_of(w, struct h1_client, c.stream.watch);
    stream_event(&c->c.stream, events);
    switch ((enum client_state)c->state) {
    case CLIENT_CONNECTING:
        set_up(c, events);
        return;
    case CLIENT_IDLE:
        if (c->c.stream.readable)
            unasked(c);
        return;
    case CLIENT_BUSY:
        if ((events & EPOLLOUT) && c->p->blocked) {
            c->p->blocked = false;
            loop_output(&h1_client_thread(c)->loop, &c->output);
        }
        if (c->c.stream.readable)
            h1_client_read(c);
        return;
    case CLIENT_CLOSED:
        return;
    }
}

static void again(struct reader *r) {
    h1_client_read(container_of(r, struct h1_client, reader));
}

static void send_attempt(struct client *client, struct attempt *a) {
    struct h1_client *c = h1_client_of(client);
    must(!c->a);
    c->a = a;
    client->requests++;
    client->streams = 1;
    if (c->state == CLIENT_IDLE) {
        c->state = CLIENT_BUSY;
        h1_client_request(c);
        return;
    }
    c->since = h1_client_now(c);
    h1_client_watch_phases(c);
}

static void more(struct client *client, struct attempt *a) {
    struct h1_client *c = h1_client_of(client);
    (void)a;
    if (c->state == CLIENT_BUSY && !c->p->blocked)
        loop_output(&h1_client_thread(c)->loop, &c->output);
}

static void room(struct client *client, struct attempt *a) {
    struct h1_client *c = h1_client_of(client);
    c->since = h1_client_now(c); /* it was not the service that was silent */
    if (c->c.stream.readable && a->head_read)
        h1_client_read(c);
}

static void abandon(struct client *client, struct attempt *a) {
    struct h1_client *c = h1_client_of(client);
    must(c->a == a);
    give_up(c);
}

static void close_idle(struct client *client) {
    h1_client_close(h1_client_of(client));
}

/* A busy one is closed at its return: its epoch is over. */
static void retire(struct client *client) {
    if (h1_client_of(client)->state == CLIENT_IDLE)
        h1_client_close(h1_client_of(client));
}

static const struct client_ops ops = {
    .name = "http/1.1",
    .send = send_attempt,
    .more = more,
    .room = room,
    .abandon = abandon,
    .close = close_idle,
    .retire = retire,
};

struct client *h1_client_connect(struct pool *p, const struct service_conf *s, bool alone,
                                 enum fault *why) {
    struct h1_client *c = mem_try(sizeof *c);
    if (!c) {
        *why = FAULT_OUT_OF_MEMORY;
        return NULL;
    }
    *c = (struct h1_client){.c = {.pool = p, .ops = &ops, .stream.watch.ready = ready},
                            .output.flush = h1_client_flush,
                            .reader.again = again,
                            .timer.fire = h1_client_timed_out,
                            .idle_ms = (uint32_t)s->keepalive_idle_ms,
                            .keepalive_requests = s->keepalive_requests,
                            .own = s->proxy_protocol != 0,
                            .setup.http1 = alone,
                            .deciding = !alone && client_may_share(s)};
    *why = client_connect(&c->c, s);
    if (*why) {
        mem_free(c);
        return NULL;
    }
    if (c->deciding)
        pool_deciding(p);
    return &c->c;
}
