#include "limit/concurrency.h"
#include "base/hash.h"
#include "core/lasting.h"

enum { LINE = 8 };

struct line {
    _Alignas(64) struct turn_cell cell[LINE];
};

struct concurrency {
    struct turns turns;
    struct line *line;
    char *memory;      /* of the lines, unaligned */
    atomic_flag *busy; /* of a line: somebody gives a key a cell there */
    uint32_t lines;
    struct span id;
    _Atomic uint64_t shared;
};

/* ---- what lasts
 * -----------------------------------------------------------------------------------
 */

static void make(void *obj, struct span key) {
    struct concurrency *c = obj;
    uint32_t keys;
    size_t n = key.n - sizeof keys;
    memcpy(&keys, key.p + n, sizeof keys);
    turns_init(&c->turns);
    c->id = span_of(mem_text(key.p, n), n);
    c->lines = keys / LINE;
    c->memory = mem_alloc((c->lines + 1) * sizeof(struct line));
    c->line = (struct line *)(((uintptr_t)c->memory + 63) & ~(uintptr_t)63);
    c->busy = mem_alloc(c->lines * sizeof *c->busy);
}

static void close_table(void *obj) {
    struct concurrency *c = obj;
    for (uint32_t i = 0; i < c->lines * LINE; i++)
        must(turn_count(&c->line[i / LINE].cell[i % LINE]) == 0); /* a slot that nobody gave back */
    turns_finish(&c->turns);
    mem_free(c->memory);
    mem_free(c->busy);
    mem_free((char *)(uintptr_t)c->id.p);
}

static const struct lasting_kind kind = {
    .name = "concurrency", .size = sizeof(struct concurrency), .make = make, .close = close_table};

struct concurrency *concurrency_get(struct span id, uint32_t keys) {
    uint32_t size = CONCURRENCY_KEYS_MIN;
    while (size < keys)
        size *= 2;
    struct str key = str_on(mem_alloc(id.n + sizeof size), id.n + sizeof size);
    str_add(&key, id);
    str_add(&key, span_of((const char *)&size, sizeof size));
    struct concurrency *c = lasting_get(&kind, str_span(&key));
    mem_free(key.p);
    return c;
}

void concurrency_unref(struct concurrency *c) {
    lasting_unref(c);
}

/* ---- a key's cell
 * -----------------------------------------------------------------------------------
 */

struct place {
    struct line *line;
    atomic_flag *busy;
    uint64_t tag;
};

/* Never 0: that is a cell that nobody has had. */
static struct place place_of(const struct concurrency *c, struct span key) {
    uint64_t h = hash_span(key);
    uint32_t i = (uint32_t)h & (c->lines - 1);
    uint64_t tag = (h & TURN_TAG_MASK) ? h & TURN_TAG_MASK : TURN_WAITS << 1;
    return (struct place){&c->line[i], &c->busy[i], tag};
}

static uint64_t word(const struct turn_cell *c) {
    return atomic_load(&((struct turn_cell *)(uintptr_t)c)->word);
}

static struct turn_cell *find(struct line *l, uint64_t tag) {
    for (int i = 0; i < LINE; i++)
        if ((word(&l->cell[i]) & TURN_TAG_MASK) == tag)
            return &l->cell[i];
    return NULL;
}

/* A cell that nobody is in becomes this key's. */
static struct turn_cell *claim(struct line *l, uint64_t tag) {
    for (int i = 0; i < LINE; i++) {
        uint64_t w = word(&l->cell[i]);
        if (!(w & (TURN_COUNT_MASK | TURN_WAITS)) &&
            atomic_compare_exchange_strong(&l->cell[i].word, &w, tag))
            return &l->cell[i];
    }
    return NULL;
}

static struct turn_cell *least_busy(struct line *l) {
    struct turn_cell *least = &l->cell[0];
    for (int i = 1; i < LINE; i++)
        if (turn_count(&l->cell[i]) < turn_count(least))
            least = &l->cell[i];
    return least;
}

/* Cells are given away one at a time in a line, so a key never has two. */
static struct turn_cell *give_cell(struct place p) {
    while (atomic_flag_test_and_set_explicit(p.busy, memory_order_acquire))
        ;
    struct turn_cell *cell = find(p.line, p.tag);
    if (!cell)
        cell = claim(p.line, p.tag);
    atomic_flag_clear_explicit(p.busy, memory_order_release);
    return cell;
}

/* By the time it is used it may be another key's: turns are taken with the tag. */
static void look_up(struct concurrency *c, struct place p, struct turn *t) {
    t->turns = &c->turns;
    t->tag = p.tag;
    t->cell = find(p.line, p.tag);
    if (unlikely(!t->cell))
        t->cell = give_cell(p);
    if (likely(t->cell != NULL))
        return;
    t->cell = least_busy(p.line);
    t->tag = word(t->cell) & TURN_TAG_MASK;
    atomic_fetch_add_explicit(&c->shared, 1, memory_order_relaxed);
}

enum turn_result concurrency_take(struct concurrency *c, struct span key, struct turn *t,
                                  const struct turn_ask *ask) {
    struct place p = place_of(c, key);
    enum turn_result r;
    do {
        look_up(c, p, t);
        r = turn_take(t, ask);
    } while (unlikely(r == TURN_MOVED));
    return r;
}

void concurrency_force(struct concurrency *c, struct span key, struct turn *t) {
    struct place p = place_of(c, key);
    do
        look_up(c, p, t);
    while (!turn_force(t));
}

bool concurrency_is(const struct concurrency *c, struct span key, const struct turn *t) {
    return t->turns == &c->turns && t->held && t->tag == place_of(c, key).tag;
}

/* ---- what is told
 * ---------------------------------------------------------------------------------
 */

struct walk {
    void (*fn)(void *ctx, const struct concurrency_state *);
    void *ctx;
};

static void walk_one(void *obj, void *ctx) {
    struct concurrency *c = obj;
    struct walk *w = ctx;
    struct concurrency_state s = {.id = c->id,
                                  .keys = c->lines * LINE,
                                  .waiting = atomic_load(&c->turns.waiting),
                                  .refused_full = atomic_load(&c->turns.full),
                                  .refused_late = atomic_load(&c->turns.late),
                                  .displaced = atomic_load(&c->turns.displaced),
                                  .queued = atomic_load(&c->turns.queued),
                                  .waited_ns = atomic_load(&c->turns.waited_ns),
                                  .shared = atomic_load(&c->shared),
                                  .memory = c->lines * (sizeof(struct line) + 1)};
    for (uint32_t i = 0; i < s.keys; i++) {
        uint32_t n = turn_count(&c->line[i / LINE].cell[i % LINE]);
        s.in_flight += n;
        s.keys_in_use += n > 0;
        s.busiest = n > s.busiest ? n : s.busiest;
    }
    w->fn(w->ctx, &s);
}

void concurrency_walk(void (*fn)(void *ctx, const struct concurrency_state *), void *ctx) {
    lasting_each(&kind, walk_one, &(struct walk){fn, ctx});
}
