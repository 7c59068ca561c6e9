/*
 * shared_owed - what this gateway has let pass by its own share while the store was away, by key,
 * until the store has been told: with the key's next question.
 *
 * So an outage does not give anybody his limit twice. Bounded: of more keys than cells the older
 * are forgotten, and their requests in an outage were free. Owner: whoever embeds it. Thread: any.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHARED_OWED_CELLS = 2048 }; /* of 16 bytes */

struct shared_owed {
    struct {
        _Atomic uint64_t key, sum; /* sum: 32 bits of costs, 32 of the time (ms) of the last one */
    } cell[SHARED_OWED_CELLS];
};

void shared_owed_add(struct shared_owed *t, uint64_t hash, uint64_t cost, uint64_t now_ms);
/* Takes it out; 0: nothing. */
uint64_t shared_owed_take(struct shared_owed *t, uint64_t hash, uint64_t now_ms, uint64_t *age_ms);
void shared_owed_clear(struct shared_owed *t);
