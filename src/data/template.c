/* Compiling templates: literal parts and names, with errors that say where and what. */
#include "data/template.h"

/* ---- where an expression ends: CEL's tokens ------------------------------------------------- */

static bool name_start(char c) {
    return c == '_' || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool name_char(char c) {
    return name_start(c) || (c >= '0' && c <= '9');
}

/* A string literal begins at s: the byte behind it, or 0. Raw ones keep their backslashes. */
static size_t string_end(struct span s, bool raw) {
    char q = s.p[0];
    bool triple = s.n >= 3 && s.p[1] == q && s.p[2] == q;
    size_t i = triple ? 3 : 1;
    for (; i < s.n; i++) {
        if (s.p[i] == '\\' && !raw)
            i++;
        else if (s.p[i] == q && !triple)
            return i + 1;
        else if (s.p[i] == q && i + 2 < s.n && s.p[i + 1] == q && s.p[i + 2] == q)
            return i + 3;
    }
    return 0;
}

/* The prefixes of CEL strings: r, b, rb, br in any case. */
static bool raw_prefix(struct span word) {
    bool raw = false;
    for (size_t i = 0; i < word.n; i++) {
        char c = lower(word.p[i]);
        if (word.n > 2 || (c != 'r' && c != 'b'))
            return false;
        raw |= c == 'r';
    }
    return raw;
}

/* The byte behind the token that begins at s, which is no brace. 0: a string is never closed. */
static size_t token_end(struct span s) {
    size_t i = 0;
    if (s.p[0] == '"' || s.p[0] == '\'')
        return string_end(s, false);
    if (span_starts(s, SPAN("//"))) {
        ptrdiff_t line = span_find(s, '\n');
        return line < 0 ? s.n : (size_t)line;
    }
    while (i < s.n && name_char(s.p[i]))
        i++;
    if (i && i < s.n && (s.p[i] == '"' || s.p[i] == '\'') && raw_prefix(span_cut(s, 0, i))) {
        size_t end = string_end(span_from(s, i), true);
        return end ? i + end : 0;
    }
    return i ? i : 1;
}

size_t template_expression_end(struct span source, size_t at) {
    size_t depth = 1;
    for (size_t i = at + 2; i < source.n;) {
        char c = source.p[i];
        size_t token = 1;
        if (c == '{')
            depth++;
        else if (c == '}' && --depth == 0)
            return i + 1;
        else if (c != '}')
            token = token_end(span_from(source, i));
        if (token == 0)
            return 0;
        i += token;
    }
    return 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

struct compiler {
    struct arena *arena;
    struct span source;
    enum template_place place;
    const struct template_scope *scope;
    struct template_error *err;
    struct template_part *part;
    uint32_t count;
    bool constant;
};

static bool wrong(struct compiler *c, struct span what, const char *text) {
    size_t at = what.p ? (size_t)(what.p - c->source.p) : 0;
    *c->err = (struct template_error){at, what.n ? what.n : 1, text};
    return false;
}

static const struct template_name *find_name(const struct template_scope *s, struct span root,
                                             struct span member) {
    for (size_t i = 0; i < s->count; i++) {
        const struct template_name *n = &s->name[i];
        if (span_eq(span_z(n->root), root) && (!n->member || span_eq(span_z(n->member), member)))
            return n;
    }
    return NULL;
}

static void list_name(struct str *out, const char *name) {
    if (out->n)
        str_lit(out, ", ");
    str_add(out, span_z(name));
}

/* Roots that are known, or the members of one of them. */
static struct span known_names(const struct compiler *c, struct span root) {
    struct str out = str_on(arena_alloc(c->arena, 512), 512);
    const struct template_name *n = c->scope->name;
    for (size_t i = 0; i < c->scope->count; i++) {
        bool again = i && strcmp(n[i].root, n[i - 1].root) == 0;
        if (!root.p && !again)
            list_name(&out, n[i].root);
        else if (root.p && span_eq(span_z(n[i].root), root) && n[i].member)
            list_name(&out, n[i].member);
    }
    return str_span(&out);
}

static bool root_known(const struct compiler *c, struct span root) {
    for (size_t i = 0; i < c->scope->count; i++)
        if (span_eq(span_z(c->scope->name[i].root), root))
            return true;
    return false;
}

static bool unknown(struct compiler *c, struct span root, struct span member) {
    bool known = root_known(c, root);
    struct span names = known_names(c, known ? root : SPAN_NONE);
    if (!known)
        return wrong(c, root,
                     arena_fmt(c->arena, "`%.*s` is not a name here; known are %.*s",
                               SPAN_ARG(root), SPAN_ARG(names)));
    return wrong(c, member.n ? member : root,
                 arena_fmt(c->arena, "`%.*s` has no `%.*s`; it has %.*s", SPAN_ARG(root),
                           SPAN_ARG(member), SPAN_ARG(names)));
}

static const char plain_only[] =
    "only a plain name such as path.id or header[\"x\"] can stand here: full CEL expressions are "
    "not available yet";

/* ["key"] at the head of s: the key, and what stands behind. Escapes are for full CEL. */
static bool key_of(struct span s, struct span *key, struct span *rest) {
    s = span_trim(span_from(s, 1));
    if (!s.n || (s.p[0] != '"' && s.p[0] != '\''))
        return false;
    size_t end = string_end(s, false);
    if (end < 3 || memchr(s.p, '\\', end) || s.p[1] == s.p[0])
        return false;
    *key = span_cut(s, 1, end - 2);
    s = span_trim(span_from(s, end));
    if (!s.n || s.p[0] != ']')
        return false;
    *rest = span_trim(span_from(s, 1));
    return true;
}

static struct span word_of(struct span s) {
    size_t n = 0;
    while (n < s.n && name_char(s.p[n]))
        n++;
    return span_cut(s, 0, n && name_start(s.p[0]) ? n : 0);
}

/* "sni", "tls.sni": members of members are one name of the table. */
static struct span words_of(struct span s) {
    size_t n = word_of(s).n;
    while (n && n + 1 < s.n && s.p[n] == '.') {
        size_t more = word_of(span_from(s, n + 1)).n;
        if (!more)
            break;
        n += 1 + more;
    }
    return span_cut(s, 0, n);
}

/* "tls.x" is a member that does not exist where "tls.sni" is one; "x.startsWith" is none. */
static bool has_members_below(const struct template_scope *scope, struct span root,
                              struct span word) {
    for (size_t i = 0; i < scope->count; i++) {
        const char *member = scope->name[i].member;
        if (member && span_eq(span_z(scope->name[i].root), root) &&
            span_starts(span_z(member), word) && member[word.n] == '.')
            return true;
    }
    return false;
}

/* root.member or root["key"], and nothing else. */
static bool plain_name(const struct template_scope *scope, struct span e, struct span *root,
                       struct span *member) {
    *root = word_of(e);
    struct span rest = span_trim(span_from(e, root->n));
    *member = SPAN_NONE;
    if (!root->n)
        return false;
    if (rest.n && rest.p[0] == '[')
        return key_of(rest, member, &rest) && rest.n == 0;
    if (rest.n && rest.p[0] == '.') {
        rest = span_trim(span_from(rest, 1));
        *member = words_of(rest);
        const struct template_name *n = find_name(scope, *root, *member);
        if ((!n || !n->member) && !has_members_below(scope, *root, word_of(rest)))
            *member = word_of(rest);
        rest = span_trim(span_from(rest, member->n));
        return member->n && rest.n == 0;
    }
    return rest.n == 0;
}

static bool put_name(struct compiler *c, struct span e) {
    struct span root, member;
    if (!e.n)
        return wrong(c, e, "a name is missing between ${ and }");
    if (!plain_name(c->scope, e, &root, &member))
        return wrong(c, e, plain_only);
    const struct template_name *n = find_name(c->scope, root, member);
    if (!n)
        return unknown(c, root, member);
    if (!n->member && !member.n)
        return wrong(c, root,
                     arena_fmt(c->arena, "`%.*s` alone is no text: name one of them, %.*s.x",
                               SPAN_ARG(root), SPAN_ARG(root)));
    struct template_part *p = &c->part[c->count++];
    *p = (struct template_part){.id = n->id, .key = member, .place = c->place};
    const char *why = c->scope->check ? c->scope->check(c->scope->ctx, c->arena, p) : NULL;
    c->constant = false;
    return why ? wrong(c, member, why) : true;
}

/* ---- literals ------------------------------------------------------------------------------- */

static bool put_literal(struct compiler *c, struct span text) {
    if (!text.n)
        return true;
    for (size_t i = 0; i < text.n && c->place == PLACE_HEADER; i++) {
        unsigned char b = (unsigned char)text.p[i];
        if ((b < 0x20 && b != '\t') || b == 0x7f)
            return wrong(c, span_cut(text, i, 1), "a header cannot hold control characters");
    }
    c->part[c->count++] = (struct template_part){.literal = text, .id = -1, .place = c->place};
    if (c->place == PLACE_PATH && span_find(text, '?') >= 0)
        c->place = PLACE_QUERY;
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
            if (!put_literal(c, span_cut(s, from, i - from)))
                return false;
            from = i + 1; /* the first "$" falls away */
            i += 3;
        } else if (span_starts(rest, SPAN("${"))) {
            size_t end = template_expression_end(s, i);
            if (!end)
                return wrong(c, span_cut(s, i, 2), "this ${ is never closed: a } is missing");
            if (!put_literal(c, span_cut(s, from, i - from)) ||
                !put_name(c, span_trim(span_cut(s, i + 2, end - i - 3))))
                return false;
            from = i = end;
        } else {
            i++;
        }
    }
    return put_literal(c, span_from(s, from));
}

const struct template *template_compile(struct arena *a, struct span source,
                                        enum template_place place,
                                        const struct template_scope *scope,
                                        struct template_error *err) {
    struct compiler c = {.arena = a,
                         .source = arena_span(a, source),
                         .place = place,
                         .scope = scope,
                         .err = err,
                         .constant = true};
    c.part = arena_zero(a, parts_max(source) * sizeof *c.part);
    if (!run(&c))
        return NULL;
    struct template *t = arena_zero(a, sizeof *t);
    *t = (struct template){c.part, c.count, c.constant, c.source};
    return t;
}
