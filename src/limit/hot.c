#include "limit/hot.h"
#include "base/check.h"

static uint64_t get(const _Atomic uint64_t *p) {
    return atomic_load_explicit(p, memory_order_relaxed);
}
static void set(_Atomic uint64_t *p, uint64_t v) {
    atomic_store_explicit(p, v, memory_order_relaxed);
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

void hot_note(struct hot *h, struct span key, uint64_t hash, bool refused) {
    if (!refused && ++h->seen % HOT_SAMPLE)
        return;
    uint32_t n = atomic_load_explicit(&h->sequence, memory_order_relaxed);
    atomic_store_explicit(&h->sequence, n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    unsigned i = place_of(h, hash);
    if (get(&h->hash[i]) != hash || !get(&h->asks[i]))
        name_it(h, i, key, hash);
    set(&h->asks[i], get(&h->asks[i]) + (refused ? 1 : HOT_SAMPLE));
    set(&h->refused[i], get(&h->refused[i]) + refused);
    atomic_store_explicit(&h->sequence, n + 2, memory_order_release);
}

static void copy(const struct hot *h, unsigned i, struct hot_key *out) {
    uint64_t word[HOT_WORDS];
    out->hash = get(&h->hash[i]);
    out->asks = get(&h->asks[i]);
    out->refused = get(&h->refused[i]);
    out->over = get(&h->over[i]);
    out->text_len = get(&h->text_len[i]);
    for (unsigned k = 0; k < HOT_WORDS; k++)
        word[k] = get(&h->text[i][k]);
    memcpy(out->text, word, sizeof word);
}

enum { TRIES = 64 };

unsigned hot_read(const struct hot *h, struct hot_key out[HOT_KEYS]) {
    for (unsigned t = 0; t < TRIES; t++) {
        uint32_t before = atomic_load_explicit(&h->sequence, memory_order_acquire);
        uint32_t count = atomic_load_explicit(&h->count, memory_order_relaxed);
        for (uint32_t i = 0; i < count; i++)
            copy(h, i, &out[i]);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&h->sequence, memory_order_relaxed) == before)
            return count;
    }
    return 0;
}
