#include "limit/shared_counter.h"
#include "base/env.h"
#include "limit/shared_key.h"
#include <inttypes.h>
#include <stdio.h>

enum { NUMBER_MAX = 24 };
static const uint64_t exact_max = (uint64_t)1 << 53; /* Lua counts in doubles */

/* n > 0 is refused beyond the limit (none: -1); n < 0 gives back. Says whether it was counted, and
 * what has been used now. */
static const struct redis_script add = {
    .name = "counter_add",
    .source = "local used = tonumber(redis.call('GET', KEYS[1]) or '0')\n"
              "if not used then return redis.error_reply('WRONGTYPE not a number') end\n"
              "local n, limit = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
              "if n > 0 and limit >= 0 and used + n > limit then return {0, used} end\n"
              "if n < -used then n = -used end\n"
              "if n ~= 0 then\n"
              "  used = redis.call('INCRBY', KEYS[1], string.format('%.0f', n))\n"
              "  redis.call('PEXPIREAT', KEYS[1], ARGV[3])\n"
              "end\n"
              "return {1, used}\n",
};

static const struct redis_script forget = {"counter_forget", "return redis.call('DEL', KEYS[1])\n"};

struct words {
    struct shared_key key;
    char number[3][NUMBER_MAX];
};

static struct span number(char *buf, int64_t v) {
    return span_of(buf, (size_t)snprintf(buf, NUMBER_MAX, "%" PRId64, v));
}

static int64_t bounded(uint64_t v) {
    return (int64_t)(v < exact_max ? v : exact_max);
}

static void fill(struct redis *r, struct redis_ask *a, struct words *w, struct span id,
                 struct span key) {
    struct shared_name name = {redis_prefix(r), SPAN("count"), id, key};
    shared_key_make(&w->key, &name);
    a->key[0] = shared_key_span(&w->key);
    a->keys = 1;
}

static void fill_add(struct redis_ask *a, struct words *w, int64_t n, int64_t limit, int64_t ends) {
    a->script = &add;
    a->arg[0] = number(w->number[0], n);
    a->arg[1] = number(w->number[1], limit);
    a->arg[2] = number(w->number[2], ends);
    a->args = 3;
}

static bool read_answer(struct shared_counter_ask *c, const struct redis_reply *r) {
    if (r->kind != REDIS_LIST || r->count != 2 || r->item[0].kind != REDIS_INTEGER ||
        r->item[1].kind != REDIS_INTEGER || r->item[1].integer < 0)
        return false;
    c->verdict = r->item[0].integer ? SHARED_COUNTED : SHARED_OVER;
    c->used = (uint64_t)r->item[1].integer;
    return true;
}

static void answered(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    struct shared_counter_ask *c =
        (struct shared_counter_ask *)(void *)((char *)a - offsetof(struct shared_counter_ask, ask));
    c->verdict = SHARED_AWAY;
    c->why = why;
    if (why == REDIS_FINE && !read_answer(c, r))
        c->why = REDIS_BROKEN;
    c->ready(c);
}

bool shared_counter_add(struct shared_counter_ask *c) {
    struct words w;
    memset(&c->ask, 0, sizeof c->ask);
    fill(c->redis, &c->ask, &w, c->id, c->key);
    fill_add(&c->ask, &w, bounded(c->n), c->limit == UINT64_MAX ? -1 : bounded(c->limit),
             c->ends_ms);
    c->ask.ops = c->ops;
    c->ask.ready = answered;
    c->used = 0;
    c->verdict = SHARED_AWAY;
    c->why = REDIS_FINE;
    return !redis_ask(c->redis, &c->ask, &c->why);
}

/* ---- what nobody waits for -------------------------------------------------------------------
 */

static void told(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    (void)why, (void)r;
    mem_free(a);
}

static struct redis_ask *lone_ask(void) {
    struct redis_ask *a = mem_try(sizeof *a);
    if (a)
        memset(a, 0, sizeof *a);
    return a;
}

static bool send_off(struct redis *r, struct redis_ask *a) {
    enum redis_failure why;
    a->ready = told;
    if (redis_ask(r, a, &why))
        return true;
    mem_free(a);
    return false;
}

bool shared_counter_give(struct redis *r, struct span id, struct span key, int64_t n,
                         int64_t ends_ms) {
    struct words w;
    struct redis_ask *a = lone_ask();
    if (!a)
        return false;
    int64_t most = (int64_t)exact_max;
    n = n > most ? most : n < -most ? -most : n;
    fill(r, a, &w, id, key);
    fill_add(a, &w, n, -1, ends_ms);
    return send_off(r, a);
}

bool shared_counter_forget(struct redis *r, struct span id, struct span key) {
    struct words w;
    struct redis_ask *a = lone_ask();
    if (!a)
        return false;
    fill(r, a, &w, id, key);
    a->script = &forget;
    return send_off(r, a);
}
