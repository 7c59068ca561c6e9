/* Operators, members and elements: which there are for the types, and their code. */
#include "expr/compile.h"

/* ---- operators --------------------------------------------------------------------------------
 */

static const struct {
    const char *text;
    bool (*run)(struct machine *, const struct instruction *);
} operators[] = {
    [MARK_PLUS] = {"+", op_add},          [MARK_MINUS] = {"-", op_subtract},
    [MARK_STAR] = {"*", op_multiply},     [MARK_SLASH] = {"/", op_divide},
    [MARK_PERCENT] = {"%", op_modulo},    [MARK_EQ] = {"==", op_equal},
    [MARK_NE] = {"!=", op_differ},        [MARK_LT] = {"<", op_less},
    [MARK_LE] = {"<=", op_less_equal},    [MARK_GT] = {">", op_greater},
    [MARK_GE] = {">=", op_greater_equal}, [MARK_IN] = {"in", op_in},
};

static const struct expr_type *sum(const struct expr_type *x, const struct expr_type *y,
                                   bool plus) {
    bool time = is_kind(x, TIMES) && is_kind(y, TIMES);
    if (time && x->kind != EXPR_DYN && y->kind != EXPR_DYN) {
        bool both = x->kind == EXPR_TIMESTAMP && y->kind == EXPR_TIMESTAMP;
        if (plus)
            return both ? NULL : x->kind == y->kind ? &expr_duration : &expr_timestamp;
        if (x->kind == EXPR_DURATION)
            return y->kind == EXPR_DURATION ? &expr_duration : NULL;
        return both ? &expr_duration : &expr_timestamp;
    }
    if (x->kind == EXPR_DYN || y->kind == EXPR_DYN)
        return is_kind(x, TIMES) || is_kind(y, TIMES) ? &expr_dyn : x->kind == EXPR_DYN ? y : x;
    uint32_t fine = NUMBERS | (plus ? K(STRING) | K(BYTES) | K(LIST) : 0u);
    if (x->kind != y->kind || !is_kind(x, fine))
        return NULL;
    return x->kind == EXPR_LIST &&
                   !(type_fits(x, y) && x->of && y->of && x->of->kind == y->of->kind)
               ? &expr_list_dyn
               : x;
}

/* Something that no element can equal is a mistake: a number in a list of texts. */
static bool may_be_in(const struct expr_type *x, const struct expr_type *y) {
    const struct expr_type *of = y->kind == EXPR_MAP ? y->key : y->of;
    return !of || of->kind == EXPR_DYN || x->kind == EXPR_DYN || x->kind == of->kind ||
           (is_kind(x, NUMBERS) && is_kind(of, NUMBERS));
}

/* The type of the result; NULL: there is no such operator. */
static const struct expr_type *judge(enum mark op, const struct expr_type *x,
                                     const struct expr_type *y) {
    bool dyn = x->kind == EXPR_DYN || y->kind == EXPR_DYN;
    bool numbers = is_kind(x, NUMBERS) && is_kind(y, NUMBERS);
    switch ((unsigned)op) {
    case MARK_PLUS:
    case MARK_MINUS:
        return sum(x, y, op == MARK_PLUS);
    case MARK_STAR:
    case MARK_SLASH:
        return numbers && (dyn || x->kind == y->kind) ? (x->kind == EXPR_DYN ? y : x) : NULL;
    case MARK_PERCENT:
        return numbers && is_kind(x, K(INT) | K(UINT)) && is_kind(y, K(INT) | K(UINT)) &&
                       (dyn || x->kind == y->kind)
                   ? (x->kind == EXPR_DYN ? y : x)
                   : NULL;
    case MARK_EQ:
    case MARK_NE:
        return dyn || numbers || x->kind == y->kind || x->kind == EXPR_NULL || y->kind == EXPR_NULL
                   ? &expr_bool
                   : NULL;
    case MARK_IN:
        return is_kind(y, K(LIST) | K(MAP)) && may_be_in(x, y) ? &expr_bool : NULL;
    default: /* order */
        return dyn || numbers ||
                       (x->kind == y->kind && is_kind(x, K(STRING) | K(BYTES) | K(BOOL) | TIMES))
                   ? &expr_bool
                   : NULL;
    }
}

