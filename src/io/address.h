/*
 * address - where a socket leads: IP and port or a unix path, as text and as the system wants it.
 * Values without a socket, so rooms that know none may hold them. Thread: any.
 */
#pragma once
#include "base/str.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len; /* 0: none */
};

enum { ADDRESS_TEXT_MAX = 128 };

/* "1.2.3.4:80", "[::1]:80", "unix:/path" (a leading "@" of the path: abstract). False for anything
 * else, host names too. */
must_use bool address_parse(struct span text, struct address *out);
/* An IP without port, "1.2.3.4", "::1" or "[::1]". */
must_use bool address_parse_ip(struct span text, struct address *out);
struct span address_text(const struct address *a, char out[ADDRESS_TEXT_MAX], bool with_port);
/* Copies what is there, not the room for a path. */
static inline void address_copy(struct address *to, const struct address *from) {
    to->len = from->len;
    memcpy(&to->sa, &from->sa, from->len);
}
bool address_eq(const struct address *a, const struct address *b);
unsigned address_port(const struct address *a);
void address_set_port(struct address *a, unsigned port);

struct cidr {
    unsigned char ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;        /* 0..128 */
};
must_use bool cidr_parse(struct span text, struct cidr *out); /* "10.0.0.0/8", "::1", "1.2.3.4" */
bool cidr_has(const struct cidr *c, const struct address *a);
/* The 16 bytes that stand for an address (IPv4 mapped). False: a unix socket. */
bool address_ip16(const struct address *a, unsigned char out[16]);
