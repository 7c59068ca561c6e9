/*
 * quota_table - what each key has used of one quota in its period: exact, shared by all threads
 * without a lock, and bounded.
 *
 * A key that is asked for the first time takes a place, and keeps it until it has used nothing for
 * a whole period. When `keys` have one, newcomers are counted together, as the key "(others)": that
 * errs towards blocking, and is counted and logged. A place holds two words, for periods with even
 * and odd numbers, each the period's number and what was used, changed as one by compare-and-swap.
 * So a new period begins with the swap that counts its first request; a clock that is set back over
 * the border finds the old period's count as it was; and one that was ahead by more goes on with
 * what was counted meanwhile. A period never begins twice.
 *
 * What was changed since the control thread last looked hangs in a list: the writer of the store
 * (limit/quota_store.c) need not look at everything. Owner: lasting, by its name. Thread: any, but
 * for what says control.
 */
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "limit/period.h"
#include <stdatomic.h>

struct redis; /* shared/redis.h */

enum { QUOTA_THREADS = 64, QUOTA_KEY_MAX = 200 };
#define QUOTA_USED_MAX ((1ull << 48) - 1)

struct quota_text { /* a key */
    uint32_t n;
    char p[];
};
struct quota_entry {
    _Atomic(struct quota_text *) key;
    _Atomic uint64_t word[2]; /* period's number, lowest 16 bits << 48 | used */
    _Atomic uint64_t limit;   /* that it was last asked with; for people */
    _Atomic(struct quota_entry *) next_changed;
    atomic_bool changed;
    /* control: what the store has */
    uint64_t saved[2];
};

struct quota_table {
    struct span id;     /* what people call it */
    struct span period; /* "month", with anchor and zone where they are said */
    struct period_rule rule;
    struct arena arena;
    uint32_t keys, places; /* places: a power of two, twice as many and more */
    _Atomic uint64_t *tag; /* of each place; of the key's hash */
    struct quota_entry *entry;
    struct quota_entry others;
    _Atomic uint32_t count;
    _Atomic uint64_t overflows; /* requests of keys that found no place */
    _Atomic uint64_t limit;     /* as written */
    _Atomic(struct quota_entry *) changed;
    struct period seen[QUOTA_THREADS]; /* as each thread last computed it */
    /* control */
    struct list node;    /* of all tables */
    atomic_uint users;   /* limits of snapshots that hold it; given up by any thread */
    struct redis *redis; /* where state is shared: for who puts counts right */
    bool full_told;
    bool loaded; /* what the store has of it is in (limit/quota_store.h) */
    int64_t swept_at;
};

struct quota_key {
    struct span text; /* at most QUOTA_KEY_MAX bytes: quota_key_make */
    uint64_t hash;
};
/* A key that is too long goes on as its beginning and a digest. */
struct quota_key quota_key_make(struct arena *a, struct span key);

/* control: finds or makes; `users` grows by one. `period` says all that `rule` does, and names the
 * table with the id; `zone` is looked up again, for as long as the table lives. */
struct quota_table *quota_table_get(struct span id, struct span period, uint32_t keys,
                                    const struct period_rule *rule, struct span zone);
/* Any thread. The table stays until quota_tables_tidy. */
void quota_table_leave(struct quota_table *t);
void quota_tables_each(void (*fn)(struct quota_table *t, void *ctx), void *ctx); /* control */
/* control: drops tables that nobody has and whose changes are `written`; `now`: seconds. Takes back
 * the places of keys that have used nothing lately. */
void quota_tables_tidy(bool written, int64_t now);
/* control, at the end of all: each table goes with its last user. */
void quota_tables_close(void);

/* The period of `now` (seconds); `thread` < QUOTA_THREADS: whose memory of it. */
struct period quota_table_period(struct quota_table *t, unsigned thread, int64_t now);

/* Counts n if the whole stays within the limit. *used: with n where it was counted. n 0: looks. */
bool quota_table_take(struct quota_table *t, const struct quota_key *k, const struct period *p,
                      uint64_t n, uint64_t limit, uint64_t *used);
/* Adds whatever the limit says, or gives back (not below nothing; nothing if that period is gone).
 * Returns what is used then. */
uint64_t quota_table_add(struct quota_table *t, const struct quota_key *k, const struct period *p,
                         int64_t n);

/* What is used is at least so much. */
void quota_table_raise(struct quota_table *t, const struct quota_key *k, const struct period *p,
                       uint64_t used);

/* control: the entries that were changed, each once; their list is empty then. */
void quota_table_changed(struct quota_table *t,
                         void (*fn)(struct quota_table *, struct quota_entry *, void *), void *ctx);
void quota_entry_touch(struct quota_table *t, struct quota_entry *e);
/* control: the store has `value` for that key and period, in which `mine` of what was not saved is
 * included; the rest is somebody else's, and is added. */
void quota_table_stored(struct quota_table *t, struct span key, const struct period *p,
                        uint64_t value, int64_t mine);
/* control: every key that has used something in the period of `now`. */
void quota_table_walk(struct quota_table *t, int64_t now,
                      void (*fn)(struct quota_table *t, struct span key, uint64_t used,
                                 uint64_t limit, const struct period *p, void *ctx),
                      void *ctx);
/* control: what the key has used is now so much; false: it has used nothing, and 0 was wanted. */
bool quota_table_put(struct quota_table *t, struct span key, int64_t now, uint64_t used);

static inline uint64_t quota_word_used(uint64_t word) {
    return word & QUOTA_USED_MAX;
}
static inline bool quota_word_is(uint64_t word, int64_t period) {
    return word >> 48 == ((uint64_t)period & 0xffff);
}
