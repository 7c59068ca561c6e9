/*
 * function - how the functions of CEL and its extensions are brought to the compiler: const tables.
 *
 * A signature is written as CEL people write it: "string.startsWith(string) -> bool" a member,
 * "size(list<dyn>) -> int" a plain one, "math.greatest(dyn...) -> dyn" variadic (namespaced names
 * are plain functions), "A" and "B" are type parameters: "list<A>.first() -> optional<A>". Types
 * are dyn null bool int uint double string bytes list<A> map<A, B> type duration timestamp
 * optional<A> net.IP net.CIDR; what stands before the name's last dot and is none of them is a
 * namespace. Overloads of a name stand one after the other; the checker takes those that fit; with
 * dyn arguments the choice is made at run time by the values' kinds. Errors become the expression's
 * (absorbed by && and || as the language says). Owner: const tables. Thread: any.
 */
#pragma once
#include "expr/expr.h"

struct expr_call {
    struct expr_run *run;
    const struct value *arg; /* the receiver first; VALUE_NUMBER is settled already */
    unsigned args;
    struct value *out;
    const void *prepared; /* what prepare() made; NULL */
};

struct expr_function {
    const char *signature;
    bool (*fn)(struct expr_call *c); /* false: expr_fail was called */
    /* At compile time, where its last argument is constant: a compiled pattern, a parsed format.
     * NULL in *out is fine; a sentence: the error, at that argument. May be NULL. */
    const char *(*prepare)(struct arena *a, const struct expr_scope *s,
                           const struct value *constant, const void **out);
    bool varies; /* depends on more than its arguments: never folded */
};

/* Ends with a NULL signature each; the list ends with NULL. */
extern const struct expr_function *const expr_library[];

/* `return expr_fail(c, "..")`: static, or in the run's arena (expr_failf). */
bool expr_fail(struct expr_call *c, const char *text);
/* Of what is printed the first 255 bytes are kept. */
bool expr_failf(struct expr_call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `n` units of work beyond the call itself (bytes looked at / 16, elements); false: the budget is
 * spent (steps is 0) and the call has failed. */
bool expr_spend(struct expr_call *c, uint64_t n);
/* Memory for the result, counted; NULL: too much (memory is 0), the call has failed. */
void *expr_memory(struct expr_call *c, size_t n);
