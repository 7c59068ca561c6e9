/*
 * facts - the names that expressions and templates may use, and what they are worth in an exchange.
 *
 * Always: request.{method scheme host path id protocol size time headers query}, header, query,
 * cookie, path, client.{ip port tls.{version sni subject san verified}}, route.name. By scope:
 * service.name, error.{code status detail who}, claim and consumer.{name plan groups tags} behind
 * authenticate, request.body where the policy that asks has waited for it, response.{status headers
 * duration}. Thread: any.
 */
#pragma once
#include "core/exchange.h"
#include "expr/template.h"

enum fact_scope {
    SCOPE_REQUEST = 1,
    SCOPE_SERVICE = 2,
    SCOPE_ERROR = 4,
    SCOPE_CALLER = 8,    /* claim, consumer */
    SCOPE_BODY = 16,     /* request.body: the policy collects it first (facts_body) */
    SCOPE_RESPONSE = 32, /* response */
};
/* For expr_loads: what a policy must have first. */
enum { FACT_BODY_ID = 1, FACT_CLAIM_ID, FACT_CONSUMER_FIRST_ID, FACT_CONSUMER_LAST_ID = 6 };

/* The scope for a place in the configuration: `captures` are the route's (NULL: none, path.x is an
 * error). */
struct fact_captures {
    const struct span *name;
    const bool *tail;
    uint32_t count;
};
/* What is known when the file is read and stays so: top-level `vars`, `env`. */
struct fact_constants {
    struct value vars;                               /* a map */
    const char *(*env)(void *ctx, struct span name); /* NULL: unset */
    void (*used)(void *ctx, struct span name);       /* of a variable */
    void *ctx;
};
enum { FACT_NAMES_MAX = 16 };
struct facts_names {
    struct expr_scope scope; /* for the compiler; its ctx is this */
    struct expr_name name[FACT_NAMES_MAX];
    struct expr_type request;
    struct expr_name request_field[FACT_NAMES_MAX];
    const struct fact_captures *captures;
    const struct fact_constants *constants; /* NULL: neither env nor vars */
    unsigned scopes;
    /* Whoever frees the constant regular expressions of the snapshot. */
    void (*keep)(void *ctx, struct regex *r);
    void *keep_ctx;
    const char *no_caller; /* why claim and consumer are not known here; NULL: no authenticate */
};
void facts_names(struct facts_names *out, unsigned scopes, const struct fact_captures *captures);
/* Makes `vars` and `env` known too. */
void facts_constants(struct facts_names *out, const struct fact_constants *c);

/* Values of one exchange. */
struct template_values facts_values(struct exchange *x);
/* A condition in an exchange. A failure is counted and logged (at most a few lines a second). */
enum expr_truth facts_test(struct exchange *x, const struct expr *e);
/* The same for any expression's value. */
must_use bool facts_eval(struct exchange *x, const struct expr *e, struct value *out);
/* Counts and logs that an expression of the configuration failed. */
void facts_failed(struct exchange *x, struct span source, const struct expr_error *err);
/* For a policy's request_body slot: what was collected becomes request.body. False: it is no JSON
 * (or over a limit): then request.body is an error where it is asked for. */
bool facts_body(struct exchange *x);
