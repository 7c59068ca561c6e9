/*
 * metrics - counts per route, service and fault, one writer per cell, summed when somebody reads.
 *
 * Each thread has its arrays from the start (METRIC_ROUTES, METRIC_SERVICES rows of fixed size,
 * memory that is touched when it is used), so counting is a few additions without a lock. A route
 * or service has a row number by its name through core/lasting: it keeps its counts over reloads, a
 * name that is gone frees its row. Names beyond the rows share one, labelled "(other)"; requests
 * that met no route have route="". Labels are names of the configuration and closed lists, never
 * what a client sent, so the number of series is bounded: METRIC_SERIES_MAX. Owner: main. Thread:
 * metrics_record the thread's own; everything else the control thread.
 */
#pragma once
#include "core/thread.h"
#include "observe/text.h"

enum {
    METRIC_ROUTES = 480,
    METRIC_SERVICES = 96,
    METRIC_AUTHENTICATORS = 32,
    METRIC_ENDPOINTS = 128,   /* told in full; of more only the sums by service */
    METRIC_CERTIFICATES = 64, /* of listeners; more are not told */
    METRIC_SERIES_MAX = 20000,
    METRIC_THREADS = 256,
};

/* Process start; the counts of reloads and the generation are told by main. */
void metrics_start(void);
/* Gives the thread its arrays (local[METRICS]) and makes its counters known. False: no memory. */
must_use bool metrics_thread_init(struct thread *t);
void metrics_thread_finish(struct thread *t);

/* Sets route->lasting and service->stats of a snapshot that is not yet published. */
void metrics_attach(struct snapshot *s);
void metrics_detach(struct snapshot *s); /* when it is freed */

/* The sink of a thread: thread->sink[i] = metrics_record. */
void metrics_record(struct thread *t, const struct record *r);

void metrics_reload(bool ok, const char *text); /* text: what went wrong, first line; or "" */

/* Sums for /status and tests. */
struct metrics_totals {
    uint64_t value[96]; /* by place in COUNTER_LIST */
    uint64_t in_flight; /* live exchanges */
    uint64_t fault[FAULT_COUNT];
};
enum metric_counter {
#define C(name, help) METRIC_##name,
    COUNTER_LIST(C)
#undef C
        METRIC_COUNTERS
};
_Static_assert(METRIC_COUNTERS <= 96, "metrics_totals.value");
void metrics_totals(struct metrics_totals *out);

struct metrics_state {               /* of the process */
    int64_t started_at, reloaded_at; /* wall, ns; 0: no reload yet */
    uint64_t reloads_ok, reloads_failed;
    bool reload_ok; /* the last one */
    char reload_text[256];
    unsigned workers;
};
const struct metrics_state *metrics_state(void);

/* The time to a service's response heads since it has its row: the share q lies below. ns; 0: none.
 */
uint64_t metrics_service_quantile(const struct service_conf *s, double q);
uint64_t metrics_service_answers(const struct service_conf *s);
uint64_t metrics_service_failures(const struct service_conf *s);

/* The Prometheus text of everything here. Endpoints are added by admin, which may see them. */
void metrics_write(struct text *out, const struct snapshot *s);

/* A part of it: the certificates of the snapshot's listeners as they are now. */
void metrics_certificates(struct text *out, const struct snapshot *s);

/* Helpers for whoever adds families of his own. */
void metric_family(struct text *out, const char *name, const char *type, const char *help);
struct metric_label {
    const char *name;
    struct span value;
};
void metric_seconds(struct text *out, const char *name, const struct metric_label *label,
                    unsigned labels, uint64_t ns);
void metric_u64(struct text *out, const char *name, const struct metric_label *label,
                unsigned labels, uint64_t value);
