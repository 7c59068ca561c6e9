/*
 * hot - the hottest keys of a limit, on one thread: a bounded sketch ("space saving": a newcomer
 * takes the place of the least and inherits its count, so a count is hardly ever too low).
 *
 * Refusals are all noted, of what is allowed about one in 16, at random, which counts for 16. All
 * numbers halve each minute, so they tell of the last minutes: a key with 10 asks a second shows
 * 600 to 1200. One thread writes; others read copies, which a sequence number tells torn ones of.
 * Thread: as said.
 */
#pragma once
#include "base/str.h"
#include <stdatomic.h>

enum { HOT_KEYS = 32, HOT_TEXT = 64, HOT_SAMPLE = 16 };

struct hot_key {
    uint64_t hash;
    uint64_t asks, refused; /* about; asks include what was refused */
    uint64_t over;          /* `asks` may be too high by so much */
    uint64_t text_len;      /* HOT_TEXT: it may be longer */
    char text[HOT_TEXT];
};
enum { HOT_WORDS = HOT_TEXT / 8 };
struct hot { /* words, so that a torn copy is no data race; those that are searched lie together */
    _Atomic uint32_t sequence; /* odd: being written */
    _Atomic uint32_t count;
    uint32_t skip;              /* the writer's own: so many are not noted before the next one */
    uint64_t random;            /* likewise */
    _Atomic uint64_t halved_at; /* ns; 0: not yet */
    _Atomic uint64_t hash[HOT_KEYS], asks[HOT_KEYS];
    _Atomic uint64_t refused[HOT_KEYS], over[HOT_KEYS], text_len[HOT_KEYS];
    _Atomic uint64_t text[HOT_KEYS][HOT_WORDS];
};

/* By the thread that owns it. */
void hot_note(struct hot *h, struct span key, uint64_t hash, bool refused, uint64_t now_ns);
/* By any: how many keys were copied, in no order; 0 where it could not be read for being written
 * all the time. */
unsigned hot_read(const struct hot *h, uint64_t now_ns, struct hot_key out[HOT_KEYS]);
