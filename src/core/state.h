/*
 * state - what gateways share and what survives a restart (top-level `state`).
 *
 *     state: {shared: redis://cache.internal:6379, store: /var/lib/sluice/state.db}
 *     state: {shared: {url: "rediss+sentinel://s1,s2,s3/main/2", password: "${secret('file:pw')}"}}
 *
 * `shared: memory` (shipped): each gateway counts for itself. URLs: redis://[user:password@]host
 * [:6379][/database], rediss:// with TLS, unix:///path, redis+sentinel://host[:26379],../NAME
 * [/database], redis+cluster://host[:6379],.. Owner: the snapshot. Thread: any (const).
 */
#pragma once
#include "core/snapshot.h"

struct schema_type; /* core/schema.h, as the table that uses this */

enum { STATE_NODES_MAX = 16, STATE_PREFIX_MAX = 64, STATE_DATABASE_MAX = 65535 };
enum state_kind { STATE_MEMORY, STATE_REDIS, STATE_SENTINEL, STATE_CLUSTER };

struct state_node {
    struct span host; /* a name, or an IP address; empty: a unix socket */
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
    struct tls_client *tls; /* NULL: clear text */
    struct span prefix;     /* of every key: "sluice:" */
    uint64_t timeout_ms;    /* of one ask */
    struct span shown;      /* as written, without the password */
    struct span store;      /* file of the embedded store; empty: none */
    const struct address
        *dns_server; /* who is asked for names (top-level `dns`); 0: the system's */
    uint32_t dns_servers;

    struct state_shared { /* as written */
        struct span url, user, password, sentinel_password, prefix;
        uint64_t timeout_ms;
        struct tls_client_settings tls;
    } shared;
    bool wants_tls; /* the loader makes `tls` of shared.tls */
    void *attached; /* struct redis of this snapshot: main/rooms, before publishing */
};
extern const struct schema_type schema_state_type;

/* Judges and completes; NULL, or a sentence (which holds no password). */
const char *state_finish(struct arena *a, struct state_conf *c);
