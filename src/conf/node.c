#include "conf/yaml.h"

struct pair *node_find(const struct node *n, const char *key) {
    struct span wanted = span_z(key);
    if (!n || n->kind != NODE_MAP)
        return NULL;
    for (uint32_t i = 0; i < n->count; i++)
        if (span_eq(n->pair[i].key->text, wanted))
            return &n->pair[i];
    return NULL;
}

struct node *node_get(const struct node *n, const char *key) {
    struct pair *p = node_find(n, key);
    return p ? p->value : NULL;
}

static bool plain_is(const struct node *n, const char *const *word) {
    if (!n || n->kind != NODE_SCALAR || n->quoted)
        return false;
    for (; *word; word++)
        if (span_eq(n->text, span_z(*word)))
            return true;
    return false;
}

/* The YAML 1.2 core schema's spellings. */
bool node_null(const struct node *n) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return plain_is(n, words);
}

bool node_false(const struct node *n) {
    static const char *const words[] = {"false", "False", "FALSE", NULL};
    return plain_is(n, words);
}

bool node_true(const struct node *n) {
    static const char *const words[] = {"true", "True", "TRUE", NULL};
    return plain_is(n, words);
}

const char *node_kind_name(const struct node *n) {
    if (n->kind == NODE_MAP)
        return "a map";
    if (n->kind == NODE_LIST)
        return "a list";
    return node_null(n) ? "nothing" : "a text";
}

struct node *node_new_map(struct arena *a, const struct node *like, uint32_t count) {
    struct node *n = arena_zero(a, sizeof *n);
    *n = (struct node){.kind = NODE_MAP,
                       .at = like->at,
                       .end_line = like->end_line,
                       .end_column = like->end_column,
                       .count = count,
                       .bad = like->bad};
    n->pair = arena_zero(a, count * sizeof *n->pair + 1);
    n->size = n->height = 1;
    return n;
}

struct node *node_new_scalar(struct arena *a, const struct node *like, const char *text) {
    struct node *n = arena_zero(a, sizeof *n);
    *n = (struct node){.kind = NODE_SCALAR,
                       .at = like->at,
                       .text = span_z(text),
                       .size = 1,
                       .height = 1,
                       .end_line = like->end_line,
                       .end_column = like->end_column};
    return n;
}

/* Bytes of source that stand for the next byte or character of the text. */
static size_t source_step(const char *p, const char *end, char quote) {
    if (quote == '\'' && *p == '\'')
        return 2;
    if (quote != '"' || *p != '\\' || end - p < 2)
        return 1;
    switch (p[1]) {
    case 'x':
        return 4;
    case 'u':
        return 6;
    case 'U':
        return 10;
    default:
        return 2;
    }
}

static bool continues(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t char_len(const char *p, const char *end) {
    size_t n = 1;
    while (p + n < end && continues(p[n]))
        n++;
    return n;
}

static const char *line_at(struct span text, uint32_t line) {
    const char *p = text.p, *end = text.p + text.n;
    while (line > 1 && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        p = nl ? nl + 1 : end;
        line--;
    }
    return p;
}

static uint32_t chars(struct span s) {
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += !continues(s.p[i]);
    return n;
}

/* A literal block: the n-th line of the text is the n-th below its header. */
static struct mark inside_block(struct span source, const struct node *n, size_t at, size_t len) {
    uint32_t lines = 0;
    size_t line_from = 0;
    for (size_t i = 0; i < at; i++)
        if (n->text.p[i] == '\n') {
            lines++;
            line_from = i + 1;
        }
    struct mark m = n->at;
    m.line = n->at.line + 1 + lines;
    const char *p = line_at(source, m.line), *end = source.p + source.n;
    uint32_t indent = 0;
    while (p < end && *p == ' ')
        p++, indent++;
    m.column = indent + 1 + chars(span_cut(n->text, line_from, at - line_from));
    m.length = chars(span_cut(n->text, at, len));
    return m;
}

/* Walks the source beside the text, as escapes make them differ. */
static struct mark inside_line(struct span source, const struct node *n, size_t at, size_t len) {
    const char *p = line_at(source, n->at.line), *end = source.p + source.n;
    for (uint32_t c = 1; c < n->at.column && p < end; c++)
        p += char_len(p, end);
    struct mark m = n->at;
    char quote = n->quoted && p < end ? *p : 0;
    if (quote)
        p++, m.column++;
    uint32_t begin = m.column, column = m.column;
    size_t i = 0;
    while (i < at + len && i < n->text.n && p < end && *p != '\n') {
        if (i <= at)
            begin = column;
        size_t step = source_step(p, end, quote);
        p += step == 1 ? char_len(p, end) : step;
        column += (uint32_t)step;
        i += char_len(n->text.p + i, n->text.p + n->text.n);
    }
    m.column = i <= at ? column : begin;
    m.length = column > m.column ? column - m.column : 1;
    return m;
}

struct mark node_inside(const struct diag_list *l, const struct node *n, size_t at, size_t len) {
    struct span source = l->source[n->at.file].text;
    if (n->at.line == 0 || n->kind != NODE_SCALAR)
        return n->at;
    if (n->block && source.p) {
        const char *p = line_at(source, n->at.line), *end = source.p + source.n;
        for (uint32_t c = 1; c < n->at.column && p < end; c++)
            p += char_len(p, end);
        if (p < end && *p == '|')
            return inside_block(source, n, at, len);
        return n->at;
    }
    return inside_line(source, n, at, len);
}
