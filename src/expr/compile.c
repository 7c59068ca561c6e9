#include "expr/compile.h"
#include <stdarg.h>
#include <stdio.h>

/* For all that is constant in one source. */
enum { FOLD_STEPS = 200000, FOLD_MEMORY = 512 * 1024 };

/* ---- messages ---------------------------------------------------------------------------------
 */

void compile_fail(struct compiler *c, const struct tree *n, const char *text) {
    if (c->failed)
        return;
    c->failed = true;
    *c->err = (struct expr_error){
        .at = n->at, .len = n->len ? n->len : 1, .text = text, .help = c->err->help};
}

void compile_failf(struct compiler *c, const struct tree *n, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t size = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    compile_fail(c, n, arena_text(c->a, span_of(text, size)));
}

/* ---- what grows -------------------------------------------------------------------------------
 */

static void *more(struct compiler *c, void *old, uint32_t *cap, size_t size) {
    uint32_t bigger = *cap ? *cap * 2 : 32;
    void *p = arena_zero(c->tmp, bigger * size);
    if (*cap)
        memcpy(p, old, *cap * size);
    *cap = bigger;
    return p;
}

struct instruction *emit(struct compiler *c, const struct tree *n,
                         bool (*run)(struct machine *, const struct instruction *)) {
    if (c->count == c->cap) {
        uint32_t cap = c->cap;
        c->code = more(c, c->code, &cap, sizeof *c->code);
        c->place = more(c, c->place, &c->cap, sizeof *c->place);
    }
    if (c->count == CODE_MAX)
        compile_fail(c, n, "the expression is too large");
    uint32_t at = c->count < CODE_MAX ? c->count++ : CODE_MAX - 1;
    c->code[at] = (struct instruction){.run = run};
    c->place[at] = (struct place){n->at, n->len ? n->len : 1};
    return &c->code[at];
}

void land(struct compiler *c, uint32_t from) {
    c->code[from].jump = (int32_t)(c->count - from - 1);
}

void push_known(struct compiler *c, const struct expr_type *type, bool constant, uint32_t from) {
    if (c->depth == c->depth_cap)
        c->known = more(c, c->known, &c->depth_cap, sizeof *c->known);
    c->known[c->depth++] = (struct known){type, constant, from};
    if (c->depth > c->depth_max)
        c->depth_max = c->depth;
    if (c->depth_max > UINT16_MAX / 2)
        compile_fail(c, &(struct tree){0}, "the expression is too large");
}

struct known *top_known(struct compiler *c, unsigned below) {
    return &c->known[c->depth - 1 - below];
}

void replace_known(struct compiler *c, unsigned n, const struct expr_type *type) {
    bool constant = true;
    uint32_t from = n ? top_known(c, n - 1)->from : c->count - 1;
    for (unsigned i = 0; i < n; i++)
        constant &= top_known(c, i)->constant;
    c->depth -= n;
    push_known(c, type, constant, from);
}

void add_region(struct compiler *c, uint32_t from, uint32_t stack) {
    if (c->regions == c->regions_cap)
        c->region = more(c, c->region, &c->regions_cap, sizeof *c->region);
    c->region[c->regions++] = (struct region){from, c->count, (uint16_t)stack, c->loops};
}

void begin_task(struct compiler *c, struct tree *n, bool (*run)(struct compiler *, struct task *),
                const void *p) {
    if (c->tasks == TASKS_MAX) {
        compile_fail(c, n, "the expression is nested too deeply");
        return;
    }
    if (c->tasks == c->tasks_cap)
        c->task = more(c, c->task, &c->tasks_cap, sizeof *c->task);
    c->task[c->tasks++] = (struct task){.run = run, .n = n, .p = p, .locals = c->locals};
}

uint16_t new_slots(struct compiler *c, unsigned n) {
    uint16_t first = c->slots;
    c->slots = (uint16_t)(c->slots + n);
    if (c->slots > 1024)
        compile_fail(c, &(struct tree){0}, "the expression has too many variables");
    return first;
}

bool push_local(struct compiler *c, const struct tree *n, struct span name, uint16_t slot,
                const struct expr_type *type) {
    if (c->locals == LOCALS_MAX) {
        compile_fail(c, n, "macros are nested too deeply");
        return false;
    }
    c->local[c->locals++] = (struct local){.name = name, .slot = slot, .type = type};
    return true;
}

/* ---- constants --------------------------------------------------------------------------------
 */

const struct expr_type *type_of_value(const struct value *v) {
    static const struct expr_type null_type = {.kind = EXPR_NULL}, type_type = {.kind = EXPR_TYPE};
    switch ((unsigned)v->kind) {
    case VALUE_NULL:
        return &null_type;
    case VALUE_BOOL:
        return &expr_bool;
    case VALUE_INT:
        return &expr_int;
    case VALUE_UINT:
        return &expr_uint;
    case VALUE_DOUBLE:
        return &expr_double;
    case VALUE_STRING:
        return &expr_string;
    case VALUE_BYTES:
        return &expr_bytes;
    case VALUE_TYPE:
        return &type_type;
    default:
        return &expr_dyn;
    }
}

