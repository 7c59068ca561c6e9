/*
 * authenticate - asks the authenticators of a route who calls, before anything else is done for it.
 *
 * `any`: the first whose credential came along decides; a wrong credential is refused at once,
 * only a missing one lets the next try, or an `optional` route go on (F27). `all`: each must
 * accept; claims and consumer are the first one's. A 401 carries the challenges of all. What the
 * service is told of the caller (identity headers) is set here, and credentials that are not its
 * business are taken out. Owner: conf in the snapshot. Thread: the exchange's.
 */
#pragma once
#include "core/authenticator.h"
#include "core/filter.h"

struct authenticate_conf {
    const struct span *any, *all; /* names, as written */
    uint32_t any_count, all_count;
    bool optional;
    bool every;                            /* all, not any */
    const struct authenticator *const *by; /* of these names */
    uint32_t count;
};

extern const struct policy authenticate_policy;
extern const struct filter_ops authenticate_ops;

/* What follows once it is known who calls: the consumer, identity headers for the service,
 * credentials taken out of the request. `who`: of each authenticator that accepted, n of them; the
 * first one's is the exchange's. For the filter, and for explain. */
enum fault authenticate_accept(const struct authenticate_conf *c, struct exchange *x,
                               struct caller *who, uint32_t n);
