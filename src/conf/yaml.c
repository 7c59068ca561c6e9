#include "conf/yaml.h"
#include "base/env.h"
#include "base/map.h"
#include <yaml.h>

/* Aliases may make the tree at most this much larger than its text has nodes (a "billion laughs").
 */
enum { EXPANSION = 10, EXPANSION_FREE = 10000, KEYS_LINEAR = 16 };

struct frame { /* an open map or list */
    struct node *node;
    uint32_t from; /* its children stand in `pending` from here on */
};

struct reader {
    struct arena *arena;
    struct diag_list *diags;
    uint32_t source;
    struct frame frame[YAML_DEPTH];
    unsigned depth;
    struct node **pending;
    uint32_t count, cap;
    struct map anchors;
    uint64_t nodes;
    struct node *root;
    bool bad, extra_document;
};

static struct mark mark_of(const struct reader *r, const yaml_mark_t *from, const yaml_mark_t *to) {
    size_t n =
        to && to->line == from->line && to->column > from->column ? to->column - from->column : 1;
    return (struct mark){r->source, (uint32_t)from->line + 1, (uint32_t)from->column + 1,
                         (uint32_t)n};
}

static struct diag *complain(struct reader *r, enum diag_code code, struct mark at,
                             const char *text) {
    r->bad = true;
    return diag_add(r->diags, code, at, "%s", text);
}

static struct node *node_open(struct reader *r, const yaml_event_t *e, enum node_kind kind) {
    struct node *n = arena_zero(r->arena, sizeof *n);
    n->kind = kind;
    n->at = mark_of(r, &e->start_mark, &e->end_mark);
    n->end_line = (uint32_t)e->end_mark.line + 1;
    n->end_column = (uint32_t)e->end_mark.column + 1;
    n->size = n->height = 1;
    r->nodes++;
    return n;
}

static void pending_push(struct reader *r, struct node *n) {
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 256;
        r->pending = mem_realloc(r->pending, r->cap * sizeof *r->pending, cap * sizeof *r->pending);
        r->cap = cap;
    }
    r->pending[r->count++] = n;
}

/* A finished node goes to the container that is open, or is the document. */
static void node_give(struct reader *r, struct node *n) {
    if (r->depth)
        pending_push(r, n);
    else
        r->root = n;
}

static void anchor_put(struct reader *r, const yaml_char_t *name, struct node *n) {
    if (name) {
        struct span z = span_z((const char *)name);
        map_put(&r->anchors, arena_span(r->arena, z), n);
    }
}

static void refuse_tag(struct reader *r, const yaml_event_t *e, const yaml_char_t *tag) {
    if (!tag)
        return;
    struct mark at = mark_of(r, &e->start_mark, NULL);
    struct diag *d = complain(r, DIAG_E0107, at, "a YAML tag stands here");
    if (tag[0] == '!')
        diag_help(r->diags, d,
                  "a value that begins with ! is read as a tag; put it in single quotes: '%s...'",
                  (const char *)tag);
    else
        diag_help(r->diags, d,
                  "leave it out: every value is read as its key expects; a text that begins with "
                  "! stands in single quotes");
}

static void scalar(struct reader *r, const yaml_event_t *e) {
    struct node *n = node_open(r, e, NODE_SCALAR);
    yaml_scalar_style_t style = e->data.scalar.style;
    n->quoted = style != YAML_PLAIN_SCALAR_STYLE;
    n->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    n->text =
        arena_span(r->arena, span_of((const char *)e->data.scalar.value, e->data.scalar.length));
    /* "! text" is the one tag that means nothing, and it is refused as well. */
    refuse_tag(r, e, e->data.scalar.tag);
    anchor_put(r, e->data.scalar.anchor, n);
    node_give(r, n);
}

static void alias(struct reader *r, const yaml_event_t *e) {
    const char *name = (const char *)e->data.alias.anchor;
    struct mark at = mark_of(r, &e->start_mark, &e->end_mark);
    struct node *n = map_get(&r->anchors, span_z(name));
    if (!n || n->height == 0) {
        struct diag *d = diag_add(r->diags, DIAG_E0110, at,
                                  n ? "the alias *%s stands inside the value it names"
                                    : "no anchor &%s stands before this alias",
                                  name);
        diag_help(r->diags, d,
                  "a value that begins with * is read as an alias; quote it if it is a text");
        r->bad = true;
        n = node_open(r, e, NODE_SCALAR);
        n->text = SPAN("");
        n->bad = true;
    } else if (r->depth + n->height > YAML_DEPTH) {
        complain(r, DIAG_E0105, at, "with this alias the values are nested too deeply");
        n = node_new_scalar(r->arena, n, "");
        n->bad = true;
    }
    node_give(r, n);
}