void put_constant(struct compiler *c, const struct tree *n, struct value v,
                  const struct expr_type *type) {
    struct value *kept = arena_alloc(c->a, sizeof *kept);
    *kept = v;
    emit(c, n, op_constant)->p = kept;
    push_known(c, type, true, c->count - 1);
}

const struct value *top_constant(struct compiler *c, unsigned below) {
    const struct known *k = top_known(c, below);
    const struct instruction *i = &c->code[k->from];
    uint32_t end = below ? top_known(c, below - 1)->from : c->count;
    return k->constant && end == k->from + 1 && i->run == op_constant ? i->p : NULL;
}

static bool no_names(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    (void)ctx;
    (void)a;
    (void)ref;
    *out = value_text(VALUE_ERROR, SPAN("not constant"));
    return false;
}

void fold(struct compiler *c, const struct tree *n) {
    struct known k = *top_known(c, 0);
    if (c->failed || !k.constant || c->count - k.from < 2)
        return;
    if (!c->fold_steps || !c->fold_memory) {
        top_known(c, 0)->constant = false;
        return;
    }
    uint32_t first = c->regions;
    while (first && c->region[first - 1].from >= k.from)
        first--;
    struct region *own = arena_alloc(c->tmp, (c->regions - first + 1) * sizeof *own);
    for (uint32_t i = first; i < c->regions; i++) {
        own[i - first] = c->region[i];
        own[i - first].from -= k.from;
        own[i - first].to -= k.from;
        own[i - first].stack = (uint16_t)(own[i - first].stack - (c->depth - 1));
        own[i - first].loops = (uint16_t)(own[i - first].loops - c->loops);
    }
    struct expr e = {.code = c->code + k.from,
                     .place = c->place + k.from,
                     .count = c->count - k.from,
                     .region = own,
                     .regions = c->regions - first,
                     .stack = (uint16_t)(c->depth_max + 1),
                     .slots = c->slots,
                     .loops = (uint16_t)(c->loops_max + 1)};
    struct expr_run run = {
        .arena = c->a, .get = no_names, .steps = c->fold_steps, .memory = c->fold_memory};
    struct value v;
    bool fine = program_run(&e, &run, &v);
    c->fold_steps = run.steps;
    c->fold_memory = run.memory;
    if (!fine) {
        top_known(c, 0)->constant = false; /* it fails when it is asked for */
        return;
    }
    c->count = k.from;
    c->regions = first;
    c->depth--;
    put_constant(c, n, v, k.type->kind == EXPR_DYN ? type_of_value(&v) : k.type);
    /* What was dyn by the author's word stays so. */
    top_known(c, 0)->type = k.type;
}

/* ---- lists and maps ---------------------------------------------------------------------------
 */

static const struct expr_type *common(struct compiler *c, unsigned n, unsigned step) {
    const struct expr_type *t = n ? top_known(c, 0)->type : &expr_dyn;
    for (unsigned i = 0; i < n; i += step)
        if (top_known(c, i)->type->kind != t->kind)
            return &expr_dyn;
    return t;
}

/* What stands behind a "?" is an optional. */
static bool is_optional(struct compiler *c, const struct tree *n) {
    const struct expr_type *t = top_known(c, 0)->type;
    if (c->scope->no_check || t->kind == EXPR_OPTIONAL || t->kind == EXPR_DYN)
        return true;
    compile_failf(c, n, "behind `?` an optional is needed, and this is %s", type_shown(c->tmp, t));
    return false;
}

static bool list_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n;
    if (t->stage && n->maybe && n->maybe[t->stage - 1] && !is_optional(c, n->child[t->stage - 1]))
        return false;
    if (t->stage < n->count) {
        visit(c, n->child[t->stage++]);
        return true;
    }
    const struct expr_type *type =
        type_list(c->a, n->maybe || c->scope->no_check ? &expr_dyn : common(c, n->count, 1));
    bool *maybe = NULL;
    if (n->maybe)
        maybe = memcpy(arena_alloc(c->a, n->count + 1), n->maybe, n->count);
    struct instruction *i = emit(c, n, op_list);
    i->n = (uint16_t)n->count;
    i->p = maybe;
    replace_known(c, n->count, type);
    if (n->count == 0) {
        c->depth--;
        c->count--;
        put_constant(c, n, (struct value){.kind = VALUE_LIST}, &expr_list_dyn);
        return false;
    }
    fold(c, n);
    return false;
}

