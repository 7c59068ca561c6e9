/*
 * opening - a connection that has not said yet what it speaks.
 *
 * In this order, as its listener's configuration asks for it: a PROXY header (only trusted sources
 * may send one; its source becomes the peer and takes a place in the counts per address), a TLS
 * handshake, then the door that ALPN names, or HTTP/1.1's, which still knows HTTP/2 by its first
 * bytes. New connections see the newest configuration; once a handshake has begun it keeps its own.
 * A request in clear text at a TLS port is answered by the HTTP/1.1 door with 400. Everything has a
 * time limit: first_byte_timeout until the first bytes, tls_handshake_timeout for the handshake.
 * Owner: the listener. Thread: that of the listener.
 */
#pragma once
#include "front/door.h"

/* The listener asks for one of these. */
static inline bool opening_needed(const struct listener_conf *l) {
    return l && (l->tls || l->proxy.on);
}
/* NULL: no memory or no descriptor. */
must_use struct door *opening_accept(struct listener *l, int fd, const struct address *peer);
