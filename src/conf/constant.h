/*
 * constant - ${env.X}, ${env.?X.orValue('v')}, ${secret('file:..')} and top-level ${vars.x}: put in
 * when the file is read, before units.
 *
 * Every other ${..} is left for templates. What is put in can never become a template itself: for
 * fields that are templates its "${" is escaped. Owner: the arena. Thread: one at a time.
 */
#pragma once
#include "conf/yaml.h"

struct constant_piece { /* where a piece of the result came from, for carets */
    size_t at, raw_at, raw_len;
    bool inserted;
};

struct constant {
    struct span plain;                  /* for fields that are no templates */
    struct span template;               /* for templates: what was put in is escaped */
    bool secret;                        /* a secret is in it: never printed */
    const struct constant_piece *piece; /* of `template` */
    uint32_t pieces;
};

struct constant_secret {
    struct span value;
    struct constant_secret *next;
};

struct constants {
    struct arena *arena;
    struct diag_list *diags;
    const char *(*getenv)(void *ctx, const char *name);
    void *ctx;
    struct node *vars;               /* the map of top-level vars, or NULL */
    bool *var_used;                  /* by place in vars */
    struct constant_secret *secrets; /* every value that secret(..) gave */
};

/* Over a whole tree, in place: scalars get their `constant`, "${vars.x}" alone becomes the
 * variable's value. `vars` themselves first: one may use those above it. */
void constants_put_in(struct constants *c, struct node *root);

/* The text of a scalar: with constants; as written otherwise. */
struct span node_plain(const struct node *n);
struct span node_template(const struct node *n);
bool node_secret(const struct node *n);
/* The place in the file of bytes of node_template(n). */
struct mark node_template_mark(const struct diag_list *l, const struct node *n, size_t at,
                               size_t len);

/* The end of a ${..} whose "${" stands at `at`: index behind its "}", or 0 when it does not end.
 * Quotes and nested braces are minded. */
size_t expression_end(struct span s, size_t at);
