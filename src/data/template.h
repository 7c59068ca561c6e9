/*
 * template - texts with ${...}, compiled when the configuration is read.
 *
 * "/products/${path.id}" becomes literal parts and names. Which names exist is the caller's table
 * (a scope); what they are worth at run time the caller's look-up says. Values are encoded for the
 * place the text goes to (path segment, query, header, JSON), so nothing that a client sent can
 * leave its place.
 * `$${` is a literal `${`; any other `$` is itself. Full CEL takes the place of plain names later.
 * Owner: compiled templates lie in an arena. Thread: compile one; then read by all.
 */
#pragma once
#include "base/arena.h"

/* Forms: `path.id`, `client.ip`, `request.method` (root and member); `header["x"]`, `query["x"]`,
 * `cookie["x"]` (root and key). A table entry says whether the root takes any member (a map). */
struct template_name {
    const char *root;   /* "path" */
    const char *member; /* "ip"; NULL: any member or ["key"] */
    int id;             /* the caller's number */
};

enum template_place { PLACE_PATH, PLACE_QUERY, PLACE_HEADER, PLACE_TEXT, PLACE_JSON };

struct template_part {
    struct span literal; /* id < 0 */
    int id;              /* of the template_name; -1: literal */
    int slot;            /* chosen by the caller at compile time (capture number, ...), or 0 */
    struct span key;     /* member or key text; lower-case where the caller's check made it so */
    enum template_place place; /* a "?" in a path template turns PATH into QUERY behind it */
    bool tail;                 /* keeps "/" (a {rest*} capture in a path) */
};

struct template {
    const struct template_part *part;
    uint32_t count;
    bool constant;      /* no names */
    struct span source; /* as written, for explain */
};

struct template_error {
    size_t at, len;   /* bytes in the source */
    const char *text; /* what is wrong and what was expected; static or in the arena */
};

struct template_scope {
    const struct template_name *name;
    size_t count;
    /* Judges a name of the table, for a map root its member or key in part->key ("path.idd" where
     * no such capture is): sets part->slot, key and tail, or returns a sentence in the arena for
     * the error. NULL: everything is fine. May be NULL itself. */
    const char *(*check)(void *ctx, struct arena *a, struct template_part *part);
    void *ctx;
};

/* NULL: *err says why. */
must_use const struct template *template_compile(struct arena *a, struct span source,
                                                 enum template_place place,
                                                 const struct template_scope *scope,
                                                 struct template_error *err);

/* The byte behind the "}" that ends the ${ at `at`, found by CEL's tokens, so braces and quotes
 * inside are fine; 0: it is never closed. */
size_t template_expression_end(struct span source, size_t at);

struct template_values {
    /* The raw (decoded) value; {NULL, 0}: missing, which is "". The arena may hold it. */
    struct span (*get)(void *ctx, struct arena *a, const struct template_part *part);
    /* For PLACE_PATH, asked first: text of a canonical path that is put in as it is, so nothing is
     * decoded and encoded again. {NULL, 0}: use get. May be NULL. */
    struct span (*get_encoded)(void *ctx, struct arena *a, const struct template_part *part);
    void *ctx;
};
/* Into the arena. False: a value cannot stand in its place (control bytes in a header), or it grows
 * beyond `max`. */
must_use bool template_eval(const struct template *t, struct arena *a,
                            const struct template_values *v, size_t max, struct span *out);
