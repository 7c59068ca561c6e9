/*
 * canned - backs that answer by themselves: `respond`, `redirect`, and a listener's `redirect:
 * https`.
 *
 * Their configuration is in core/canned.h; canned_https takes none. A value that cannot stand where
 * it was to go (control bytes in a header, a host that is none) is never sent: the answer is 500
 * then. Thread: that of the exchange.
 */
#pragma once
#include "core/canned.h"
#include "core/exchange.h"

extern const struct back_ops canned_respond, canned_redirect, canned_https;

/* Where a redirect leads: for explain, too. v: the values of the request that h is. */
must_use enum fault canned_location(const struct redirect_conf *c, const struct head *h,
                                    const struct template_values *v, struct arena *a,
                                    struct span *out);
