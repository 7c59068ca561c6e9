/*
 * expr - CEL, the Common Expression Language: compiled and checked once, evaluated for every
 * request.
 *
 * expr_compile parses (google/cel-spec, doc/langdef.md), expands macros, checks types against the
 * names in scope, folds what is constant and makes a compact program. expr_eval runs it: no
 * recursion, every step and every byte that a function makes is counted against a budget, so
 * neither an author nor a caller can make it run away. The room stands on base and data alone, as a
 * library would.
 *
 * A name is a variable ("claim", dyn), or an object of fixed fields that have no value of their own
 * ("request.method"; object in object: "client.tls.sni"). A field is one load: the host is asked
 * with its id. A map with `direct` is asked by a constant key in one step: header["x"], path.id.
 * Owner: compiled programs lie in the arena given (regular expressions in what `keep` was told of).
 * Thread: compile one; then read by all.
 */
#pragma once
#include "data/value.h"

struct regex;

enum expr_type_kind {
    EXPR_DYN,
    EXPR_NULL,
    EXPR_BOOL,
    EXPR_INT,
    EXPR_UINT,
    EXPR_DOUBLE,
    EXPR_STRING,
    EXPR_BYTES,
    EXPR_LIST,
    EXPR_MAP,
    EXPR_TYPE,
    EXPR_DURATION,
    EXPR_TIMESTAMP,
    EXPR_OPTIONAL,
    EXPR_IP,
    EXPR_CIDR,
    EXPR_OBJECT /* fixed fields; never a value itself */
};
struct expr_type {
    enum expr_type_kind kind;
    const struct expr_type *of;    /* LIST, OPTIONAL: element; MAP: value; NULL: dyn */
    const struct expr_type *key;   /* MAP; NULL: dyn */
    const struct expr_name *field; /* OBJECT; ends with a NULL name */
    bool direct;                   /* MAP: a constant key is loaded in one step */
};
extern const struct expr_type expr_dyn, expr_bool, expr_int, expr_uint, expr_double, expr_string,
    expr_bytes, expr_timestamp, expr_duration, expr_ip, expr_list_dyn, expr_list_string,
    expr_map_dyn;

struct expr_name {
    const char *name; /* "request"; a dotted one is fine: "a.b" */
    const struct expr_type *type;
    int id; /* the host's number; of an OBJECT: not used */
};

/* What a program loads: a name, or one member of a direct map. */
struct expr_ref {
    int id;
    struct span key; /* {NULL, 0}: the name itself */
    int slot;        /* chosen by check (capture number, ...) */
    bool tail;       /* likewise: see expr/template.h */
};

struct expr_scope {
    const struct expr_name *name; /* the first that fits, by longest dotted name */
    size_t count;
    /* Judges a load with a constant key ("path.idd" where no such capture is; header names become
     * lower-case), sets key, slot, tail; returns a sentence in the arena for the error, or NULL. */
    const char *(*check)(void *ctx, struct arena *a, struct expr_ref *ref);
    /* A name that is not in scope here: why, and what to do ("`claim` is known where `authenticate`
     * stands"); NULL: nothing special, the compiler guesses what was meant. */
    const char *(*missing)(void *ctx, struct arena *a, struct span name);
    void (*keep)(void *ctx, struct regex *r); /* a constant pattern was compiled: who frees it */
    void *ctx;
    struct span container; /* of the conformance cases; else empty */
    bool no_check, no_macros;
    bool no_fold; /* what is constant is computed by every run: for tests that compare */
};

struct expr_error {
    size_t at, len;   /* bytes of the source; len at least 1 */
    const char *text; /* one sentence without full stop, in the arena or static */
    const char *help; /* what to write instead, or NULL */
};

struct expr;

/* NULL: *err says why. `source` is copied. */
must_use const struct expr *expr_compile(struct arena *a, struct span source,
                                         const struct expr_scope *scope, struct expr_error *err);
struct span expr_source(const struct expr *e);
/* What the checker found it to be (DYN: only known at run time). */
const struct expr_type *expr_result(const struct expr *e);
/* Its value where it depends on nothing; NULL. */
const struct value *expr_constant(const struct expr *e);
/* The load that is all of it; NULL. */
const struct expr_ref *expr_single(const struct expr *e);
/* Whether it loads the name with this id anywhere: a loader asks what a policy depends on. */
bool expr_loads(const struct expr *e, int id);

enum { EXPR_STEPS = 100000, EXPR_MEMORY = 4 * 1024 * 1024, EXPR_SOURCE_MAX = 64 * 1024 };

/* One evaluation: filled by the caller, small enough for his stack. */
struct expr_run {
    struct arena *arena;
    /* What a name is worth. False: out is a VALUE_ERROR. */
    bool (*get)(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out);
    void *ctx;
    uint64_t steps; /* left; 0 at the start: EXPR_STEPS */
    size_t memory;  /* left; 0 at the start: EXPR_MEMORY */
    struct expr_error error;
};
/* False: it failed, run->error says why and where. */
must_use bool expr_eval(const struct expr *e, struct expr_run *run, struct value *out);

/* A bool; anything else and every failure is EXPR_FAILED (run->error says why). */
enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_FAILED };
enum expr_truth expr_test(const struct expr *e, struct expr_run *run);

/* The byte behind the "}" that ends the ${ at `at`, found by CEL's tokens (braces, quotes and
 * comments inside are fine); 0: it is never closed. */
size_t expr_template_end(struct span source, size_t at);
