/*
 * rig - a gateway under the simulated system: workers, one listener, two services, no main.
 *
 * The client's door is 127.0.0.1:8080; requests go to the service "shop", whose endpoint
 * is 10.0.0.1:80 (and 10.0.0.2:80 where rig_conf.endpoints says 2). Everything has its shipped
 * value unless `tune` changes it. Owner: the test. Thread: one.
 */
#pragma once
#include "core/thread.h"
#include "io/sim.h"

enum { RIG_WORKERS_MAX = 4, RIG_ENDPOINTS_MAX = 4 };

struct tls_role;

struct rig_conf {
    struct sim_conf sim;
    unsigned workers, endpoints; /* 0: 1 */
    /* What a client says first where the door asks for it, before and by TLS: for the one who looks
     * at the end whether the gateway still serves. NULL: nothing. */
    const char *proxy_header;
    const struct tls_role *tls;
    /* The same for a service: the version of the PROXY header that comes first (0: none), and how
     * it speaks TLS. */
    unsigned service_proxy;
    const struct tls_role *service_tls;
    /* Before the snapshot is attached and published. */
    void (*tune)(struct service_conf *shop, struct snapshot *s);
};

struct rig {
    struct rig_conf conf;
    struct thread *worker[RIG_WORKERS_MAX];
    unsigned workers;
    struct snapshot *snapshot;
    struct address door, endpoint[RIG_ENDPOINTS_MAX]; /* 10.0.0.1:80, 10.0.0.2:80 .. */
    uint64_t calls_before;                            /* of the system, while it was set up */
    uint64_t allocs_before;
    bool drained;
    uint64_t records; /* exchanges that ended */
    int last_status, last_grpc;
    enum fault last_fault;
    enum x_end last_end;
};

/* NULL: a failure that was asked for met the setting up, and all is put back. */
struct rig *rig_start(const struct rig_conf *conf);
/* A new snapshot from the same configuration (tune may have changed its mind), published to all. */
void rig_reload(struct rig *r);
void rig_drain(struct rig *r); /* as at SIGTERM */
/* Ends it as main does. The caller has closed the actors and let it become quiet. Returns what is
 * wrong, or NULL: an exchange, a connection, a descriptor is left, or the counts do not add up. */
const char *rig_stop(struct rig *r);
/* What is wrong now that all is quiet and every actor is gone; NULL: nothing. */
const char *rig_check_idle(const struct rig *r);
/* A sum over all workers. */
#define rig_sum(r, name) rig_sum_at((r), offsetof(struct counters, name))
uint64_t rig_sum_at(const struct rig *r, size_t at);
