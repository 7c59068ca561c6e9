/*
 * worker - a thread that serves: its loop, and the orders that the control thread sends it.
 *
 * An order goes to a worker as a message, is carried out there, and comes back to the control loop
 * as the same message, so the control thread knows when all have done it. Owner: the gateway.
 * Thread: orders are made and answered in the control thread, carried out in the worker.
 */
#pragma once
#include "core/thread.h"
#include <pthread.h>

struct gateway;
struct worker;

enum { WORKERS_MAX = 63 }; /* one thread of 64 is the control thread */
enum { OLD_SNAPSHOTS_MAX = 16, OLD_SNAPSHOT_GRACE_MS = 5000 };

struct order_socket {
    struct span name; /* of the listener; in the snapshot that comes with the order */
    int fd;
};
struct order {
    struct message message; /* first: a loop that ends frees what nobody receives */
    struct worker *worker;
    void (*act)(struct order *); /* in the worker; order_done follows, at once or later */
    void (*done)(
        struct order *); /* in the control thread; the order is freed after it. NULL: nothing */
    /* of use_snapshot */
    struct snapshot *snapshot; /* a reference */
    struct span *close;        /* names of listeners; in the worker's present snapshot */
    uint32_t closes, opens, failed;
    struct order_socket *open; /* descriptors are taken over */
};

struct worker {
    struct thread thread;
    pthread_t id;
    bool running; /* id is valid */
    struct gateway *gateway;
    struct order *draining;
    struct timer drain_look;
};

/* Everything of a thread but its loop's run: rooms' state, sinks. False: told. */
must_use bool gateway_thread_init(struct thread *t, unsigned index, bool control);
void gateway_thread_finish(struct thread *t);

must_use bool worker_start(struct worker *w);
/* After its loop was told to stop. False: it does not (stuck); its memory must stay. */
must_use bool worker_join(struct worker *w);

struct order *order_create(struct worker *w, void (*act)(struct order *),
                           void (*done)(struct order *));
void order_send(struct order *o);
void order_drop(struct order *o); /* it was not sent */
void order_done(struct order *o); /* in the worker */

/* What they may be told to do. */
void order_use_snapshot(struct order *o);
void order_drain(struct order *o); /* done when nothing is left in work */
void order_stop(
    struct order *o); /* what is in work breaks off; its loop ends, nothing comes back */
void order_ping(struct order *o);

/* Shared with the control thread, which does the same to itself. */
void snapshot_take(struct thread *t, struct snapshot *s);
