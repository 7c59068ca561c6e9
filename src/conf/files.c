#include "conf/files.h"
#include "base/env.h"
#include "base/map.h"
#include "conf/merge.h"
#include "conf/schema.h"
#include "conf/tables.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>

static const char *read_error(int e) {
    switch (e) {
    case ENOENT:
        return "there is no such file";
    case EACCES:
        return "it must not be read by this user";
    case EISDIR:
        return "it is a directory";
    case ENOTDIR:
        return "a part of its path is no directory";
    case EAGAIN:
        return "it is a pipe, and nothing comes from it";
    default:
        return "it cannot be read";
    }
}

enum { PIPE_WAIT_MS = 10000 };

/* A file may be a pipe, as /dev/stdin, whose writer is slower than we are. A pipe that nobody fills
 * must not hold up a reload for ever. */
static bool more_comes(int fd) {
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = env.epoll_create();
    bool good = ep >= 0 && env.epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 &&
                env.epoll_wait(ep, &ev, 1, PIPE_WAIT_MS) > 0;
    if (ep >= 0)
        env.close(ep);
    errno = EAGAIN;
    return good;
}

const char *files_read(struct arena *a, const char *path, size_t max, struct span *out) {
    int fd = env.open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return read_error(errno);
    char *p = NULL;
    size_t n = 0, cap = 0;
    ssize_t got = 1;
    while (got > 0 && n <= max) {
        if (n == cap) {
            p = mem_realloc(p, cap, cap ? cap * 2 : 16384);
            cap = cap ? cap * 2 : 16384;
        }
        do
            got = env.read(fd, p + n, cap - n);
        while (got < 0 && errno == EAGAIN && more_comes(fd));
        n += got > 0 ? (size_t)got : 0;
    }
    int e = errno;
    env.close(fd);
    if (got >= 0 && n <= max)
        *out = arena_span(a, span_of(p, n));
    mem_free(p);
    return got < 0 ? read_error(e) : n > max ? "it is too large" : NULL;
}

const char *files_beside(struct arena *a, const struct diag_list *d, uint32_t source,
                         struct span path) {
    struct span base = span_z(d->source[source].name);
    while (base.n && base.p[base.n - 1] != '/')
        base.n--;
    if (path.n && path.p[0] == '/')
        base.n = 0;
    return arena_fmt(a, "%.*s%.*s", SPAN_ARG(base), SPAN_ARG(path));
}

struct part { /* a file that takes part in one -c */
    const char *path;
    char real[PATH_MAX];
    struct part *parent;
    unsigned depth;
    struct mark named_at;
    struct node *root;
};

struct composing {
    struct arena *arena;
    struct diag_list *diags;
    struct part *part[INCLUDES_MAX];
    unsigned parts;
    struct pair *pair; /* of the tree that is made */
    uint32_t pairs, cap;
    struct map names[32]; /* of the named sections, by place in the root's table */
    bool bad;
};

static struct node *parse_file(struct composing *c, struct part *p, bool is_include) {
    struct span text;
    const char *why = files_read(c->arena, p->path, YAML_BYTES, &text);
    if (why) {
        struct mark at = p->named_at;
        if (!is_include)
            at = (struct mark){diag_source(c->diags, p->path, SPAN_NONE), 0, 0, 0};
        diag_add(c->diags, strstr(why, "large") ? DIAG_E0102 : DIAG_E0101, at, "%s%s%s",
                 is_include ? p->path : "", is_include ? ": " : "", why);
        return NULL;
    }
    if (span_starts(text, SPAN("\xef\xbb\xbf"))) /* some editors put a byte order mark there */
        text = span_from(text, 3);
    struct node *root = yaml_parse(c->arena, c->diags, diag_source(c->diags, p->path, text));
    if (root && root->kind != NODE_MAP) {
        struct diag *d =
            diag_add(c->diags, DIAG_E0113, root->at,
                     "a configuration is a map of keys, here stands %s", node_kind_name(root));
        diag_help(c->diags, d, "it begins with `version: 1`");
        return NULL;
    }
    return root;
}

