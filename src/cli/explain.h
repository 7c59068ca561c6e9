/*
 * explain - what becomes of one request, worked out with the data plane's own functions: its
 * parser, router, filters and printers. Nothing is sent.
 *
 * Owner: explain_finish. Thread: the first.
 */
#pragma once
#include "cli/command.h"
#include "cli/jout.h"
#include "core/authenticator.h"
#include "core/route_when.h"
#include "core/thread.h"
#include "tls/info.h"

enum { REJECTED_MAX = 64 };

/* What an expression came to. */
struct explained_test {
    enum { TEST_NONE, TEST_TRUE, TEST_FALSE, TEST_FAILED, TEST_CALLER } is;
    const struct expr *expr;
    const char *why; /* FAILED */
};

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
    struct caller caller;                    /* as --claims and --consumer say */
    bool called;                             /* they said something */
    struct explained_test when[FILTERS_MAX]; /* of the policies of route_whole */
    struct explained_test failed;            /* the expression that an answer 500 is about */
    const struct target *target;             /* to a service */
    struct span upstream;                    /* the request as it would be sent */
    int status;                              /* respond, redirect */
    struct span location, body, content_type;
    struct tls_info tls; /* as a client of today would make it, by a listener with TLS */
};

/* False: the command was misused; *code says how it ends. */
bool explain_run(struct cli *c, struct snapshot *s, struct explained *e, int *code);
void explain_finish(struct explained *e);

/* explain_caller.c: who calls, as the options say. False: told what is wrong with them. */
bool explain_caller(struct cli *c, struct explained *e, int *code);
/* Judged without a word to the log. CALLER: it depends on who calls, and nobody said. */
struct explained_test explain_test(const struct explained *e, const struct expr *x);
/* "true", "false", "fails: ..". */
const char *explain_test_text(struct arena *a, const struct explained_test *t);
/* Whether a filter runs, by its `when`. */
bool explain_runs(const struct filter *f, const struct explained_test *t);
struct template_values explain_values(struct explained *e);

void explain_text(struct cli *c, const struct explained *e);
void explain_json(struct cli *c, const struct explained *e);
void explain_print_where(const struct where *w);
void explain_print_setting(const struct setting *s);
void explain_put_where(struct jout *j, const struct where *w);
void explain_put_setting(struct jout *j, const struct setting *s);
void explain_put_shipped(struct jout *j, const struct schema_field *f); /* NULL: nothing */
bool explain_set(const struct setting *s, uint32_t count, const char *key);

/* explain_tls.c: the listener, its certificates for this host; the way to a service. */
void explain_print_listener(const struct explained *e);
void explain_put_listener(struct jout *j, const struct explained *e);
const char *explain_protocol(const struct service_conf *s);
struct span explain_tls_name(const struct service_conf *s);

/* A policy that stands on the route without a word in the file: "{max_message: 4MiB, ..}"; empty:
 * it has no form. */
struct span explain_policy(struct arena *a, const struct filter *f);
/* What `grpc: {web: auto}` came to; NULL: the filter is not about gRPC, or off. */
const char *explain_grpc_web(const struct filter *f);

/* explain_limit.c: what a rate limit counts together, and how much; nothing of other policies. */
void explain_print_limit(const struct explained *e, const struct filter *f);
void explain_put_limits(struct jout *j, const struct explained *e); /* "limits": [..] */
/* explain_quota.c: the same of quotas. */
void explain_print_quota(const struct explained *e, const struct filter *f);
void explain_put_quotas(struct jout *j, const struct explained *e); /* "quotas": [..] */

/* "header x-beta" of a miss, and what was wanted. */
const char *explain_why(const struct miss *m);

/* The i-th setting of a route, or of a service, if nobody set it; NULL: it is set, or is not there
 * yet. */
extern const unsigned explain_shipped_count, explain_service_shipped_count;
const struct schema_field *explain_shipped(const struct route *r, unsigned i);
const struct schema_field *explain_service_shipped(const struct service_conf *s, unsigned i);
