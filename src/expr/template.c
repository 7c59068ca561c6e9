/* Compiling templates: literal parts and programs, with errors that say where and what. */
#include "expr/template.h"

struct compiler {
    struct arena *arena;
    struct span source;
    enum template_place place;
    const struct expr_scope *scope;
    struct expr_error *err;
    struct template_part *part;
    uint32_t count;
    bool constant, quoted; /* quoted: inside a string of JSON */
};

static bool wrong(struct compiler *c, size_t at, size_t len, const char *text) {
    *c->err = (struct expr_error){.at = at, .len = len ? len : 1, .text = text};
    return false;
}

static struct template_part *next_part(struct compiler *c) {
    struct template_part *p = &c->part[c->count++];
    *p = (struct template_part){.group = -1, .place = c->place};
    return p;
}

/* The ${..} at [at, end). */
static bool put_expression(struct compiler *c, size_t at, size_t end) {
    struct span inner = span_cut(c->source, at + 2, end - at - 3);
    if (!span_trim(inner).n)
        return wrong(c, at, end - at, "an expression is missing between ${ and }");
    const struct expr *e = expr_compile(c->arena, inner, c->scope, c->err);
    if (!e) {
        c->err->at += at + 2;
        return false;
    }
    const struct expr_ref *single = expr_single(e);
    struct template_part *p = next_part(c);
    p->expr = e;
    p->tail = single && single->tail;
    p->bare = c->place == PLACE_JSON && !c->quoted;
    c->constant = false;
    return true;
}

static void follow_quotes(struct compiler *c, struct span text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' && c->quoted)
            i++;
        else if (text.p[i] == '"')
            c->quoted = !c->quoted;
    }
}

static bool put_literal(struct compiler *c, size_t at, size_t n) {
    struct span text = span_cut(c->source, at, n);
    if (!n)
        return true;
    for (size_t i = 0; i < n && c->place == PLACE_HEADER; i++) {
        unsigned char b = (unsigned char)text.p[i];
        if ((b < 0x20 && b != '\t') || b == 0x7f)
            return wrong(c, at + i, 1, "a header cannot hold control characters");
    }
    next_part(c)->literal = text;
    if (c->place == PLACE_PATH && span_find(text, '?') >= 0)
        c->place = PLACE_QUERY;
    if (c->place == PLACE_JSON)
        follow_quotes(c, text);
    return true;
}

/* Every "$" begins at most two parts. */
static uint32_t parts_max(struct span s) {
    uint32_t n = 1;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '$' ? 2 : 0;
    return n;
}

static bool run(struct compiler *c) {
    struct span s = c->source;
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        struct span rest = span_from(s, i);
        if (span_starts(rest, SPAN("$${"))) {
            if (!put_literal(c, from, i - from))
                return false;
            from = i + 1; /* the first "$" falls away */
            i += 3;
        } else if (span_starts(rest, SPAN("${"))) {
            size_t end = expr_template_end(s, i);
            if (!end)
                return wrong(c, i, 2, "this ${ is never closed: a } is missing");
            if (!put_literal(c, from, i - from) || !put_expression(c, i, end))
                return false;
            from = i = end;
        } else {
            i++;
        }
    }
    return put_literal(c, from, s.n - from);
}

const struct template *template_compile(struct arena *a, struct span source,
                                        enum template_place place, const struct expr_scope *scope,
                                        struct expr_error *err) {
    struct compiler c = {.arena = a,
                         .source = arena_span(a, source),
                         .place = place,
                         .scope = scope,
                         .err = err,
                         .constant = true};
    *err = (struct expr_error){0};
    c.part = arena_zero(a, parts_max(source) * sizeof *c.part);
    if (!run(&c))
        return NULL;
    struct template *t = arena_zero(a, sizeof *t);
    *t = (struct template){c.part, c.count, c.constant, c.source};
    return t;
}

bool template_loads(const struct template *t, int id) {
    for (uint32_t i = 0; i < t->count; i++)
        if (t->part[i].expr && expr_loads(t->part[i].expr, id))
            return true;
    return false;
}
