/* The output of a connection: asks as RESP, kept until they are answered, so that they can be asked
 * once more (another way, or elsewhere); and the slots that say whose answer comes next. */
#include "shared/redis_conn.h"

enum { OUT_FIRST = 8192, OUT_IDLE = 65536, SLOTS_FIRST = 64, WORD_EXTRA = 16, HEAD_MAX = 96 };

/* ---- room ------------------------------------------------------------------------------------ */

static void settle(struct redis_conn *c) {
    if (c->from) {
        memmove(c->p, c->p + c->from, c->n - c->from);
        c->base += c->from;
        c->n -= c->from;
        c->from = 0;
    }
}

static bool grow(struct redis_conn *c, size_t need) {
    size_t max = c->max ? c->max : OUT_FIRST;
    while (max < c->n + need)
        max *= 2;
    if (max == c->max)
        return true;
    char *p = mem_try(max);
    if (!p)
        return false;
    if (c->n)
        memcpy(p, c->p, c->n);
    mem_free(c->p);
    c->p = p;
    c->max = max;
    return true;
}

static bool bytes_room(struct redis_conn *c, size_t need) {
    if (need <= c->max - c->n)
        return true;
    if (need > REDIS_OUT_MAX || c->n - c->from + need > REDIS_OUT_MAX)
        return false;
    settle(c);
    return grow(c, need);
}

static bool slot_room(struct redis_conn *c) {
    uint32_t max = c->slots_max ? c->slots_max * 2 : SLOTS_FIRST;
    if (c->tail - c->head < c->slots_max)
        return true;
    struct redis_slot *more = mem_try(max * sizeof *more);
    if (!more)
        return false;
    for (uint64_t i = c->head; i != c->tail; i++)
        more[i & (max - 1)] = *redis_slot(c, i);
    mem_free(c->slot);
    c->slot = more;
    c->slots_max = max;
    return true;
}

/* ---- words ----------------------------------------------------------------------------------- */

static void put(struct redis_conn *c, const char *p, size_t n) {
    if (n)
        memcpy(c->p + c->n, p, n);
    c->n += n;
}

static void put_count(struct redis_conn *c, char kind, size_t v) {
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    c->p[c->n++] = kind;
    put(c, digits + n, sizeof digits - n);
    put(c, "\r\n", 2);
}

static void put_word(struct redis_conn *c, struct span s) {
    put_count(c, '$', s.n);
    put(c, s.p, s.n);
    put(c, "\r\n", 2);
}

static size_t word_max(struct span s) {
    return s.n + WORD_EXTRA;
}

/* How many words, and the script: known to the server by its SHA-1, or whole. */
static void put_head(struct redis_conn *c, unsigned words, int script) {
    put_count(c, '*', words);
    if (script < 0)
        return;
    const struct redis_known *k = &c->here->known[script];
    uint64_t bit = (uint64_t)1 << script;
    if (c->scripts & bit) {
        put(c, "$7\r\nEVALSHA\r\n", 13);
        put_word(c, span_of(k->sha1, sizeof k->sha1));
    } else {
        put(c, "$4\r\nEVAL\r\n", 10);
        put_word(c, k->source);
        c->scripts |= bit;
    }
}

