/*
 * latencies - how long things took, counted in steps of an eighth of an octave, from 16 us up to
 * 9 minutes.
 *
 * One thread notes without a locked instruction, others read: the counts only grow, so a window is
 * the difference of two readings. Owner: who embeds it. Thread: as said.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

enum { LATENCY_STEPS = 8, LATENCY_OCTAVES = 26, LATENCY_CELLS = LATENCY_STEPS * LATENCY_OCTAVES };

struct latencies {
    _Atomic uint64_t count;
    _Atomic uint32_t cell[LATENCY_CELLS];
};

void latencies_note(struct latencies *l, uint64_t ns);
/* Into a sum of one's own. */
void latencies_add(struct latencies *sum, const struct latencies *l);
/* out = now - then */
void latencies_since(struct latencies *out, const struct latencies *now,
                     const struct latencies *then);
uint64_t latencies_count(const struct latencies *l);
/* So many per cent of all took less. 0: there are none. */
uint64_t latencies_below(const struct latencies *l, unsigned percent);
