/*
 * template - texts with ${CEL}, compiled when the configuration is read.
 *
 * "/products/${path.id}" becomes literal parts and programs. Values are encoded for the place the
 * text goes to (path segment, query value, header, JSON), so nothing that a client sent can leave
 * its place. null is nothing in a text; lists and maps stand as JSON. A template that is one ${..}
 * keeps its value's type (template_value). `$${` is a literal `${`; any other `$` is itself. Plain
 * names cost a load and no more. Owner: compiled templates lie in an arena. Thread: compile one;
 * then read by all.
 */
#pragma once
#include "expr/expr.h"

enum template_place { PLACE_PATH, PLACE_QUERY, PLACE_HEADER, PLACE_TEXT, PLACE_JSON };

struct template_part {
    struct span literal;       /* expr NULL and group < 0 */
    const struct expr *expr;   /* or */
    int group;                 /* >= 0: the caller's own (rewrite's $1); -1: none */
    enum template_place place; /* a "?" in a path template turns PATH into QUERY behind it */
    bool tail;                 /* keeps "/": a {rest*} capture, request.path */
    bool bare;                 /* JSON: stands outside quotes, so it is a value, not a text */
};

struct template {
    const struct template_part *part;
    uint32_t count;
    bool constant;      /* no names */
    struct span source; /* as written, for explain */
};

/* NULL: *err says why. */
must_use const struct template *template_compile(struct arena *a, struct span source,
                                                 enum template_place place,
                                                 const struct expr_scope *scope,
                                                 struct expr_error *err);
bool template_loads(const struct template *t, int id);

struct template_values {
    bool (*get)(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out);
    /* For PLACE_PATH, asked first for parts that are a single load: text of a canonical path that
     * is put in as it is. {NULL, 0}: use get. May be NULL. */
    struct span (*get_encoded)(void *ctx, struct arena *a, const struct expr_ref *ref);
    /* The caller's own parts, already encoded; may be NULL. */
    struct span (*group)(void *group_ctx, struct arena *a, const struct template_part *part);
    /* Told of every expression that fails; may be NULL. */
    void (*failed)(void *ctx, const struct expr *e, const struct expr_error *err);
    void *ctx, *group_ctx;
};

enum template_result {
    TEMPLATE_FINE,
    TEMPLATE_NULL,   /* it is one ${..} and that is null: a header or parameter is not sent */
    TEMPLATE_FAILED, /* an expression failed; err says why */
    TEMPLATE_UNSAFE, /* a value cannot stand in its place (control bytes in a header) */
    TEMPLATE_LONG    /* more than `max`, or no memory */
};
/* Into the arena. err may be NULL. */
must_use enum template_result template_text(const struct template *t, struct arena *a,
                                            const struct template_values *v, size_t max,
                                            struct span *out, struct expr_error *err);
/* As a text in any case: false for everything but TEMPLATE_FINE and, with "", TEMPLATE_NULL. */
must_use bool template_eval(const struct template *t, struct arena *a,
                            const struct template_values *v, size_t max, struct span *out);
/* The value itself where the template is one ${..}, else its text. */
must_use enum template_result template_value(const struct template *t, struct arena *a,
                                             const struct template_values *v, size_t max,
                                             struct value *out, struct expr_error *err);
