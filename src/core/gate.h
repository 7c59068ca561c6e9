/*
 * gate - what protects a service from too much, whoever asks: how many requests it works on at
 * once, how many it gets in a time.
 *
 *     services:
 *       order:
 *         endpoints: 10.0.0.1:8080
 *         concurrency: {limit: 50, queue: {size: 100, max_wait: 500ms}}
 *         rate_limit: 200/s
 *
 * `proxy` enters before it asks for a connection and leaves when the attempt is over, so what a
 * cache answers is not counted and what the gateway itself asks is. Without a word of the file a
 * service still has the adaptive limit, a safety net. How it is done is limit's matter (struct
 * gate_ops, which main hands to the loader). Owner: conf in the snapshot; a pass in its attempt.
 * Thread: that of the exchange.
 */
#pragma once
#include "base/list.h"
#include "http/fault.h"
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct exchange;
struct rate_limit_conf;
struct schema_object;
struct schema_type;
struct service_conf;
struct template;

/* Of a service and of the policy `concurrency`: who may wait for his turn. */
struct queue_conf {
    uint32_t size; /* 0: nobody waits */
    uint64_t max_wait_ms;
};
extern const struct schema_object queue_object;

struct gate_adaptive {
    bool off;
    uint32_t min, max;       /* it never goes below or above; 0: unsaid */
    uint32_t tolerance;      /* times the usual latency */
    uint64_t min_latency_ms; /* quicker answers are never too slow */
};
struct gate_conf {
    uint32_t limit; /* 0: none */
    struct queue_conf queue;
    const struct template *priority; /* NULL: normal */
    struct gate_adaptive adaptive;
    const struct rate_limit_conf *rate; /* NULL: none */

    const struct gate_ops *ops; /* NULL: nothing protects it */
    void *lasting;              /* limit/gate.c; set before publishing */
};
extern const struct schema_type gate_type; /* `concurrency` of a service */

enum {
    GATE_LIMIT_MAX = 1000000,
    GATE_MIN = 20,
    GATE_MAX = 10000,
    GATE_TOLERANCE = 2,
    GATE_MIN_LATENCY_MS = 100
};

enum gate_result { GATE_OPEN, GATE_WAIT, GATE_SHUT };
enum gate_outcome {
    GATE_ENDED,    /* it had been answered */
    GATE_FAILED,   /* it has failed without an answer */
    GATE_TIMED_OUT /* likewise, because none came in time */
};

struct gate_pass {
    /* filled by who enters */
    struct exchange *x;
    const struct service_conf *service;
    struct list *ops; /* where it waits; cancelled with them */
    void (*ready)(struct gate_pass *p, enum gate_result r); /* after GATE_WAIT: OPEN or SHUT */
    /* GATE_SHUT; Retry-After stands in x->own then */
    enum fault fault;
    const char *detail;
    /* its own */
    struct list node; /* of those that wait for an answer, in the thread */
    uint64_t sent_at;
    uint32_t epoch;
    bool slot, counted, rated;
    void *part; /* where it has to wait; in the exchange's arena */
};

struct gate_ops {
    /* Judges and completes; a sentence, or NULL. */
    const char *(*finish)(struct arena *a, struct gate_conf *c);
    must_use enum gate_result (*enter)(struct gate_pass *p);
    /* The head of the answer is there: `ordinary` tells of how long it took, others (tunnels, gRPC)
     * only that they are answered. */
    void (*answered)(struct gate_pass *p, bool ordinary);
    /* Once, after enter, in any state. */
    void (*leave)(struct gate_pass *p, enum gate_outcome how);
};

/* The loader: what holds where the file says nothing; a sentence, or NULL. */
const char *gate_complete(struct gate_conf *c);
