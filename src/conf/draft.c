#include "conf/draft.h"
#include "base/env.h"
#include <stdarg.h>
#include <stdio.h>

void draft_finish(struct draft *t) {
    mem_free(t->p);
    *t = (struct draft){0};
}

static char *room(struct draft *t, size_t n) {
    if (n > t->cap - t->n) {
        size_t cap = t->cap ? t->cap : 256;
        while (cap - t->n < n)
            cap *= 2;
        t->p = mem_realloc(t->p, t->cap, cap);
        t->cap = cap;
    }
    return t->p + t->n;
}

void draft_add(struct draft *t, struct span s) {
    if (!s.n)
        return;
    memcpy(room(t, s.n), s.p, s.n);
    t->n += s.n;
}

void draft_z(struct draft *t, const char *z) {
    draft_add(t, span_z(z));
}

void draft_fmt(struct draft *t, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    must(n >= 0);
    vsnprintf(room(t, (size_t)n + 1), (size_t)n + 1, fmt, again);
    va_end(again);
    t->n += (size_t)n;
}

void draft_json(struct draft *t, struct span s) {
    size_t max = s.n * 6 + 1;
    struct str b = str_on(room(t, max), max);
    str_json(&b, s);
    t->n += b.n;
}

void draft_quoted(struct draft *t, struct span s) {
    draft_z(t, "\"");
    draft_json(t, s);
    draft_z(t, "\"");
}
