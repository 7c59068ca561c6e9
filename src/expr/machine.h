/* machine - one run of a program: its stack, variables and loops. Owner: the caller's stack. */
#pragma once
#include "expr/program.h"

struct loop_state {
    struct value range;
    uint32_t at, count, hits;
    enum loop_kind kind;
    bool stopped;       /* all, exists: decided */
    struct value error; /* the first that was absorbed; null: none */
    struct value *item;
    struct value_member *member;
    uint32_t made, cap;
};

struct machine {
    const struct instruction *ip;
    struct value *sp; /* the next free place */
    struct value *stack, *slot;
    struct loop_state *loop;
    uint32_t loops;
    struct expr_run *run;
    const struct expr *e;
};

bool machine_fail(struct machine *m, const char *text);
bool machine_failf(struct machine *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool machine_no_operator(struct machine *m, const char *op, const struct value *x,
                         const struct value *y);
bool machine_spend(struct machine *m, uint64_t steps);
void *machine_memory(struct machine *m, size_t n);
/* An error that was absorbed is the failure after all. */
bool machine_rethrow(struct machine *m, const struct value *error);
/* x's member, element or optional's; false: failed, or (missing not NULL) not there. */
bool machine_member(struct machine *m, const struct value *x, const struct value *key,
                    struct value *out, bool *missing);
