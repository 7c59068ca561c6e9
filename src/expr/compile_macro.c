/* Macros: has, the loops over lists and maps, cel.bind, cel.block, optMap, sortBy. */
#include "expr/compile.h"

struct loop_plan {
    enum loop_kind kind;
    unsigned variables; /* 1, 2 */
    struct span variable[2];
    struct tree *range, *condition, *body;
    bool absorbs, needs_bool;
};

/* ---- names ------------------------------------------------------------------------------------
 */

static bool is_cel(struct compiler *c, const struct tree *n, const char *name) {
    return n->kind == NODE_CALL && n->member && n->child[0]->kind == NODE_NAME &&
           !n->child[0]->rooted && span_eq(n->child[0]->name, SPAN("cel")) &&
           span_eq(n->name, span_z(name)) && !find_local(c, SPAN("cel"));
}

static bool literal_int(const struct tree *n, int64_t *out) {
    if (n->kind != NODE_LITERAL || n->value.kind != VALUE_INT || n->value.i < 0)
        return false;
    *out = n->value.i;
    return true;
}

struct span variable_name(struct compiler *c, const struct tree *n) {
    int64_t a, b;
    if (n->kind == NODE_NAME && !n->rooted)
        return n->name;
    if (is_cel(c, n, "iterVar") && n->count == 3 && literal_int(n->child[1], &a) &&
        literal_int(n->child[2], &b))
        return span_z(arena_fmt(c->tmp, "@it:%lld:%lld", (long long)a, (long long)b));
    return SPAN_NONE;
}

/* ---- loops ------------------------------------------------------------------------------------
 */

static bool plan_loop(struct compiler *c, const struct tree *n, struct loop_plan *p) {
    static const struct {
        const char *name;
        enum loop_kind kind;
        unsigned least, most; /* arguments behind the range */
        bool two;             /* only with two variables */
    } macros[] = {
        {"all", LOOP_ALL, 2, 3, false},
        {"exists", LOOP_EXISTS, 2, 3, false},
        {"exists_one", LOOP_ONE, 2, 3, false},
        {"existsOne", LOOP_ONE, 2, 3, false},
        {"filter", LOOP_FILTER, 2, 2, false},
        {"map", LOOP_LIST, 2, 3, false},
        {"transformList", LOOP_LIST, 3, 4, true},
        {"transformMap", LOOP_MAP, 3, 4, true},
        {"transformMapEntry", LOOP_ENTRIES, 3, 4, true},
    };
    size_t i = 0;
    unsigned args = n->count - 1;
    while (i < array_len(macros) && !span_eq(n->name, span_z(macros[i].name)))
        i++;
    if (i == array_len(macros) || !n->member || args < macros[i].least || args > macros[i].most)
        return false;
    bool is_map = span_eq(n->name, SPAN("map"));
    *p = (struct loop_plan){.kind = macros[i].kind, .range = n->child[0]};
    p->variables = macros[i].two || (args == 3 && !is_map) ? 2 : 1;
    p->body = n->child[args];
    if (args == p->variables + 2)
        p->condition = n->child[args - 1];
    p->absorbs = p->kind == LOOP_ALL || p->kind == LOOP_EXISTS;
    p->needs_bool = p->absorbs || p->kind == LOOP_ONE || p->kind == LOOP_FILTER;
    for (unsigned k = 0; k < p->variables; k++) {
        p->variable[k] = variable_name(c, n->child[1 + k]);
        if (!p->variable[k].p) {
            compile_fail(c, n->child[1 + k], "the name of a variable is expected here");
            return true;
        }
    }
    return true;
}

static void variables(struct compiler *c, struct task *t, const struct loop_plan *p,
                      const struct expr_type *range) {
    const struct expr_type *key = range->key ? range->key : &expr_dyn,
                           *of = range->of ? range->of : &expr_dyn;
    bool list = range->kind == EXPR_LIST, map = range->kind == EXPR_MAP;
    const struct expr_type *first = list  ? of
                                    : map ? key
                                          : &expr_dyn,
                           *second = list || map ? of : &expr_dyn;
    if (p->variables == 2)
        first = list ? &expr_int : map ? key : &expr_dyn;
    t->slot = new_slots(c, p->variables);
    push_local(c, t->n, p->variable[0], t->slot, first);
    if (p->variables == 2)
        push_local(c, t->n, p->variable[1], (uint16_t)(t->slot + 1), second);
}

