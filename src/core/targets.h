/*
 * targets - which target of a route takes a request: by condition, by weight, or by key.
 *
 * The first whose `when` holds takes it. Else it is between those that have none.
 * Without `sticky` the targets take turns by weight, evenly spread, each thread in its own round.
 * With it the same key goes to the same target on every thread and gateway, for as long as the
 * weights stay; a changed weight moves only those keys that the change is about. A key that is
 * empty counts as none. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

/* Never NULL: there is at least one target, and weight_sum > 0. */
const struct target *targets_choose(struct exchange *x, const struct forward_conf *c);
/* By key alone: for explain, and for tests. */
const struct target *targets_by_key(const struct forward_conf *c, struct span key);