static struct pair *composed_find(struct composing *c, struct span key) {
    for (uint32_t i = 0; i < c->pairs; i++)
        if (span_eq(c->pair[i].key->text, key))
            return &c->pair[i];
    return NULL;
}

static void composed_add(struct composing *c, struct pair p) {
    if (c->pairs == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 32;
        c->pair = mem_realloc(c->pair, c->cap * sizeof p, cap * sizeof p);
        c->cap = cap;
    }
    c->pair[c->pairs++] = p;
}

/* Both lists of children behind one another, in a node of its own. */
static struct node *joined(struct arena *a, const struct node *x, const struct node *y) {
    struct node *n = arena_zero(a, sizeof *n);
    *n = *x;
    n->count = x->count + y->count;
    size_t size = x->kind == NODE_MAP ? sizeof(struct pair) : sizeof(struct node *);
    char *p = arena_alloc(a, n->count * size + 1);
    if (x->count)
        memcpy(p, x->kind == NODE_MAP ? (void *)x->pair : (void *)x->item, x->count * size);
    if (y->count)
        memcpy(p + x->count * size, y->kind == NODE_MAP ? (void *)y->pair : (void *)y->item,
               y->count * size);
    if (x->kind == NODE_MAP)
        n->pair = (struct pair *)(void *)p;
    else
        n->item = (struct node **)(void *)p;
    return n;
}

static void add_names(struct composing *c, unsigned section, const struct node *map) {
    for (uint32_t i = 0; i < map->count; i++) {
        struct node *key = map->pair[i].key;
        struct node *first = map_get(&c->names[section], key->text);
        if (!first) {
            map_put(&c->names[section], key->text, key);
            continue;
        }
        struct diag *d = diag_add(c->diags, DIAG_E0116, key->at, "\"%.*s\" is defined twice",
                                  SPAN_ARG(key->text));
        diag_note(c->diags, d, first->at, "it is defined first here");
        c->bad = true;
    }
}

static void twice(struct composing *c, const struct pair *first, const struct pair *second) {
    struct diag *d = diag_add(c->diags, DIAG_E0120, second->key->at, "`%.*s` stands in two files",
                              SPAN_ARG(second->key->text));
    diag_note(c->diags, d, first->key->at, "it stands here first");
    diag_help(c->diags, d,
              "an included file adds named things and routes; to change settings use "
              "another -c FILE");
    c->bad = true;
}

static void compose_pair(struct composing *c, struct pair p) {
    struct pair *first = composed_find(c, p.key->text);
    const struct schema_field *f = schema_field_of(&schema_root_type, p.key->text);
    const struct schema_type *t = f ? schema_type_of(f) : NULL;
    bool named = t && (t->flags & TYPE_NAMED_LIST);
    if (span_eq(p.key->text, SPAN("include")) || (first && span_eq(p.key->text, SPAN("version"))))
        return;
    if (named) {
        p.value = schema_long(c->arena, c->diags, t, p.value);
        if (p.value->kind == NODE_MAP)
            add_names(c, (unsigned)(f - schema_root.field), p.value);
    }
    if (!first)
        composed_add(c, p);
    else if (t && (named || span_eq(p.key->text, SPAN("routes"))) &&
             first->value->kind == p.value->kind && p.value->kind != NODE_SCALAR)
        first->value = joined(c->arena, first->value, p.value);
    else
        twice(c, first, &p);
}

static struct part *part_new(struct composing *c, const char *path, struct part *parent,
                             struct mark at) {
    struct part *p = arena_zero(c->arena, sizeof *p);
    p->path = path;
    p->parent = parent;
    p->depth = parent ? parent->depth + 1 : 0;
    p->named_at = at;
    if (!realpath(path, p->real))
        p->real[0] = 0;
    return p;
}

