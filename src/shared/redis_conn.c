#include "shared/redis_in.h"
#include "base/log.h"
#include "tls/stream.h"
#include <errno.h>

enum {
    HELLO_TIMES = 5, /* its first answer may take so many times the deadline of an ask */
    IDLE_MS = 5000   /* between looks whether anybody still needs it */
};

static uint64_t now_ms(const struct conn *c) {
    return c->thread->loop.now / 1000000;
}

static void timer_set(struct conn *c, uint64_t ms) {
    timer_start(&c->thread->loop.timers, &c->timer, now_ms(c), ms);
}

/* ---- away, and back ---------------------------------------------------------------------------
 */

static void go_away(struct conn *c, const char *why) {
    if (!c->away) {
        atomic_fetch_add_explicit(&c->redis->away_total, 1, memory_order_relaxed);
        if (atomic_fetch_add_explicit(&c->redis->away, 1, memory_order_relaxed) == 0)
            log_event(LEVEL_ERROR, "state_away", "the shared state %.*s is away: %s",
                      SPAN_ARG(c->redis->conf.shown), why);
    }
    c->away = true;
    c->pause_ms = c->pause_ms ? c->pause_ms * 2 : REDIS_PAUSE_MS;
    if (c->pause_ms > REDIS_PAUSE_MAX_MS)
        c->pause_ms = REDIS_PAUSE_MAX_MS;
    uint32_t jitter;
    env.random(&jitter, sizeof jitter);
    timer_set(c, c->pause_ms / 2 + jitter % (c->pause_ms / 2 + 1));
}

static void come_back(struct conn *c) {
    c->failures = 0;
    if (!c->away)
        return;
    c->away = false;
    atomic_store_explicit(&c->redis->returned_at, c->thread->loop.now, memory_order_relaxed);
    if (atomic_fetch_sub_explicit(&c->redis->away, 1, memory_order_relaxed) == 1)
        log_event(LEVEL_INFO, "state_back", "the shared state %.*s answers again",
                  SPAN_ARG(c->redis->conf.shown));
}

static void close_conn(struct conn *c) {
    if (c->state >= CONN_CONNECT) {
        stream_close(&c->thread->loop, &c->stream);
        atomic_fetch_sub_explicit(&c->redis->connections, 1, memory_order_relaxed);
    }
    if (c->state == CONN_LOOKUP)
        dns_query_cancel(&c->query);
    c->state = CONN_IDLE;
    c->out_sent = c->out_filled = c->in_len = 0;
    c->knows = 0;
    list_remove(&c->output.node);
}

void conn_fail(struct conn *c, enum redis_failure why, const char *detail) {
    close_conn(c);
    go_away(c, detail ? detail : "the connection broke");
    conn_drop_all(c, why);
}

