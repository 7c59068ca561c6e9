#include "limit/quota_table.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/lasting.h"
#include "expr/lib_zone.h"
#include "shared/redis.h"

enum { FREE = 0, GIVEN_BACK = 1, CLOSING = 3, PROBES = 64, SWEEP_S = 60 };
/* Tags of keys have bit 1 and not bit 0. */

static struct list tables; /* control */
static bool closing;

/* ---- words ------------------------------------------------------------------------------------
 */

static uint64_t word_of(int64_t period, uint64_t used) {
    return ((uint64_t)period & 0xffff) << 48 | (used < QUOTA_USED_MAX ? used : QUOTA_USED_MAX);
}

/* How many periods the word is ahead of this one. */
static int ahead(uint64_t word, int64_t period) {
    return (int16_t)(uint16_t)((word >> 48) - (uint64_t)period);
}

/* What counts in this period: nothing of an older one; but of a newer one, since that began while
 * the clock was wrong. */
static uint64_t counted(uint64_t word, int64_t period) {
    return word && ahead(word, period) >= 0 ? quota_word_used(word) : 0;
}

static _Atomic uint64_t *word_in(struct quota_entry *e, int64_t period) {
    return &e->word[period & 1];
}

struct change {
    int64_t add;
    uint64_t limit; /* UINT64_MAX: whatever it comes to */
    bool same;      /* only if the word is of this period */
    uint64_t least; /* not 0: nothing is added, but it is at least so much */
    uint64_t used;  /* told */
};

static bool next_word(uint64_t word, int64_t period, struct change *c, uint64_t *next) {
    uint64_t used = counted(word, period);
    c->used = used;
    if (c->least) {
        if (used >= c->least)
            return false;
        used = c->least;
    } else if (c->add >= 0) {
        uint64_t n = (uint64_t)c->add;
        if (c->limit != UINT64_MAX && (used > c->limit || n > c->limit - used))
            return false;
        used += n;
    } else {
        uint64_t n = 0 - (uint64_t)c->add;
        if (c->same && !quota_word_is(word, period))
            return false;
        used -= n < used ? n : used;
    }
    *next = word_of(period, used);
    return true;
}

static bool change_word(_Atomic uint64_t *w, int64_t period, struct change *c) {
    uint64_t next, word = atomic_load_explicit(w, memory_order_relaxed);
    do {
        if (!next_word(word, period, c, &next))
            return false;
    } while (!atomic_compare_exchange_weak(w, &word, next));
    c->used = quota_word_used(next);
    return true;
}

/* ---- places -----------------------------------------------------------------------------------
 */

static uint64_t tag_of(uint64_t hash) {
    return (hash & ~3ull) | 2;
}

static struct quota_entry *find(struct quota_table *t, uint64_t tag) {
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t at = ((tag >> 2) + i) & (t->places - 1), there = atomic_load(&t->tag[at]);
        if (there == tag)
            return &t->entry[at];
        if (there == FREE)
            return NULL;
    }
    return NULL;
}

static size_t place_of(const struct quota_table *t, const struct quota_entry *e) {
    return (size_t)(e - t->entry);
}

static bool still(struct quota_table *t, const struct quota_entry *e, uint64_t tag) {
    return e == &t->others || atomic_load(&t->tag[place_of(t, e)]) == tag;
}

static struct quota_text *text_make(struct span key) {
    struct quota_text *text = mem_try(sizeof *text + key.n);
    if (!text)
        return NULL;
    text->n = (uint32_t)key.n;
    memcpy(text->p, key.p, key.n);
    return text;
}

static struct quota_entry *place_for(struct quota_table *t, const struct quota_key *k);

static void move_word(struct quota_table *t, unsigned i, uint64_t word, const struct quota_key *k) {
    struct quota_entry *to = place_for(t, k);
    struct change c = {.add = (int64_t)quota_word_used(word), .limit = UINT64_MAX};
    uint64_t there = atomic_load(&to->word[i]);
    /* The newer period is the one that goes on. */
    bool newer = there && ahead(there, (int64_t)(word >> 48)) > 0;
    (void)change_word(&to->word[i], (int64_t)(newer ? there >> 48 : word >> 48), &c);
    quota_entry_touch(t, to);
}

/* Nobody finds the place any more. Who counts here at this very moment sees that and counts again
 * elsewhere (change_key); what was counted just before moves along. The control thread gives the
 * place back (sweep): it alone frees keys. */
static bool close_place(struct quota_table *t, struct quota_entry *e, const struct quota_key *k,
                        uint64_t keep_from) {
    uint64_t tag = tag_of(k->hash);
    if (!atomic_compare_exchange_strong(&t->tag[place_of(t, e)], &tag, CLOSING))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t word = atomic_exchange(&e->word[i], 0);
        if (quota_word_used(word) && ahead(word, (int64_t)keep_from) >= 0)
            move_word(t, i, word, k);
    }
    return true;
}

