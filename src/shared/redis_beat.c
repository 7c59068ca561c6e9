/* Which gateways share the store: each says every second that it lives, under a name of its own,
 * in one sorted set by the store's clock; whoever says it takes out those that have been silent for
 * 5 s and is told how many are left. */
#include "shared/redis_beat.h"
#include "base/log.h"

enum { BEAT_MS = 1000, GATEWAYS_MAX = 10000 };

struct redis_beat {
    struct redis_ask ask; /* first */
    struct redis_here *here;
    struct timer timer;
    struct list ops;
};

static const struct redis_script beat_script = {
    .name = "gateways",
    .source = "local t = redis.call('TIME')\n"
              "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
              "redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
              "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000)\n"
              "redis.call('PEXPIRE', KEYS[1], 60000)\n"
              "return redis.call('ZCARD', KEYS[1])\n",
};

/* The same for all stores, for as long as the process lives. */
static struct span own_name(void) {
    static char name[32];
    if (!name[0]) {
        unsigned char r[16];
        env.random(r, sizeof r);
        for (unsigned i = 0; i < sizeof r; i++) {
            name[2 * i] = "0123456789abcdef"[r[i] >> 4];
            name[2 * i + 1] = "0123456789abcdef"[r[i] & 15];
        }
    }
    return span_of(name, sizeof name);
}

static void counted(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    struct redis_beat *b = container_of(a, struct redis_beat, ask);
    struct redis *redis = b->here->redis;
    if (why == REDIS_FINE && r->kind == REDIS_INTEGER && r->integer >= 1 &&
        r->integer <= GATEWAYS_MAX)
        atomic_store_explicit(&redis->gateways, (unsigned)r->integer, memory_order_relaxed);
}

static void beat(struct timer *t) {
    struct redis_beat *b = container_of(t, struct redis_beat, timer);
    struct redis_here *h = b->here;
    timer_start(&h->thread->loop.timers, t, redis_now_ms(h), BEAT_MS);
    if (op_pending(&b->ask.op))
        return; /* the last one is still waited for */
    enum redis_failure why;
    b->ask = (struct redis_ask){.script = &beat_script, .keys = 1, .args = 1, .ops = &b->ops};
    char key[STATE_PREFIX_MAX + 16];
    struct str k = str_on(key, sizeof key);
    str_add(&k, redis_prefix(h->redis));
    str_lit(&k, "gateways");
    b->ask.key[0] = str_span(&k);
    b->ask.arg[0] = own_name();
    b->ask.ready = counted;
    (void)!redis_ask(h->redis, &b->ask, &why); /* away: the last number stays */
}

void redis_beat_start(struct redis_here *h) {
    struct redis_beat *b = mem_alloc(sizeof *b);
    b->here = h;
    b->timer.fire = beat;
    list_init(&b->ops);
    h->beat = b;
    timer_start(&h->thread->loop.timers, &b->timer, redis_now_ms(h), 0);
}

void redis_beat_stop(struct redis_here *h) {
    if (!h->beat)
        return;
    timer_stop(&h->beat->timer);
    ops_cancel(&h->beat->ops);
    mem_free(h->beat);
    h->beat = NULL;
}