static bool loop_begin(struct compiler *c, struct task *t, const struct loop_plan *p) {
    const struct expr_type *range = top_known(c, 0)->type;
    if (!c->scope->no_check && range->kind != EXPR_DYN && range->kind != EXPR_LIST &&
        range->kind != EXPR_MAP) {
        compile_failf(c, p->range, "`%.*s` goes over a list or a map, and this is %s",
                      SPAN_ARG(t->n->name), type_shown(c->tmp, range));
        return false;
    }
    t->mark[0] = top_known(c, 0)->from;
    c->depth--;
    emit(c, t->n, op_loop_start)->k = (uint8_t)p->kind;
    if (++c->loops > c->loops_max)
        c->loops_max = c->loops;
    variables(c, t, p, range);
    t->mark[1] = c->count;
    struct instruction *next = emit(c, t->n, op_loop_next);
    next->n = t->slot;
    next->k = (uint8_t)p->variables;
    t->mark[2] = c->count;
    return true;
}

static void jump_to(struct compiler *c, const struct tree *n,
                    bool (*op)(struct machine *, const struct instruction *), uint32_t to) {
    struct instruction *i = emit(c, n, op);
    i->jump = (int32_t)(to - c->count);
}

static void loop_finish(struct compiler *c, struct task *t, const struct loop_plan *p) {
    const struct expr_type *body = top_known(c, 0)->type, *result = &expr_bool;
    if (p->needs_bool && !c->scope->no_check && body->kind != EXPR_BOOL && body->kind != EXPR_DYN) {
        compile_failf(c, p->body, "`%.*s` asks for a bool, and this is %s", SPAN_ARG(t->n->name),
                      type_shown(c->tmp, body));
        return;
    }
    if (p->absorbs)
        add_region(c, t->mark[3], c->depth - 1);
    c->depth--;
    emit(c, t->n, op_loop_step)->n = t->slot;
    jump_to(c, t->n, op_jump, t->mark[1]);
    land(c, t->mark[1]);
    c->code[t->mark[1]].p = (const void *)(uintptr_t)(c->count - t->mark[1]);
    emit(c, t->n, op_loop_end);
    c->loops--;
    if (p->kind == LOOP_LIST)
        result = type_list(c->a, c->scope->no_check ? &expr_dyn : body);
    else if (p->kind == LOOP_FILTER)
        result = type_list(c->a, c->local[t->locals].type);
    else if (p->kind == LOOP_MAP || p->kind == LOOP_ENTRIES)
        result = &expr_map_dyn;
    c->locals = t->locals;
    push_known(c, result, false, t->mark[0]);
}

static bool loop_task(struct compiler *c, struct task *t) {
    const struct loop_plan *p = t->p;
    switch (t->stage++) {
    case 0:
        visit(c, p->range);
        return true;
    case 1:
        if (!loop_begin(c, t, p))
            return false;
        if (p->condition) {
            visit(c, p->condition);
            return true;
        }
        t->stage++;
        break;
    case 2:
        c->depth--;
        jump_to(c, p->condition, op_loop_skip, t->mark[1]);
        break;
    default:
        loop_finish(c, t, p);
        return false;
    }
    t->mark[3] = c->count;
    visit(c, p->body);
    return true;
}

/* ---- has --------------------------------------------------------------------------------------
 */

static bool has_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n->child[0];
    if (t->stage++ == 0) {
        if (names_field(c, n)) {
            put_constant(c, t->n, value_bool(true), &expr_bool);
            return false;
        }
        visit(c, n->child[0]);
        return true;
    }
    struct value *key = arena_alloc(c->a, sizeof *key);
    *key = value_string(arena_span(c->a, n->name));
    emit(c, t->n, op_has)->p = key;
    replace_known(c, 1, &expr_bool);
    fold(c, t->n);
    return false;
}

/* ---- variables --------------------------------------------------------------------------------
 */

/* What was just computed becomes a variable; its failure too, which counts only where the variable
 * is asked for. */
