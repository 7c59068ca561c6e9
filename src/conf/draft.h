/*
 * draft - a text that grows: for what is made of a configuration, whose size was bounded when it
 * was read. Owner: whoever embeds it; draft_finish. Thread: one at a time.
 */
#pragma once
#include "base/str.h"

struct draft {
    char *p;
    size_t n, cap;
};

void draft_finish(struct draft *t);
void draft_add(struct draft *t, struct span s);
void draft_z(struct draft *t, const char *z);
void draft_fmt(struct draft *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void draft_json(struct draft *t, struct span s);   /* the inside of a JSON string */
void draft_quoted(struct draft *t, struct span s); /* with its quotes */
static inline struct span draft_span(const struct draft *t) {
    return span_of(t->p, t->n);
}
