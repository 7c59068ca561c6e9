#include "conf/constant_expr.h"
#include "conf/files.h"
#include "base/env.h"
#include <stdlib.h>

enum { TEXT_MAX = 1 << 20, PIECES_MAX = 64, SECRET_MAX = 64 * 1024 };

size_t expression_end(struct span s, size_t at) {
    unsigned depth = 1;
    char quote = 0;
    for (size_t i = at + 2; i < s.n; i++) {
        char c = s.p[i];
        if (quote) {
            if (c == '\\')
                i++;
            else if (c == quote)
                quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

struct span node_plain(const struct node *n) {
    return n->constant ? n->constant->plain : n->text;
}
struct span node_template(const struct node *n) {
    return n->constant ? n->constant->template : n->text;
}
bool node_secret(const struct node *n) {
    return n->constant && n->constant->secret;
}

struct mark node_template_mark(const struct diag_list *l, const struct node *n, size_t at,
                               size_t len) {
    const struct constant *c = n->constant;
    if (!c || !c->pieces)
        return node_inside(l, n, at, len);
    const struct constant_piece *p = c->piece;
    for (uint32_t i = 0; i < c->pieces && c->piece[i].at <= at; i++)
        p = &c->piece[i];
    if (p->inserted)
        return node_inside(l, n, p->raw_at, p->raw_len);
    return node_inside(l, n, p->raw_at + (at - p->at), len);
}

struct builder { /* one scalar being worked on */
    struct constants *c;
    struct node *node;
    struct str plain, template;
    bool secret;
    struct constant_piece piece[PIECES_MAX];
    uint32_t pieces;
};

static bool name_char(char ch) {
    return (ch >= '0' && ch <= '9') || ch == '_' || (lower(ch) >= 'a' && lower(ch) <= 'z');
}

static size_t name_len(struct span s) {
    size_t n = 0;
    while (n < s.n && name_char(s.p[n]))
        n++;
    return n;
}

static struct mark inside(const struct builder *b, struct span part) {
    return node_inside(b->c->diags, b->node, (size_t)(part.p - b->node->text.p), part.n);
}

static struct diag *complain(struct builder *b, enum diag_code code, struct span part,
                             const char *text) {
    b->node->bad = true;
    return diag_add(b->c->diags, code, inside(b, part), "%s", text);
}

/* 'text' or "text", whole. */
static bool quoted(struct span s, struct span *out) {
    if (s.n < 2 || (s.p[0] != '\'' && s.p[0] != '"') || s.p[s.n - 1] != s.p[0])
        return false;
    *out = span_cut(s, 1, s.n - 2);
    return span_find(*out, s.p[0]) < 0 && span_find(*out, '\\') < 0;
}

const char *constant_env(struct constants *c, struct span name) {
    const char *z = arena_text(c->arena, name);
    return c->getenv ? c->getenv(c->ctx, z) : getenv(z);
}

/* Only a name, or a name and what stands for it: everything else is an expression. */
static bool plain_env(struct span rest) {
    bool optional = rest.n && rest.p[0] == '?';
    struct span name = span_from(rest, optional), fallback;
    struct span tail = span_from(name, name_len(name));
    if (!name_len(name) || !optional)
        return name_len(name) && tail.n == 0;
    return span_starts(tail, SPAN(".orValue(")) && span_ends(tail, SPAN(")")) &&
           quoted(span_trim(span_cut(tail, 9, tail.n - 10)), &fallback);
}

/* env.X or env.?X.orValue('v'), `rest` behind "env.": a plain one. */
static bool env_value(struct builder *b, struct span all, struct span rest, struct span *out) {
    bool optional = rest.n && rest.p[0] == '?';
    struct span name = span_from(rest, optional);
    struct span tail = span_from(name, name_len(name));
    name = span_cut(name, 0, name_len(name));
    struct span fallback = SPAN_NONE;
    if (optional && !quoted(span_trim(span_cut(tail, 9, tail.n - 10)), &fallback))
        fallback = SPAN_NONE;
    const char *value = constant_env(b->c, name);
    if (!value && !optional) {
        struct diag *d = diag_add(b->c->diags, DIAG_E0214, inside(b, all),
                                  "the environment variable %.*s is not set", SPAN_ARG(name));
        diag_help(b->c->diags, d,
                  "set it, or give a value for when it is not: ${env.?%.*s.orValue('..')}",
                  SPAN_ARG(name));
        b->node->bad = true;
        return false;
    }
    *out = value ? span_z(value) : fallback;
    return true;
}

static void keep_secret(struct constants *c, struct span value) {
    struct constant_secret *s = arena_alloc(c->arena, sizeof *s);
    *s = (struct constant_secret){arena_span(c->arena, value), c->secrets};
    c->secrets = s;
}

static bool secret_file(struct builder *b, struct span all, struct span path, struct span *out) {
    const char *name = files_beside(b->c->arena, b->c->diags, b->node->at.file, path);
    const char *why = files_read(b->c->arena, name, SECRET_MAX, out);
    if (why) {
        diag_add(b->c->diags, DIAG_E0215, inside(b, all), "the secret's file %s: %s", name, why);
        b->node->bad = true;
        return false;
    }
    if (out->n && out->p[out->n - 1] == '\n')
        out->n--;
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    keep_secret(b->c, *out);
    return true;
}

/* secret('file:path') or secret('env:NAME'), `rest` behind "secret(" */
static bool secret_value(struct builder *b, struct span all, struct span rest, struct span *out) {
    struct span what = SPAN_NONE;
    bool fits =
        span_ends(rest, SPAN(")")) && quoted(span_trim(span_cut(rest, 0, rest.n - 1)), &what);
    b->secret = true;
    if (fits && span_starts(what, SPAN("file:")) && what.n > 5)
        return secret_file(b, all, span_from(what, 5), out);
    if (fits && span_starts(what, SPAN("env:")) && what.n > 4) {
        const char *value = constant_env(b->c, span_from(what, 4));
        if (value) {
            *out = span_z(value);
            keep_secret(b->c, *out);
            return true;
        }
        complain(b, DIAG_E0215, all, "the environment variable that holds this secret is not set");
        return false;
    }
    struct diag *d = complain(b, DIAG_E0217, all, "this use of secret is not understood");
    diag_help(b->c->diags, d,
              "write ${secret('file:path')} or ${secret('env:NAME')}, in `vars` if an expression "
              "needs it: ${vars.name}");
    return false;
}

static struct node *var_named(struct constants *c, struct span name) {
    for (uint32_t i = 0; c->vars && i < c->vars->count; i++)
        if (span_eq(c->vars->pair[i].key->text, name)) {
            c->var_used[i] = true;
            return c->vars->pair[i].value;
        }
    return NULL;
}

const struct node *constant_var(struct constants *c, struct span name) {
    return var_named(c, name);
}

static void unknown_var(struct builder *b, struct span all, struct span name) {
    struct constants *c = b->c;
    struct diag *d =
        diag_add(c->diags, DIAG_E0216, inside(b, all),
                 "there is no variable \"%.*s\" in the top-level vars", SPAN_ARG(name));
    b->node->bad = true;
    const char *word[64];
    size_t n = 0;
    for (uint32_t i = 0; c->vars && i < c->vars->count && n < array_len(word); i++)
        word[n++] = arena_text(c->arena, c->vars->pair[i].key->text);
    const char *guess = diag_guess(name, word, n);
    if (guess)
        diag_help(c->diags, d, "did you mean vars.%s?", guess);
}

/* vars.a.b and nothing more. */
static bool plain_var(struct span rest) {
    for (;; rest = span_from(rest, 1)) {
        size_t n = name_len(rest);
        rest = span_from(rest, n);
        if (!n || !rest.n)
            return n > 0;
        if (rest.p[0] != '.')
            return false;
    }
}

/* The node that vars.a.b names; NULL: said why not. */
static struct node *var_value(struct builder *b, struct span all, struct span rest) {
    struct span part = span_cut(rest, 0, name_len(rest));
    struct node *n = var_named(b->c, part);
    rest = span_from(rest, part.n);
    while (n && rest.n && rest.p[0] == '.') {
        rest = span_from(rest, 1);
        part = span_cut(rest, 0, name_len(rest));
        n = node_get(n, arena_text(b->c->arena, part));
        rest = span_from(rest, part.n);
    }
    if (!n)
        unknown_var(b, all, part);
    else if (n->bad)
        b->node->bad = true;
    return n && !n->bad ? n : NULL;
}

static void put_escaped(struct str *out, struct span v) {
    for (size_t i = 0; i < v.n; i++) {
        bool opens = v.p[i] == '{' && out->n && out->p[out->n - 1] == '$';
        if (opens)
            str_char(out, '$'); /* "$" + "{" = "$${": a literal "${" */
        str_char(out, v.p[i]);
    }
}

static void piece(struct builder *b, size_t raw_at, size_t raw_len, bool inserted) {
    if (b->pieces < PIECES_MAX)
        b->piece[b->pieces++] = (struct constant_piece){b->template.n, raw_at, raw_len, inserted};
}

enum found { FOUND_NOTHING, FOUND_VALUE, FOUND_NODE, FOUND_ERROR };

static enum found computed(struct builder *b, struct span all, struct span inner,
                           struct span *value) {
    struct constant_result r;
    if (!constant_compute(b->c, inner, &r)) {
        struct diag *d = complain(b, r.code, span_cut(inner, r.at, r.len ? r.len : 1), r.why);
        if (r.help)
            diag_help(b->c->diags, d, "%s", r.help);
        return FOUND_ERROR;
    }
    *value = r.text;
    if (r.typed && all.n == b->node->text.n) /* all of it: not a quoted text any more */
        b->node->quoted = false;
    b->secret |= r.secret;
    if (r.secret)
        keep_secret(b->c, r.text);
    return FOUND_VALUE;
}

/* Judges one ${..}: `all` with, `inner` without its braces. */
static enum found look(struct builder *b, struct span all, struct span inner, struct span *value,
                       struct node **var) {
    inner = span_trim(inner);
    bool fine;
    if (span_starts(inner, SPAN("env.")) && plain_env(span_from(inner, 4))) {
        fine = env_value(b, all, span_from(inner, 4), value);
    } else if (span_starts(inner, SPAN("secret("))) {
        fine = secret_value(b, all, span_from(inner, 7), value);
    } else if (span_starts(inner, SPAN("vars.")) && plain_var(span_from(inner, 5))) {
        *var = var_value(b, all, span_from(inner, 5));
        return *var ? FOUND_NODE : FOUND_ERROR;
    } else {
        return constant_expression(b->c->arena, inner) ? computed(b, all, inner, value)
                                                       : FOUND_NOTHING;
    }
    return fine ? FOUND_VALUE : FOUND_ERROR;
}

/* A variable inside a longer text must be a scalar. */
static bool var_text(struct builder *b, struct span all, const struct node *var,
                     struct span *value) {
    if (var->kind != NODE_SCALAR) {
        complain(b, DIAG_E0217, all,
                 "this variable is a map or a list and cannot stand inside a text");
        return false;
    }
    *value = node_plain(var);
    b->secret |= node_secret(var);
    return true;
}

static void raw(struct builder *b, size_t at, size_t len, bool literal_dollar) {
    struct span part = span_cut(b->node->text, at, len);
    piece(b, at, len, false);
    str_add(&b->template, part);
    str_add(&b->plain, span_from(part, literal_dollar)); /* "$${" is "${" */
}

/* Returns the node that takes the scalar's place, or NULL: b holds the text. */
static struct node *work_through(struct builder *b) {
    struct span t = b->node->text;
    size_t i = 0, from = 0;
    while (i + 1 < t.n) {
        if (t.p[i] == '$' && t.p[i + 1] == '$' && i + 2 < t.n && t.p[i + 2] == '{') {
            raw(b, from, i - from, false);
            raw(b, i, 3, true);
            from = i = i + 3;
            continue;
        }
        size_t end = t.p[i] == '$' && t.p[i + 1] == '{' ? expression_end(t, i) : 0;
        if (!end) {
            i++;
            continue;
        }
        struct span all = span_cut(t, i, end - i), value = SPAN_NONE;
        struct node *var = NULL;
        enum found f = look(b, all, span_cut(t, i + 2, end - i - 3), &value, &var);
        if (f == FOUND_NODE && all.n == t.n)
            return var;
        if (f == FOUND_NODE && var)
            f = var_text(b, all, var, &value) ? FOUND_VALUE : FOUND_ERROR;
        if (f == FOUND_VALUE) {
            raw(b, from, i - from, false);
            piece(b, i, all.n, true);
            str_add(&b->plain, value);
            put_escaped(&b->template, value);
            from = end;
        }
        i = end;
    }
    raw(b, from, t.n - from, false);
    return NULL;
}

static struct str scratch(struct arena *a, size_t max) {
    return str_on(arena_alloc(a, max), max);
}

static void finish(struct builder *b) {
    struct arena *a = b->c->arena;
    if (b->plain.full || b->template.full) {
        complain(b, DIAG_E0217, b->node->text, "with its constants this text is too long");
        return;
    }
    struct constant *k = arena_zero(a, sizeof *k);
    struct constant_piece *pieces = arena_alloc(a, b->pieces * sizeof *pieces + 1);
    memcpy(pieces, b->piece, b->pieces * sizeof *pieces);
    *k = (struct constant){.plain = arena_span(a, str_span(&b->plain)),
                           .template = arena_span(a, str_span(&b->template)),
                           .secret = b->secret,
                           .piece = pieces,
                           .pieces = b->pieces};
    b->node->constant = k;
}

/* How much a text can grow is not known before; two tries, small and large. */
static struct node *put_in(struct constants *c, struct node *n) {
    static const size_t sizes[] = {4096, TEXT_MAX};
    struct arena work;
    arena_init(&work, NULL);
    struct node *instead = NULL;
    struct builder *b = arena_alloc(&work, sizeof *b);
    for (size_t i = 0; i < array_len(sizes); i++) {
        *b = (struct builder){.c = c, .node = n};
        b->plain = scratch(&work, sizes[i] + n->text.n * 2);
        b->template = scratch(&work, sizes[i] + n->text.n * 2);
        instead = work_through(b);
        if (instead || n->bad || !b->template.full)
            break;
    }
    if (!instead && !n->bad)
        finish(b);
    arena_finish(&work);
    return instead;
}

static bool wants(const struct node *n) {
    if (n->kind != NODE_SCALAR || n->constant_known)
        return false;
    ptrdiff_t at = span_find(n->text, '$');
    return at >= 0 && memmem(n->text.p, n->text.n, "${", 2);
}

static void place(struct constants *c, struct node **at) {
    if (!wants(*at))
        return;
    struct node *n = *at, *instead = put_in(c, n);
    n->constant_known = true;
    if (!instead)
        return;
    /* A scalar keeps its own place, for messages; a map or list is shared. */
    if (instead->kind == NODE_SCALAR) {
        struct constant *k = arena_zero(c->arena, sizeof *k);
        *k = (struct constant){.plain = node_plain(instead),
                               .template = node_template(instead),
                               .secret = node_secret(instead)};
        n->constant = k;
        n->quoted = instead->quoted;
    } else {
        *at = instead;
    }
}

struct walk {
    struct node *node;
    uint32_t next;
};

static struct node **child_at(struct node *n, uint32_t i) {
    return n->kind == NODE_MAP ? &n->pair[i].value : &n->item[i];
}

static void walk_tree(struct constants *c, struct node *root) {
    struct walk stack[YAML_DEPTH * 2 + 2];
    unsigned depth = 0;
    stack[depth++] = (struct walk){root, 0};
    while (depth) {
        struct walk *w = &stack[depth - 1];
        if (w->node->kind == NODE_SCALAR || w->next == w->node->count) {
            depth--;
            continue;
        }
        struct node **child = child_at(w->node, w->next++);
        place(c, child);
        if ((*child)->kind != NODE_SCALAR && !(*child)->constant_known &&
            depth < array_len(stack)) {
            (*child)->constant_known = true; /* shared parts are walked once */
            stack[depth++] = (struct walk){*child, 0};
        }
    }
}

void constants_put_in(struct constants *c, struct node *root) {
    struct node *vars = node_get(root, "vars");
    c->vars = NULL;
    if (vars && vars->kind == NODE_MAP) {
        struct node seen = *vars; /* grows: a variable sees those above it */
        seen.count = 0;
        c->var_used = arena_zero(c->arena, vars->count + 1);
        c->vars = &seen;
        for (uint32_t i = 0; i < vars->count; i++) {
            place(c, &vars->pair[i].value);
            if (vars->pair[i].value->kind != NODE_SCALAR)
                walk_tree(c, vars->pair[i].value);
            seen.count++;
        }
        c->vars = vars;
    }
    walk_tree(c, root);
}
