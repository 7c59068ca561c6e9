/*
 * h2_client - a connection to a service that speaks HTTP/2: many attempts share it, each a stream.
 *
 * It takes attempts at once, also while it still connects: until the service's SETTINGS have come
 * at most 100 streams are under way, then as many as the service and the configuration allow
 * (client.streams_max tells how many more it takes). It takes no new ones after a GOAWAY, at the
 * end of its epoch, in a drain and after keepalive_requests; what is under way then ends in peace.
 * `send` begins a stream, `abandon` resets it, and the connection closes by itself when it is of no
 * more use. Owner: its pool. Thread: that of the pool.
 */
#pragma once
#include "back/client.h"

/* Starts to connect to the pool's endpoint, in clear text with prior knowledge. NULL: *why. */
struct client *h2_client_connect(struct pool *p, const struct service_conf *s, enum fault *why);

/* `from` is a connected client whose peer has chosen h2 (ALPN): its stream, its address
 * and epoch move to the client that is returned, which stands in the pool's shared list; `from` has
 * neither watch nor place any more, and its memory may go at the end of the turn. NULL: no memory;
 * nothing has changed. */
must_use struct client *h2_client_take_over(struct client *from, const struct service_conf *s);
