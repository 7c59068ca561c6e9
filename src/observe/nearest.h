/*
 * nearest - tells the operator which routes came nearest to a request that matched none.
 *
 * A sink of its own beside log and metrics. It looks at routes at most NEAREST_RATE times a second
 * over all threads, so that a scan for random paths costs nothing. Thread: that of the exchange.
 */
#pragma once
#include "core/thread.h"

enum { NEAREST_RATE = 5, NEAREST_ROUTES = 3 };

void nearest_record(struct thread *t, const struct record *r);
