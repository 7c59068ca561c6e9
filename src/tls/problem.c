#include "tls/problem.h"
#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>

void tell(struct teller *t, enum tls_problem_kind kind, const char *part, const char *fmt, ...) {
    struct tls_problem p = {
        .kind = kind, .error = kind < TLS_EXPIRED, .cert = t->cert, .part = part};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p.text, sizeof p.text, fmt, ap);
    va_end(ap);
    t->failed |= p.error;
    if (t->fn)
        t->fn(t->ctx, &p);
}

const char *day_text(int64_t seconds, char out[DAY_TEXT]) {
    if (seconds < 0)
        seconds = 0;
    if (seconds > 253402300799) /* the last second of the year 9999 */
        seconds = 253402300799;
    struct civil c = time_civil(seconds);
    snprintf(out, DAY_TEXT, "%04u-%02u-%02u", c.year % 10000, c.month % 100, c.day % 100);
    return out;
}

void note_problem(void *notes, const struct tls_problem *p) {
    struct notes *n = notes;
    if (n->n < NOTES_MAX)
        n->p[n->n++] = *p;
}

void notes_tell(const struct notes *n, tls_problem_fn fn, void *ctx) {
    for (unsigned i = 0; fn && i < n->n; i++)
        fn(ctx, &n->p[i]);
}