static bool map_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n;
    bool entry = t->stage && t->stage % 2 == 0;
    if (entry && n->maybe && n->maybe[t->stage - 2] && !is_optional(c, n->child[t->stage - 1]))
        return false;
    if (t->stage < n->count) {
        visit(c, n->child[t->stage++]);
        return true;
    }
    if (n->count == 0) {
        put_constant(c, n, (struct value){.kind = VALUE_MAP}, &expr_map_dyn);
        return false;
    }
    struct expr_type *type = arena_zero(c->a, sizeof *type);
    bool *maybe = NULL;
    type->kind = EXPR_MAP;
    type->of = n->maybe || c->scope->no_check ? &expr_dyn : common(c, n->count, 2);
    if (n->maybe)
        maybe = memcpy(arena_alloc(c->a, n->count + 1), n->maybe, n->count);
    struct instruction *i = emit(c, n, op_map);
    i->n = (uint16_t)(n->count / 2);
    i->p = maybe;
    replace_known(c, n->count, type);
    fold(c, n);
    return false;
}

/* ---- the walk ---------------------------------------------------------------------------------
 */

/* Texts of the source live as long as the program. */
static struct value kept(struct compiler *c, struct value v) {
    if (v.kind == VALUE_STRING || v.kind == VALUE_BYTES)
        return value_text((enum value_kind)v.kind, arena_span(c->a, value_span(&v)));
    return v;
}

void visit(struct compiler *c, struct tree *n) {
    if (c->failed)
        return;
    switch (n->kind) {
    case NODE_LITERAL:
        put_constant(c, n, kept(c, n->value), type_of_value(&n->value));
        break;
    case NODE_NAME:
        name_task(c, n);
        break;
    case NODE_SELECT:
        if (!name_task(c, n))
            begin_task(c, n, select_task, NULL);
        break;
    case NODE_CALL:
        if (!macro_begin(c, n))
            begin_task(c, n, call_task, NULL);
        break;
    case NODE_OPERATOR:
        visit_operator(c, n);
        break;
    case NODE_LIST:
        begin_task(c, n, list_task, NULL);
        break;
    case NODE_MAP:
        begin_task(c, n, map_task, NULL);
        break;
    case NODE_MESSAGE:
        begin_task(c, n, message_task, NULL);
        break;
    }
}

static void walk(struct compiler *c, struct tree *root) {
    visit(c, root);
    while (c->tasks && !c->failed) {
        uint32_t at = c->tasks - 1;
        struct task t = c->task[at]; /* the array may move while it runs */
        bool again = t.run(c, &t);
        if (c->failed)
            break;
        if (again) {
            c->task[at] = t;
            continue;
        }
        /* What it began last stands above it and takes its place in the order. */
        for (uint32_t i = at; i + 1 < c->tasks; i++)
            c->task[i] = c->task[i + 1];
        c->tasks--;
    }
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void *keep(struct arena *a, const void *p, size_t n) {
    void *copy = arena_alloc(a, n ? n : 1);
    return n ? memcpy(copy, p, n) : copy;
}

static struct expr *finish(struct compiler *c) {
    struct expr *e = arena_zero(c->a, sizeof *e);
    *e = (struct expr){.code = keep(c->a, c->code, c->count * sizeof *c->code),
                       .place = keep(c->a, c->place, c->count * sizeof *c->place),
                       .count = c->count,
                       .region = keep(c->a, c->region, c->regions * sizeof *c->region),
                       .regions = c->regions,
                       .stack = (uint16_t)(c->depth_max + 1),
                       .slots = c->slots,
                       .loops = c->loops_max,
                       .source = arena_span(c->a, c->source),
                       .result = top_known(c, 0)->type,
                       .constant = top_constant(c, 0),
                       .ref = keep(c->a, c->ref, c->refs * sizeof *c->ref),
                       .refs = c->refs};
    if (e->count == 1 && e->code[0].run == op_load)
        e->single = e->code[0].p;
    return e;
}

const struct expr *expr_compile(struct arena *a, struct span source, const struct expr_scope *scope,
                                struct expr_error *err) {
    struct arena tmp;
    struct expr_error unused;
    struct expr *e = NULL;
    arena_init(&tmp, NULL);
    err = err ? err : &unused;
    *err = (struct expr_error){0};
    struct compiler c = {.a = a,
                         .tmp = &tmp,
                         .source = source,
                         .scope = scope,
                         .err = err,
                         .fold_steps = scope->no_fold ? 0 : FOLD_STEPS,
                         .fold_memory = FOLD_MEMORY};
    struct tree *root = tree_parse(&tmp, source, err);
    if (root) {
        walk(&c, root);
        if (!c.failed)
            e = finish(&c);
    } else if (err->text) {
        err->text = arena_text(a, span_z(err->text));
    }
    arena_finish(&tmp);
    return e;
}
