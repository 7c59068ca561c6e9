/*
 * forward - what one hop owes the next: who the client is, where it came in, and that we were here.
 *
 * At the start of an exchange: decides whether the peer is a trusted proxy (trusted_proxies), finds
 * the client's address, the request's id and its scheme, takes away every field that only the
 * gateway or a trusted proxy may set, and refuses what came through here too often. For every
 * attempt: the fields that go to the service in their place. THREATS.md C05-C11. Thread: that of
 * the exchange.
 */
#pragma once
#include "core/exchange.h"

enum { FORWARD_FIELDS_MAX = 7, FORWARD_HOPS_MAX = 32 };

/* Before routing. FAULT_LOOP_DETECTED: as often as max_forwards_depth allows it was here already.
 */
must_use enum fault forward_prepare(struct exchange *x);
/* Of what the gateway asks for itself: Via and X-Request-ID alone. Else Via, X-Forwarded-For,
 * -Proto, -Host, Forwarded, X-Request-ID, and X-Client-Cert where the client
 * has shown a certificate that was verified. Returns how many; fewer than
 * FORWARD_FIELDS_MAX only when memory ran out (the arena says so) or `max` is too small. */
size_t forward_fields(struct exchange *x, struct field *out, size_t max);
/* Makes the id, unless there is one: for exchanges that were refused before they started. */
void forward_request_id(struct exchange *x);
/* By the HTTP version that the message came in (as facts.http_minor; 0: none, 1.1 is said). */
struct span forward_via(unsigned minor);
/* The gateway's name in Via. */
#define FORWARD_PSEUDONYM "sluice"
