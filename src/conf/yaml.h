/*
 * yaml - a YAML 1.2 document as a tree that knows where everything stood.
 *
 * Scalars stay text: whoever reads a field decides what it means. Aliases share their anchor's
 * node, within bounds; duplicate keys, tags, merge keys and a second document are errors. Nesting
 * ends at YAML_DEPTH, files at YAML_BYTES. Later stages may build nodes of their own (long forms,
 * merged maps) that share parts of parsed trees; nobody changes a parsed node but for its marks
 * `bad` and `known`. Owner: the arena. Thread: one at a time.
 */
#pragma once
#include "conf/diag.h"

enum { YAML_DEPTH = 64, YAML_BYTES = 16 << 20 };

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct pair {
    struct node *key, *value;
    const struct level *from; /* set by merging: the level that gave the value; NULL: not merged */
};

struct constant;

struct node {
    enum node_kind kind;
    bool quoted;         /* a scalar in quotes, or a block */
    bool block;          /* | or > */
    bool bad;            /* something was said about it: later stages keep quiet */
    bool constant_known; /* `constant` has been looked for (conf/constant.h) */
    struct mark at;      /* where it begins */
    uint32_t end_line, end_column;
    uint32_t size, height; /* nodes below and itself, aliases expanded; levels */
    uint32_t count;        /* of list or map */
    struct span text;      /* of a scalar */
    union {
        struct node **item;
        struct pair *pair;
    };
    const struct constant *constant; /* text with ${env..} and the like put in; NULL: none in it */
};

/* NULL: there were errors (all that could be told are in the list). */
must_use struct node *yaml_parse(struct arena *a, struct diag_list *diags, uint32_t source);

/* The pair with this key, or NULL (also when n is no map). */
struct pair *node_find(const struct node *n, const char *key);
struct node *node_get(const struct node *n, const char *key);
bool node_null(const struct node *n);  /* plain null, ~, or nothing */
bool node_false(const struct node *n); /* plain false */
bool node_true(const struct node *n);
const char *node_kind_name(const struct node *n); /* "a map", "a list", "a text" */

/* The place of `len` bytes at byte `at` of a scalar's text, inside its quotes. */
struct mark node_inside(const struct diag_list *l, const struct node *n, size_t at, size_t len);

struct node *node_new_map(struct arena *a, const struct node *like, uint32_t count);
struct node *node_new_scalar(struct arena *a, const struct node *like, const char *text);
