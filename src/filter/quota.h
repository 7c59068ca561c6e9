/*
 * quota - how much a caller may have in a day, a month, a year: counts each request, and refuses
 * what goes beyond (429 quota_exceeded, with Retry-After until the period ends).
 *
 * What comes to it counts, whatever becomes of it, failures of the service too: that is what
 * gateways and their customers are used to, and `cost_after` says otherwise where that is wanted.
 * One exception: who is refused by another limit got nothing and will come again, so that is given
 * back. mode: observe counts like any other, but refuses nobody and tells clients nothing. Conf:
 * struct quota_conf (limit/quota.h). Thread: that of the exchange.
 */
#pragma once
#include "core/filter.h"
#include "core/schema.h"

extern const struct policy quota_policy;
