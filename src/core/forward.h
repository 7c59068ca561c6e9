/*
 * forward - what a client may say about others, and what the gateway tells services about it.
 *
 * Trust: the client's address is the last one that trusted proxies vouch for (X-Forwarded-For or
 * Forwarded, from the right, until the first that is not trusted; a malformed entry ends the walk).
 * From anybody else these fields are dropped. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

/* At the start of every exchange, before routing: client address, request id, identity fields of
 * the snapshot dropped, loops found (FAULT_LOOP_DETECTED). */
must_use enum fault forward_prepare(struct exchange *x);
/* The fields added towards a service: Via, X-Forwarded-For, -Proto, -Host, Forwarded, X-Request-ID.
 * Returns how many; values lie in the exchange's arena. */
size_t forward_fields(struct exchange *x, struct field *out, size_t max);
