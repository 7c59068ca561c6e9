/*
 * discovery - keeps the addresses of all services' host names up to date: once per gateway, on the
 * control thread.
 *
 * A name is looked up when a snapshot brings it and again when its answer expires (5 to 300 s, a
 * little early and never all at once). While looking up fails the last good answer stays, and tries
 * follow after 1, 2, 4
 * .. 30 s. A name that never resolved does not stop anything: its service answers 503 dns_failed
 * until it does. Owner: the process. Thread: start and stop on the control thread, the other two
 * any.
 */
#pragma once
#include "core/thread.h"

struct upstream;

enum {
    DNS_TTL_MIN_S = 5,
    DNS_TTL_MAX_S = 300,
    DNS_RETRY_MIN_MS = 1000,
    DNS_RETRY_MAX_MS = 30000,
};

void discovery_start(struct thread *control);
void discovery_stop(void);

/* The sources of an upstream changed, or it was closed. */
void discovery_changed(struct upstream *u);
/* Which servers to ask; 0: those of /etc/resolv.conf. Copied. */
void discovery_servers(const struct address *server, uint32_t count);
