/* Calls: which overloads of the library fit. */
#include "expr/compile.h"

struct calling {
    struct span name;
    bool member;
    unsigned first; /* child that is the first argument */
};

static bool fits(struct compiler *c, const struct overload *o, bool member, unsigned n) {
    if (o->member != member || (o->variadic ? n < o->args : n != o->args))
        return false;
    for (unsigned k = 0; k < n && !c->scope->no_check; k++) {
        unsigned p = k < o->args ? k : o->args - 1;
        if (!type_fits(top_known(c, n - 1 - k)->type, o->type[p]))
            return false;
    }
    return true;
}

static const char *arguments(struct compiler *c, unsigned from, unsigned n) {
    struct str s = str_on(arena_alloc(c->tmp, 512), 511);
    for (unsigned k = from; k < n; k++)
        str_fmt(&s, "%s%s", k == from ? "" : ", ",
                type_shown(c->tmp, top_known(c, n - 1 - k)->type));
    s.p[s.n] = 0;
    return s.p;
}

static void nothing_fits(struct compiler *c, const struct tree *n, const struct calling *k,
                         unsigned args) {
    uint32_t count;
    const struct overload *o = overloads_of(k->name, &count);
    if (!o) {
        guess_function(c, k->name);
        compile_failf(c, n, "there is no function `%.*s`", SPAN_ARG(k->name));
        return;
    }
    struct str s = str_on(arena_alloc(c->a, 512), 511);
    str_lit(&s, "there is ");
    for (uint32_t i = 0; i < count && i < 6; i++)
        str_fmt(&s, "%s%s", i ? ", " : "", o[i].function->signature);
    s.p[s.n] = 0;
    c->err->help = s.p;
    if (k->member)
        compile_failf(c, n, "there is no `%s.%.*s(%s)`",
                      type_shown(c->tmp, top_known(c, args - 1)->type), SPAN_ARG(k->name),
                      arguments(c, 1, args));
    else
        compile_failf(c, n, "there is no `%.*s(%s)`", SPAN_ARG(k->name), arguments(c, 0, args));
}

static bool prepare(struct compiler *c, const struct tree *n, const struct call_site *s,
                    const void **prepared, unsigned args) {
    const struct value *last = args ? top_constant(c, 0) : NULL;
    for (uint32_t i = 0; last && i < s->count; i++) {
        const struct expr_function *f = s->overload[i]->function;
        const char *why = f->prepare ? f->prepare(c->a, c->scope, last, &prepared[i]) : NULL;
        if (why) {
            compile_fail(c, n->child[n->count - 1], why);
            return false;
        }
    }
    return true;
}

static const struct expr_type *result_of(struct compiler *c, const struct call_site *s) {
    const struct expr_type *t = s->count ? s->overload[0]->result : &expr_dyn;
    if (c->scope->no_check)
        return &expr_dyn;
    for (uint32_t i = 1; i < s->count; i++)
        if (s->overload[i]->result->kind != t->kind)
            return &expr_dyn;
    return t;
}

static void call(struct compiler *c, const struct tree *n, const struct calling *k, unsigned args) {
    uint32_t count;
    const struct overload *all = overloads_of(k->name, &count);
    const struct overload **fitting = arena_alloc(c->a, (count + 1) * sizeof *fitting);
    const void **prepared = arena_zero(c->a, (count + 1) * sizeof *prepared);
    struct call_site *s = arena_zero(c->a, sizeof *s);
    bool varies = false;
    for (uint32_t i = 0; i < count; i++)
        if (fits(c, &all[i], k->member, args)) {
            varies |= all[i].function->varies;
            fitting[s->count++] = &all[i];
        }
    *s = (struct call_site){arena_span(c->a, k->name), fitting, prepared, s->count};
    if (!s->count && !c->scope->no_check) {
        nothing_fits(c, n, k, args);
        return;
    }
    if (!prepare(c, n, s, prepared, args))
        return;
    struct instruction *i = emit(c, n, op_call);
    i->p = s;
    i->n = (uint16_t)args;
    replace_known(c, args, result_of(c, s));
    if (varies)
        top_known(c, 0)->constant = false;
    fold(c, n);
}

/* A function's name by the container's rules; {NULL, 0}: there is none. */
static struct span function_name(struct compiler *c, struct span name, bool rooted) {
    struct span container = rooted ? SPAN("") : c->scope->container;
    uint32_t count;
    do {
        size_t max = container.n + name.n + 1;
        struct str s = str_on(arena_alloc(c->tmp, max), max);
        str_add(&s, container);
        if (s.n)
            str_char(&s, '.');
        str_add(&s, name);
        if (overloads_of(str_span(&s), &count))
            return str_span(&s);
    } while (next_container(&container));
    return SPAN_NONE;
}

/* "math.greatest(..)": a member's call where what stands before the dot is no variable. */
static struct calling *begin(struct compiler *c, const struct tree *n) {
    struct calling *k = arena_zero(c->tmp, sizeof *k);
    *k = (struct calling){n->name, n->member, 0};
    if (n->member && !names_variable(c, n->child[0])) {
        struct span name = dotted_name(c, n->child[0], n->name);
        if (name.p)
            name = function_name(c, name, false);
        if (name.p)
            *k = (struct calling){name, false, 1};
    } else if (!n->member) {
        struct span name = function_name(c, n->name, n->rooted);
        k->name = name.p ? name : n->name;
    }
    return k;
}

bool call_task(struct compiler *c, struct task *t) {
    if (!t->p)
        t->p = begin(c, t->n);
    const struct calling *k = t->p;
    unsigned at = k->first + t->stage;
    if (at < t->n->count) {
        t->stage++;
        visit(c, t->n->child[at]);
        return true;
    }
    call(c, t->n, k, t->n->count - k->first);
    return false;
}
