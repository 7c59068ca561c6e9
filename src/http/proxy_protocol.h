/*
 * proxy_protocol - the PROXY protocol's header, versions 1 and 2 (haproxy.org,
 * doc/proxy-protocol.txt): read strictly, written. Thread: any.
 */
#pragma once
#include "base/str.h"

enum proxy_status { PROXY_MORE, PROXY_DONE, PROXY_BAD };
enum { PROXY_HEADER_MAX = 536 + 16, PROXY_TLV_MAX = 512 /* of v2: more is refused */ };

struct proxy_header {
    uint32_t length; /* of the header, on DONE */
    unsigned char version;
    bool local; /* LOCAL, UNKNOWN: the balancer itself (health checks): the socket's address */
    bool ip6;
    unsigned char source[16], target[16]; /* network order; 4 bytes where ip6 is false */
    uint16_t source_port, target_port;
    struct span authority, alpn, unique_id; /* of v2's TLVs, in the bytes given; empty: none */
    bool tls;                               /* PP2_TYPE_SSL: the client spoke TLS to the balancer */
};
/* `bytes` from the connection's first byte on. The same verdict however they were cut. A CRC32c TLV
 * is checked. */
enum proxy_status proxy_header_read(struct span bytes, struct proxy_header *out);
/* Version 1 or 2; addresses as in `h`. Returns the length, at most PROXY_HEADER_MAX. */
size_t proxy_header_write(unsigned char out[PROXY_HEADER_MAX], const struct proxy_header *h);
