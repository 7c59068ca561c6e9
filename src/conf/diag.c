#include "conf/diag.h"
#include "base/env.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void diag_init(struct diag_list *l, bool warnings) {
    *l = (struct diag_list){.want_warnings = warnings};
    arena_init(&l->arena, NULL);
}

void diag_finish(struct diag_list *l) {
    arena_finish(&l->arena);
    mem_free(l->source);
    mem_free(l->diag);
    *l = (struct diag_list){0};
}

uint32_t diag_source(struct diag_list *l, const char *name, struct span text) {
    if (l->sources == l->sources_cap) {
        uint32_t cap = l->sources_cap ? l->sources_cap * 2 : 8;
        l->source =
            mem_realloc(l->source, l->sources_cap * sizeof *l->source, cap * sizeof *l->source);
        l->sources_cap = cap;
    }
    l->source[l->sources] =
        (struct diag_source){arena_text(&l->arena, span_z(name)), arena_span(&l->arena, text)};
    return l->sources++;
}

static bool same_place(struct mark a, struct mark b) {
    return a.file == b.file && a.line == b.line && a.column == b.column;
}

static bool told(const struct diag_list *l, const struct diag *d) {
    for (unsigned i = 0; i < l->count; i++)
        if (l->diag[i]->info == d->info && same_place(l->diag[i]->at, d->at) &&
            strcmp(l->diag[i]->message, d->message) == 0)
            return true;
    return false;
}

static void keep(struct diag_list *l, struct diag *d) {
    if (l->count == l->cap) {
        unsigned cap = l->cap ? l->cap * 2 : 16;
        l->diag = mem_realloc(l->diag, l->cap * sizeof(struct diag *), cap * sizeof(struct diag *));
        l->cap = cap;
    }
    l->diag[l->count++] = d;
}

__attribute__((format(printf, 2, 0))) static char *format(struct arena *a, const char *fmt,
                                                          va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    must(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct diag *diag_add(struct diag_list *l, enum diag_code code, struct mark at, const char *fmt,
                      ...) {
    const struct diag_info *info = &diag_codes[code];
    struct diag *d = arena_zero(&l->arena, sizeof *d);
    va_list ap;
    va_start(ap, fmt);
    *d = (struct diag){.info = info,
                       .at = at,
                       .message = format(&l->arena, fmt, ap),
                       .severity = info->code[0] == 'W' ? DIAG_WARNING : DIAG_ERROR};
    va_end(ap);
    bool warning = d->severity == DIAG_WARNING;
    if ((warning && !l->want_warnings) || told(l, d))
        return d;
    unsigned *n = warning ? &l->warnings : &l->errors;
    if ((*n)++ < DIAG_MAX)
        keep(l, d);
    return d;
}

void diag_help(struct diag_list *l, struct diag *d, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    d->help = format(&l->arena, fmt, ap);
    va_end(ap);
}

void diag_note(struct diag_list *l, struct diag *d, struct mark at, const char *fmt, ...) {
    if (d->notes == DIAG_NOTES_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    d->note[d->notes++] = (struct diag_note){at, format(&l->arena, fmt, ap)};
    va_end(ap);
}

enum { WORD_MAX = 64 };

/* Optimal string alignment, three rows of the table at a time. */
unsigned diag_distance(struct span a, struct span b, unsigned max) {
    unsigned row[3][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return span_eq(a, b) ? 0 : max + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = last[j - 1] + (lower(a.p[i - 1]) != lower(b.p[j - 1]));
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    unsigned d = row[a.n % 3][b.n];
    return d > max ? max + 1 : d;
}

const char *diag_guess(struct span wrong, const char *const *word, size_t count) {
    unsigned best = wrong.n <= 3 ? 2 : wrong.n <= 6 ? 3 : 4; /* allowed distance + 1 */
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned d = diag_distance(wrong, span_z(word[i]), best);
        if (d < best) {
            best = d;
            found = word[i];
        }
    }
    return found;
}

static int compare_u32(uint32_t a, uint32_t b) {
    return (a > b) - (a < b);
}

static int compare(const void *pa, const void *pb) {
    const struct diag *a = *(struct diag *const *)pa, *b = *(struct diag *const *)pb;
    int c = compare_u32(a->at.file, b->at.file);
    c = c ? c : compare_u32(a->at.line, b->at.line);
    c = c ? c : compare_u32(a->at.column, b->at.column);
    c = c ? c : strcmp(a->info->code, b->info->code);
    return c ? c : strcmp(a->message, b->message);
}

void diag_sort(struct diag_list *l) {
    if (l->count)
        qsort(l->diag, l->count, sizeof(struct diag *), compare);
}