/* True: the place is this caller's to fill. NULL: there is none. */
static struct quota_entry *claim(struct quota_table *t, uint64_t tag, bool *own) {
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t at = ((tag >> 2) + i) & (t->places - 1), there = atomic_load(&t->tag[at]);
        *own = (there == FREE || there == GIVEN_BACK) &&
               atomic_compare_exchange_strong(&t->tag[at], &there, tag);
        if (*own || there == tag)
            return &t->entry[at];
    }
    return NULL;
}

/* Two threads may have brought the same key at once, and found different places. */
static bool twin(struct quota_table *t, const struct quota_entry *e, uint64_t tag) {
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t at = ((tag >> 2) + i) & (t->places - 1);
        if (&t->entry[at] != e && atomic_load(&t->tag[at]) == tag)
            return true;
    }
    return false;
}

static struct quota_entry *overflow(struct quota_table *t) {
    atomic_fetch_add_explicit(&t->overflows, 1, memory_order_relaxed);
    return &t->others;
}

/* NULL: look again. */
static struct quota_entry *add_key(struct quota_table *t, const struct quota_key *k) {
    uint64_t tag = tag_of(k->hash);
    bool own = false;
    bool room = atomic_fetch_add(&t->count, 1) < t->keys;
    struct quota_text *text = room ? text_make(k->text) : NULL;
    struct quota_entry *e = text ? claim(t, tag, &own) : NULL;
    if (!own) {
        mem_free(text);
        atomic_fetch_sub(&t->count, 1);
        return e ? NULL : overflow(t);
    }
    atomic_store(&e->key, text);
    if (!twin(t, e, tag))
        return e;
    (void)close_place(t, e, k, 0);
    return NULL;
}

static struct quota_entry *place_for(struct quota_table *t, const struct quota_key *k) {
    struct quota_entry *e;
    do
        e = find(t, tag_of(k->hash));
    while (!e && !(e = add_key(t, k)));
    return e;
}

/* ---- counting ---------------------------------------------------------------------------------
 */

void quota_entry_touch(struct quota_table *t, struct quota_entry *e) {
    if (atomic_load_explicit(&e->changed, memory_order_relaxed) ||
        atomic_exchange(&e->changed, true))
        return;
    struct quota_entry *first = atomic_load_explicit(&t->changed, memory_order_relaxed);
    do
        atomic_store_explicit(&e->next_changed, first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&t->changed, &first, e));
}

static bool change_key(struct quota_table *t, const struct quota_key *k, int64_t period,
                       struct change *c) {
    for (;;) {
        struct quota_entry *e = place_for(t, k);
        bool done = change_word(word_in(e, period), period, c);
        if (c->limit != UINT64_MAX &&
            atomic_load_explicit(&e->limit, memory_order_relaxed) != c->limit)
            atomic_store_explicit(&e->limit, c->limit, memory_order_relaxed);
        if (done)
            quota_entry_touch(t, e);
        if (likely(still(t, e, tag_of(k->hash))))
            return done;
        struct change back = {.add = -c->add, .limit = UINT64_MAX, .same = true};
        if (done && !c->least)
            (void)change_word(word_in(e, period), period, &back);
    }
}

static uint64_t look(struct quota_table *t, const struct quota_key *k, int64_t period) {
    struct quota_entry *e = find(t, tag_of(k->hash));
    if (!e && atomic_load(&t->count) >= t->keys)
        e = &t->others;
    return e ? counted(atomic_load(word_in(e, period)), period) : 0;
}

bool quota_table_take(struct quota_table *t, const struct quota_key *k, const struct period *p,
                      uint64_t n, uint64_t limit, uint64_t *used) {
    struct change c = {.add = (int64_t)n, .limit = limit};
    if (!n) {
        *used = look(t, k, p->index);
        return *used <= limit;
    }
    bool done = change_key(t, k, p->index, &c);
    *used = c.used;
    return done;
}

uint64_t quota_table_add(struct quota_table *t, const struct quota_key *k, const struct period *p,
                         int64_t n) {
    struct change c = {.add = n, .limit = UINT64_MAX, .same = true};
    (void)change_key(t, k, p->index, &c);
    return c.used;
}

void quota_table_raise(struct quota_table *t, const struct quota_key *k, const struct period *p,
                       uint64_t used) {
    struct change c = {.limit = UINT64_MAX, .least = used};
    if (used)
        (void)change_key(t, k, p->index, &c);
}

