/*
 * gateway - the serving process: its threads, its sockets, the configuration in force, and its
 * life.
 *
 *     starting -> serving -> draining -> stopping
 *
 * One thread more than there are workers: the first one of the process runs the control loop
 * (signals, reload, admin listener, discovery). It alone changes what stands here. Workers are told
 * by orders (worker.h). Owner: the process. Thread: control.
 */
#pragma once
#include "cli/cli.h"
#include "main/certificates.h"
#include "main/channel.h"
#include "main/control.h"
#include "main/privileges.h"
#include "main/reload.h"
#include "main/worker.h"

enum life { LIFE_STARTING, LIFE_SERVING, LIFE_DRAINING, LIFE_STOPPING };

struct gateway {
    const struct cli_call *call;
    enum life life;
    struct channel channel;
    struct resources resources;
    struct thread control; /* control.snap: the configuration in force */
    struct worker *worker;
    unsigned workers;
    struct reload reload;
    struct certificates certificates;
    struct control door;
    struct watch signals, supervisor; /* supervisor: readable when it is gone */
    struct timer grace, watchdog;
    unsigned
        undrained;   /* workers that have not yet answered: opened at start, drained at the end */
    unsigned failed; /* listening sockets that no worker could watch at start */
    unsigned unanswered; /* pings of the watchdog */
    uint64_t generation;
    struct snapshot *first;             /* during the start */
    struct order *opening[WORKERS_MAX]; /* likewise */
};

/* The serving process from start to end; returns the exit code. */
int gateway_run(const struct cli_call *call);

/* The only thing that starts draining: TERM, or the supervisor's end. The second call stops at
 * once. */
void gateway_drain(struct gateway *g, const char *why);

static inline const struct snapshot *gateway_snapshot(const struct gateway *g) {
    return g->control.snap->snapshot;
}