void conn_failure(struct conn *c, enum redis_failure why) {
    uint64_t now = c->thread->loop.now;
    atomic_fetch_add_explicit(&c->redis->failures, 1, memory_order_relaxed);
    if (why == REDIS_LATE)
        atomic_fetch_add_explicit(&c->redis->late, 1, memory_order_relaxed);
    if (!c->failures || now - c->failed_at > 1000000000) {
        c->failures = 0;
        c->failed_at = now;
    }
    if (++c->failures >= REDIS_FAILURES && !c->unfit)
        c->unfit = "it answers too late";
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static bool grow(struct conn *c, size_t more) {
    if (c->out_filled + more <= c->out_cap)
        return true;
    memmove(c->out, c->out + c->out_sent, c->out_filled - c->out_sent);
    c->out_filled -= c->out_sent;
    c->out_sent = 0;
    size_t cap = c->out_cap ? c->out_cap : 4096;
    while (cap < c->out_filled + more)
        cap *= 2;
    if (cap > REDIS_OUT_MAX)
        return false;
    char *p = cap == c->out_cap ? c->out : mem_try(cap);
    if (!p)
        return false;
    if (p != c->out) {
        if (c->out_filled)
            memcpy(p, c->out, c->out_filled);
        mem_free(c->out);
    }
    c->out = p;
    c->out_cap = cap;
    return true;
}

bool conn_room(struct conn *c, size_t bytes, struct str *out) {
    if (c->pending == REDIS_PENDING_MAX || !grow(c, bytes))
        return false;
    *out = str_on(c->out + c->out_filled, c->out_cap - c->out_filled);
    return true;
}

uint32_t conn_push(struct conn *c, const struct str *out, struct slot s) {
    must(!out->full);
    uint32_t number = c->head + c->pending++;
    c->out_filled += out->n;
    c->slot[number % REDIS_PENDING_MAX] = s;
    if (c->state >= CONN_HELLO)
        loop_late_output(&c->thread->loop, &c->output);
    if (!timer_running(&c->timer) && s.deadline_at)
        timer_set(c, (s.deadline_at - c->thread->loop.now) / 1000000 + 1);
    return number;
}

static void flush(struct output *o) {
    struct conn *c = container_of(o, struct conn, output);
    while (c->state >= CONN_HELLO && c->out_sent < c->out_filled) {
        struct iovec iov = {c->out + c->out_sent, c->out_filled - c->out_sent};
        size_t took;
        enum io_result r = stream_write(&c->stream, &iov, 1, &took);
        if (r == IO_RESET || r == IO_END) {
            conn_fail(c, REDIS_BROKEN, "the connection broke");
            return;
        }
        if (r == IO_AGAIN || !took)
            return; /* the event goes on */
        c->out_sent += took;
    }
    if (c->out_sent == c->out_filled)
        c->out_sent = c->out_filled = 0;
}

/* ---- the first words --------------------------------------------------------------------------
 */

static void answered(struct conn *c, const struct redis_reply *r) {
    if (r->kind == REDIS_ERROR) {
        char quoted[LOG_QUOTED_MAX];
        log_event(LEVEL_ERROR, "state_refused", "the shared state %.*s does not let us in: %s",
                  SPAN_ARG(c->redis->conf.shown), log_quoted(r->text, quoted));
        c->unfit = "it refused the first words (see state_refused)";
    }
}

static void ready_to_work(struct conn *c, const struct redis_reply *r) {
    answered(c, r);
    uint64_t slow = c->redis->conf.timeout_ms * HELLO_TIMES * 1000000;
    if (!c->unfit && c->thread->loop.now - c->spoken_at > slow)
        c->unfit = "it answers too late";
    if (c->unfit)
        return;
    c->state = CONN_READY;
    come_back(c);
}

static void word(struct conn *c, const struct span *text, size_t n,
                 void (*own)(struct conn *, const struct redis_reply *)) {
    struct str out;
    if (!conn_room(c, 512, &out))
        return;
    resp_list(&out, n);
    for (size_t i = 0; i < n; i++)
        resp_text(&out, text[i]);
    if (!out.full)
        conn_push(c, &out, (struct slot){.own = own});
}

/* Before anybody's ask: they stand behind in the same buffer. */
static void greet(struct conn *c) {
    const struct state_conf *s = &c->redis->conf;
    char number[24];
    struct str db = str_on(number, sizeof number);
    str_u64(&db, s->database);
    if (s->password.n && s->user.n)
        word(c, (struct span[]){SPAN("AUTH"), s->user, s->password}, 3, answered);
    else if (s->password.n)
        word(c, (struct span[]){SPAN("AUTH"), s->password}, 2, answered);
    if (s->database)
        word(c, (struct span[]){SPAN("SELECT"), str_span(&db)}, 2, answered);
    word(c, (struct span[]){SPAN("PING")}, 1, ready_to_work);
}

/* ---- connecting -------------------------------------------------------------------------------
 */

static void spoken(struct conn *c) {
    c->state = CONN_HELLO;
    c->spoken_at = c->thread->loop.now;
    loop_late_output(&c->thread->loop, &c->output);
}

static void tls_step(struct conn *c) {
    switch (tls_handshake(&c->thread->loop, &c->stream, SPAN_NONE)) {
    case TLS_WANT:
        return;
    case TLS_FAILED:
        conn_fail(c, REDIS_AWAY, tls_failure(&c->stream));
        return;
    case TLS_DONE:
        break;
    }
    spoken(c);
}

static void connected(struct conn *c) {
    const struct state_node *n = &c->redis->conf.node[0];
    struct span name = c->redis->conf.tls_name.n ? c->redis->conf.tls_name : n->host;
    if (!c->redis->conf.tls) {
        spoken(c);
        return;
    }
    if (!c->redis->tls || !tls_connect(&c->stream, c->redis->tls, name)) {
        conn_fail(c, REDIS_AWAY, "TLS cannot be set up");
        return;
    }
    c->state = CONN_TLS;
    tls_step(c);
}

static void event(struct watch *w, uint32_t events) {
    struct conn *c = container_of(container_of(w, struct stream, watch), struct conn, stream);
    stream_event(&c->stream, events);
    if (c->state == CONN_CONNECT) {
        int err = events & (EPOLLERR | EPOLLHUP) ? tcp_error(&c->stream) : 0;
        if (err || (events & (EPOLLERR | EPOLLHUP)))
            conn_fail(c, REDIS_AWAY, strerror(err ? err : ECONNRESET));
        else if (events & EPOLLOUT)
            connected(c);
    } else if (c->state == CONN_TLS) {
        tls_step(c);
    }
    if (c->state < CONN_HELLO)
        return;
    if (events & EPOLLOUT)
        loop_late_output(&c->thread->loop, &c->output);
    if (c->stream.readable && !conn_read(c))
        return;
    if (c->unfit)
        conn_fail(c, REDIS_BROKEN, c->unfit);
}

static void connect_to(struct conn *c, const struct address *to) {
    c->stream = (struct stream){.ops = &tcp_stream, .watch.ready = event};
    int err = tcp_connect(&c->thread->loop, &c->stream, to);
    if (err) {
        c->state = CONN_IDLE;
        conn_fail(c, REDIS_AWAY, strerror(err));
        return;
    }
    c->state = CONN_CONNECT;
    atomic_fetch_add_explicit(&c->redis->connections, 1, memory_order_relaxed);
}

static void found(struct dns_query *q, const struct dns_answer *answer) {
    struct conn *c = container_of(q, struct conn, query);
    c->state = CONN_IDLE;
    if (!answer->count) {
        conn_fail(c, REDIS_AWAY, answer->error ? answer->error : "its name has no address");
        return;
    }
    struct address to = answer->ip[0];
    address_set_port(&to, c->redis->conf.node[0].port);
    connect_to(c, &to);
}

static void look_up(struct conn *c, struct span host) {
    const struct state_conf *s = &c->redis->conf;
    if (!c->dns)
        c->dns = dns_create(&c->thread->loop, s->dns_server, s->dns_servers);
    if (!c->dns) {
        conn_fail(c, REDIS_AWAY, "no memory to look its name up");
        return;
    }
    c->state = CONN_LOOKUP;
    c->query.done = found;
    dns_query_start(c->dns, &c->query, host);
}

static void start(struct conn *c) {
    const struct state_node *n = &c->redis->conf.node[0];
    c->unfit = NULL;
    c->opened_at = c->thread->loop.now;
    atomic_fetch_add_explicit(&c->redis->reconnects, 1, memory_order_relaxed);
    timer_set(c, REDIS_CONNECT_MS);
    c->state = CONN_LOOKUP; /* words are kept until somebody hears them */
    greet(c);
    c->state = CONN_IDLE;
    if (n->address.len)
        connect_to(c, &n->address);
    else
        look_up(c, n->host);
}

bool conn_want(struct conn *c) {
    if (c->away)
        return false; /* the timer probes */
    if (c->state == CONN_IDLE)
        start(c);
    return c->state != CONN_IDLE;
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void tick(struct timer *t) {
    struct conn *c = container_of(t, struct conn, timer);
    uint64_t now = c->thread->loop.now;
    if (!atomic_load_explicit(&c->redis->users, memory_order_relaxed)) {
        conn_destroy(c);
        return;
    }
    bool connecting = c->state != CONN_IDLE && c->state != CONN_READY;
    if (connecting && now - c->opened_at >= (uint64_t)REDIS_CONNECT_MS * 1000000) {
        conn_fail(c, REDIS_AWAY, "it does not answer");
        return;
    }
    conn_late(c);
    if (c->unfit) {
        conn_fail(c, REDIS_LATE, c->unfit);
        return;
    }
    if (timer_running(&c->timer))
        return;
    if (c->away && c->state == CONN_IDLE)
        start(c);
    else
        timer_set(c, c->pending ? c->redis->conf.timeout_ms : IDLE_MS);
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct conn *conn_create(struct redis *r, struct thread *t) {
    struct conn *c = mem_alloc(sizeof *c);
    c->slot = mem_alloc(REDIS_PENDING_MAX * sizeof *c->slot);
    c->in_cap = RESP_REPLY_MAX + 1024;
    c->in = mem_alloc(c->in_cap);
    c->redis = r;
    c->thread = t;
    c->timer.fire = tick;
    c->output.flush = flush;
    lasting_ref(r);
    return c;
}

static void free_conn(struct deferred *d) {
    struct conn *c = container_of(d, struct conn, free);
    mem_free(c->out);
    mem_free(c->in);
    mem_free(c->slot);
    lasting_unref(c->redis);
    mem_free(c);
}

void conn_destroy(struct conn *c) {
    list_remove(&c->node);
    close_conn(c);
    if (c->away)
        atomic_fetch_sub_explicit(&c->redis->away, 1, memory_order_relaxed);
    conn_drop_all(c, REDIS_AWAY);
    timer_stop(&c->timer);
    if (c->dns)
        dns_destroy(c->dns);
    c->free.run = free_conn;
    loop_after_turn(&c->thread->loop, &c->free);
}