static void no_operator(struct compiler *c, const struct tree *n, const char *op) {
    const char *x = type_shown(c->tmp, top_known(c, 1)->type),
               *y = type_shown(c->tmp, top_known(c, 0)->type);
    compile_failf(c, n, "there is no `%s %s %s`", x, op, y);
}

static void binary(struct compiler *c, const struct tree *n) {
    const struct expr_type *x = top_known(c, 1)->type, *y = top_known(c, 0)->type;
    const struct expr_type *result = c->scope->no_check ? &expr_dyn : judge(n->op, x, y);
    if (!result) {
        no_operator(c, n, operators[n->op].text);
        return;
    }
    const struct value *right = top_constant(c, 0);
    bool fuse = (n->op == MARK_EQ || n->op == MARK_NE) && right && !top_known(c, 1)->constant;
    if (fuse)
        c->count--;
    struct instruction *i = emit(c, n, operators[n->op].run);
    if (fuse) {
        i->run = n->op == MARK_EQ ? op_equal_const : op_differ_const;
        i->p = right;
    }
    replace_known(c, 2, result);
    fold(c, n);
}

static void unary(struct compiler *c, const struct tree *n) {
    const struct expr_type *x = top_known(c, 0)->type;
    bool is_not = n->op == MARK_NOT;
    if (!c->scope->no_check && !is_kind(x, is_not ? K(BOOL) : K(INT) | K(DOUBLE))) {
        compile_failf(c, n, "there is no `%s` for %s", is_not ? "!" : "-", type_shown(c->tmp, x));
        return;
    }
    emit(c, n, is_not ? op_not : op_negate);
    replace_known(c, 1, is_not ? &expr_bool : x);
    fold(c, n);
}

static bool unary_task(struct compiler *c, struct task *t) {
    if (t->stage++ == 0) {
        visit(c, t->n->child[0]);
        return true;
    }
    unary(c, t->n);
    return false;
}

static bool binary_task(struct compiler *c, struct task *t) {
    if (t->stage < 2) {
        visit(c, t->n->child[t->stage++]);
        return true;
    }
    binary(c, t->n);
    return false;
}

static bool must_be_bool(struct compiler *c, const struct tree *n, const char *where) {
    const struct expr_type *t = top_known(c, 0)->type;
    if (c->scope->no_check || t->kind == EXPR_BOOL || t->kind == EXPR_DYN)
        return true;
    compile_failf(c, n, "%s a bool is needed, and this is %s", where, type_shown(c->tmp, t));
    return false;
}

/* Failures of either side may be absorbed by what the other one says. */
static bool logic_task(struct compiler *c, struct task *t) {
    bool is_and = t->n->op == MARK_AND;
    const char *where = is_and ? "beside `&&`" : "beside `||`";
    switch (t->stage++) {
    case 0:
        t->mark[0] = c->count;
        visit(c, t->n->child[0]);
        return true;
    case 1:
        if (!must_be_bool(c, t->n->child[0], where))
            return false;
        add_region(c, t->mark[0], c->depth - 1);
        t->mark[1] = c->count;
        emit(c, t->n, is_and ? op_and_left : op_or_left);
        t->mark[2] = c->count;
        visit(c, t->n->child[1]);
        return true;
    default:
        if (!must_be_bool(c, t->n->child[1], where))
            return false;
        add_region(c, t->mark[2], c->depth - 1);
        emit(c, t->n, is_and ? op_and_ : op_or_);
        land(c, t->mark[1]);
        replace_known(c, 2, &expr_bool);
        fold(c, t->n);
        return false;
    }
}

