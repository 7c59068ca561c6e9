#include "conf/constant_expr.h"
#include "data/json.h"
#include "data/regex.h"
#include "expr/expr.h"

enum { ENV_ID = 1, VARS_ID, RESULT_MAX = 1 << 20 };

/* ---- variables as values -------------------------------------------------------------------- */

static struct value scalar(struct arena *a, const struct node *n) {
    struct json_error err;
    struct value v;
    struct span text = node_plain(n);
    if (n->quoted)
        return value_string(text);
    if (node_null(n))
        return VALUE_NOTHING;
    if (node_true(n) || node_false(n))
        return value_bool(node_true(n));
    if (json_read(a, text, NULL, &v, &err) && v.kind == VALUE_NUMBER)
        return value_settle(v);
    return value_string(text);
}

struct open { /* a map or list whose parts are being made */
    const struct node *node;
    struct value *item;
    struct value_member *member;
    uint32_t next;
};

static struct value opened(struct arena *a, const struct node *n, struct open *o) {
    *o = (struct open){.node = n};
    struct value v = {.kind = n->kind == NODE_MAP ? VALUE_MAP : VALUE_LIST, .n = n->count};
    if (n->kind == NODE_MAP)
        v.member = o->member = arena_zero(a, n->count * sizeof *o->member + 1);
    else
        v.item = o->item = arena_zero(a, n->count * sizeof *o->item + 1);
    return v;
}

struct value constant_value(struct arena *a, const struct node *n) {
    struct open stack[YAML_DEPTH + 2];
    unsigned depth = 0;
    struct value root;
    if (n->kind == NODE_SCALAR)
        return scalar(a, n);
    root = opened(a, n, &stack[depth++]);
    while (depth) {
        struct open *o = &stack[depth - 1];
        if (o->next == o->node->count) {
            depth--;
            continue;
        }
        uint32_t i = o->next++;
        bool map = o->node->kind == NODE_MAP;
        const struct node *child = map ? o->node->pair[i].value : o->node->item[i];
        struct value *at = map ? &o->member[i].value : &o->item[i];
        if (map)
            o->member[i].key = value_string(o->node->pair[i].key->text);
        if (child->kind == NODE_SCALAR)
            *at = scalar(a, child);
        else if (depth < array_len(stack))
            *at = opened(a, child, &stack[depth++]);
    }
    return root;
}

static bool holds_secret(const struct node *n) {
    struct {
        const struct node *node;
        uint32_t next;
    } stack[YAML_DEPTH + 2];
    unsigned depth = 1;
    stack[0].node = n;
    stack[0].next = 0;
    while (depth) {
        const struct node *top = stack[depth - 1].node;
        if (top->kind == NODE_SCALAR && node_secret(top))
            return true;
        if (top->kind == NODE_SCALAR || stack[depth - 1].next == top->count) {
            depth--;
            continue;
        }
        uint32_t i = stack[depth - 1].next++;
        if (depth < array_len(stack)) {
            stack[depth].node = top->kind == NODE_MAP ? top->pair[i].value : top->item[i];
            stack[depth++].next = 0;
        }
    }
    return false;
}

/* ---- the computation ------------------------------------------------------------------------ */

struct kept { /* a constant pattern */
    struct regex *regex;
    struct kept *next;
};

struct computing {
    struct constants *c;
    struct constant_result *out;
    struct kept *kept;
};

static bool env_get(const struct value_host *h, struct arena *a, const struct value *key,
                    struct value *out) {
    const char *z = key->kind == VALUE_STRING ? constant_env(h->ctx, value_span(key)) : NULL;
    (void)a;
    if (z)
        *out = value_string(span_z(z));
    return z != NULL;
}

static uint32_t env_count(const struct value_host *h) {
    (void)h;
    return 0; /* it is asked by name alone */
}

static const struct value_host_ops env_ops = {.count = env_count, .get = env_get};

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    struct computing *k = ctx;
    if (ref->id == ENV_ID && !constant_env(k->c, ref->key)) {
        k->out->code = DIAG_E0214;
        return arena_fmt(a, "the environment variable %.*s is not set", SPAN_ARG(ref->key));
    }
    if (ref->id == VARS_ID && !constant_var(k->c, ref->key)) {
        k->out->code = DIAG_E0216;
        return arena_fmt(a, "there is no variable \"%.*s\" in the top-level vars",
                         SPAN_ARG(ref->key));
    }
    return NULL;
}

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    struct computing *k = ctx;
    if (ref->id == ENV_ID && ref->key.p) {
        const char *z = constant_env(k->c, ref->key);
        *out = value_string(span_z(z ? z : ""));
        return true;
    }
    if (ref->id == ENV_ID) {
        struct value_host *h = arena_alloc(a, sizeof *h);
        *h = (struct value_host){&env_ops, k->c};
        *out = (struct value){.kind = VALUE_MAP, .form = VALUE_HOST, .host = h};
        return true;
    }
    const struct node *n = ref->key.p ? constant_var(k->c, ref->key) : k->c->vars;
    k->out->secret |= n && holds_secret(n);
    *out = n ? constant_value(a, n) : (struct value){.kind = VALUE_MAP};
    return true;
}

static void keep(void *ctx, struct regex *r) {
    struct computing *k = ctx;
    struct kept *kept = arena_alloc(k->c->arena, sizeof *kept);
    *kept = (struct kept){r, k->kept};
    k->kept = kept;
}

static bool text_of(struct arena *a, const struct value *v, struct span *out) {
    *out = SPAN("");
    if (v->kind == VALUE_STRING)
        *out = value_span(v);
    else if (v->kind != VALUE_NULL && !json_write(a, v, 0, RESULT_MAX, out))
        return false;
    if (v->kind != VALUE_STRING && out->n >= 2 && out->p[0] == '"')
        *out = span_cut(*out, 1, out->n - 2); /* a duration, an address */
    return true;
}

static bool wrong(struct constant_result *out, const struct expr_error *e) {
    out->at = e->at;
    out->len = e->len;
    out->why = e->text ? e->text : "this expression is malformed";
    out->help = e->help;
    return false;
}

static bool compute(struct computing *k, struct span source, const struct expr_scope *scope) {
    struct arena *a = k->c->arena;
    struct expr_error err = {0};
    struct expr_run run = {.arena = a, .get = get, .ctx = k};
    struct value v;
    const struct expr *e = expr_compile(a, source, scope, &err);
    if (!e)
        return wrong(k->out, &err);
    if (!expr_eval(e, &run, &v))
        return wrong(k->out, &run.error);
    k->out->typed = v.kind != VALUE_STRING;
    return text_of(a, &v, &k->out->text) ||
           wrong(k->out, &(struct expr_error){.len = source.n, .text = "its value is too large"});
}

bool constant_compute(struct constants *c, struct span source, struct constant_result *out) {
    static const struct expr_type env = {
        .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
    static const struct expr_type vars = {
        .kind = EXPR_MAP, .of = &expr_dyn, .key = &expr_string, .direct = true};
    static const struct expr_name names[] = {{"env", &env, ENV_ID}, {"vars", &vars, VARS_ID}};
    struct computing k = {.c = c, .out = out};
    struct expr_scope scope = {
        .name = names, .count = array_len(names), .check = check, .keep = keep, .ctx = &k};
    *out = (struct constant_result){.code = DIAG_E0217};
    bool fine = compute(&k, source, &scope);
    for (const struct kept *r = k.kept; r; r = r->next)
        regex_free(r->regex);
    return fine;
}
