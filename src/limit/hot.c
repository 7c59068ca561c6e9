#include "limit/hot.h"
#include "base/check.h"

static const uint64_t half_life = 60000000000u; /* ns */
enum { HALVES_MAX = 63 };

static uint64_t get(const _Atomic uint64_t *p) {
    return atomic_load_explicit(p, memory_order_relaxed);
}
static void set(_Atomic uint64_t *p, uint64_t v) {
    atomic_store_explicit(p, v, memory_order_relaxed);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Clients often come in turns: every 16th would always be the same one. */
static bool is_sampled(struct hot *h, uint64_t hash) {
    if (h->skip) {
        h->skip--;
        return false;
    }
    uint64_t r = h->random ? h->random : hash | 1; /* xorshift */
    r ^= r << 13, r ^= r >> 7, r ^= r << 17;
    h->random = r;
    h->skip = (uint32_t)(r >> 32) % (2 * HOT_SAMPLE - 1); /* 0..30: 15 on average */
    return true;
}

static unsigned halves(const struct hot *h, uint64_t now) {
    uint64_t at = get(&h->halved_at);
    uint64_t n = at && now > at ? (now - at) / half_life : 0;
    return n < HALVES_MAX ? (unsigned)n : HALVES_MAX;
}

static void halve(struct hot *h, uint64_t now) {
    unsigned n = halves(h, now);
    uint32_t count = atomic_load_explicit(&h->count, memory_order_relaxed);
    if (!get(&h->halved_at) || n == HALVES_MAX)
        set(&h->halved_at, now);
    else
        set(&h->halved_at, get(&h->halved_at) + n * half_life);
    for (uint32_t i = 0; n && i < count; i++) {
        set(&h->asks[i], get(&h->asks[i]) >> n);
        set(&h->refused[i], get(&h->refused[i]) >> n);
        set(&h->over[i], get(&h->over[i]) >> n);
    }
}

/* The key's, a free one, or that of the key with the least. */
static unsigned place_of(struct hot *h, uint64_t hash) {
    uint32_t n = atomic_load_explicit(&h->count, memory_order_relaxed);
    unsigned least = 0;
    for (unsigned i = 0; i < n; i++) {
        if (get(&h->hash[i]) == hash)
            return i;
        if (get(&h->asks[i]) < get(&h->asks[least]))
            least = i;
    }
    if (n == HOT_KEYS)
        return least;
    atomic_store_explicit(&h->count, n + 1, memory_order_relaxed);
    set(&h->hash[n], ~hash);
    return n;
}

static void name_it(struct hot *h, unsigned i, struct span key, uint64_t hash) {
    uint64_t word[HOT_WORDS] = {0};
    size_t n = key.n < HOT_TEXT ? key.n : HOT_TEXT;
    if (n)
        memcpy(word, key.p, n);
    for (unsigned k = 0; k < HOT_WORDS; k++)
        set(&h->text[i][k], word[k]);
    set(&h->text_len[i], n);
    set(&h->over[i], get(&h->asks[i]));
    set(&h->refused[i], 0);
    set(&h->hash[i], hash);
}

void hot_note(struct hot *h, struct span key, uint64_t hash, bool refused, uint64_t now_ns) {
    if (likely(!refused) && likely(!is_sampled(h, hash)))
        return;
    uint32_t n = atomic_load_explicit(&h->sequence, memory_order_relaxed);
    atomic_store_explicit(&h->sequence, n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    if (unlikely(!get(&h->halved_at)) || unlikely(halves(h, now_ns)))
        halve(h, now_ns);
    unsigned i = place_of(h, hash);
    if (get(&h->hash[i]) != hash)
        name_it(h, i, key, hash);
    set(&h->asks[i], get(&h->asks[i]) + (refused ? 1 : HOT_SAMPLE));
    set(&h->refused[i], get(&h->refused[i]) + refused);
    atomic_store_explicit(&h->sequence, n + 2, memory_order_release);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void copy(const struct hot *h, unsigned i, unsigned shift, struct hot_key *out) {
    uint64_t word[HOT_WORDS];
    out->hash = get(&h->hash[i]);
    out->asks = get(&h->asks[i]) >> shift;
    out->refused = get(&h->refused[i]) >> shift;
    out->over = get(&h->over[i]) >> shift;
    out->text_len = get(&h->text_len[i]);
    for (unsigned k = 0; k < HOT_WORDS; k++)
        word[k] = get(&h->text[i][k]);
    memcpy(out->text, word, sizeof word);
}

/* What has faded away is not told. */
static unsigned copies(const struct hot *h, uint64_t now, struct hot_key out[HOT_KEYS]) {
    uint32_t count = atomic_load_explicit(&h->count, memory_order_relaxed);
    unsigned shift = halves(h, now), n = 0;
    for (uint32_t i = 0; i < count && i < HOT_KEYS; i++) {
        copy(h, i, shift, &out[n]);
        n += out[n].asks > 0;
    }
    return n;
}

enum { TRIES = 64 };

unsigned hot_read(const struct hot *h, uint64_t now_ns, struct hot_key out[HOT_KEYS]) {
    for (unsigned t = 0; t < TRIES; t++) {
        uint32_t before = atomic_load_explicit(&h->sequence, memory_order_acquire);
        unsigned n = copies(h, now_ns, out);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&h->sequence, memory_order_relaxed) == before)
            return n;
    }
    return 0;
}