static bool ternary_task(struct compiler *c, struct task *t) {
    struct known first, second;
    switch (t->stage++) {
    case 0:
        t->mark[3] = c->count;
        visit(c, t->n->child[0]);
        return true;
    case 1:
        if (!must_be_bool(c, t->n->child[0], "before `?`"))
            return false;
        t->mark[2] = top_known(c, 0)->constant;
        t->mark[0] = c->count;
        emit(c, t->n, op_jump_false);
        c->depth--;
        visit(c, t->n->child[1]);
        return true;
    case 2:
        t->mark[1] = c->count;
        emit(c, t->n, op_jump);
        land(c, t->mark[0]);
        /* One place for both: the second is compiled as if the first were not there. */
        t->p = memcpy(arena_alloc(c->tmp, sizeof first), top_known(c, 0), sizeof first);
        c->depth--;
        visit(c, t->n->child[2]);
        return true;
    default:
        land(c, t->mark[1]);
        first = *(const struct known *)t->p;
        second = *top_known(c, 0);
        c->depth--;
        bool same = first.type->kind == second.type->kind && type_fits(first.type, second.type);
        push_known(c, same ? first.type : &expr_dyn,
                   t->mark[2] && first.constant && second.constant, t->mark[3]);
        fold(c, t->n);
        return false;
    }
}

static const struct expr_type *element_type(struct compiler *c, const struct tree *n, bool maybe) {
    const struct expr_type *x = top_known(c, 1)->type, *k = top_known(c, 0)->type, *of = &expr_dyn;
    bool optional = x->kind == EXPR_OPTIONAL;
    if (optional)
        x = x->of ? x->of : &expr_dyn;
    if (!c->scope->no_check && !is_kind(x, K(LIST) | K(MAP)))
        compile_failf(c, n, "%s has no elements", type_shown(c->tmp, x));
    else if (!c->scope->no_check && x->kind == EXPR_LIST && !is_kind(k, NUMBERS))
        compile_failf(c, n, "a list is indexed by a number, and this is %s", type_shown(c->tmp, k));
    if ((x->kind == EXPR_LIST || x->kind == EXPR_MAP) && x->of)
        of = x->of;
    return maybe || optional ? type_optional(c->a, of) : of;
}

static bool index_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n;
    if (t->stage == 0 && index_of_direct(c, n))
        return false;
    if (t->stage < 2) {
        visit(c, n->child[t->stage++]);
        return true;
    }
    const struct expr_type *type = element_type(c, n, n->optional);
    emit(c, n, n->optional ? op_maybe_index : op_index);
    replace_known(c, 2, type);
    fold(c, n);
    return false;
}
bool select_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n;
    if (t->stage++ == 0) {
        visit(c, n->child[0]);
        return true;
    }
    const struct expr_type *x = top_known(c, 0)->type, *of = &expr_dyn;
    bool optional = x->kind == EXPR_OPTIONAL;
    if (optional)
        x = x->of ? x->of : &expr_dyn;
    if (!c->scope->no_check && !is_kind(x, K(MAP))) {
        compile_failf(c, n, "%s has no members", type_shown(c->tmp, x));
        return false;
    }
    if (x->kind == EXPR_MAP && x->of)
        of = x->of;
    struct value *key = arena_alloc(c->a, sizeof *key);
    *key = value_string(arena_span(c->a, n->name));
    emit(c, n, n->optional ? op_maybe_select : op_select)->p = key;
    replace_known(c, 1, n->optional || optional ? type_optional(c->a, of) : of);
    fold(c, n);
    return false;
}

void visit_operator(struct compiler *c, struct tree *n) {
    if (n->op == MARK_LBRACKET)
        begin_task(c, n, index_task, NULL);
    else if (n->count == 1)
        begin_task(c, n, unary_task, NULL);
    else if (n->count == 3)
        begin_task(c, n, ternary_task, NULL);
    else if (n->op == MARK_AND || n->op == MARK_OR)
        begin_task(c, n, logic_task, NULL);
    else
        begin_task(c, n, binary_task, NULL);
}
