/*
 * turns - so many at once, and the others wait for their turn.
 *
 * A cell counts who is in, over all threads: one word, changed by compare-and-swap, so what is
 * taken is exact and costs one atomic operation each way. At the limit one may queue. The queue is
 * the cell's, whatever thread its waiters live in: it stands in the order of class and arrival, and
 * who leaves hands his turn to the first of it, so nobody who comes later can snatch it. To hand it
 * over a lock is taken; a bit in the cell says that somebody waits, and without it nobody looks.
 *
 * Order: high before normal before low, and within a class who came first; but one turn of
 * TURN_FAIR goes to whoever has waited longest, so that low is slow under pressure and never
 * starves. Full: who comes last is refused, unless somebody of a lower class waits: then the
 * youngest of the lowest class makes room. Whose turn cannot come before his time is over, by the
 * pace at which this queue has moved, is refused at once.
 *
 * A waiter is told in his own thread, by a message that carries what he has been given; if he has
 * left meanwhile the turn goes on to the next. Owner: turns and cells last (concurrency tables,
 * service gates); a turn lies in its exchange's memory. Thread: turns and cells any; a turn its
 * exchange's.
 */
#pragma once
#include "core/op.h"
#include "core/thread.h"
#include <pthread.h>

enum {
    TURN_COUNT_BITS = 20,
    TURN_LIMIT_MAX = 1000000,
    TURN_FAIR = 8,
    TURN_PACE_KNOWN = 8 /* grants, before the pace of a queue is believed */
};
enum turn_class { TURN_LOW, TURN_NORMAL, TURN_HIGH, TURN_CLASSES };

/* tag of the key | somebody waits | how many are in */
struct turn_cell {
    _Atomic uint64_t word;
};
#define TURN_ONE ((uint64_t)1)
#define TURN_COUNT_MASK (((uint64_t)1 << TURN_COUNT_BITS) - 1)
#define TURN_WAITS ((uint64_t)1 << TURN_COUNT_BITS)
#define TURN_TAG_MASK (~(TURN_COUNT_MASK | TURN_WAITS))

static inline uint32_t turn_count(const struct turn_cell *c) {
    return (uint32_t)(atomic_load_explicit(&((struct turn_cell *)(uintptr_t)c)->word,
                                           memory_order_relaxed) &
                      TURN_COUNT_MASK);
}

/* What is counted where somebody had to wait or was refused: seldom, so plain atomics. */
#define TURN_COUNTS(C)                                                                             \
    C(full, "the limit is reached and the queue is full, or there is none")                        \
    C(late, "no turn could come, or came, in time")                                                \
    C(displaced, "somebody of a higher class needed the place in the queue")                       \
    C(queued, "waited for a turn, whatever came of it")                                            \
    C(waited_ns, "how long all of them waited")
struct turns {
    pthread_mutex_t lock; /* of the queues */
    struct list queues;   /* one for each cell that somebody waits for */
    _Atomic uint32_t waiting;
#define C(name, help) _Atomic uint64_t name;
    TURN_COUNTS(C)
#undef C
};
void turns_init(struct turns *t);
void turns_finish(struct turns *t); /* nobody waits any more */

enum turn_result {
    TURN_TAKEN,
    TURN_WAIT,      /* ready() follows, unless the op is cancelled */
    TURN_FULL,      /* refused */
    TURN_LATE,      /* refused: not in time */
    TURN_DISPLACED, /* refused: only by ready() */
    TURN_MOVED      /* the cell is of another key now: look again (concurrency.c) */
};

struct turn_ask {
    uint32_t limit;
    const _Atomic uint32_t *moving; /* a limit that changes: the smaller one holds; or NULL */
    uint32_t queue;                 /* how many may wait; 0: nobody */
    uint64_t wait_ms;               /* how long this one can */
    enum turn_class class;
    struct list *ops; /* where it waits; cancelled with them */
};

struct turn_waiter;
struct turn {
    struct turns *turns;
    struct turn_cell *cell; /* NULL: it has none */
    uint64_t tag;           /* of the cell, while it is taken */
    bool held;
    struct turn_waiter *waiter;
    struct op op;
    struct timer timer;
    uint64_t since; /* it waits; ns */
    uint64_t pace;  /* refused: when a turn may be had, as far as is known; ns, 0: unknown */
    void (*ready)(struct turn *t, enum turn_result r); /* set by who asks */
};

/* t->turns, cell, tag and ready are set. */
must_use enum turn_result turn_take(struct turn *t, const struct turn_ask *ask);
/* Goes in whatever the limit says, and is counted. False: TURN_MOVED. */
must_use bool turn_force(struct turn *t);
/* Gives back what is held; nothing where nothing is. In any state but waiting. */
void turn_leave(struct turn *t);
/* Without a struct turn, for who does not wait: in a cell without a tag. False: full, or somebody
 * waits. */
must_use bool turns_enter(struct turn_cell *cell, uint32_t limit);
void turns_leave(struct turns *t, struct turn_cell *cell);

/* A moving limit has grown: who waits for this cell may go on. */
void turns_look_again(struct turns *t, struct turn_cell *cell);

/* "high", "normal", "low"; anything else is normal. */
enum turn_class turn_class_of(struct span word);
