#include "shared/redis_conn.h"
#include "base/log.h"
#include "core/thread.h"
#include "io/tcp.h"
#include "tls/stream.h"
#include <errno.h>

enum { READ_MAX = 64 * 1024, READ_TURN_MAX = 256 * 1024 };

static struct loop *loop_of(const struct redis_conn *c) {
    return &c->here->thread->loop;
}

bool redis_error_is(const struct redis_reply *r, const char *word) {
    struct span w = span_z(word);
    return r->kind == REDIS_ERROR && span_starts(r->text, w) &&
           (r->text.n == w.n || r->text.p[w.n] == ' ');
}

/* ---- the end --------------------------------------------------------------------------------- */

static void conn_free(struct deferred *d) {
    struct redis_conn *c = container_of(d, struct redis_conn, free);
    redis_out_finish(c);
    resp_finish(&c->resp);
    mem_free(c);
}

static void shut(struct redis_conn *c) {
    c->stage = CONN_CLOSED;
    timer_stop(&c->timer);
    list_remove(&c->output.node);
    list_remove(&c->reader.node);
    if (c->opened) {
        stream_close(loop_of(c), &c->stream);
        count_add(c->here->counts->connections, (uint64_t)-1);
    }
    c->opened = false;
}

/* Who asks is told what became of it: what has not left was not asked. */
static void fail_asks(struct redis_conn *c) {
    for (uint64_t i = c->head; i != c->tail; i++) {
        struct redis_slot *s = redis_slot(c, i);
        struct redis_ask *a = s->ask;
        s->ask = NULL;
        if (a)
            redis_done(c->here, a, s->at < c->sent ? REDIS_BROKEN : REDIS_AWAY, NULL);
    }
}

void redis_conn_close(struct redis_conn *c, const char *why) {
    if (c->stage == CONN_CLOSED)
        return;
    shut(c);
    c->ops->closed(c, why);
    fail_asks(c);
    c->free.run = conn_free;
    loop_after_turn(loop_of(c), &c->free);
}

void redis_conn_drop(struct redis_conn *c) {
    shut(c);
    fail_asks(c);
    c->free.run = conn_free;
    if (c->here->ending)
        conn_free(&c->free);
    else
        loop_after_turn(loop_of(c), &c->free);
}

/* ---- the greeting ---------------------------------------------------------------------------- */

static void became_ready(struct redis_conn *c) {
    struct redis_here *h = c->here;
    c->stage = CONN_READY;
    c->ready_at = h->thread->loop.now;
    atomic_store_explicit(&h->redis->auth_told, false, memory_order_relaxed);
    timer_stop(&c->timer);
    if (c->head + 1 !=
        c->tail) /* asks that came meanwhile; the greeting's last answer is at head */
        timer_start(&h->thread->loop.timers, &c->timer, redis_now_ms(h),
                    h->redis->conf.timeout_ms * REDIS_STUCK);
    c->ops->ready(c);
    if (c->stage == CONN_READY && redis_out_waits(c))
        loop_late_output(loop_of(c), &c->output);
}

static void refused(struct redis_conn *c, const struct redis_reply *r) {
    char why[REDIS_WHY_MAX], text[LOG_QUOTED_MAX];
    struct str s = str_on(why, sizeof why - 1);
    log_quoted(span_cut(r->text, 0, 100), text);
    str_fmt(&s, "it answers %s", text);
    why[s.n] = 0;
    redis_conn_close(c, s.n ? why : "it refuses the connection");
}

static void greeted(struct redis_conn *c) {
    if (--c->hello_left == 0)
        became_ready(c);
}

static void told_auth(struct redis_conn *c, const struct redis_reply *r) {
    if (r->kind != REDIS_ERROR) {
        greeted(c);
        return;
    }
    char text[LOG_QUOTED_MAX];
    if (!redis_error_is(r, "LOADING") &&
        !atomic_exchange_explicit(&c->here->redis->auth_told, true, memory_order_relaxed))
        log_event(LEVEL_ERROR, "redis_auth",
                  "the shared state %.*s does not take the user or password of `state`: %s",
                  SPAN_ARG(c->here->redis->conf.shown), log_quoted(r->text, text));
    refused(c, r);
}

static void told_select(struct redis_conn *c, const struct redis_reply *r) {
    if (r->kind == REDIS_ERROR)
        refused(c, r);
    else
        greeted(c);
}

