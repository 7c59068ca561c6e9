/*
 * call - the gateway's own requests to others: keys, introspection, forward auth, token fetches;
 * later checks, mirrors and exports.
 *
 * A call is an exchange like any other, with a front of its own (`call`): it runs in the thread
 * that starts it, through the plan of an `outbound` (a service of the snapshot and a path),
 * collects the answer's body up to a bound and tells once. It is an op of its asker: the asker's
 * end cancels it, and then nothing follows. done() never runs inside call_start. No redirect is
 * followed. Destinations of URLs that the loader made services of are judged by the connected
 * address: private, loopback and link-local ones are refused unless the configuration names them
 * literally or allows them (F28). Owner: the asker. Thread: his.
 */
#pragma once
#include "core/exchange.h"

/* Where a call goes: made by the loader from "https://id.example/jwks.json" (an implicit service,
 * TLS verified against the system's roots) or {service: NAME, path: /jwks.json}. */
struct outbound {
    struct span url;  /* as written */
    struct span host; /* Host of the request */
    struct span path; /* with its query, at least "/" */
    const struct service_conf *service;
    struct plan plan;
    struct where where;
};

struct call_ask {
    const struct outbound *to;
    struct span path;              /* in place of the outbound's; {NULL, 0}: that */
    struct span method;            /* "GET" */
    const struct own_field *field; /* further fields of the request; NULL: none */
    struct span body;              /* copied */
    uint64_t timeout_ms;
    size_t max_body;               /* of the answer; more fails it with FAULT_UPSTREAM_TOO_LARGE */
    const struct exchange *parent; /* whose deadline and trace it shares; NULL */
};

struct call_answer {
    enum fault fault; /* not FAULT_NONE: there is no answer, or not all of it */
    const char *detail;
    const struct head *head; /* status, fields */
    struct span body;        /* with the head good until done() returns */
};

struct call;
typedef void (*call_done)(void *ctx, const struct call_answer *answer);

/* NULL: no memory. `ops`: the asker's list, or the thread's for what nobody waits for. */
must_use struct call *call_start(struct thread *t, struct list *ops, const struct call_ask *ask,
                                 call_done done, void *ctx);
void call_cancel(struct call *c);