static void store(struct compiler *c, struct task *t, struct span name) {
    struct known k = *top_known(c, 0);
    add_region(c, k.from, c->depth - 1);
    uint16_t slot = new_slots(c, 1);
    c->depth--;
    emit(c, t->n, op_store)->n = slot;
    push_local(c, t->n, name, slot, k.type);
}

static void scope_ends(struct compiler *c, struct task *t, uint32_t from) {
    c->locals = t->locals;
    top_known(c, 0)->from = from;
    top_known(c, 0)->constant = false;
}

static bool bind_task(struct compiler *c, struct task *t) {
    switch (t->stage++) {
    case 0:
        t->mark[0] = c->count;
        visit(c, t->n->child[2]);
        return true;
    case 1:
        store(c, t, variable_name(c, t->n->child[1]));
        visit(c, t->n->child[3]);
        return true;
    default:
        scope_ends(c, t, t->mark[0]);
        return false;
    }
}

static struct span block_name(struct compiler *c, int64_t i) {
    return span_z(arena_fmt(c->tmp, "@index%lld", (long long)i));
}

static bool block_task(struct compiler *c, struct task *t) {
    struct tree *list = t->n->child[1];
    unsigned at = t->stage++;
    if (at == 0)
        t->mark[0] = c->count;
    if (at && at <= list->count)
        store(c, t, block_name(c, at - 1));
    if (at < list->count)
        visit(c, list->child[at]);
    else if (at == list->count)
        visit(c, t->n->child[2]);
    else
        scope_ends(c, t, t->mark[0]);
    return at <= list->count;
}

static bool needs_optional(struct compiler *c, const struct tree *n) {
    const struct expr_type *type = top_known(c, 0)->type;
    if (c->scope->no_check || type->kind == EXPR_DYN || type->kind == EXPR_OPTIONAL)
        return true;
    compile_failf(c, n, "an optional is needed, and this is %s", type_shown(c->tmp, type));
    return false;
}

static bool option_task(struct compiler *c, struct task *t) {
    const struct expr_type *type;
    bool flat = span_eq(t->n->name, SPAN("optFlatMap"));
    uint16_t slot;
    switch (t->stage++) {
    case 0:
        visit(c, t->n->child[0]);
        return true;
    case 1:
        if (!needs_optional(c, t->n->child[0]))
            return false;
        type = top_known(c, 0)->type;
        t->mark[0] = top_known(c, 0)->from;
        t->mark[1] = c->count;
        emit(c, t->n, op_open_optional);
        c->depth--;
        slot = new_slots(c, 1);
        emit(c, t->n, op_store)->n = slot;
        push_local(c, t->n, variable_name(c, t->n->child[1]), slot,
                   type->of ? type->of : &expr_dyn);
        visit(c, t->n->child[2]);
        return true;
    default:
        type = top_known(c, 0)->type;
        if (!flat)
            emit(c, t->n, op_optional_of);
        land(c, t->mark[1]);
        top_known(c, 0)->type = flat ? type : type_optional(c->a, type);
        scope_ends(c, t, t->mark[0]);
        return false;
    }
}

/* x.or(y), x.orValue(y): as functions, but that y is not looked at where x has a value. */
static bool or_task(struct compiler *c, struct task *t) {
    bool value = span_eq(t->n->name, SPAN("orValue"));
    struct known first;
    switch (t->stage++) {
    case 0:
        visit(c, t->n->child[0]);
        return true;
    case 1:
        if (!needs_optional(c, t->n->child[0]))
            return false;
        first = *top_known(c, 0);
        t->p = memcpy(arena_alloc(c->tmp, sizeof first), &first, sizeof first);
        t->mark[1] = c->count;
        emit(c, t->n, op_or_else)->k = value;
        c->depth--;
        visit(c, t->n->child[1]);
        return true;
    default:
        if (!value && !needs_optional(c, t->n->child[1]))
            return false;
        if (!value)
            emit(c, t->n, op_optional_only);
        land(c, t->mark[1]);
        first = *(const struct known *)t->p;
        bool constant = first.constant && top_known(c, 0)->constant;
        const struct expr_type *of =
            value && first.type->kind == EXPR_OPTIONAL ? first.type->of : first.type;
        const struct expr_type *other = top_known(c, 0)->type;
        bool same = of && of->kind == other->kind && type_fits(of, other);
        c->depth--;
        push_known(c, same ? of : &expr_dyn, constant, first.from);
        fold(c, t->n);
        return false;
    }
}