struct period quota_table_period(struct quota_table *t, unsigned thread, int64_t now) {
    struct period *p = &t->seen[thread % QUOTA_THREADS];
    if (now < p->from || now >= p->to)
        period_at(&t->rule, now, p);
    return *p;
}

/* FNV-1a: a digest that means the same tomorrow. Who finds two keys of one digest shares a count
 * with himself. */
struct quota_key quota_key_make(struct arena *a, struct span key) {
    struct quota_key k = {key, 0};
    if (key.n > QUOTA_KEY_MAX) {
        unsigned __int128 h = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
        const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;
        for (size_t i = 0; i < key.n; i++)
            h = (h ^ (unsigned char)key.p[i]) * prime;
        k.text = span_z(arena_fmt(a, "%.*s...%016llx%016llx", QUOTA_KEY_MAX - 35, key.p,
                                  (unsigned long long)(h >> 64), (unsigned long long)h));
    }
    k.hash = hash_span(k.text);
    return k;
}

/* ---- what lasts -------------------------------------------------------------------------------
 */

static void close_table(void *obj) {
    struct quota_table *t = obj;
    for (uint32_t i = 0; t->entry && i < t->places; i++)
        mem_free(atomic_load(&t->entry[i].key));
    mem_free(atomic_load(&t->others.key));
    redis_detach(t->redis);
    if (t->places) {
        mem_unmap(t->tag, t->places * sizeof *t->tag);
        mem_unmap(t->entry, t->places * sizeof *t->entry);
    }
    arena_finish(&t->arena);
}

static const struct lasting_kind kind = {
    .name = "quota", .size = sizeof(struct quota_table), .close = close_table};

static void make_table(struct quota_table *t, struct span id, struct span period, uint32_t keys) {
    arena_init(&t->arena, NULL);
    t->id = arena_span(&t->arena, id);
    t->period = arena_span(&t->arena, period);
    t->keys = keys;
    for (t->places = 2 * PROBES; t->places < 2 * keys;)
        t->places *= 2;
    t->tag = mem_map(t->places * sizeof *t->tag);
    t->entry = mem_map(t->places * sizeof *t->entry);
    atomic_store(&t->others.key, text_make(SPAN("(others)")));
    list_append(&tables, &t->node);
}

struct quota_table *quota_table_get(struct span id, struct span period, uint32_t keys,
                                    const struct period_rule *rule, struct span zone) {
    struct arena a;
    const char *why;
    arena_init(&a, NULL);
    struct quota_table *t =
        lasting_get(&kind, span_z(arena_fmt(&a, "%.*s|%.*s", SPAN_ARG(id), SPAN_ARG(period))));
    arena_finish(&a);
    if (!tables.next)
        list_init(&tables);
    closing = false;
    if (t->places) {
        lasting_unref(t); /* one reference is the list's */
    } else {
        make_table(t, id, period, keys);
        t->rule = *rule;
        t->rule.zone = zone_get(&t->arena, zone, &why);
        must(t->rule.zone != NULL); /* it was there when the file was read */
    }
    atomic_fetch_add(&t->users, 1);
    return t;
}

static void drop(struct quota_table *t) {
    list_remove(&t->node);
    lasting_unref(t);
}

void quota_table_leave(struct quota_table *t) {
    if (atomic_fetch_sub(&t->users, 1) == 1 && closing)
        drop(t);
}

static void drop_unused(struct quota_table *t, void *ctx) {
    (void)ctx;
    if (!atomic_load(&t->users))
        drop(t);
}

void quota_tables_close(void) {
    closing = true;
    quota_tables_each(drop_unused, NULL);
}

void quota_tables_each(void (*fn)(struct quota_table *t, void *ctx), void *ctx) {
    for (struct list *n = tables.next, *next; n && n != &tables; n = next) {
        next = n->next;
        fn(container_of(n, struct quota_table, node), ctx);
    }
}

/* ---- places that are given back ---------------------------------------------------------------
 */

static bool used_since(const struct quota_entry *e, int64_t period) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t word = atomic_load(&e->word[i]);
        if (quota_word_used(word) && ahead(word, period) >= 0)
            return true;
    }
    return false;
}

static void give_back(struct quota_table *t, size_t at) {
    struct quota_entry *e = &t->entry[at];
    mem_free(atomic_exchange(&e->key, NULL));
    e->saved[0] = e->saved[1] = 0;
    atomic_store(&t->tag[at], GIVEN_BACK);
    atomic_fetch_sub(&t->count, 1);
}