/* A server that may not be asked for its role (ACL, a proxy in between) is believed. */
static void told_role(struct redis_conn *c, const struct redis_reply *r) {
    bool said = r->kind == REDIS_LIST && r->count && r->item[0].kind == REDIS_TEXT;
    if (said && !span_eq(r->item[0].text, SPAN("master")))
        redis_conn_close(c, "it is a replica, not the master");
    else
        greeted(c);
}

static void told_ping(struct redis_conn *c, const struct redis_reply *r) {
    if (r->kind == REDIS_ERROR && redis_error_is(r, "NOAUTH"))
        told_auth(c, r);
    else if (r->kind == REDIS_ERROR && !redis_error_is(r, "NOPERM"))
        refused(c, r);
    else
        greeted(c);
}

static bool say(struct redis_conn *c, const struct span *word, unsigned words,
                void (*told)(struct redis_conn *, const struct redis_reply *)) {
    c->hello_left++;
    return redis_conn_command(c, word, words, told);
}

static bool hello(struct redis_conn *c) {
    const struct redis_hello *h = &c->hello;
    char number[16];
    struct str n = str_on(number, sizeof number);
    str_u64(&n, h->database);
    struct span auth[3] = {SPAN("AUTH"), h->user, h->password};
    if (!h->user.n)
        auth[1] = h->password;
    bool good = !h->password.n || say(c, auth, h->user.n ? 3 : 2, told_auth);
    struct span select[] = {SPAN("SELECT"), str_span(&n)};
    good = good && (!h->database || say(c, select, 2, told_select));
    good = good && (!h->master || say(c, &SPAN("ROLE"), 1, told_role));
    good = good && say(c, &SPAN("PING"), 1, told_ping);
    c->hello_end = c->base + c->n;
    return good;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answer(struct redis_conn *c, const struct redis_reply *r) {
    struct redis_slot s = *redis_slot(c, c->head);
    redis_slot(c, c->head)->ask = NULL;
    if (!s.own)
        c->ops->answered(c, &s, r);
    else if (s.told)
        s.told(c, r);
    if (c->stage != CONN_CLOSED)
        redis_out_release(c);
}

/* An answer to what has not been sent is nobody's. */
static bool expected(const struct redis_conn *c) {
    if (c->head == c->tail)
        return false;
    const struct redis_slot *s = redis_slot(c, c->head);
    return s->at + s->len <= c->sent;
}

static void answers(struct redis_conn *c) {
    const struct redis_reply *r;
    while (c->stage == CONN_HELLO || c->stage == CONN_READY)
        switch (resp_next(&c->resp, &r)) {
        case RESP_MORE:
            return;
        case RESP_BAD:
            redis_conn_close(c, "its answer makes no sense");
            return;
        case RESP_REPLY:
            if (!expected(c)) {
                redis_conn_close(c, "it said what nobody had asked for");
                return;
            }
            answer(c, r);
        }
}

static void read_more(struct redis_conn *c) {
    struct loop *l = loop_of(c);
    size_t left = READ_TURN_MAX;
    while ((c->stage == CONN_HELLO || c->stage == CONN_READY) && c->stream.readable) {
        struct span got;
        if (!left) {
            loop_unfinished(l, &c->reader);
            return;
        }
        loop_scratch_reuse(l);
        enum io_result r = stream_read(l, &c->stream, left < READ_MAX ? left : READ_MAX, &got);
        if (r == IO_AGAIN)
            return;
        if (r != IO_OK) {
            redis_conn_close(c, r == IO_END ? "it closed the connection" : "the connection broke");
            return;
        }
        left -= got.n;
        if (!resp_feed(&c->resp, got)) {
            redis_conn_close(c, "no memory for its answer");
            return;
        }
        answers(c);
    }
}

static void read_again(struct reader *r) {
    read_more(container_of(r, struct redis_conn, reader));
}

static void flush(struct redis_conn *c) {
    if (c->stage != CONN_CLOSED && !redis_out_send(c))
        redis_conn_close(c, "the connection broke");
}

static void flush_late(struct output *o) {
    flush(container_of(o, struct redis_conn, output));
}

/* ---- setting up ------------------------------------------------------------------------------ */

static bool tcp_done(struct redis_conn *c, uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) {
        int err = tcp_error(&c->stream);
        redis_conn_close(c, strerror(err ? err : ECONNRESET));
        return false;
    }
    if (!(events & EPOLLOUT))
        return false;
    struct tls_client *tls = c->here->redis->conf.tls;
    if (tls && !tls_connect(&c->stream, tls, c->name)) {
        redis_conn_close(c, "no memory for TLS");
        return false;
    }
    c->stage = tls ? CONN_TLS : CONN_HELLO;
    return true;
}

