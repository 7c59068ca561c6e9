/* Names: variables of macros, what the scope knows, types; and selections that begin with one. */
#include "expr/compile.h"

enum { PARTS_MAX = 32, GUESS_MAX = 48 };

struct chain { /* a.b.c */
    struct span part[PARTS_MAX];
    const struct tree *node[PARTS_MAX]; /* whose value parts 0..i are */
    unsigned count;
    bool rooted;
};

static bool chain_of(const struct tree *n, struct chain *out) {
    const struct tree *at = n;
    unsigned count = 1;
    for (; at->kind == NODE_SELECT && !at->optional; at = at->child[0])
        count++;
    if (at->kind != NODE_NAME || count > PARTS_MAX)
        return false;
    out->count = count;
    out->rooted = at->rooted;
    for (at = n; count; at = at->kind == NODE_SELECT ? at->child[0] : at) {
        out->node[--count] = at;
        out->part[count] = at->name;
    }
    return true;
}

static struct span join(struct compiler *c, struct span prefix, const struct chain *k, unsigned n) {
    size_t max = prefix.n + 1;
    for (unsigned i = 0; i < n; i++)
        max += k->part[i].n + 1;
    struct str s = str_on(arena_alloc(c->tmp, max), max);
    str_add(&s, prefix);
    for (unsigned i = 0; i < n; i++) {
        if (s.n)
            str_char(&s, '.');
        str_add(&s, k->part[i]);
    }
    return str_span(&s);
}

/* ---- guesses ----------------------------------------------------------------------------------
 */

/* How many letters must change; more than 2 is 3. */
static unsigned distance(struct span a, struct span b) {
    unsigned row[GUESS_MAX + 1];
    if (a.n > GUESS_MAX || b.n > GUESS_MAX)
        return 3;
    for (unsigned k = 0; k <= b.n; k++)
        row[k] = k;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned k = 1; k <= b.n; k++) {
            unsigned swap = corner + (lower(a.p[i - 1]) != lower(b.p[k - 1]));
            corner = row[k];
            unsigned least = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = swap < least ? swap : least;
        }
    }
    return row[b.n] > 2 ? 3 : row[b.n];
}

static void guess(struct compiler *c, struct span wanted, struct span has, unsigned *best) {
    unsigned d = distance(wanted, has);
    if (d < *best && d < wanted.n) {
        *best = d;
        c->err->help = arena_fmt(c->a, "did you mean `%.*s`?", SPAN_ARG(has));
    }
}

static void guess_among(struct compiler *c, struct span wanted, const struct expr_name *names,
                        size_t count) {
    unsigned best = 3;
    for (size_t i = 0; i < count && names[i].name; i++)
        guess(c, wanted, span_z(names[i].name), &best);
}

/* ---- what a name is ---------------------------------------------------------------------------
 */

const struct local *find_local(struct compiler *c, struct span name) {
    for (uint16_t i = c->locals; i; i--)
        if (span_eq(c->local[i - 1].name, name))
            return &c->local[i - 1];
    return NULL;
}

static const struct expr_name *in_scope(const struct expr_scope *s, struct span name) {
    for (size_t i = 0; i < s->count; i++)
        if (span_eq(span_z(s->name[i].name), name))
            return &s->name[i];
    return NULL;
}

bool next_container(struct span *container) {
    size_t dot = container->n;
    if (!dot)
        return false;
    while (dot && container->p[dot - 1] != '.')
        dot--;
    *container = span_cut(*container, 0, dot ? dot - 1 : 0);
    return true;
}

/* The longest dotted name that the scope knows, innermost container first; sets *used. */
static const struct expr_name *longest(struct compiler *c, const struct chain *k, unsigned *used) {
    for (unsigned n = k->count; n; n--) {
        struct span container = k->rooted ? SPAN("") : c->scope->container;
        do {
            const struct expr_name *found = in_scope(c->scope, join(c, container, k, n));
            if (found) {
                *used = n;
                return found;
            }
        } while (next_container(&container));
    }
    return NULL;
}

