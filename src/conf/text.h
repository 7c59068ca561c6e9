/*
 * text - a text that grows: for what is made of a configuration, whose size was bounded when it was
 * read. Owner: whoever embeds it; text_finish. Thread: one at a time.
 */
#pragma once
#include "base/str.h"

struct text {
    char *p;
    size_t n, cap;
};

void text_finish(struct text *t);
void text_add(struct text *t, struct span s);
void text_z(struct text *t, const char *z);
void text_fmt(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *t, struct span s);   /* the inside of a JSON string */
void text_quoted(struct text *t, struct span s); /* with its quotes */
static inline struct span text_span(const struct text *t) {
    return span_of(t->p, t->n);
}
