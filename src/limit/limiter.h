/*
 * limiter - "may this one go on?" of one rate limit: in this gateway, or with others.
 *
 * In one gateway the answer is there at once: no lock, no system call. Each window of a limit has a
 * table of cells (limit/cells.h), shared by all threads, changed by compare-and-swap. With
 * state.shared the store is asked (limit/shared_limit.c), unless a lease or a refusal that is still
 * good answers here; while the store is away on_failure decides. Tables and counts last over
 * reloads by the limit's id and algorithm. Owner: the snapshot's limiter refers to what lasts.
 * Thread: any; an ask belongs to its exchange's.
 */
#pragma once
#include "core/limits.h"
#include "core/op.h"
#include "core/thread.h"

enum limit_verdict {
    LIMIT_ALLOWED,
    LIMIT_DELAYED, /* allowed and counted, but only after wait_ns */
    LIMIT_REFUSED, /* nothing was counted; not before wait_ns */
    LIMIT_UNKNOWN, /* the store is away and the limit says on_failure: closed */
};

struct limit_answer {
    enum limit_verdict verdict;
    unsigned window;           /* that refused, or has least left: place in conf->rate */
    uint64_t limit, remaining; /* of that window, in costs: burst (GCRA) or count; left now */
    uint64_t wait_ns;          /* until it may be tried again (UINT64_MAX: it costs more than ever
                                * comes at once), or goes on */
    uint64_t reset_ns;         /* until all is there again */
    bool away;                 /* judged by on_failure, the store being away */
};

struct limit_ask {
    /* filled by who asks */
    struct limiter *limiter;
    struct span
        key;       /* lives until the answer; longer than LIMIT_KEY_MAX is told apart by its hash */
    uint64_t cost; /* 0: only look */
    uint64_t max_wait_ns;               /* 0: refuse what cannot go on at once */
    struct list *ops;                   /* where it waits; cancelled with them */
    void (*ready)(struct limit_ask *a); /* after limiter_ask said false; from the loop */
    /* the answer */
    struct limit_answer answer;
    /* its own */
    struct op op;
    void *part;
    uint64_t hash;
    uint64_t mark[LIMIT_RATES_MAX]; /* of what was charged in each window (limit/window.h) */
};
enum { LIMIT_KEY_MAX = 256 };

/* Before a snapshot is published: fills conf->limiter (and its plans'); `place` is where it is
 * written, for the id. The memory is the snapshot's arena. */
void limiter_attach(struct snapshot *s, struct rate_limit_conf *conf, struct span place);
void limiter_detach(struct rate_limit_conf *conf);

/* True: a->answer is there. False: it waits; ready() follows unless its op is cancelled. */
must_use bool limiter_ask(struct limit_ask *a);
/* Who was allowed (or delayed) did not come to it: gives the cost back, in every window. */
void limiter_refund(struct limit_ask *a);
/* cost_after: it really cost so much more (or, negative, less). Never refuses; what is too much is
 * owed by the next ones. */
void limiter_correct(struct limit_ask *a, int64_t more);

/* What became of asks, by thread: one writer each; `waiting`: delayed requests whose turn is still
 * to come (the filter counts those). */
#define LIMIT_COUNTS(C)                                                                            \
    C(allowed) C(refused) C(delayed) C(observed) C(away) C(shared_cells) C(waiting)
struct limit_counts {
#define C(name) _Atomic uint64_t name;
    LIMIT_COUNTS(C)
#undef C
};
struct limit_counts *limiter_counts(struct limiter *l, struct thread *t);
/* Once for each ask that was answered, by who acts on it: counts the verdict (observed: it refused,
 * and `mode: observe` let it pass) and the key (limit/hot.h). */
void limiter_note(struct limit_ask *a, bool observed);

/* For explain, metrics and the command line. Spans are good during the call. */
struct limiter_state {
    struct span id;
    uint64_t
        count[sizeof(struct limit_counts) / sizeof(uint64_t)]; /* in the order of LIMIT_COUNTS */
    uint32_t windows, keys;
    uint64_t memory; /* bytes of its tables */
};
void limiter_walk(void (*fn)(void *ctx, const struct limiter_state *), void *ctx);
/* The hottest keys of the limit `id` (empty: of every limit), of each thread: add up equal ones. */
struct hot_key;
void limiter_hot(struct span id, void (*fn)(void *ctx, struct span id, const struct hot_key *),
                 void *ctx);
/* Forgets what the key has used of the limit `id` (empty: of every limit); how many windows had it.
 */
unsigned limiter_reset(struct span id, struct span key);
