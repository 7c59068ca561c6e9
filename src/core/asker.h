/*
 * asker - who asks, for whatever counts requests by their callers, and what a request costs him.
 *
 * The key is the file's `key`, else the consumer ("consumer:NAME"), else the claim sub
 * ("sub:AUTHENTICATOR:SUBJECT"), else the client's address as trusted proxies prove it, IPv6 by its
 * /64. In a key of the file `client.ip` is cut to its /64 too: whoever has one address of IPv6 has
 * them all. Owner: what is returned lies in the exchange's arena. Thread: the exchange's.
 */
#pragma once
#include "core/exchange.h"

struct template;

enum { ASKER_COST_MAX = 1000000000 };

/* Where the file says no key. */
struct span asker_key(struct exchange *x);
/* `t` NULL: asker_key. Empty where it fails. */
struct span asker_key_of(const struct template *t, struct exchange *x);
/* At most ASKER_COST_MAX; 1 where it fails or is no number from 0, which is told. */
uint64_t asker_cost(const struct template *t, struct exchange *x);