static void open_container(struct reader *r, const yaml_event_t *e, enum node_kind kind) {
    const yaml_char_t *tag =
        kind == NODE_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    const yaml_char_t *anchor =
        kind == NODE_MAP ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    struct node *n = node_open(r, e, kind);
    n->height = 0; /* open: an alias to it would contain itself */
    refuse_tag(r, e, tag);
    anchor_put(r, anchor, n);
    r->frame[r->depth++] = (struct frame){n, r->count};
}

static void duplicate(struct reader *r, const struct node *first, const struct node *second) {
    struct diag *d = diag_add(r->diags, DIAG_E0106, second->at,
                              "the key \"%.*s\" stands here twice", SPAN_ARG(second->text));
    diag_note(r->diags, d, first->at, "it stands here first");
    r->bad = true;
}

static bool key_usable(struct reader *r, const struct node *key) {
    if (key->kind != NODE_SCALAR) {
        complain(r, DIAG_E0111, key->at, "a key must be plain text");
        return false;
    }
    if (!key->quoted && span_eq(key->text, SPAN("<<"))) {
        struct diag *d = complain(r, DIAG_E0108, key->at, "the merge key << is not accepted");
        diag_help(r->diags, d,
                  "share settings with `defaults`, route groups or `policies` and `use`");
        return false;
    }
    return true;
}

static void check_keys(struct reader *r, const struct node *n) {
    struct map seen = {0};
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *key = n->pair[i].key;
        if (!key_usable(r, key))
            continue;
        if (n->count > KEYS_LINEAR) {
            const struct node *first = map_put(&seen, key->text, n->pair[i].key);
            if (first)
                duplicate(r, first, key);
            continue;
        }
        for (uint32_t k = 0; k < i; k++)
            if (n->pair[k].key->kind == NODE_SCALAR && span_eq(n->pair[k].key->text, key->text)) {
                duplicate(r, n->pair[k].key, key);
                break;
            }
    }
    map_finish(&seen);
}

static void measure(struct reader *r, struct node *n, const struct node *child) {
    uint64_t size = (uint64_t)n->size + child->size;
    if (size > r->nodes * EXPANSION + EXPANSION_FREE) {
        if (!r->bad)
            complain(r, DIAG_E0110, n->at, "the aliases in here make the document far too large");
        size = 1;
    }
    n->size = (uint32_t)size;
    if (child->height + 1 > n->height)
        n->height = child->height + 1;
}

static void close_container(struct reader *r, const yaml_event_t *e) {
    struct frame *f = &r->frame[--r->depth];
    struct node *n = f->node, **child = r->pending ? r->pending + f->from : NULL;
    uint32_t children = r->count - f->from;
    must(n && (child || !children));
    n->end_line = (uint32_t)e->end_mark.line + 1;
    n->end_column = (uint32_t)e->end_mark.column + 1;
    n->height = 1;
    for (uint32_t i = 0; i < children; i++)
        measure(r, n, child[i]);
    if (n->kind == NODE_MAP) {
        n->count = children / 2;
        n->pair = arena_zero(r->arena, n->count * sizeof *n->pair + 1);
        for (uint32_t i = 0; i < n->count; i++)
            n->pair[i] = (struct pair){child[2 * i], child[2 * i + 1], NULL};
        check_keys(r, n);
    } else {
        n->count = children;
        n->item = arena_alloc(r->arena, children * sizeof *n->item + 1);
        if (children)
            memcpy(n->item, child, children * sizeof *child);
    }
    r->count = f->from;
    node_give(r, n);
}

