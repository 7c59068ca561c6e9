/*
 * redis_node - a server that asks go to, with its breaker: it is here, or away.
 *
 * It is away when it cannot be connected to, when five asks in a row failed within a second, or
 * when it says so (loading, a replica). Then nobody waits for it; it is tried again after 100 ms,
 * 200 ms
 * .. 2 s: a new connection, or a PING on the one that stands. A connection that is closed while all
 * was well is replaced without a word. Owner: redis_here. Thread: its own.
 */
#pragma once
#include "shared/redis_conn.h"

struct redis_node {
    struct list node;
    struct redis_here *here;
    struct span host;       /* for TLS, and to look up where `address` is not fixed; may be empty */
    struct address address; /* len 0: a name, or what the sentinels say */
    uint16_t port;
    struct redis_conn *conn;
    bool away;
    bool pinging;           /* a probe is under way on `conn` */
    unsigned failures;      /* in a row */
    uint64_t failing_since; /* ns: the first of them */
    uint64_t returned_at, pinged_at;
    uint32_t pause_ms;
    unsigned attempts;
    struct timer probe;
    struct dns_query query;
    uint32_t slots; /* of a cluster: how many are its */
    char *own_host; /* the memory of `host`, where it is the node's own; or NULL */
    char why[REDIS_WHY_MAX];
};

struct redis_node *redis_node_make(struct redis_here *h);
void redis_node_drop(struct redis_node *n);
/* The connection that an ask may be given to; NULL: it is away. */
struct redis_conn *redis_node_conn(struct redis_node *n);
void redis_node_away(struct redis_node *n, const char *why);
/* An ask got no answer, or one that says the server is not well. */
void redis_node_failed(struct redis_node *n, const char *why);
/* Its address was found (sentinels), or was not. */
void redis_node_found(struct redis_node *n, const struct address *a);
void redis_node_lost(struct redis_node *n, const char *why);
/* Its `host` is a name: looked up, then connected to. */
void redis_node_look_up(struct redis_node *n);