/* The period before this one is kept for clocks that are set back, while there is room. */
static void sweep(struct quota_table *t, int64_t now) {
    struct period p = quota_table_period(t, QUOTA_THREADS - 1, now);
    int64_t since = p.index - (atomic_load(&t->count) < t->keys / 2 + 1);
    for (size_t at = 0; at < t->places; at++) {
        uint64_t tag = atomic_load(&t->tag[at]);
        struct quota_entry *e = &t->entry[at];
        if (tag == CLOSING) {
            give_back(t, at);
            continue;
        }
        struct quota_text *text = atomic_load(&e->key);
        if (tag == FREE || tag == GIVEN_BACK || !text || atomic_load(&e->changed) ||
            used_since(e, since))
            continue;
        struct quota_key k = {span_of(text->p, text->n), hash_bytes(text->p, text->n)};
        if (close_place(t, e, &k, (uint64_t)since))
            give_back(t, at);
    }
    t->swept_at = now;
}

static void tell_full(struct quota_table *t) {
    bool full = atomic_load(&t->count) >= t->keys;
    if (full && !t->full_told)
        log_event(LEVEL_WARNING, "quota_full",
                  "quota %.*s (%.*s): %u keys are in use, newcomers are counted together; `keys` "
                  "allows more",
                  SPAN_ARG(t->id), SPAN_ARG(t->period), t->keys);
    t->full_told = full;
}

void quota_tables_tidy(bool written, int64_t now) {
    for (struct list *n = tables.next, *next; n && n != &tables; n = next) {
        struct quota_table *t = container_of(n, struct quota_table, node);
        next = n->next;
        tell_full(t);
        if (!written)
            continue;
        if (!atomic_load(&t->users)) {
            drop(t);
        } else if (now >= t->swept_at + SWEEP_S || now < t->swept_at) {
            sweep(t, now);
        }
    }
}

/* ---- for the control thread -------------------------------------------------------------------
 */

void quota_table_changed(struct quota_table *t,
                         void (*fn)(struct quota_table *, struct quota_entry *, void *),
                         void *ctx) {
    struct quota_entry *e = atomic_exchange(&t->changed, NULL), *next;
    for (; e; e = next) {
        next = atomic_load_explicit(&e->next_changed, memory_order_relaxed);
        atomic_store(&e->changed, false); /* before its words are read: later changes come again */
        fn(t, e, ctx);
    }
}

static struct quota_entry *named(struct quota_table *t, struct span key, bool make) {
    struct quota_key k = {key, hash_span(key)};
    if (span_eq(key, SPAN("(others)")))
        return &t->others;
    return make ? place_for(t, &k) : find(t, tag_of(k.hash));
}

void quota_table_stored(struct quota_table *t, struct span key, const struct period *p,
                        uint64_t value, int64_t mine) {
    struct quota_entry *e = named(t, key, true);
    uint64_t *saved = &e->saved[p->index & 1];
    struct change c = {.limit = UINT64_MAX};
    uint64_t word = atomic_load(word_in(e, p->index));
    if (word && ahead(word, p->index) > 0)
        return; /* that period is long over */
    if (!quota_word_is(*saved, p->index))
        *saved = word_of(p->index, 0);
    /* Several keys of a file may have come together in "(others)": what they have adds up. */
    bool joined = e == &t->others && !span_eq(key, SPAN("(others)"));
    c.add = (int64_t)value - (joined ? 0 : (int64_t)quota_word_used(*saved) + mine);
    if (c.add)
        (void)change_word(word_in(e, p->index), p->index, &c);
    if (joined)
        *saved = word_of(p->index, quota_word_used(*saved) + value);
    else
        *saved = word_of(p->index, value);
}

void quota_table_walk(struct quota_table *t, int64_t now,
                      void (*fn)(struct quota_table *t, struct span key, uint64_t used,
                                 uint64_t limit, const struct period *p, void *ctx),
                      void *ctx) {
    struct period p = quota_table_period(t, QUOTA_THREADS - 1, now);
    for (size_t at = 0; at <= t->places; at++) {
        struct quota_entry *e = at < t->places ? &t->entry[at] : &t->others;
        const struct quota_text *text = atomic_load(&e->key);
        uint64_t used = counted(atomic_load(word_in(e, p.index)), p.index);
        uint64_t limit = atomic_load_explicit(&e->limit, memory_order_relaxed);
        if (text && used)
            fn(t, span_of(text->p, text->n), used, limit ? limit : atomic_load(&t->limit), &p, ctx);
    }
}

bool quota_table_put(struct quota_table *t, struct span key, int64_t now, uint64_t used) {
    struct period p = quota_table_period(t, QUOTA_THREADS - 1, now);
    struct quota_entry *e = named(t, key, used != 0);
    if (!e)
        return false;
    bool had = counted(atomic_load(word_in(e, p.index)), p.index) != 0;
    atomic_store(word_in(e, p.index), word_of(p.index, used));
    quota_entry_touch(t, e);
    return had || used;
}
