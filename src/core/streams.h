/*
 * streams - exchanges that last: tunnels, event streams, gRPC calls (docs/architecture.md, R5).
 *
 * At the response head the exchange's deadline gives way to the route's idle_timeout (no byte
 * either way) and max_duration (counted from the head). A gRPC call that said a timeout keeps that,
 * too. One timer serves all: while bytes flow only the time of the last one is noted, and the timer
 * moves when it fires. Used by exchange.c and chain.c alone. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

/* The final head is complete: is this such an exchange? */
void streams_head(struct exchange *x);
/* The exchange's timer has fired. */
void streams_timer(struct exchange *x);
