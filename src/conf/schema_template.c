#include "conf/schema.h"
#include "conf/draft.h"

static bool name_char(char c) {
    return (c >= '0' && c <= '9') || c == '_' || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* The ${..} that byte `at` of the source stands in, without its braces. */
static struct span expression_at(struct span source, size_t at) {
    for (size_t i = 0; i + 1 < source.n && i <= at; i++) {
        if (source.p[i] == '$' && source.p[i + 1] == '$') {
            i += source.n > i + 2 && source.p[i + 2] == '{' ? 2 : 0;
            continue;
        }
        size_t end = source.p[i] == '$' && source.p[i + 1] == '{' ? expression_end(source, i) : 0;
        if (end > at)
            return span_cut(source, i + 2, end - i - 3);
        if (end)
            i = end - 1;
    }
    return SPAN_NONE;
}

static struct span root_of(struct span e) {
    size_t n = 0;
    while (n < e.n && name_char(e.p[n]))
        n++;
    return span_cut(e, 0, n);
}

/* root.member or root["key"] and nothing more. */
static bool plain_name(struct span e) {
    struct span rest = span_from(e, root_of(e).n);
    if (rest.n > 4 && rest.p[0] == '[')
        return (rest.p[1] == '"' || rest.p[1] == '\'') && rest.p[rest.n - 1] == ']' &&
               rest.p[rest.n - 2] == rest.p[1] &&
               span_find(span_cut(rest, 2, rest.n - 4), rest.p[1]) < 0;
    if (rest.n < 2 || rest.p[0] != '.')
        return false;
    for (size_t i = 1; i < rest.n; i++)
        if (!name_char(rest.p[i]))
            return false;
    return true;
}

/* client.tls.sni: the one name of three words. */
static bool tls_name(struct span e) {
    for (size_t i = 0; i < e.n; i++)
        if (!name_char(e.p[i]) && e.p[i] != '.')
            return false;
    return span_eq(e, SPAN("client.tls")) || span_starts(e, SPAN("client.tls."));
}

/* What CONFIG.md knows and this version does not evaluate. */
static const char *not_yet(struct span e) {
    static const char *const roots[] = {"claim", "consumer", "response", "item", "index", "vars"};
    static const char *const now[] = {"request", "header", "query",   "cookie", "path",
                                      "client",  "route",  "service", "error",  "env"};
    struct span root = root_of(e);
    for (size_t i = 0; i < array_len(roots); i++)
        if (span_eq(root, span_z(roots[i])))
            return roots[i];
    if (span_eq(e, SPAN("request.body")) || span_eq(e, SPAN("request.size")) ||
        span_eq(e, SPAN("request.time")) || span_starts(e, SPAN("request.headers")) ||
        span_starts(e, SPAN("request.query")))
        return "this name";
    if (plain_name(e) || tls_name(e))
        return NULL;
    for (size_t i = 0; i < array_len(now); i++)
        if (span_eq(root, span_z(now[i])))
            return "an expression beyond a plain name";
    return span_find(e, '(') >= 0 || span_find(e, '.') >= 0 ? "an expression beyond a plain name"
                                                            : NULL;
}

static void template_wrong(const struct schema_fill *f, struct node *n, struct span source,
                           const struct template_error *e) {
    struct span inner = span_trim(expression_at(source, e->at));
    const char *later = inner.n ? not_yet(inner) : NULL;
    size_t at = e->at, len = e->len ? e->len : 1;
    if (later) {
        at = (size_t)(inner.p - source.p);
        len = inner.n;
    }
    struct mark m = node_template_mark(f->diags, n, at, len);
    if (later && root_of(inner).n && strcmp(later, "this name") != 0 && plain_name(inner))
        diag_add(f->diags, DIAG_E0901, m, "`%s` in templates is not available yet", later);
    else if (later)
        diag_add(f->diags, DIAG_E0901, m, "%s is not available in templates yet", later);
    else
        diag_add(f->diags, inner.n ? DIAG_E0502 : DIAG_E0501, m, "%s",
                 e->text ? e->text : "this template is malformed");
    n->bad = true;
}

static const struct template *compile(const struct schema_fill *f, struct node *n,
                                      struct span source, enum template_place place,
                                      unsigned scopes) {
    struct template_scope scope = {0};
    struct template_error e = {0};
    facts_scope(&scope, scopes, f->captures);
    const struct template *t = template_compile(f->arena, source, place, &scope, &e);
    if (!t && !n->bad)
        template_wrong(f, n, source, &e);
    return t;
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

/* A text that is one name whose value is no text stays what it is. */
static bool keeps_type(struct span t) {
    static const char *const whole[] = {"${client.port}", "${client.tls.verified}",
                                        "${error.status}"};
    for (size_t i = 0; i < array_len(whole); i++)
        if (span_eq(t, span_z(whole[i])))
            return true;
    return false;
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
    else if ((!n->quoted && json_number(t)) || keeps_type(t))
        draft_add(out, t);
    else {
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
