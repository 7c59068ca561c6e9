/*
 * loop - one thread's event loop: its descriptors, tasks, timers, messages and its scratch.
 *
 * One turn: wait for at most 64 events; run their handlers, then drain: tasks until there are
 * none, then the outputs that were marked, again until quiet. (Earlier, where the handlers' reads
 * fill the scratch. One drain for many events lets what the peers get leave in a row, so they are
 * woken less often: 3 to 9 % of CPU.) Each message, unfinished reader and due timer has a drain of
 * its own. A drain ends by settling the pond (lent slices still held are copied, the scratch may be
 * overwritten) and running what was deferred to the end of the drain. At the end of the turn: late
 * outputs (several messages gathered into one write) and what was deferred to the end of the turn
 * (what epoll may still name). Nothing is written where it is produced, and no layer is called from
 * inside a call that it made. Owner: the thread. Thread: its own, but loop_send (any).
 */
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "base/list.h"
#include "base/slice.h"
#include "io/timer.h"
#include <stdatomic.h>

enum { LOOP_EVENTS = 64, SCRATCH_MIN = 64 * 1024, SCRATCH_MAX = 1024 * 1024 };

/* A descriptor, registered once, edge-triggered, for input, output and the peer's shutdown. */
struct watch {
    void (*ready)(struct watch *, uint32_t epoll_events);
    int fd;
    bool closed; /* events that are still in the batch are dropped */
};

struct task { /* runs once in this drain */
    struct list node;
    void (*run)(struct task *);
};
struct output { /* flush() once the tasks are done; post again to be called again */
    struct list node;
    void (*flush)(struct output *);
};
struct reader { /* had more to read than its share: goes on in the next turn */
    struct list node;
    void (*again)(struct reader *);
};
struct deferred {
    struct list node;
    void (*run)(struct deferred *);
};
/* A message to another thread. The receiver owns it from `receive` on. */
struct message {
    struct message *next;
    void (*receive)(struct message *);
};

/* What a turn had to do: how long it took, and how many events it found. */
struct lap {
    uint64_t began, ended; /* ns; ended of this turn, once on_turn is called */
    unsigned events;
    /* How long a mark waited that was put behind all that was ready when LOOP_EVENTS were found at
     * once: more than one turn takes. 0: none came back in this turn. */
    uint64_t queued;
};

struct loop {
    int ep, wake_fd;
    struct watch wake;
    uint64_t now; /* ns, monotonic; refreshed before every handler */
    struct list tasks, outputs, late_outputs, readers, after_drain, after_turn;
    struct timers timers;
    _Atomic(struct message *) inbox;
    atomic_bool signalled;
    bool stop;
    void (*on_drained)(struct loop *); /* may be NULL; e.g. faults after a failed settle */
    void (*on_turn)(struct loop *);    /* may be NULL; the turn is over. It starts nothing itself */
    struct lap lap;
    uint64_t marked_at;        /* ns: the mark is under way; 0: it is not */
    _Atomic uint64_t progress; /* handlers, tasks, outputs begun: others see whether one hangs */
    atomic_bool busy;          /* in a turn, not waiting for events */

    unsigned char *scratch; /* SCRATCH_MAX bytes; bodies ride on it until the drain ends */
    size_t scratch_used;    /* by this handler's reads: lent slices point there */
    size_t scratch_top;     /* the most of it since the last drain */
    struct pond pond;
    struct arena_cache arenas;
    struct pipe *pipes; /* free ones (io/pipe.h) */
    unsigned pipes_free, pipes_made;
    struct timer trim; /* about once a second while there are pages to give back */
    uint64_t turns;
};

extern _Thread_local struct loop *me;

must_use bool loop_init(struct loop *l); /* false: no descriptor or memory to be had */
void loop_finish(struct loop *l);
void loop_turn(struct loop *l, int max_wait_ms); /* -1: until something happens */
/* How long a turn that begins now may wait: 0 when there is work, at most max_ms (-1: for ever). */
int loop_wait_ms(const struct loop *l, uint64_t now_ns, int max_ms);
void loop_run(struct loop *l); /* turns until l->stop */

must_use bool loop_watch(struct loop *l, struct watch *w, int fd);
/* Forgets and closes the descriptor now; the watch's memory may go at the end of the turn. */
void loop_unwatch(struct loop *l, struct watch *w);

/* The descriptor of `from` belongs to `to` (its `ready` is set), which epoll names from now on;
 * what is in the batch for `from` is dropped. False: no memory for it; nothing has changed. */
must_use bool loop_rewatch(struct loop *l, struct watch *from, struct watch *to);

static inline void loop_post(struct loop *l, struct task *t) {
    if (!t->node.next)
        list_append(&l->tasks, &t->node);
}
static inline void loop_output(struct loop *l, struct output *o) {
    if (!o->node.next)
        list_append(&l->outputs, &o->node);
}
static inline void loop_late_output(struct loop *l, struct output *o) {
    if (!o->node.next)
        list_append(&l->late_outputs, &o->node);
}
static inline void loop_unfinished(struct loop *l, struct reader *r) {
    if (!r->node.next)
        list_append(&l->readers, &r->node);
}
static inline void loop_after_drain(struct loop *l, struct deferred *d) {
    must(!d->node.next);
    list_append(&l->after_drain, &d->node);
}
static inline void loop_after_turn(struct loop *l, struct deferred *d) {
    must(!d->node.next);
    list_append(&l->after_turn, &d->node);
}
/* From any thread; never blocks. One wake-up for many messages. */
void loop_send(struct loop *to, struct message *m);
/* Before a read, where nothing that was read before is still looked at: if nothing of it is lent
 * any more the scratch is used from its start again, while it is warm. */
static inline void loop_scratch_reuse(struct loop *l) {
    if (l->scratch_used > l->scratch_top)
        l->scratch_top = l->scratch_used;
    if (!l->pond.lent)
        l->scratch_used = 0;
}
/* For code outside of a handler (start, tests): runs the drain. */
void loop_drain(struct loop *l);
