#include "expr/machine.h"
#include <stdarg.h>
#include <stdio.h>

enum { STACK_NEAR = 16, SLOTS_NEAR = 8, LOOPS_NEAR = 2 };

/* ---- failures ---------------------------------------------------------------------------------
 */

bool machine_fail(struct machine *m, const char *text) {
    m->run->error.text = text;
    return false;
}

bool machine_failf(struct machine *m, const char *format, ...) {
    char text[256];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    char *kept = machine_memory(m, len + 1); /* a loop may absorb many of them */
    if (!kept)
        return false;
    memcpy(kept, text, len);
    kept[len] = 0;
    return machine_fail(m, kept);
}

bool machine_no_operator(struct machine *m, const char *op, const struct value *x,
                         const struct value *y) {
    struct span a = value_type_name(x), b = y ? value_type_name(y) : SPAN("");
    if (!y)
        return machine_failf(m, "there is no `%s` for %.*s", op, SPAN_ARG(a));
    return machine_failf(m, "there is no `%.*s %s %.*s`", SPAN_ARG(a), op, SPAN_ARG(b));
}

bool machine_spend(struct machine *m, uint64_t n) {
    struct expr_call c = {.run = m->run};
    return expr_spend(&c, n);
}

void *machine_memory(struct machine *m, size_t n) {
    struct expr_call c = {.run = m->run};
    return expr_memory(&c, n);
}

bool machine_rethrow(struct machine *m, const struct value *error) {
    const struct expr_error *e = (const struct expr_error *)(const void *)error->p;
    m->run->error = *e;
    return false;
}

static void point_at(struct machine *m, const struct instruction *i) {
    const struct place *p = &m->e->place[i - m->e->code];
    struct expr_error *e = &m->run->error;
    if (e->len)
        return; /* an absorbed one knows its place */
    e->at = p->at;
    e->len = p->len;
}

/* Goes on behind the innermost region around the failed instruction; false: there is none, or the
 * budget is spent, which nothing absorbs. */
static bool absorb(struct machine *m, const struct instruction *failed) {
    uint32_t pc = (uint32_t)(failed - m->e->code);
    const struct region *best = NULL;
    point_at(m, failed);
    if (m->run->steps == 0 || m->run->memory == 0)
        return false;
    for (uint32_t i = 0; i < m->e->regions; i++) {
        const struct region *r = &m->e->region[i];
        if (r->from <= pc && pc < r->to && (!best || r->from >= best->from) &&
            (!best || r->to <= best->to))
            best = r;
    }
    if (!best)
        return false;
    struct expr_error why = m->run->error;
    struct expr_error *kept = machine_memory(m, sizeof *kept);
    if (!kept || !machine_spend(m, 1 + m->e->regions / 16))
        return false;
    *kept = why;
    m->run->error = (struct expr_error){0};
    m->sp = m->stack + best->stack;
    m->loops = best->loops;
    *m->sp++ = (struct value){.kind = VALUE_ERROR, .p = (const char *)(const void *)kept};
    m->ip = m->e->code + best->to;
    return true;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static bool turn(struct machine *m) {
    const struct instruction *end = m->e->code + m->e->count;
    while (m->ip != end) {
        const struct instruction *i = m->ip++;
        if (unlikely(!i->run(m, i)) && !absorb(m, i))
            return false;
    }
    return true;
}

static bool run_far(const struct expr *e, struct expr_run *run, struct value *out) {
    size_t n = (size_t)(e->stack + e->slots + 1) * sizeof(struct value),
           loops = (e->loops + 1u) * sizeof(struct loop_state);
    char *room = arena_try(run->arena, n + loops);
    if (!room) {
        run->memory = 0;
        run->error.text = "no memory";
        return false;
    }
    struct machine m = {.ip = e->code, .run = run, .e = e};
    m.stack = m.sp = (struct value *)(void *)room;
    m.slot = m.stack + e->stack + 1;
    m.loop = (struct loop_state *)(void *)(room + n);
    memset(m.slot, 0, e->slots * sizeof *m.slot);
    if (!turn(&m))
        return false;
    *out = m.sp[-1];
    return true;
}

static bool run_near(const struct expr *e, struct expr_run *run, struct value *out) {
    unzeroed struct value stack[STACK_NEAR], slot[SLOTS_NEAR];
    unzeroed struct loop_state loop[LOOPS_NEAR];
    struct machine m = {e->code, stack, stack, slot, loop, 0, run, e};
    if (!turn(&m))
        return false;
    *out = m.sp[-1];
    return true;
}

bool program_run(const struct expr *e, struct expr_run *run, struct value *out) {
    if (e->stack <= STACK_NEAR && e->slots <= SLOTS_NEAR && e->loops <= LOOPS_NEAR)
        return run_near(e, run, out);
    return run_far(e, run, out);
}

bool expr_eval(const struct expr *e, struct expr_run *run, struct value *out) {
    if (!run->steps)
        run->steps = EXPR_STEPS;
    if (!run->memory)
        run->memory = EXPR_MEMORY;
    run->error = (struct expr_error){0};
    if (e->single) {
        if (run->get(run->ctx, run->arena, e->single, out))
            return true;
        run->error = (struct expr_error){.len = (uint32_t)e->source.n,
                                         .text = arena_text(run->arena, value_span(out))};
        return false;
    }
    if (e->constant) {
        *out = *e->constant;
        return true;
    }
    return program_run(e, run, out);
}

enum expr_truth expr_test(const struct expr *e, struct expr_run *run) {
    struct value v;
    if (!expr_eval(e, run, &v))
        return EXPR_FAILED;
    if (likely(v.kind == VALUE_BOOL))
        return v.b ? EXPR_TRUE : EXPR_FALSE;
    struct span type = value_type_name(&v);
    run->error = (struct expr_error){
        .len = (uint32_t)e->source.n,
        .text = arena_fmt(run->arena, "a bool is needed, and this is %.*s", SPAN_ARG(type))};
    return EXPR_FAILED;
}

/* ---- what a program is ------------------------------------------------------------------------
 */

struct span expr_source(const struct expr *e) {
    return e->source;
}
const struct expr_type *expr_result(const struct expr *e) {
    return e->result;
}
const struct value *expr_constant(const struct expr *e) {
    return e->constant;
}
const struct expr_ref *expr_single(const struct expr *e) {
    return e->single;
}
bool expr_loads(const struct expr *e, int id) {
    for (uint32_t i = 0; i < e->refs; i++)
        if (e->ref[i]->id == id)
            return true;
    return false;
}