static bool tls_done(struct redis_conn *c) {
    switch (tls_handshake(loop_of(c), &c->stream, SPAN_NONE)) {
    case TLS_WANT:
        return false;
    case TLS_FAILED: {
        char why[REDIS_WHY_MAX];
        struct str s = str_on(why, sizeof why - 1);
        str_fmt(&s, "TLS: %.150s", tls_failure(&c->stream));
        why[s.n] = 0;
        redis_conn_close(c, s.n ? why : "TLS failed");
        return false;
    }
    case TLS_DONE:
        break;
    }
    c->stage = CONN_HELLO;
    return true;
}

static void event(struct watch *w, uint32_t events) {
    struct stream *s = container_of(w, struct stream, watch);
    struct redis_conn *c = container_of(s, struct redis_conn, stream);
    stream_event(s, events);
    if (c->stage == CONN_TCP && !tcp_done(c, events))
        return;
    if (c->stage == CONN_TLS && !tls_done(c))
        return;
    if (redis_out_waits(c) && ((events & EPOLLOUT) || c->stage == CONN_HELLO))
        flush(c);
    read_more(c);
}

static void stuck(struct redis_conn *c) {
    struct redis_here *h = c->here;
    if (c->head == c->tail)
        return; /* the next ask starts it again */
    uint64_t since = redis_slot(c, c->head)->asked_at;
    since = since > c->ready_at ? since : c->ready_at;
    uint64_t due = since / 1000000 + h->redis->conf.timeout_ms * REDIS_STUCK, now = redis_now_ms(h);
    if (due > now)
        timer_start(&h->thread->loop.timers, &c->timer, now, due - now);
    else
        redis_conn_close(c, "it does not answer");
}

static const char *setting_up(const struct redis_conn *c) {
    switch (c->stage) {
    case CONN_ADDRESS:
        return "its address was not found in time";
    case CONN_TCP:
        return "it could not be connected to in time";
    case CONN_TLS:
        return "the TLS handshake did not end in time";
    case CONN_HELLO:
    case CONN_READY:
    case CONN_CLOSED:
        break;
    }
    return "it does not answer";
}

static void timer_fired(struct timer *t) {
    struct redis_conn *c = container_of(t, struct redis_conn, timer);
    if (c->stage == CONN_READY)
        stuck(c);
    else
        redis_conn_close(c, c->failing ? c->failing : setting_up(c));
}

struct redis_conn *redis_conn_open(struct redis_here *h, const struct redis_conn_ops *ops,
                                   void *owner, const struct redis_hello *greeting) {
    struct redis_conn *c = mem_try(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct redis_conn){.ops = ops,
                             .owner = owner,
                             .here = h,
                             .hello = *greeting,
                             .stream = {.watch = {.ready = event, .fd = -1, .closed = true}},
                             .output = {.flush = flush_late},
                             .reader = {.again = read_again},
                             .timer = {.fire = timer_fired}};
    resp_init(&c->resp);
    if (!hello(c)) {
        redis_out_finish(c);
        mem_free(c);
        return NULL;
    }
    timer_start(&h->thread->loop.timers, &c->timer, redis_now_ms(h), REDIS_SETUP_MS);
    return c;
}

void redis_conn_to(struct redis_conn *c, const struct address *to, struct span name) {
    struct loop *l = loop_of(c);
    must(c->stage == CONN_ADDRESS && !c->opened);
    address_copy(&c->to, to);
    c->name = name;
    int err = tcp_connect(l, &c->stream, &c->to);
    if (err) {
        c->failing = strerror(err);
        timer_start(&l->timers, &c->timer, redis_now_ms(c->here), 0);
        return;
    }
    c->opened = true;
    c->stage = CONN_TCP;
    redis_count(c->here, connects);
    redis_count(c->here, connections);
}
