/*
 * diag - what is wrong in a configuration, told like a good compiler.
 *
 * Every diagnostic has a stable code (diag_codes.h), a place (file, line, column and how many
 * characters), a sentence, and often: what was expected, what was probably meant, second places.
 * The list keeps the text of the files it was told of, so that it can show the lines. It holds at
 * most DIAG_MAX; the rest is counted. Owner: the caller. Thread: one at a time.
 */
#pragma once
#include "base/arena.h"
#include "conf/diag_codes.h"

enum { DIAG_MAX = 100, DIAG_NOTES_MAX = 4 };

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct mark { /* line and column count from 1, in characters; line 0: the file as a whole */
    uint32_t file, line, column, length;
};

struct diag_note {
    struct mark at;
    const char *text;
};

struct diag {
    const struct diag_info *info;
    enum diag_severity severity;
    struct mark at;
    const char *message;
    const char *help; /* what was expected, or how to mend it; NULL: none */
    struct diag_note note[DIAG_NOTES_MAX];
    unsigned notes;
};

struct diag_source {
    const char *name; /* as given by the user */
    struct span text;
};

struct diag_list {
    struct arena arena;
    struct diag_source *source;
    uint32_t sources, sources_cap;
    struct diag **diag;
    unsigned count, cap;       /* kept: at most DIAG_MAX errors and as many warnings */
    unsigned errors, warnings; /* of all, those beyond DIAG_MAX too */
    bool want_warnings;
};

void diag_init(struct diag_list *l, bool warnings);
void diag_finish(struct diag_list *l);

/* Name and text are copied. Returns the number for struct mark. */
uint32_t diag_source(struct diag_list *l, const char *name, struct span text);

/* The severity is in the code (E.., W..). Returns a place to add help and notes; never NULL. */
struct diag *diag_add(struct diag_list *l, enum diag_code code, struct mark at, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));
void diag_help(struct diag_list *l, struct diag *d, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void diag_note(struct diag_list *l, struct diag *d, struct mark at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Of `count` words the one that was probably meant (edit distance), or NULL. */
const char *diag_guess(struct span wrong, const char *const *word, size_t count);
/* Edit distance with transpositions, at most `max` + 1. */
unsigned diag_distance(struct span a, struct span b, unsigned max);

/* By file, line, column; errors and warnings mixed. */
void diag_sort(struct diag_list *l);

enum diag_format { DIAG_TEXT, DIAG_JSON, DIAG_SARIF };
/* Hands pieces of text to `out`. */
typedef void (*diag_out)(void *ctx, struct span text);
void diag_print(struct diag_list *l, enum diag_format f, bool color, diag_out out, void *ctx);
