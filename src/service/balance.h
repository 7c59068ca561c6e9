/*
 * balance - which endpoint of a service takes the next request.
 *
 * round_robin: by weight, well mixed (a:5, b:1, c:1 gives a b a a a c a), each thread in its own
 * round from a place of its own. least_requests: the fewest requests in flight for its weight, over
 * all threads; ties go round by weight. Up to 32 endpoints all are compared; above, the better of
 * two: the next of the round and one drawn by weight, so a large set costs no more than a small
 * one. Thread: the caller's own.
 */
#pragma once
#include "http/fault.h"
#include "service/service.h"

enum { AVOID_MAX = 8, BALANCE_COMPARE_ALL = 32 };

struct balance_avoid { /* endpoints that this request has tried */
    const struct endpoint *tried[AVOID_MAX];
    unsigned count;
};

/* The caller has a reference. NULL: none is left; *why says FAULT_NO_ENDPOINT or FAULT_DNS_FAILED.
 */
must_use struct endpoint *balance_pick(struct thread *t, const struct service_conf *s,
                                       const struct balance_avoid *avoid, enum fault *why);
