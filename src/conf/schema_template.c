#include "conf/schema.h"
#include "conf/draft.h"

/* Names of CONFIG.md that belong to what this version does not have. */
static bool is_later(struct span word) {
    return span_eq(word, SPAN("item")) || span_eq(word, SPAN("index"));
}

static struct span word_at(struct span s) {
    size_t n = 0;
    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_' ||
                       (lower(s.p[n]) >= 'a' && lower(s.p[n]) <= 'z')))
        n++;
    return span_cut(s, 0, n);
}

/* `shift`: bytes of the source before the expression. */
static void expression_wrong(const struct schema_fill *f, struct node *n, struct span source,
                             const struct expr_error *e, enum diag_code code) {
    struct mark m = node_template_mark(f->diags, n, e->at, e->len ? e->len : 1);
    if (is_later(word_at(span_from(source, e->at))))
        code = DIAG_E0901;
    struct diag *d =
        diag_add(f->diags, code, m, "%s", e->text ? e->text : "this expression is malformed");
    if (e->help)
        diag_help(f->diags, d, "%s", e->help);
    n->bad = true;
}

static void names_for(const struct schema_fill *f, unsigned scopes, struct facts_names *out) {
    facts_names(out, scopes | f->scopes, f->captures);
    out->keep = f->keep;
    out->keep_ctx = f->keep_ctx;
    if (f->constants)
        facts_constants(out, f->constants);
    out->no_caller = f->no_caller;
}

/* The expressions stand in it in their order. In free data, a document made of many texts, the
 * place of the whole must do. */
static void place_parts(const struct schema_fill *f, const struct node *n, struct span source,
                        const struct template *t) {
    bool whole = n->kind == NODE_SCALAR && span_eq(source, node_template(n));
    size_t at = 0;
    for (uint32_t i = 0; f->placed && i < t->count; i++) {
        struct span e = t->part[i].expr ? expr_source(t->part[i].expr) : SPAN_NONE;
        const char *found = e.n ? memmem(source.p + at, source.n - at, e.p, e.n) : NULL;
        if (!t->part[i].expr)
            continue;
        at = found ? (size_t)(found - source.p) : at;
        f->placed(f->placed_ctx, t->part[i].expr,
                  whole ? node_template_mark(f->diags, n, at, 1) : n->at);
    }
}

static const struct template *compile(const struct schema_fill *f, struct node *n,
                                      struct span source, enum template_place place,
                                      unsigned scopes) {
    struct facts_names names;
    struct expr_error e = {0};
    names_for(f, scopes, &names);
    const struct template *t = template_compile(f->arena, source, place, &names.scope, &e);
    if (!t && !n->bad)
        expression_wrong(f, n, source, &e,
                         span_starts(span_from(source, e.at), SPAN("${")) ? DIAG_E0501
                                                                          : DIAG_E0502);
    if (t)
        place_parts(f, n, source, t);
    return t;
}

/* Whether all of it is one ${..}. */
static bool one_expression(struct span t) {
    return span_starts(t, SPAN("${")) && expr_template_end(t, 0) == t.n;
}

static const char *no_condition(struct arena *a, const struct expr *x) {
    static const char *const kind[] = {
        [EXPR_NULL] = "null",       [EXPR_INT] = "an int",
        [EXPR_UINT] = "a uint",     [EXPR_DOUBLE] = "a double",
        [EXPR_STRING] = "a string", [EXPR_BYTES] = "bytes",
        [EXPR_LIST] = "a list",     [EXPR_MAP] = "a map",
        [EXPR_TYPE] = "a type",     [EXPR_DURATION] = "a duration",
        [EXPR_IP] = "an address",   [EXPR_TIMESTAMP] = "a timestamp",
        [EXPR_CIDR] = "a network",  [EXPR_OPTIONAL] = "an optional",
    };
    const char *is = kind[expr_result(x)->kind];
    return arena_fmt(a, "a condition is true or false, and this is %s", is ? is : "something else");
}

const struct expr *schema_cel(const struct schema_fill *f, struct node *n, unsigned scopes,
                              bool condition) {
    struct facts_names names;
    struct expr_error e = {0};
    if (n->bad || n->kind != NODE_SCALAR)
        return NULL;
    struct span source = node_template(n), all = source;
    size_t before = 0;
    if (one_expression(source)) {
        before = 2;
        source = span_cut(source, 2, source.n - 3);
    }
    names_for(f, scopes, &names);
    const struct expr *x = expr_compile(f->arena, source, &names.scope, &e);
    if (x && condition && expr_result(x)->kind != EXPR_BOOL && expr_result(x)->kind != EXPR_DYN) {
        e = (struct expr_error){.len = source.n, .text = no_condition(f->tree, x)};
        x = NULL;
    }
    if (!x) {
        e.at += before;
        expression_wrong(f, n, all, &e, DIAG_E0506);
    }
    if (x && f->placed)
        f->placed(f->placed_ctx, x, node_template_mark(f->diags, n, before, 1));
    return x;
}

