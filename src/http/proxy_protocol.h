/*
 * proxy_protocol - the PROXY protocol's header, versions 1 and 2 (haproxy.org,
 * doc/proxy-protocol.txt): read strictly, written.
 *
 * A connection from a balancer begins with it: it tells whose connection this really is. What is
 * not exactly such a header is refused, for the bytes behind it would be taken for a request of
 * somebody else. Lengths are accounted for to the byte, nested ones too. Thread: any.
 */
#pragma once
#include "base/str.h"

enum proxy_status { PROXY_MORE, PROXY_DONE, PROXY_BAD };
enum {
    PROXY_TLV_MAX = 512,                         /* extensions of version 2: more is refused */
    PROXY_HEADER_MAX = 16 + 216 + PROXY_TLV_MAX, /* fixed part, Unix addresses, extensions */
    PROXY_UNIQUE_ID_MAX = 128,
};

struct proxy_header {
    uint32_t length; /* of the header, on DONE */
    unsigned char version;
    bool local; /* no address of a client is told: LOCAL (the balancer itself, a health check),
                 * UNKNOWN, UNSPEC, Unix sockets. The socket's own address holds */
    bool ip6;
    unsigned char source[16], target[16]; /* network order; 4 bytes where ip6 is false */
    uint16_t source_port, target_port;
    struct span authority, alpn, unique_id; /* of v2's TLVs, in the bytes given; empty: none */
    bool tls;                               /* PP2_TYPE_SSL: the client spoke TLS to the balancer */
};
/* `bytes` from the connection's first byte on: fed again with more behind on MORE, which is never
 * said of PROXY_HEADER_MAX bytes. The same verdict however they were cut. A CRC32c is checked. */
must_use enum proxy_status proxy_header_read(struct span bytes, struct proxy_header *out);
/* Version 1 or 2; addresses as in `h`. Version 2 tells authority, alpn, unique_id and tls as long
 * as they fit. Returns the length. */
size_t proxy_header_write(unsigned char out[PROXY_HEADER_MAX], const struct proxy_header *h);