static bool part_wanted(struct composing *c, const struct part *p) {
    for (const struct part *up = p->parent; up; up = up->parent)
        if (p->real[0] && strcmp(up->real, p->real) == 0) {
            diag_add(c->diags, DIAG_E0117, p->named_at, "%s includes itself, by a loop", p->path);
            return false;
        }
    for (unsigned i = 0; i < c->parts; i++)
        if (p->real[0] && strcmp(c->part[i]->real, p->real) == 0) {
            diag_add(c->diags, DIAG_E0117, p->named_at, "%s is included twice", p->path);
            return false;
        }
    if (p->depth > INCLUDE_DEPTH || c->parts == INCLUDES_MAX) {
        diag_add(c->diags, DIAG_E0117, p->named_at,
                 p->depth > INCLUDE_DEPTH ? "includes are nested too deeply (more than %d levels)"
                                          : "too many files are included (more than %d)",
                 p->depth > INCLUDE_DEPTH ? (int)INCLUDE_DEPTH : (int)INCLUDES_MAX);
        return false;
    }
    return true;
}

static void add_part(struct composing *c, struct part *p) {
    if (part_wanted(c, p))
        c->part[c->parts++] = p;
    else
        c->bad = true;
}

static bool has_wildcard(struct span s) {
    return span_find(s, '*') >= 0 || span_find(s, '?') >= 0 || span_find(s, '[') >= 0;
}

static void include_one(struct composing *c, struct part *from, const struct node *n) {
    if (n->kind != NODE_SCALAR || !n->text.n) {
        diag_add(c->diags, DIAG_E0113, n->at, "an include is the path of a file, or a pattern");
        c->bad = true;
        return;
    }
    const char *path = files_beside(c->arena, c->diags, n->at.file, n->text);
    if (!has_wildcard(n->text)) {
        add_part(c, part_new(c, path, from, n->at));
        return;
    }
    glob_t g = {0};
    if (glob(path, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            add_part(c, part_new(c, arena_text(c->arena, span_z(g.gl_pathv[i])), from, n->at));
    } else {
        diag_add(c->diags, DIAG_W0111, n->at, "no file matches %s", path);
    }
    globfree(&g);
}

static void includes_of(struct composing *c, struct part *p) {
    const struct node *list = node_get(p->root, "include");
    if (list && list->kind == NODE_SCALAR)
        include_one(c, p, list);
    for (uint32_t i = 0; list && list->kind == NODE_LIST && i < list->count; i++)
        include_one(c, p, list->item[i]);
    if (list && list->kind == NODE_MAP) {
        diag_add(c->diags, DIAG_E0113, list->at, "`include` is a list of files");
        c->bad = true;
    }
}

static struct node *compose(struct composing *c, const char *file) {
    add_part(c, part_new(c, file, NULL, (struct mark){0}));
    for (unsigned i = 0; i < c->parts; i++) {
        struct part *p = c->part[i];
        p->root = parse_file(c, p, i > 0);
        if (!p->root) {
            c->bad = true;
            continue;
        }
        for (uint32_t k = 0; k < p->root->count; k++)
            compose_pair(c, p->root->pair[k]);
        includes_of(c, p);
    }
    struct node *like = c->parts ? c->part[0]->root : NULL;
    if (!like)
        return NULL;
    struct node *n = node_new_map(c->arena, like, c->pairs);
    if (c->pairs)
        memcpy(n->pair, c->pair, c->pairs * sizeof *c->pair);
    return n;
}

struct node *files_load(struct arena *a, struct diag_list *d, const char *const *file,
                        unsigned files) {
    struct node *root = NULL;
    bool bad = false;
    for (unsigned i = 0; i < files; i++) {
        struct composing *c = mem_alloc(sizeof *c);
        c->arena = a;
        c->diags = d;
        struct node *n = compose(c, file[i]);
        bad |= c->bad || !n;
        for (size_t k = 0; k < array_len(c->names); k++)
            map_finish(&c->names[k]);
        mem_free(c->pair);
        mem_free(c);
        if (n)
            root = root ? merge_patch(a, d, root, n) : n;
    }
    /* What could be read is checked too, so that all mistakes come in one run. */
    return bad && d->errors == 0 ? NULL : root;
}