static const char *fields_of(struct compiler *c, const struct expr_type *object) {
    struct str s = str_on(arena_alloc(c->tmp, 512), 511);
    for (const struct expr_name *f = object->field; f->name; f++)
        str_fmt(&s, "%s%s", f == object->field ? "" : ", ", f->name);
    s.p[s.n] = 0;
    return s.p;
}

/* Down the fields of objects. NULL: failed. */
static const struct expr_name *field_of(struct compiler *c, const struct chain *k,
                                        const struct expr_name *name, unsigned *used) {
    while (name->type->kind == EXPR_OBJECT) {
        const struct tree *n = k->node[*used < k->count ? *used : *used - 1];
        if (*used == k->count) {
            compile_failf(c, n, "`%s` is no value itself; its fields are %s", name->name,
                          fields_of(c, name->type));
            return NULL;
        }
        const struct expr_name *f = name->type->field;
        while (f->name && !span_eq(span_z(f->name), k->part[*used]))
            f++;
        if (!f->name) {
            guess_among(c, k->part[*used], name->type->field, SIZE_MAX);
            compile_failf(c, n, "`%s` has no field `%.*s`; it has %s", name->name,
                          SPAN_ARG(k->part[*used]), fields_of(c, name->type));
            return NULL;
        }
        name = f;
        ++*used;
    }
    return name;
}

/* ---- code -------------------------------------------------------------------------------------
 */

static void remember(struct compiler *c, const struct expr_ref *r) {
    if (c->refs == c->refs_cap) {
        uint32_t cap = c->refs_cap ? c->refs_cap * 2 : 16;
        const struct expr_ref **all = arena_alloc(c->tmp, cap * sizeof *all);
        if (c->refs)
            memcpy(all, c->ref, c->refs * sizeof *all);
        c->ref = all;
        c->refs_cap = cap;
    }
    c->ref[c->refs++] = r;
}

static void load(struct compiler *c, const struct tree *n, const struct expr_name *name,
                 struct span key) {
    struct expr_ref *r = arena_zero(c->a, sizeof *r);
    *r = (struct expr_ref){.id = name->id, .key = key.p ? arena_span(c->a, key) : SPAN_NONE};
    const char *why = key.p && c->scope->check ? c->scope->check(c->scope->ctx, c->a, r) : NULL;
    if (why) {
        compile_fail(c, n, why);
        return;
    }
    remember(c, r);
    emit(c, n, op_load)->p = r;
    const struct expr_type *type = name->type;
    if (key.p)
        type = type->of ? type->of : &expr_dyn;
    push_known(c, type, false, c->count - 1);
}

static void select_rest(struct compiler *c, const struct chain *k, unsigned from) {
    for (unsigned i = from; i < k->count && !c->failed; i++) {
        const struct expr_type *x = top_known(c, 0)->type;
        bool optional = x->kind == EXPR_OPTIONAL;
        if (optional)
            x = x->of ? x->of : &expr_dyn;
        if (!c->scope->no_check && x->kind != EXPR_DYN && x->kind != EXPR_MAP) {
            compile_failf(c, k->node[i], "%s has no members", type_shown(c->tmp, x));
            return;
        }
        const struct expr_type *of = x->kind == EXPR_MAP && x->of ? x->of : &expr_dyn;
        struct value *key = arena_alloc(c->a, sizeof *key);
        *key = value_string(arena_span(c->a, k->part[i]));
        emit(c, k->node[i], op_select)->p = key;
        replace_known(c, 1, optional ? type_optional(c->a, of) : of);
    }
}

static void local(struct compiler *c, const struct tree *n, const struct local *l) {
    emit(c, n, op_local)->n = l->slot;
    push_known(c, l->type, false, c->count - 1);
}

static void unknown(struct compiler *c, const struct chain *k) {
    struct span name = k->part[0];
    const struct expr_scope *s = c->scope;
    if (s->no_check) {
        emit(c, k->node[0], op_fail)->p = arena_fmt(c->a, "there is no `%.*s`", SPAN_ARG(name));
        push_known(c, &expr_dyn, false, c->count - 1);
        return;
    }
    const char *why = NULL;
    for (unsigned n = k->count; n && !why && s->missing; n--)
        why = s->missing(s->ctx, c->a, join(c, SPAN(""), k, n));
    if (why) {
        compile_fail(c, k->node[0], why);
        return;
    }
    guess_among(c, name, s->name, s->count);
    compile_failf(c, k->node[0], "`%.*s` is not known here", SPAN_ARG(name));
}

