/*
 * state - what gateways share and what survives a restart (top-level `state`).
 *
 *     state: {shared: redis://cache.internal:6379, store: /var/lib/sluice/state.db}
 *
 * `shared: memory` (shipped): each gateway counts for itself. Owner: the snapshot. Thread: any
 * (const).
 */
#pragma once
#include "core/snapshot.h"

struct schema_type; /* core/schema.h, as the table that uses this */

enum state_kind { STATE_MEMORY, STATE_REDIS, STATE_SENTINEL, STATE_CLUSTER };

struct state_node {
    struct span host; /* empty: a unix socket, or an address, in `address` */
    uint16_t port;
    struct address address; /* len 0: host is a name */
    struct span text;       /* "host:port", "unix:/path" */
};

struct state_conf {
    enum state_kind kind;
    const struct state_node *node; /* Redis: one; sentinels; some nodes of the cluster */
    uint32_t nodes;
    struct span master; /* STATE_SENTINEL: the name of the set */
    struct span user, password, sentinel_password;
    uint32_t database;
    bool tls;
    struct span ca, tls_name; /* empty: the system's roots; the node's host */
    const struct address *dns_server; /* those of the snapshot */
    uint32_t dns_servers;
    struct span prefix;     /* of every key: "sluice:" */
    uint64_t timeout_ms;    /* of one ask */
    struct span shown;      /* as written, without the password */
    struct span store;      /* file of the embedded store; empty: none */

    struct span shared; /* as written; empty: memory */
};
extern const struct schema_type schema_state_type;

/* Judges and completes; NULL, or a sentence. */
const char *state_finish(struct arena *a, struct state_conf *c);
