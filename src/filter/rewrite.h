/*
 * rewrite - the path as the service gets it: a template, a prefix taken off or put on, or a regular
 * expression.
 *
 * Everything goes through uri_rewrite, the one place that makes paths canonical. A result that
 * canonical form would change (a value that was "..", say) is refused with 400: what the router and
 * the policies judged would not be what the service gets. The query stays, unless the new path
 * brings one. Conf: struct rewrite_conf (core/canned.h). Thread: that of the exchange.
 */
#pragma once
#include "core/canned.h"
#include "core/schema.h"

extern const struct filter_ops rewrite_ops;
extern const struct policy rewrite_policy;

/* Changes h->path (and query) as the filter would: for explain, which runs no exchange. */
must_use enum fault rewrite_apply(const struct rewrite_conf *c, struct head *h,
                                  const struct template_values *v);