/* Types are constants; so is the one name of protobuf's that is no type. */
static bool type_value(struct span name, struct value *out) {
    const char *type = type_named(name);
    *out = type ? value_text(VALUE_TYPE, span_z(type)) : value_int(0);
    return type || span_eq(name, SPAN("google.protobuf.NullValue.NULL_VALUE"));
}

static bool type_name(struct compiler *c, const struct chain *k, unsigned *used) {
    struct value v;
    for (unsigned n = k->count; n; n--) {
        struct span container = k->rooted ? SPAN("") : c->scope->container;
        do {
            if (!type_value(join(c, container, k, n), &v))
                continue;
            put_constant(c, k->node[n - 1], v, type_of_value(&v));
            *used = n;
            return true;
        } while (next_container(&container));
    }
    return false;
}

bool name_task(struct compiler *c, struct tree *n) {
    struct chain k;
    unsigned used = 1;
    if (!chain_of(n, &k))
        return false;
    const struct local *l = k.rooted ? NULL : find_local(c, k.part[0]);
    if (l) {
        local(c, k.node[0], l);
        select_rest(c, &k, 1);
        return true;
    }
    const struct expr_name *name = longest(c, &k, &used);
    if (!name) {
        if (type_name(c, &k, &used))
            select_rest(c, &k, used);
        else
            unknown(c, &k);
        return true;
    }
    name = field_of(c, &k, name, &used);
    if (!name)
        return true;
    bool direct = name->type->kind == EXPR_MAP && name->type->direct && used < k.count;
    load(c, k.node[used - 1 + direct], name, direct ? k.part[used] : SPAN_NONE);
    if (!c->failed)
        select_rest(c, &k, used + direct);
    return true;
}

/* header["x"] */
bool index_of_direct(struct compiler *c, struct tree *n) {
    struct chain k;
    unsigned used = 1;
    const struct tree *key = n->child[1];
    if (n->optional || key->kind != NODE_LITERAL || key->value.kind != VALUE_STRING ||
        !chain_of(n->child[0], &k) || (!k.rooted && find_local(c, k.part[0])))
        return false;
    const struct expr_name *name = longest(c, &k, &used);
    while (name && name->type->kind == EXPR_OBJECT && used < k.count) {
        const struct expr_name *f = name->type->field;
        while (f->name && !span_eq(span_z(f->name), k.part[used]))
            f++;
        name = f->name ? f : NULL;
        used++;
    }
    if (!name || used != k.count || name->type->kind != EXPR_MAP || !name->type->direct)
        return false;
    load(c, key, name, value_span(&key->value));
    return true;
}

/* has(request.method): fields of objects are always there. */
bool names_field(struct compiler *c, const struct tree *n) {
    struct chain k;
    unsigned used = 1;
    if (!chain_of(n, &k) || (!k.rooted && find_local(c, k.part[0])))
        return false;
    const struct expr_name *name = longest(c, &k, &used);
    if (!name || name->type->kind != EXPR_OBJECT)
        return false;
    name = field_of(c, &k, name, &used);
    return name && used == k.count;
}

bool names_variable(struct compiler *c, const struct tree *n) {
    struct chain k;
    unsigned used;
    return chain_of(n, &k) && ((!k.rooted && find_local(c, k.part[0])) || longest(c, &k, &used));
}

struct span dotted_name(struct compiler *c, const struct tree *n, struct span last) {
    struct chain k;
    if (!chain_of(n, &k) || k.count == PARTS_MAX)
        return SPAN_NONE;
    k.part[k.count++] = last;
    return join(c, SPAN(""), &k, k.count);
}

void guess_function(struct compiler *c, struct span name) {
    unsigned best = 3;
    struct span has;
    for (uint32_t i = 0; (has = overload_name(i)).p; i++)
        guess(c, name, has, &best);
}
