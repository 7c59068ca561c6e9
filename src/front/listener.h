/*
 * listener - accepting connections for one thread: the limits on them, and their end.
 *
 * Every thread has its own socket for each listener of the configuration (SO_REUSEPORT), perhaps
 * several. Counted over all threads: open connections, and connections per client address (an IPv6
 * /64 is one); at a limit the new connection is closed at once. From nine tenths of
 * the limit on each new one takes the place of an idle one of its thread. When descriptors run out
 * accepting pauses and backs off; when memory does,
 * nobody is accepted until it is over (front/relief.h). Owner: the thread (local slot
 * LOCAL_LISTENERS). Thread: its own; the totals are shared.
 */
#pragma once
#include "core/thread.h"
#include "io/address.h"

struct listener {
    struct watch watch;
    struct reader again; /* more connections wait than one turn takes */
    struct timer pause;  /* descriptors ran out */
    struct deferred free;
    struct list node; /* thread's listeners */
    struct list connections;
    struct thread *thread;
    const struct plan *plan;          /* NULL: routed; else every request runs through it (admin) */
    struct span name;                 /* finds its listener_conf in the snapshot of the moment */
    const struct listener_conf *conf; /* found in the snapshot of this generation */
    uint64_t conf_generation;
    uint32_t open; /* connections that still point here */
    unsigned backoff_ms;
    bool closing;
    bool held;    /* memory is short: who connects waits */
    bool reserve; /* not counted and not refused: the operator's door */
};

/* Limits over all threads; read at every accept. 0: none. */
void listener_limits(uint32_t max_connections, uint32_t per_address);
uint32_t listener_total(void); /* open client connections, all threads */

/* In the thread. `fd` listens and is taken over. `plan` NULL: requests are routed by the snapshot,
 * as arriving at the listener called `name`. False: no descriptor for epoll; the fd is closed. */
must_use bool listener_open(struct thread *t, struct span name, int fd, const struct plan *plan);
/* Stops accepting at `name` (NULL: at all); what is open goes on. */
void listener_close(struct thread *t, struct span name);
/* Stops accepting, closes idle connections now and others after their answer. */
void listeners_drain(struct thread *t);
/* Closes everything, answers broken off. Before thread_finish. */
void listeners_stop(struct thread *t);

/* For relief. */
struct list *listener_list(struct thread *t);
void listener_go_on(struct listener *l); /* it may accept again, if it was held */

/* For the doors. */
const struct listener_conf *listener_conf(struct listener *l, const struct snapshot *s);
/* A connection whose peer is known only now takes its place in the counts per address. False: that
 * has as many as it may have. */
must_use bool listener_count_address(struct listener *l, const unsigned char ip[16], bool *counted);
/* A connection is gone: its place in the counts is free. */
void listener_released(struct listener *l, const unsigned char ip[16], bool counted);
