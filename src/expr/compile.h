/*
 * compile - from trees to programs, in one pass: names, macros, types, constants, code.
 *
 * A stack of tasks walks the tree (nothing recurses); a node's task is called again after each of
 * its parts. Beside the machine's stack the compiler keeps what it knows of every place on it:
 * type, and whether it is constant. Constant code is run at once and replaced by its value. Thread:
 * one.
 */
#pragma once
#include "expr/program.h"
#include "expr/tree.h"

struct known {
    const struct expr_type *type;
    bool constant;
    uint32_t from; /* first instruction */
};
struct local { /* a variable of a macro */
    struct span name;
    uint16_t slot;
    const struct expr_type *type;
    bool constant;
};
struct compiler;
struct task {
    bool (*run)(struct compiler *c, struct task *t); /* false: it is finished */
    struct tree *n;
    unsigned stage;
    uint32_t mark[4]; /* the node's own: places of jumps */
    const void *p;
    uint16_t slot;
    uint16_t locals; /* height when it began */
};

enum { TASKS_MAX = 4096, LOCALS_MAX = 512, CODE_MAX = 1 << 20, REFS_MAX = 4096 };

struct compiler {
    struct arena *a, *tmp;
    struct span source;
    const struct expr_scope *scope;
    struct expr_error *err;
    bool failed;
    struct instruction *code;
    struct place *place;
    uint32_t count, cap;
    struct region *region;
    uint32_t regions, regions_cap;
    struct known *known;
    uint32_t depth, depth_cap, depth_max;
    struct local local[LOCALS_MAX];
    uint16_t locals, slots, loops, loops_max;
    struct task *task;
    uint32_t tasks, tasks_cap;
    const struct expr_ref **ref;
    uint32_t refs, refs_cap;
    uint64_t fold_steps; /* left for constants; 0: they are computed when the program runs */
    size_t fold_memory;
};

/* compile.c */
void compile_fail(struct compiler *c, const struct tree *n, const char *text);
void compile_failf(struct compiler *c, const struct tree *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct instruction *emit(struct compiler *c, const struct tree *n,
                         bool (*run)(struct machine *, const struct instruction *));
/* Makes the jump of the instruction at `from` lead here. */
void land(struct compiler *c, uint32_t from);
void push_known(struct compiler *c, const struct expr_type *type, bool constant, uint32_t from);
struct known *top_known(struct compiler *c, unsigned below);
/* Takes `n` places away and puts one there: constant if they all were. */
void replace_known(struct compiler *c, unsigned n, const struct expr_type *type);
void add_region(struct compiler *c, uint32_t from, uint32_t stack);
void visit(struct compiler *c, struct tree *n);
void begin_task(struct compiler *c, struct tree *n, bool (*run)(struct compiler *, struct task *),
                const void *p);
/* The code of the topmost place is run at once where it is constant. */
void fold(struct compiler *c, const struct tree *n);
/* The topmost place's value where its code is a single constant; NULL. */
const struct value *top_constant(struct compiler *c, unsigned below);
bool push_local(struct compiler *c, const struct tree *n, struct span name, uint16_t slot,
                const struct expr_type *type);
uint16_t new_slots(struct compiler *c, unsigned n);
void put_constant(struct compiler *c, const struct tree *n, struct value v,
                  const struct expr_type *type);
const struct expr_type *type_of_value(const struct value *v);

/* Kinds of types as bits; dyn is any of them. */
#define K(kind) (1u << EXPR_##kind)
enum { NUMBERS = K(INT) | K(UINT) | K(DOUBLE), TIMES = K(TIMESTAMP) | K(DURATION) };
static inline bool is_kind(const struct expr_type *t, uint32_t kinds) {
    return t->kind == EXPR_DYN || (kinds >> t->kind & 1);
}

/* compile_operator.c */
void visit_operator(struct compiler *c, struct tree *n);
bool select_task(struct compiler *c, struct task *t);
/* compile_name.c: a name, or a chain of selections that begins with one. */
bool name_task(struct compiler *c, struct tree *n);
bool index_of_direct(struct compiler *c, struct tree *n);
/* compile_call.c */
bool call_task(struct compiler *c, struct task *t);
/* compile_message.c */
bool message_task(struct compiler *c, struct task *t);
/* compile_macro.c: false: it is none. */
bool macro_begin(struct compiler *c, struct tree *n);
/* cel.iterVar(0, 1) or a plain name, as a variable's name; {NULL, 0}: neither. */
struct span variable_name(struct compiler *c, const struct tree *n);
const struct local *find_local(struct compiler *c, struct span name);
/* The next name by the container's rules, outermost last: begins with *container as the scope has
 * it, false when there is no more. */
bool next_container(struct span *container);
/* compile_name.c, for calls and macros */
bool names_field(struct compiler *c, const struct tree *n);
bool names_variable(struct compiler *c, const struct tree *n);
struct span dotted_name(struct compiler *c, const struct tree *n, struct span last);
void guess_function(struct compiler *c, struct span name);
