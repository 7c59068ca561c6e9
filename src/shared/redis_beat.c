/* Which gateways are there: each says so every second in a sorted set, by the store's own clock. */
#include "core/publish.h"
#include "shared/redis_in.h"

static const struct redis_script beat = {
    "beat", "redis.replicate_commands()\n"
            "local t = redis.call('TIME')\n"
            "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
            "redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
            "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])\n"
            "redis.call('PEXPIRE', KEYS[1], ARGV[2] * 4)\n"
            "return redis.call('ZCARD', KEYS[1])"};

struct beat {
    struct message message; /* first */
    struct list node;       /* in the thread's */
    struct redis *redis;    /* a reference */
    struct timer timer;
    struct redis_ask ask;
    bool asking;
};

static void again(struct beat *b) {
    struct loop *l = me;
    timer_start(&l->timers, &b->timer, l->now / 1000000, REDIS_BEAT_MS);
}

static void counted(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    struct beat *b = container_of(a, struct beat, ask);
    b->asking = false;
    if (why == REDIS_FINE && r->kind == REDIS_INTEGER && r->integer >= 1)
        atomic_store_explicit(&b->redis->gateways,
                              r->integer < 100000 ? (uint32_t)r->integer : 100000,
                              memory_order_relaxed);
}

static void end(struct beat *b) {
    timer_stop(&b->timer);
    list_remove(&b->node);
    atomic_store(&b->redis->beating, false);
    lasting_unref(b->redis);
    mem_free(b);
}

void redis_beats_end(struct list *beats) {
    while (beats->next != beats)
        end(container_of(beats->next, struct beat, node));
}

static void due(struct timer *t) {
    struct beat *b = container_of(t, struct beat, timer);
    struct redis *r = b->redis;
    enum redis_failure why;
    char room[256], ms[24];
    if (!atomic_load(&r->users)) {
        if (b->asking) { /* its answer comes first */
            again(b);
            return;
        }
        end(b);
        return;
    }
    struct str key = str_on(room, sizeof room), silent = str_on(ms, sizeof ms);
    str_add(&key, r->conf.prefix);
    str_lit(&key, "gateways");
    str_u64(&silent, REDIS_GATEWAY_MS);
    if (!b->asking) {
        b->ask = (struct redis_ask){.script = &beat,
                                    .key = {str_span(&key)},
                                    .keys = 1,
                                    .arg = {span_z(r->id), str_span(&silent)},
                                    .args = 2,
                                    .ready = counted};
        b->asking = redis_ask(r, &b->ask, &why);
    }
    again(b);
}

static void begin(struct message *m) {
    struct beat *b = container_of(m, struct beat, message);
    list_append(redis_beats(thread_me()), &b->node);
    b->timer.fire = due;
    due(&b->timer);
}

void redis_beat_start(struct redis *r) {
    struct thread *control = publish_control();
    if (!control || atomic_exchange(&r->beating, true))
        return;
    struct beat *b = mem_alloc(sizeof *b);
    lasting_ref(r);
    b->redis = r;
    b->message.receive = begin;
    loop_send(&control->loop, &b->message);
}