/* Where quoting is why a line fails, the loader says so. */
static const char *syntax_help(const char *problem) {
    static const struct {
        const char *problem, *help;
    } known[] = {
        {"mapping values are not allowed",
         "a text that holds \": \" must be quoted; else the line is indented wrongly"},
        {"expected alphabetic or numeric character",
         "a text that begins with * & or ! must be quoted, as \"*.shop.example\""},
        {"expected whitespace or line break",
         "a text that begins with ! must be quoted; tags are not accepted"},
        {"cannot start any token",
         "a text that begins with @ ` or % must be quoted; a tab cannot indent"},
        {"expected ',' or '}'",
         "inside {..} a text that holds { } [ ] , \": \" or \" #\" must be quoted, as "
         "\"/products/{id}\""},
        {"expected ',' or ']'",
         "inside [..] a text that holds { } [ ] , \": \" or \" #\" must be quoted, as "
         "\"/products/{id}\""},
        {"expected key",
         "the line is indented unlike its neighbours, or a text that begins with { or [ "
         "needs quotes"},
        {"expected '-' indicator", "the lines of one list must be indented alike"},
        {"could not find expected ':'", "after a key stands a colon and a blank: `key: value`"},
        {"unexpected end of stream", "a quote, { or [ is not closed"},
        {"unknown escape character",
         "in double quotes a backslash must be doubled; single quotes keep it as it is"},
    };
    for (size_t i = 0; i < array_len(known); i++)
        if (strstr(problem, known[i].problem))
            return known[i].help;
    return NULL;
}

/* Bytes that are no text have no mark, but an offset. Columns count characters. */
static struct mark mark_at(const struct reader *r, size_t offset) {
    struct span before = span_cut(r->diags->source[r->source].text, 0, offset);
    struct mark at = {r->source, 1, 1, 1};
    for (size_t i = 0; i < before.n; i++) {
        if (before.p[i] == '\n')
            at = (struct mark){r->source, at.line + 1, 1, 1};
        else
            at.column += ((unsigned char)before.p[i] & 0xc0) != 0x80;
    }
    return at;
}

static void syntax_error(struct reader *r, const yaml_parser_t *p) {
    const char *problem = p->problem ? p->problem : "it cannot be read";
    bool at_end = strstr(problem, "end of stream") && p->context; /* what is open says more */
    struct mark at = mark_of(r, at_end ? &p->context_mark : &p->problem_mark, NULL);
    if (p->error == YAML_READER_ERROR)
        at = mark_at(r, p->problem_offset);
    struct diag *d = diag_add(r->diags, DIAG_E0103, at, "%s%s%s", p->context ? p->context : "",
                              p->context ? ": " : "", problem);
    r->bad = true;
    const char *help = syntax_help(problem);
    if (help)
        diag_help(r->diags, d, "%s", help);
    if (!at_end && p->context && p->context_mark.line != p->problem_mark.line)
        diag_note(r->diags, d, mark_of(r, &p->context_mark, NULL), "it began here");
}

/* One event; false: stop. */
static bool take(struct reader *r, const yaml_event_t *e) {
    bool opens = e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT;
    struct mark at = mark_of(r, &e->start_mark, NULL);
    if (opens && r->depth == YAML_DEPTH) {
        complain(r, DIAG_E0105, at, "the values are nested too deeply (more than 64 levels)");
        return false;
    }
    if (e->type == YAML_DOCUMENT_START_EVENT && r->root) {
        struct diag *d = complain(r, DIAG_E0109, at, "a second document begins here");
        diag_help(r->diags, d, "split it into files and name them in `include`");
        return false;
    }
    if (e->type == YAML_SCALAR_EVENT)
        scalar(r, e);
    else if (e->type == YAML_ALIAS_EVENT)
        alias(r, e);
    else if (opens)
        open_container(r, e, e->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST);
    else if (e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT)
        close_container(r, e);
    return e->type != YAML_STREAM_END_EVENT;
}

static void read_all(struct reader *r, struct span text) {
    yaml_parser_t p;
    must(yaml_parser_initialize(&p));
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
    bool go_on = true;
    while (go_on) {
        yaml_event_t e;
        if (!yaml_parser_parse(&p, &e)) {
            syntax_error(r, &p);
            break;
        }
        go_on = take(r, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&p);
}

struct node *yaml_parse(struct arena *a, struct diag_list *diags, uint32_t source) {
    struct reader r = {.arena = a, .diags = diags, .source = source};
    struct span text = diags->source[source].text;
    if (text.n > YAML_BYTES) {
        diag_add(diags, DIAG_E0102, (struct mark){source, 0, 0, 0},
                 "the file is larger than 16 MiB");
        return NULL;
    }
    read_all(&r, text);
    map_finish(&r.anchors);
    mem_free(r.pending);
    if (!r.root && !r.bad)
        complain(&r, DIAG_E0109, (struct mark){source, 0, 0, 0}, "the file is empty");
    return r.bad ? NULL : r.root;
}
