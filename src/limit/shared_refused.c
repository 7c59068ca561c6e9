#include "limit/shared_refused.h"
#include "core/limits.h"

/* tag 28 bits, window 2, until in ms 34 (half a year); the tag and the place are 40 bits of the
 * hash, which is keyed, so nobody can aim at somebody else's cell. */
enum { UNTIL_BITS = 34, WINDOW_BITS = 2, TAG_SHIFT = UNTIL_BITS + WINDOW_BITS };
static const uint64_t until_mask = ((uint64_t)1 << UNTIL_BITS) - 1;
static const uint64_t ms_ns = 1000000;
_Static_assert(LIMIT_RATES_MAX <= 1 << WINDOW_BITS, "a window's place has its bits");

static _Atomic uint64_t *cell_of(struct shared_refused *t, uint64_t hash) {
    return &t->cell[hash % SHARED_REFUSED_CELLS];
}

void shared_refused_note(struct shared_refused *t, uint64_t hash, uint64_t now_ns, uint64_t wait_ns,
                         unsigned window) {
    /* Rounded down: it holds no longer than it was said to. */
    uint64_t until = now_ns / ms_ns + wait_ns / ms_ns;
    if (until <= now_ns / ms_ns)
        return;
    if (until > until_mask)
        until = until_mask;
    uint64_t word = hash >> TAG_SHIFT << TAG_SHIFT | (uint64_t)window << UNTIL_BITS | until;
    atomic_store_explicit(cell_of(t, hash), word, memory_order_relaxed);
}

bool shared_refused_holds(struct shared_refused *t, uint64_t hash, uint64_t now_ns,
                          uint64_t *wait_ns, unsigned *window) {
    uint64_t word = atomic_load_explicit(cell_of(t, hash), memory_order_relaxed);
    uint64_t until_ns = (word & until_mask) * ms_ns;
    if (word >> TAG_SHIFT != hash >> TAG_SHIFT || until_ns <= now_ns)
        return false;
    *wait_ns = until_ns - now_ns;
    *window = word >> UNTIL_BITS & ((1 << WINDOW_BITS) - 1);
    return true;
}

void shared_refused_clear(struct shared_refused *t) {
    for (unsigned i = 0; i < SHARED_REFUSED_CELLS; i++)
        atomic_store_explicit(&t->cell[i], 0, memory_order_relaxed);
}