/* ---- which ------------------------------------------------------------------------------------
 */

static bool named(struct compiler *c, struct tree *n, struct span name) {
    const struct local *l = name.p ? find_local(c, name) : NULL;
    if (!l) {
        compile_fail(c, n, "this variable is not known here");
        return true;
    }
    emit(c, n, op_local)->n = l->slot;
    push_known(c, l->type, false, c->count - 1);
    return true;
}

static bool cel_macro(struct compiler *c, struct tree *n) {
    int64_t i;
    if (is_cel(c, n, "bind") && n->count == 4) {
        if (variable_name(c, n->child[1]).p)
            begin_task(c, n, bind_task, NULL);
        else
            compile_fail(c, n->child[1], "the name of a variable is expected here");
        return true;
    }
    if (is_cel(c, n, "block") && n->count == 3 && n->child[1]->kind == NODE_LIST) {
        begin_task(c, n, block_task, NULL);
        return true;
    }
    if (is_cel(c, n, "index") && n->count == 2 && literal_int(n->child[1], &i))
        return named(c, n, block_name(c, i));
    if (is_cel(c, n, "iterVar"))
        return named(c, n, variable_name(c, n));
    return false;
}

/* ---- sortBy -----------------------------------------------------------------------------------
 */

static struct tree *made(struct compiler *c, const struct tree *like, enum node_kind kind,
                         const char *name, uint32_t children) {
    struct tree *n = arena_zero(c->tmp, sizeof *n);
    *n = (struct tree){.kind = kind, .at = like->at, .len = like->len, .name = span_z(name)};
    n->child = arena_zero(c->tmp, (children + 1) * sizeof(struct tree *));
    n->count = children;
    n->member = kind == NODE_CALL;
    return n;
}

/* list.sortBy(v, key) is cel.bind(@list, list, @list.@sortByAssociatedKeys(@list.map(v, key))). */
static struct tree *sort_by(struct compiler *c, struct tree *n) {
    struct tree *list = made(c, n->child[0], NODE_NAME, "@list", 0);
    struct tree *keys = made(c, n, NODE_CALL, "map", 3);
    struct tree *sorted = made(c, n, NODE_CALL, "@sortByAssociatedKeys", 2);
    struct tree *bind = made(c, n, NODE_CALL, "bind", 4);
    keys->child[0] = list;
    keys->child[1] = n->child[1];
    keys->child[2] = n->child[2];
    sorted->child[0] = list;
    sorted->child[1] = keys;
    bind->child[1] = list;
    bind->child[2] = n->child[0];
    bind->child[3] = sorted;
    return bind;
}

bool macro_begin(struct compiler *c, struct tree *n) {
    struct loop_plan plan;
    if (c->scope->no_macros)
        return false;
    if (!n->member && span_eq(n->name, SPAN("has")) && n->count == 1) {
        if (n->child[0]->kind == NODE_SELECT && !n->child[0]->optional)
            begin_task(c, n, has_task, NULL);
        else
            compile_fail(c, n->child[0], "`has` asks for a member: has(a.b)");
        return true;
    }
    if (!n->member)
        return false;
    if (cel_macro(c, n))
        return true;
    if ((span_eq(n->name, SPAN("optMap")) || span_eq(n->name, SPAN("optFlatMap"))) &&
        n->count == 3 && variable_name(c, n->child[1]).p) {
        begin_task(c, n, option_task, NULL);
        return true;
    }
    if ((span_eq(n->name, SPAN("or")) || span_eq(n->name, SPAN("orValue"))) && n->count == 2) {
        begin_task(c, n, or_task, NULL);
        return true;
    }
    if (span_eq(n->name, SPAN("sortBy")) && n->count == 3 && variable_name(c, n->child[1]).p) {
        begin_task(c, sort_by(c, n), bind_task, NULL);
        return true;
    }
    if (!plan_loop(c, n, &plan))
        return false;
    if (!c->failed)
        begin_task(c, n, loop_task, memcpy(arena_alloc(c->tmp, sizeof plan), &plan, sizeof plan));
    return true;
}
