/*
 * filter - who shapes an exchange between its front and its back: a const record per kind, one step
 * per exchange. A filter knows no other filter and no front or back.
 *
 * request() runs when the head has come, response() on the way back for every filter that has seen
 * the request (last first). Each says what happens next. WAIT: this step holds an op;
 * exchange_resume follows. WAIT_BODY: collect the body up to its limit, then call the _body slot.
 * ANSWER: x->back was replaced, its answer passes the filters before this one. Owner: steps belong
 * to the exchange, conf to the snapshot. Thread: that of the exchange.
 */
#pragma once
#include "base/list.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>

struct exchange;
struct expr;
struct snapshot;
struct step;

enum verdict { NEXT, WAIT, WAIT_BODY, ANSWER };

/* Position in the chain, never the order of lines in the configuration. */
enum phase {
    PHASE_GUARD,
    PHASE_IDENTIFY,
    PHASE_PERMIT,
    PHASE_ADMIT,
    PHASE_SHAPE,
    PHASE_CACHE,
    PHASE_CONTENT,
};

struct filter;
struct filter_ops {
    const char *name; /* of the policy, for explain, log and metrics */
    enum phase phase;
    size_t step_size; /* begins with struct step */
    enum verdict (*request)(struct step *), (*request_body)(struct step *);
    enum verdict (*response)(struct step *), (*response_body)(struct step *);
    void (*done)(struct step *); /* once, however the exchange ended; starts nothing */
    /* The _body slot is called also when the body is longer than the limit (else 413, 502). */
    bool long_request, long_response;
    /* Its stages may stand in a tunnel (WebSocket); those of others are not added there. */
    bool tunnels;
    /* For tunnels and gRPC calls alone; other exchanges are spared it (route.whole). */
    bool rare;
    /* Once for each place on a route, before the snapshot is published and when it is freed: takes
     * and drops what lasts. May be NULL. */
    void (*attach)(struct snapshot *s, const struct filter *f);
    void (*detach)(struct snapshot *s, const struct filter *f);
    /* Answers CORS preflights: they find the route of the method that they ask for. */
    bool preflights;
};

struct filter { /* one configured policy on one route, in the snapshot */
    const struct filter_ops *ops;
    const void *conf;
    struct span place; /* where it is written: "defaults rate_limit", "route shop rate_limit 2";
                        * the same for all that inherit it */
    bool of_plans;     /* from top-level `plans`: a conf of conf by the caller's plan */
    bool observe;      /* mode: observe - evaluate, count, log, let pass */
    bool
        when_fails; /* what `when` counts as where it fails: true for what can refuse and adds up */
    const struct expr *when; /* NULL: always; else the step is skipped where it is not true */
};

struct step {
    struct exchange *x;
    const struct filter *filter;
    struct list ops;
    unsigned char at; /* index in the plan */
    bool called;      /* the request came to it: done() will */
    bool done_called;
};

/* What an exchange runs through: built once, in the snapshot. */
struct back_ops;
struct plan {
    const struct filter *filter;
    unsigned count;
    size_t steps_size; /* of all steps, aligned */
    const struct back_ops *back;
    const void *back_conf;
};

enum { FILTERS_MAX = 24 };
