/*
 * program - what the compiler makes and the machine runs: instructions with a function each.
 *
 * Every program's stack, variables and loops are counted when it is compiled, so that a run takes
 * them from the caller's stack at once. Straight code is as long as its source is; only loops and
 * functions draw from the budget. A region is code whose failure an operator may absorb (the sides
 * of && and ||, the body of all and exists): the failure becomes a value on the stack and the run
 * goes on behind it. Owner: the compiled expression's arena. Thread: read by all.
 */
#pragma once
#include "expr/function.h"

enum { PARAMETERS_MAX = 8 };

struct machine;
struct instruction {
    bool (*run)(struct machine *m, const struct instruction *i);
    const void *p;
    int32_t jump; /* relative to the next instruction */
    uint16_t n;
    uint8_t k;
};
struct region {
    uint32_t from, to; /* [from, to); goes on at `to` */
    uint16_t stack, loops;
};
struct place { /* of an instruction in the source */
    uint32_t at, len;
};

/* A function as the table names it, read once. */
struct overload {
    struct span name; /* "startsWith", "math.greatest" */
    bool member, variadic;
    unsigned args; /* with the receiver */
    const struct expr_type *type[PARAMETERS_MAX];
    uint32_t kinds[PARAMETERS_MAX]; /* bit per enum value_kind that fits */
    const struct expr_type *result;
    const struct expr_function *function;
};
struct call_site {
    struct span name;
    const struct overload *const *overload;
    const void *const *prepared; /* beside overload */
    uint32_t count;
};

struct expr {
    const struct instruction *code;
    const struct place *place;
    uint32_t count;
    const struct region *region;
    uint32_t regions;
    uint16_t stack, slots, loops;
    struct span source;
    const struct expr_type *result;
    const struct value *constant;
    const struct expr_ref *single;
    const struct expr_ref **ref; /* all that it loads */
    uint32_t refs;
};

enum loop_kind { LOOP_ALL, LOOP_EXISTS, LOOP_ONE, LOOP_LIST, LOOP_FILTER, LOOP_MAP, LOOP_ENTRIES };

/* What a field of protobuf's well-known messages holds: op_wrap's k. */
enum wrapped {
    WRAP_INT32,
    WRAP_INT64,
    WRAP_UINT32,
    WRAP_UINT64,
    WRAP_FLOAT,
    WRAP_DOUBLE,
    WRAP_BOOL,
    WRAP_STRING,
    WRAP_BYTES,
    WRAP_NULL,
    WRAP_LIST,
    WRAP_MAP
};

/* The instructions; those of loops in loop.c. */
typedef bool program_op(struct machine *m, const struct instruction *i);
program_op op_constant, op_load, op_local, op_store, op_drop, op_fail, op_select, op_maybe_select,
    op_has, op_index, op_maybe_index, op_not, op_negate, op_add, op_subtract, op_multiply,
    op_divide, op_modulo, op_equal, op_differ, op_equal_const, op_differ_const, op_less,
    op_less_equal, op_greater, op_greater_equal, op_in, op_jump, op_jump_false, op_and_left,
    op_and_, op_or_left, op_or_, op_list, op_map, op_call, op_wrap, op_moment, op_open_optional,
    op_optional_of, op_or_else, op_optional_only, op_loop_start, op_loop_next, op_loop_skip,
    op_loop_step, op_loop_end;

/* signature.c: overloads of a name, sorted by name; NULL: there is none. */
const struct overload *overloads_of(struct span name, uint32_t *count);
/* The n-th name of all, for guesses; {NULL, 0}: no more. */
struct span overload_name(uint32_t i);
/* type.c */
const char *type_shown(struct arena *a, const struct expr_type *t);
uint32_t type_kinds(const struct expr_type *t);
/* Whether a value of type `have` may stand where `want` is asked for (dyn fits everything). */
bool type_fits(const struct expr_type *have, const struct expr_type *want);
const struct expr_type *type_list(struct arena *a, const struct expr_type *of);
const struct expr_type *type_optional(struct arena *a, const struct expr_type *of);
/* The type a name of the language denotes ("int", "google.protobuf.Timestamp"); NULL. */
const char *type_named(struct span name);
bool program_run(const struct expr *e, struct expr_run *run, struct value *out);
