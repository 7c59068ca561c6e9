/*
 * path - path patterns: "/api/{id}" to segments, literals in the form that request paths have.
 * Thread: any.
 */
#pragma once
#include "core/route.h"

struct path_error {
    size_t at, len; /* in the pattern */
    const char *text, *help;
};

enum { PATH_SEGMENTS_MAX = 64 };

/* Segments of a pattern into the arena; `capture` of each is -1 (names stand in text). False: *e.
 */
must_use bool path_parse(struct arena *a, struct span pattern, struct path_match *out,
                         struct path_error *e);
/* A path without captures, canonical: unreserved escapes decoded, what needs it escaped. */
struct span path_canonical(struct arena *a, struct span text);
/* A regular expression for a pattern's beginning (captures: one segment). */
char *path_regex(struct arena *a, struct span prefix);
