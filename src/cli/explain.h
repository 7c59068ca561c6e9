/*
 * explain - what becomes of one request, worked out with the data plane's own functions: its
 * parser, router, filters and printers. Nothing is sent.
 *
 * Owner: explain_finish. Thread: the first.
 */
#pragma once
#include "cli/command.h"
#include "core/route.h"
#include "core/thread.h"

enum { REJECTED_MAX = 64 };

struct explained {
    struct snapshot *s;
    const struct listener_conf *listener;
    struct thread *thread;
    struct snapshot_ref ref;
    struct exchange *x;
    struct span url;  /* as the request line has it, for people */
    enum fault fault; /* the gateway's own answer instead; FAULT_NONE: none */
    struct route_found found;
    struct miss *rejected; /* of other routes */
    uint32_t rejected_count, rejected_more;
    const struct target *target; /* to a service */
    struct span upstream;        /* the request as it would be sent */
    int status;                  /* respond, redirect */
    struct span location, body, content_type;
};

/* False: the command was misused; *code says how it ends. */
bool explain_run(struct cli *c, struct snapshot *s, struct explained *e, int *code);
void explain_finish(struct explained *e);

void explain_text(struct cli *c, const struct explained *e);
void explain_json(struct cli *c, const struct explained *e);
/* "header x-beta" of a miss, and what was wanted. */
const char *explain_why(const struct miss *m);

/* The i-th setting of a route, or of a service, if nobody set it; NULL: it is set, or is not there
 * yet. */
extern const unsigned explain_shipped_count, explain_service_shipped_count;
const struct schema_field *explain_shipped(const struct route *r, unsigned i);
const struct schema_field *explain_service_shipped(const struct service_conf *s, unsigned i);
