/*
 * eval - what `sluice eval` is made of: an expression with the names that a file gives, and files
 * of cases.
 *
 * Owner: the caller's; everything lies in the arena but compiled regular expressions, which
 * eval_finish frees. Thread: the first.
 */
#pragma once
#include "conf/diag.h"
#include "expr/expr.h"

struct eval_pattern;

struct eval {
    struct arena *a;
    struct value with; /* a map: names and what they are worth */
    struct expr_scope scope;
    struct eval_pattern *patterns;
    struct expr_error error;
    bool compiled; /* the error is one of values, not of the text */
};

/* *e holds an arena and `with`. Then the scope can be changed. */
void eval_init(struct eval *e);
void eval_finish(struct eval *e);
/* False: e->error says why. */
must_use bool eval_run(struct eval *e, struct span source, struct value *out);

/* The place of a byte range in a text: lines and columns in characters. */
struct mark eval_mark(uint32_t file, struct span text, size_t at, size_t len);

/* A tagged value of the cases ({"int":"1"}), made into what it stands for. NULL, or what is wrong
 * with it. */
const char *eval_untag(struct arena *a, const struct value *tagged, struct value *out);
/* The same value of the same type, deep; NaN is NaN, the order of members does not matter. */
bool eval_same(struct arena *a, const struct value *want, const struct value *got);

/* Runs a file of cases, prints failures and the sum; returns the exit code. */
int eval_cases(const char *path, bool json);
