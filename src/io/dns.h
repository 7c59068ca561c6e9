/*
 * dns - looks up the addresses of a host name, on the thread's own loop.
 *
 * c-ares does the protocol (random ids and ports, UDP, TCP for long answers); its sockets go
 * through struct env and hang in the loop like any other. /etc/hosts and localhost are looked at
 * first. Each server is given 2 s, twice. An answer lists each address once, IPv4 first, at most
 * DNS_ADDRESSES_MAX. Owner: the thread that made it. Thread: its own.
 */
#pragma once
#include "base/list.h"
#include "io/tcp.h"

enum { DNS_ADDRESSES_MAX = 64, DNS_TIMEOUT_MS = 2000, DNS_TRIES = 2 };

struct dns_answer {
    const struct address *ip; /* ports are 0; good during the call */
    uint32_t count;           /* 0: no address, `error` says why */
    uint32_t ttl;             /* s, of the record that expires first; 0 from /etc/hosts */
    const char *error;
};

struct dns;
struct dns_query { /* embedded by who asks */
    void (*done)(struct dns_query *, const struct dns_answer *);
    struct dns_ask *ask; /* under way; NULL: none */
};

/* Servers with ports; none: those of /etc/resolv.conf. NULL: no memory or descriptor for it. */
must_use struct dns *dns_create(struct loop *l, const struct address *server, uint32_t count);
void dns_destroy(struct dns *d); /* queries under way end without a word */
/* done() comes later, never within the call. */
void dns_query_start(struct dns *d, struct dns_query *q, struct span name);
void dns_query_cancel(struct dns_query *q); /* done() will not come */
