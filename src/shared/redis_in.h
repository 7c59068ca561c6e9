/*
 * redis_in - what the files of the client share; for src/shared alone.
 *
 *     redis          what lasts: the settings, and numbers that all threads see
 *       here         a thread's part of it: the asks that wait, their one timer
 *         node       a server that asks go to (the only one, the master, one of a cluster): breaker
 *           conn     a connection: what is to be sent, who waits for which answer
 *
 * An ask hangs in `here` (all may wait equally long, so the oldest is due first) and has a slot of
 * its connection (answers come in the order of the questions). Who waits no longer leaves his slot
 * behind, and the answer is dropped. Owner: the thread; `redis` is counted. Thread: its own.
 */
#pragma once
#include "base/arena.h"
#include "io/dns.h"
#include "shared/redis.h"
#include "shared/resp.h"

enum {
    REDIS_BREAKER_FAILURES = 5, /* in a row, within */
    REDIS_BREAKER_MS = 1000,
    REDIS_PAUSE_MIN_MS = 100, /* between probes of a node that is away */
    REDIS_PAUSE_MAX_MS = 2000,
    REDIS_STEADY_MS = 2000, /* away again sooner: the pauses go on growing */
    REDIS_SETUP_MS = 1000,  /* until a new connection must be of use */
    REDIS_STUCK = 10,       /* deadlines that an answer may take before the connection is closed */
    REDIS_ASKS_MAX = 4096,  /* unanswered, of a connection */
    REDIS_OUT_MAX = 1024 * 1024, /* their bytes */
    REDIS_SCRIPTS_MAX = 32,      /* a bit each in a connection */
    REDIS_TRIES_MAX = 3,         /* of one ask: NOSCRIPT, MOVED, ASK, TRYAGAIN */
    REDIS_NODES_MAX = 256,       /* of a cluster */
    REDIS_WHY_MAX = 192,
    REDIS_THREADS = 64
};

#define REDIS_COUNTS(C)                                                                            \
    C(asks) C(away) C(late) C(refused) C(full) C(broken) C(dropped) C(connects) C(connections)
struct redis_counts { /* one writer: the thread */
#define C(name) _Atomic uint64_t name;
    REDIS_COUNTS(C)
#undef C
};

struct redis {
    atomic_uint refs;
    void *entry; /* in the registry of what lasts */
    struct arena arena;
    struct state_conf conf; /* a copy */
    uint32_t slot;          /* its place in each thread's table */
    uint64_t serial;
    atomic_uint gateways;
    atomic_uint away;            /* nodes of threads that are away: the first and the last tell */
    _Atomic uint64_t away_since; /* ns; of the first */
    _Atomic uint64_t away_ns, away_total, returned_at;
    atomic_bool auth_told;
    struct {
        _Alignas(64) struct redis_counts counts;
    } thread[REDIS_THREADS];
};

struct redis_known { /* a script that was asked for in this thread */
    const struct redis_script *script;
    struct span source;
    char sha1[40];
};

struct redis_here {
    struct redis *redis; /* a reference */
    struct thread *thread;
    struct redis_counts *counts;
    struct list waiting;     /* asks, the oldest first */
    struct timer deadline;   /* of the oldest */
    struct list nodes;       /* struct redis_node */
    struct redis_node *only; /* NULL: a cluster */
    struct dns *dns;         /* NULL: no name was looked up yet */
    unsigned turn;           /* which sentinel, or node, is asked next */
    struct redis_sentinel *sentinel;
    struct redis_cluster *cluster;
    struct redis_beat *beat; /* the control thread's heartbeat */
    struct redis_known known[REDIS_SCRIPTS_MAX];
    unsigned scripts;
    bool ending;
};

static inline uint64_t redis_now_ms(const struct redis_here *h) {
    return h->thread->loop.now / 1000000;
}
#define redis_count(h, name) count_add((h)->counts->name, 1)

/* r's part of the thread, made where there is none yet. */
struct redis_here *redis_here_of(struct thread *t, struct redis *r);
/* Who looks up names; NULL: no memory or descriptor for it. */
struct dns *redis_dns(struct redis_here *h);
/* The ask is over: told, and no longer in any list. Its slot is the caller's matter. */
void redis_done(struct redis_here *h, struct redis_ask *a, enum redis_failure why,
                const struct redis_reply *r);
/* The place of a script among the known ones; -1: too many are. */
int redis_script_place(struct redis_here *h, const struct redis_script *s);
/* One more, or one fewer, node is away; for status, and for the log. */
void redis_went_away(struct redis *r, uint64_t now, const char *why);
void redis_came_back(struct redis *r, uint64_t now);