static size_t head_max(const struct redis_conn *c, int script) {
    return HEAD_MAX + (script < 0 ? 0 : c->here->known[script].source.n);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint64_t place(const struct redis_conn *c) { /* of the next byte */
    return c->base + c->n;
}

static void slot_push(struct redis_conn *c, struct redis_slot s) {
    s.asked_at = c->here->thread->loop.now;
    s.len = (uint32_t)(place(c) - s.at);
    *redis_slot(c, c->tail) = s;
    if (s.ask) {
        s.ask->conn = c;
        s.ask->slot = c->tail;
    }
    c->tail++;
    struct timers *timers = &c->here->thread->loop.timers;
    if (c->stage == CONN_READY) {
        loop_late_output(&c->here->thread->loop, &c->output);
        if (!timer_running(&c->timer))
            timer_start(timers, &c->timer, redis_now_ms(c->here),
                        c->here->redis->conf.timeout_ms * REDIS_STUCK);
    }
}

static size_t ask_max(const struct redis_ask *a) {
    size_t n = WORD_EXTRA;
    for (unsigned i = 0; i < a->keys; i++)
        n += word_max(a->key[i]);
    for (unsigned i = 0; i < a->args; i++)
        n += word_max(a->arg[i]);
    return n;
}

static void put_keys(struct redis_conn *c, const struct redis_ask *a) {
    for (unsigned i = 0; i < a->keys; i++)
        put_word(c, a->key[i]);
}

static void put_args(struct redis_conn *c, const struct redis_ask *a, unsigned first) {
    for (unsigned i = first; i < a->args; i++)
        put_word(c, a->arg[i]);
}

bool redis_conn_ask(struct redis_conn *c, struct redis_ask *a) {
    must(a->keys <= REDIS_KEYS_MAX && a->args <= REDIS_ARGS_MAX && (a->script || a->args));
    int script = a->script ? redis_script_place(c->here, a->script) : -1;
    if ((a->script && script < 0) || c->tail - c->head >= REDIS_ASKS_MAX || !slot_room(c) ||
        !bytes_room(c, head_max(c, script) + ask_max(a)))
        return false;
    struct redis_slot s = {.ask = a, .at = place(c), .script = (int16_t)script};
    s.words = (uint16_t)(a->keys + a->args + (a->script ? 3 : 0));
    put_head(c, s.words, script);
    s.head = (uint32_t)(place(c) - s.at);
    if (a->script) {
        char keys = (char)('0' + a->keys);
        put_word(c, span_of(&keys, 1));
    } else {
        put_word(c, a->arg[0]);
    }
    put_keys(c, a);
    put_args(c, a, a->script ? 0 : 1);
    slot_push(c, s);
    return true;
}

bool redis_conn_again(struct redis_conn *c, struct redis_ask *a, struct redis_conn *from,
                      const struct redis_slot *was) {
    size_t tail = was->len - was->head;
    if (c->tail - c->head >= REDIS_ASKS_MAX || !slot_room(c) ||
        !bytes_room(c, head_max(c, was->script) + tail))
        return false;
    struct redis_slot s = {.ask = a, .at = place(c), .words = was->words, .script = was->script};
    put_head(c, s.words, s.script);
    s.head = (uint32_t)(place(c) - s.at);
    put(c, from->p + (was->at + was->head - from->base), tail);
    slot_push(c, s);
    return true;
}

bool redis_conn_command(struct redis_conn *c, const struct span *word, unsigned words,
                        void (*told)(struct redis_conn *, const struct redis_reply *)) {
    size_t need = HEAD_MAX;
    for (unsigned i = 0; i < words; i++)
        need += word_max(word[i]);
    if (!slot_room(c) || !bytes_room(c, need))
        return false;
    struct redis_slot s = {
        .own = true, .told = told, .at = place(c), .script = -1, .words = (uint16_t)words};
    put_head(c, words, -1);
    s.head = (uint32_t)(place(c) - s.at);
    for (unsigned i = 0; i < words; i++)
        put_word(c, word[i]);
    slot_push(c, s);
    return true;
}

void redis_conn_leave(struct redis_conn *c, const struct redis_ask *a) {
    if (a->slot >= c->head && a->slot < c->tail && redis_slot(c, a->slot)->ask == a)
        redis_slot(c, a->slot)->ask = NULL;
}

/* ---- sending --------------------------------------------------------------------------------- */

void redis_out_release(struct redis_conn *c) {
    const struct redis_slot *s = redis_slot(c, c->head++);
    c->from = (size_t)(s->at + s->len - c->base);
    if (c->from < c->n || c->sent < place(c))
        return;
    c->base += c->n; /* all is answered */
    c->from = c->n = 0;
    if (c->max > OUT_IDLE) {
        mem_free(c->p);
        c->p = NULL;
        c->max = 0;
    }
}

/* Nothing but the greeting leaves before it has been answered. */
static uint64_t limit(const struct redis_conn *c) {
    return c->stage == CONN_READY ? place(c) : c->stage == CONN_HELLO ? c->hello_end : c->sent;
}

bool redis_out_waits(const struct redis_conn *c) {
    return c->sent < limit(c);
}

bool redis_out_send(struct redis_conn *c) {
    while (redis_out_waits(c)) {
        struct iovec iov = {c->p + (c->sent - c->base), (size_t)(limit(c) - c->sent)};
        size_t took = 0;
        enum io_result r = stream_write(&c->stream, &iov, 1, &took);
        c->sent += took;
        if (r == IO_RESET || r == IO_END)
            return false;
        if (r == IO_AGAIN || took < iov.iov_len)
            return true; /* an event comes when there is room */
    }
    return true;
}

void redis_out_finish(struct redis_conn *c) {
    mem_free(c->p);
    mem_free(c->slot);
    c->p = NULL;
    c->slot = NULL;
    c->head = c->tail = 0;
    c->slots_max = 0;
}
