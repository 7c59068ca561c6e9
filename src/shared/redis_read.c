#include "shared/redis_in.h"

enum { READ_MAX = 16 * 1024 };

/* ---- what answers mean ------------------------------------------------------------------------
 */

static void learn(struct conn *c, const struct redis_script *s) {
    for (unsigned i = 0; i < c->knows; i++)
        if (c->known[i] == s)
            return;
    if (c->knows < REDIS_SCRIPTS_MAX)
        c->known[c->knows++] = s;
}

/* Errors after which nothing is to be had of this server for a while; and those that say that it
 * is another one's turn. */
static const char *unfit(struct span error) {
    static const struct {
        struct span word;
        const char *why;
    } all[] = {
        {SPAN("LOADING"), "it is loading its data"},
        {SPAN("MASTERDOWN"), "it has lost its master"},
        {SPAN("READONLY"), "it is a replica now"},
        {SPAN("CLUSTERDOWN"), "the cluster is down"},
        {SPAN("NOAUTH"), "it wants a password"},
        {SPAN("WRONGPASS"), "it does not accept the password"},
        {SPAN("MISCONF"), "it cannot write to its disk"},
        {SPAN("OOM"), "it is out of memory"},
    };
    for (size_t i = 0; i < array_len(all); i++)
        if (span_starts(error, all[i].word))
            return all[i].why;
    return NULL;
}

static void finish(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    if (op_pending(&a->op))
        op_end(&a->op);
    a->conn = NULL;
    a->ready(a, why, r);
}

static void tell(struct conn *c, struct redis_ask *a, const struct redis_reply *r) {
    enum redis_failure why = r->kind == REDIS_ERROR ? REDIS_REFUSED : REDIS_FINE;
    if (c->unfit)
        why = REDIS_AWAY;
    if (why == REDIS_FINE) {
        c->failures = 0;
        c->pause_ms = 0;
    } else {
        atomic_fetch_add_explicit(&c->redis->failures, 1, memory_order_relaxed);
    }
    finish(a, why, why == REDIS_AWAY ? NULL : r);
}

static void answer(struct conn *c, const struct redis_reply *r) {
    struct slot *s = &c->slot[c->head % REDIS_PENDING_MAX];
    struct redis_ask *a = s->ask;
    void (*own)(struct conn *, const struct redis_reply *) = s->own;
    if (s->script && r->kind == REDIS_ERROR && span_starts(r->text, SPAN("NOSCRIPT")))
        c->knows = 0; /* flushed: from now on they are sent whole again */
    else if (s->script && r->kind != REDIS_ERROR)
        learn(c, s->script);
    if (r->kind == REDIS_ERROR && !own && !c->unfit)
        c->unfit = unfit(r->text);
    s->ask = NULL;
    c->head++;
    c->pending--;
    if (own)
        own(c, r);
    else if (a)
        tell(c, a, r);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

/* As many whole replies as there are. Returns the bytes they took; SIZE_MAX: no sense in them. */
static size_t replies(struct conn *c, struct arena *a, struct span in) {
    size_t at = 0;
    while (at < in.n && !c->unfit) {
        struct redis_reply r;
        size_t used;
        enum resp_result got = resp_read(a, span_from(in, at), &r, &used);
        if (got == RESP_MORE)
            break;
        if (got == RESP_BROKEN || !c->pending)
            return SIZE_MAX;
        at += used;
        answer(c, &r);
    }
    return at;
}

static bool take(struct conn *c, struct arena *a, struct span got) {
    struct span in = got;
    if (c->in_len) {
        if (c->in_len + got.n > c->in_cap)
            return false;
        memcpy(c->in + c->in_len, got.p, got.n);
        in = span_of(c->in, c->in_len + got.n);
    }
    size_t used = replies(c, a, in);
    if (used == SIZE_MAX || in.n - used > c->in_cap)
        return false;
    memmove(c->in, in.p + used, in.n - used);
    c->in_len = in.n - used;
    return true;
}

bool conn_read(struct conn *c) {
    struct arena a;
    struct span got;
    enum io_result r = IO_AGAIN;
    bool sense = true;
    arena_init(&a, &c->thread->loop.arenas);
    while (sense && !c->unfit && c->stream.readable &&
           (r = stream_read(&c->thread->loop, &c->stream, READ_MAX, &got)) == IO_OK)
        sense = take(c, &a, got);
    arena_finish(&a);
    if (!sense)
        conn_fail(c, REDIS_BROKEN, "its answer makes no sense");
    else if (!c->unfit && (r == IO_END || r == IO_RESET))
        conn_fail(c, REDIS_BROKEN, "it closed the connection");
    else
        return true;
    return false;
}

/* ---- who waits in vain ------------------------------------------------------------------------
 */

void conn_late(struct conn *c) {
    uint64_t now = c->thread->loop.now, patience = c->redis->conf.timeout_ms * 1000000;
    uint32_t head = c->head, n = c->pending;
    for (uint32_t i = 0; i < n; i++) {
        struct slot *s = &c->slot[(head + i) % REDIS_PENDING_MAX];
        struct redis_ask *a = s->ask;
        if (!s->deadline_at)
            continue;
        if (s->deadline_at > now) {
            timer_start(&c->thread->loop.timers, &c->timer, now / 1000000,
                        (s->deadline_at - now) / 1000000 + 1);
            break;
        }
        if (now - s->deadline_at > patience * (REDIS_SILENCE - 1) && !c->unfit)
            c->unfit = "it has stopped answering";
        if (!a)
            continue;
        s->ask = NULL;
        conn_failure(c, REDIS_LATE);
        finish(a, REDIS_LATE, NULL);
    }
}

/* Nobody can ask this connection any more; but who is told may cancel others, so each is looked up
 * when it is its turn. */
void conn_drop_all(struct conn *c, enum redis_failure why) {
    for (; c->pending; c->head++, c->pending--) {
        struct slot *s = &c->slot[c->head % REDIS_PENDING_MAX];
        struct redis_ask *a = s->ask;
        s->ask = NULL;
        if (!a)
            continue;
        atomic_fetch_add_explicit(&c->redis->failures, 1, memory_order_relaxed);
        finish(a, why, NULL);
    }
}