const struct template *schema_template(const struct schema_fill *f, struct node *n,
                                       enum template_place place, unsigned scopes) {
    if (n->bad || n->kind != NODE_SCALAR)
        return NULL;
    return compile(f, n, arena_span(f->arena, node_template(n)), place, scopes);
}

/* --- free data --- */

/* A number as JSON writes it. */
static bool json_number(struct span s) {
    size_t i = s.n && s.p[0] == '-', from = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    if (i == from || (s.p[from] == '0' && i - from > 1))
        return false;
    if (i < s.n && s.p[i] == '.') {
        from = ++i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i == from)
            return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        i += i < s.n && (s.p[i] == '-' || s.p[i] == '+');
        from = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i == from)
            return false;
    }
    return i == s.n;
}

static const char *plain_value(const struct node *n) {
    if (n->quoted)
        return NULL;
    return node_null(n) ? "null" : node_true(n) ? "true" : node_false(n) ? "false" : NULL;
}

/* The literal parts escaped for JSON, the ${..} as they are. */
static void json_string(struct draft *out, struct span t) {
    size_t from = 0, i = 0;
    draft_z(out, "\"");
    while (i < t.n) {
        size_t keep = 0;
        if (span_starts(span_from(t, i), SPAN("$${")))
            keep = 3;
        else if (span_starts(span_from(t, i), SPAN("${")))
            keep = expression_end(t, i) ? expression_end(t, i) - i : 0;
        if (!keep) {
            i++;
            continue;
        }
        draft_json(out, span_cut(t, from, i - from));
        draft_add(out, span_cut(t, i, keep));
        from = i = i + keep;
    }
    draft_json(out, span_from(t, from));
    draft_z(out, "\"");
}

static void json_key(struct draft *out, struct span key) {
    struct draft t = {0};
    draft_quoted(&t, key);
    for (size_t i = 0; i < t.n; i++) { /* keys are never templates */
        if (t.p[i] == '$' && i + 1 < t.n && t.p[i + 1] == '{')
            draft_z(out, "$");
        draft_add(out, span_of(t.p + i, 1));
    }
    draft_finish(&t);
    draft_z(out, ":");
}

static void json_scalar(const struct schema_fill *f, struct draft *out, struct node *n,
                        unsigned scopes) {
    const char *plain = plain_value(n);
    struct span t = node_template(n);
    if (plain)
        draft_z(out, plain);
    else if (!n->quoted && json_number(t))
        draft_add(out, t);
    else if (one_expression(t)) { /* keeps its value's type */
        if (!n->bad && !compile(f, n, arena_span(f->arena, t), PLACE_JSON, scopes))
            n->bad = true;
        draft_add(out, t);
    } else {
        /* Alone first: its carets are right. */
        if (!n->bad && !compile(f, n, arena_span(f->arena, t), PLACE_JSON, scopes))
            n->bad = true;
        json_string(out, t);
    }
}

struct open {
    struct node *node;
    uint32_t next;
};

/* Nothing below is wrong. */
static bool all_fine(const struct node *n) {
    for (uint32_t i = 0; n->kind != NODE_SCALAR && i < n->count; i++)
        if ((n->kind == NODE_MAP ? n->pair[i].value : n->item[i])->bad)
            return false;
    return !n->bad;
}

static void json_next(const struct schema_fill *f, struct draft *out, struct open *top,
                      struct node **go, unsigned scopes) {
    struct node *n = top->node, *child;
    uint32_t i = top->next++;
    if (i)
        draft_z(out, ",");
    if (n->kind == NODE_MAP) {
        json_key(out, n->pair[i].key->text);
        child = n->pair[i].value;
    } else {
        child = n->item[i];
    }
    if (child->kind == NODE_SCALAR) {
        json_scalar(f, out, child, scopes);
        return;
    }
    draft_z(out, child->kind == NODE_MAP ? "{" : "[");
    *go = child;
}

const struct template *schema_json(const struct schema_fill *f, struct node *root,
                                   unsigned scopes) {
    struct open stack[YAML_DEPTH + 2];
    unsigned depth = 0;
    struct draft out = {0};
    if (root->kind == NODE_SCALAR) {
        json_scalar(f, &out, root, scopes);
    } else {
        draft_z(&out, root->kind == NODE_MAP ? "{" : "[");
        stack[depth++] = (struct open){root, 0};
    }
    while (depth) {
        struct open *top = &stack[depth - 1];
        struct node *go = NULL;
        if (top->next == top->node->count) {
            draft_z(&out, top->node->kind == NODE_MAP ? "}" : "]");
            top->node->bad |= !all_fine(top->node);
            depth--;
            continue;
        }
        json_next(f, &out, top, &go, scopes);
        if (go && depth < array_len(stack))
            stack[depth++] = (struct open){go, 0};
    }
    struct span source = arena_span(f->arena, draft_span(&out));
    draft_finish(&out);
    return root->bad ? NULL : compile(f, root, source, PLACE_JSON, scopes);
}
