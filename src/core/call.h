/*
 * call - the gateway's own requests to others: keys, introspection, forward auth, token fetches;
 * later checks, mirrors and exports.
 *
 * A call is an exchange like any other, with a front of its own (`call`): it runs in the thread
 * that starts it, through the plan of an `outbound` (a service of the snapshot and a path),
 * collects the answer's body up to a bound and tells once. It is an op of its asker: the asker's
 * end cancels it, and then nothing follows. done() never runs inside call_start. No redirect is
 * followed. It is no client's request: it has counters of its own (calls_started ..), writes no
 * record, and nothing is forwarded for anybody; Via goes along, so that a gateway that is told to
 * ask itself notices. Destinations of URLs that the loader made services of are judged by the
 * connected address: private, loopback and link-local ones are refused unless the configuration
 * names them literally or allows them (F28). Owner: the asker. Thread: his.
 */
#pragma once
#include "core/exchange.h"
#include "core/outbound.h"

struct call_ask {
    const struct outbound *to;
    struct span path;              /* in place of the outbound's; {NULL, 0}: that */
    struct span method;            /* "GET" */
    const struct own_field *field; /* further fields of the request, names in lower case; NULL */
    struct span body;              /* copied */
    uint64_t timeout_ms;           /* of the whole call; 0: 5 s */
    size_t max_body;               /* of the answer; more fails it with FAULT_UPSTREAM_TOO_LARGE */
    const struct exchange *parent; /* whose deadline, id and trace it shares; NULL */
    /* Where `to` lies; NULL: in the parent's, else in this thread's newest. It must be one that the
     * thread holds (thread->snap). */
    const struct snapshot *snapshot;
};

struct call_answer {
    enum fault fault;        /* not FAULT_NONE: there is no answer, or not all of it */
    const char *detail;      /* for the log; NULL: none */
    const struct head *head; /* status, fields; NULL with a fault */
    struct span body;        /* with the head good until done() returns */
};

struct call;
typedef void (*call_done)(void *ctx, const struct call_answer *answer);

enum { CALL_LEVELS = 4, CALL_TIMEOUT_MS = 5000, CALL_REQUEST_MAX = 64 * 1024 };

/* NULL: no memory, a body over CALL_REQUEST_MAX, or a snapshot that this thread does not hold.
 * `ops`: the asker's list. Calls within calls end at CALL_LEVELS (FAULT_LOOP_DETECTED). */
must_use struct call *call_start(struct thread *t, struct list *ops, const struct call_ask *ask,
                                 call_done done, void *ctx);
/* done() will not be called. Also by the end of `ops`. */
void call_cancel(struct call *c);
