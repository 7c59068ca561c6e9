/*
 * tree - what the parser makes of a source: nodes with their place in it. Macros are calls here;
 * the compiler knows them. Owner: the arena. Thread: any.
 */
#pragma once
#include "expr/lex.h"

enum node_kind {
    NODE_LITERAL,  /* value */
    NODE_NAME,     /* name; `rooted`: with a leading dot */
    NODE_SELECT,   /* child[0].name; `optional`: child[0].?name */
    NODE_CALL,     /* name(child..); `member`: child[0].name(child[1]..) */
    NODE_OPERATOR, /* op, children: 1, 2, or (MARK_QUESTION) 3; MARK_LBRACKET: an index, perhaps
                      optional */
    NODE_LIST,
    NODE_MAP,     /* children: key, value, key, value .. */
    NODE_MESSAGE, /* name{..}: children: field names as literals, values */
};

struct tree {
    enum node_kind kind;
    enum mark op;
    uint32_t at, len; /* what a message about it points at */
    struct span name;
    struct value value;
    struct tree **child;
    uint32_t count;
    bool member, rooted, optional;
    bool *maybe; /* LIST, MAP: entry i is written with "?"; NULL: none is */
};

enum { TREE_DEPTH_MAX = 256 };

/* NULL: *err says why. */
struct tree *tree_parse(struct arena *a, struct span source, struct expr_error *err);
/* "a.b.C" as a name; {NULL, 0}: it is none, or too long. */
struct span tree_dotted(struct arena *a, const struct tree *n);
