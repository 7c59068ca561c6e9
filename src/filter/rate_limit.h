/*
 * rate_limit - how many requests in a time: counts each one, and refuses or delays what is too
 * much.
 *
 * The key is the file's `key`, else who calls (core/asker.h). `early: true` stands before
 * authentication and counts whatever comes; else what a further limit, a quota or the number of
 * requests under way refuses is given back, so only requests that went on have cost something.
 * mode: observe looks and counts like any other, but neither waits nor tells clients. Conf: struct
 * rate_limit_conf (core/limits.h). Thread: that of the exchange.
 */
#pragma once
#include "core/limits.h"

extern const struct policy rate_limit_policy;
