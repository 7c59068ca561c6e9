/*
 * reload - from "read the configuration again" to a new snapshot in all threads, or to nothing
 * changed.
 *
 *     request -> [pause] -> helper reads and compiles -> new sockets -> each thread swaps -> told
 *
 * Requests coalesce: one reload runs at a time, and the next begins at the earliest a second after
 * the last began; whoever asks meanwhile is told the outcome of that next one, which reads the
 * files after he asked. Anything that fails before the first thread is told leaves all as it was.
 * Owner: the gateway. Thread: control; the configuration is read by a helper thread.
 */
#pragma once
#include "base/list.h"
#include "conf/diag.h"
#include "core/snapshot.h"
#include "io/timer.h"

struct gateway;

enum { RELOAD_EVERY_MS = 1000, RELOAD_TEXT_MAX = 1024 * 1024 };

enum reload_result {
    RELOAD_DONE,
    RELOAD_FAILED /* sockets, draining */,
    RELOAD_REFUSED /* configuration */
};

struct reload_outcome {
    enum reload_result result;
    struct span message;     /* one line, for people */
    struct diag_list *diags; /* of RELOAD_REFUSED and, warnings, of RELOAD_DONE; may be NULL */
};
/* Somebody who wants to know. */
struct reload_waiter {
    struct list node;
    void (*done)(struct reload_waiter *,
                 const struct reload_outcome *); /* once; out of the list then */
};

struct reload_job;
struct reload {
    struct list waiting, served; /* for the next one; for the one under way */
    bool wanted;
    struct reload_job *job; /* the one under way */
    struct timer pause;
    uint64_t begun_at; /* ms; 0: never */
    uint64_t every_ms;
};

void reload_init(struct gateway *g);
/* `w` may be NULL (a signal). */
void reload_request(struct gateway *g, struct reload_waiter *w);
static inline void reload_forget(struct reload_waiter *w) {
    list_remove(&w->node);
}
/* The gateway serves: what was asked for before begins now. */
void reload_ready(struct gateway *g);
/* Whoever waits is told that nothing will come of it. */
void reload_stop(struct gateway *g);
/* All diagnostics in a format, at most RELOAD_TEXT_MAX bytes; mem_free(result.p). */
struct str reload_text(struct diag_list *l, enum diag_format f);

/* The first one, at start, in the same way: NULL, and it was told on standard error. */
struct snapshot *reload_first(struct gateway *g);
