/*
 * shared_refused - refusals by the store that still hold, so that a flood of refused requests asks
 * nobody.
 *
 * A refusal says until when it holds, and nothing that others do makes that shorter (what is given
 * back aside: that is seen late, never wrongly let pass). One word a cell, written at one go; a
 * newer refusal takes the cell of an older one, whose requests then ask again. Owner: whoever
 * embeds it. Thread: any.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHARED_REFUSED_CELLS = 4096 }; /* of 8 bytes */

struct shared_refused {
    _Atomic uint64_t cell[SHARED_REFUSED_CELLS];
};

/* `hash` is of key and cost: what costs less may still pass. */
void shared_refused_note(struct shared_refused *t, uint64_t hash, uint64_t now_ns, uint64_t wait_ns,
                         unsigned window);
/* Does one still hold? Then what is left of the wait, and the window that refused. */
bool shared_refused_holds(struct shared_refused *t, uint64_t hash, uint64_t now_ns,
                          uint64_t *wait_ns, unsigned *window);
void shared_refused_clear(struct shared_refused *t);
