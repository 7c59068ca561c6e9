/*
 * h1_client - a connection to a service that speaks HTTP/1.1.
 *
 * Connecting, busy with one attempt, or idle in its pool. It returns to the pool only on proof of a
 * clean end: request sent, answer ended exactly, nothing left over, no upgrade, close or
 * authentication challenge. Bytes that come on an idle connection close it. Owner: its pool.
 * Thread: that of the pool.
 */
#pragma once
#include "back/client.h"

/* Starts to connect to the pool's endpoint. Over TLS the service may choose HTTP/2: then h2_client
 * takes over; but not if HTTP/1.1 `alone` will do. NULL: *why. */
struct client *h1_client_connect(struct pool *p, const struct service_conf *s, bool alone,
                                 enum fault *why);
