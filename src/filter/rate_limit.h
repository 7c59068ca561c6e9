/*
 * rate_limit - how many requests in a time: counts each one, and refuses or delays what is too
 * much.
 *
 * The key is the file's `key`, else who calls: "consumer:NAME", else "sub:AUTHENTICATOR:SUBJECT",
 * else the client's address as trusted proxies prove it, IPv6 by its /64. In a key `client.ip` is
 * cut to its /64 too: whoever has one address of IPv6 has them all. `early: true` stands before
 * authentication and counts whatever comes; else what a further limit, a quota or the number of
 * requests under way refuses is given back, so only requests that went on have cost something.
 * mode: observe looks and counts like any other, but neither waits nor tells clients. Conf: struct
 * rate_limit_conf (core/limits.h). Thread: that of the exchange.
 */
#pragma once
#include "core/limits.h"

/* The key by which a caller is counted where the file says none, in the exchange's arena. */
struct span rate_limit_usual_key(struct exchange *x);

extern const struct policy rate_limit_policy;
