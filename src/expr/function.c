#include "expr/function.h"
#include <stdarg.h>
#include <stdio.h>

bool expr_fail(struct expr_call *c, const char *text) {
    c->run->error.text = text;
    return false;
}

bool expr_failf(struct expr_call *c, const char *format, ...) {
    char text[256]; /* what a client sent is in some of them: cut, not refused */
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    char *kept = expr_memory(c, len + 1); /* a loop may absorb many of them */
    if (!kept)
        return false;
    memcpy(kept, text, len);
    kept[len] = 0;
    return expr_fail(c, kept);
}

bool expr_spend(struct expr_call *c, uint64_t n) {
    struct expr_run *run = c->run;
    if (likely(n < run->steps)) {
        run->steps -= n;
        return true;
    }
    run->steps = 0;
    return expr_fail(c, "the expression takes too many steps");
}

void *expr_memory(struct expr_call *c, size_t n) {
    struct expr_run *run = c->run;
    void *p = n < run->memory ? arena_try(run->arena, n) : NULL;
    if (likely(p != NULL)) {
        run->memory -= n;
        return p;
    }
    run->memory = 0;
    expr_fail(c, "the expression needs too much memory");
    return NULL;
}
