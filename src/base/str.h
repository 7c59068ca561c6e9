/*
 * str - spans of bytes that somebody else owns, and a bounded builder.
 *
 * A span is never NUL-terminated by contract. A builder has a maximum from its creation; appending
 * past it sets `full` and appends nothing more, so a writer checks once, at the end.
 * Owner: spans borrow. Thread: any.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN(lit) ((struct span){(lit), sizeof(lit) - 1})
#define SPAN_NONE ((struct span){NULL, 0})
#define SPAN_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct span span_of(const char *p, size_t n) {
    return (struct span){p, n};
}
static inline struct span span_z(const char *z) {
    return (struct span){z, z ? strlen(z) : 0};
}
static inline bool span_eq(struct span a, struct span b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline struct span span_from(struct span s, size_t at) {
    return at >= s.n ? (struct span){s.p + s.n, 0} : (struct span){s.p + at, s.n - at};
}
static inline struct span span_cut(struct span s, size_t at, size_t n) {
    s = span_from(s, at);
    if (n < s.n)
        s.n = n;
    return s;
}

static inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool span_eq_nocase(struct span a, struct span b); /* ASCII only */
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
int span_cmp(struct span a, struct span b); /* bytes, then length: <0, 0, >0 */
ptrdiff_t span_find(struct span s, char c); /* index, or -1 */
struct span span_trim(struct span s);       /* without SP and HTAB at both ends */

/* Splits at the first `sep`: returns what stands before it and leaves the rest in *rest. At the end
 * of the text *rest becomes {NULL, 0}, so `while (rest.p)` visits every part, empty ones too. */
struct span span_split(struct span *rest, char sep);

/* 1*DIGIT and nothing else, at most `max`. False for sign, space, suffix, overflow, empty. A
 * leading zero is refused when more digits follow. */
must_use bool parse_dec(struct span s, uint64_t max, uint64_t *out);
/* 1*HEXDIG, at most 16 digits. */
must_use bool parse_hex(struct span s, uint64_t *out);

/* Builder over memory of the caller. */
struct str {
    char *p;
    size_t n, max;
    bool full;
};

static inline struct str str_on(char *buf, size_t max) {
    return (struct str){buf, 0, max, false};
}
static inline struct span str_span(const struct str *s) {
    return (struct span){s->p, s->n};
}

static inline void str_put(struct str *s, const char *p, size_t n) {
    if (unlikely(n > s->max - s->n)) {
        s->full = true;
        return;
    }
    memcpy(s->p + s->n, p, n);
    s->n += n;
}
static inline void str_add(struct str *s, struct span v) {
    if (v.n)
        str_put(s, v.p, v.n);
}
static inline void str_char(struct str *s, char c) {
    str_put(s, &c, 1);
}
#define str_lit(s, lit) str_put((s), (lit), sizeof(lit) - 1)

void str_u64(struct str *s, uint64_t v);
void str_fmt(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Length of the valid UTF-8 sequence at p, of which n > 0 bytes are there (RFC 3629: no surrogates,
 * nothing overlong), or 0. */
size_t utf8_len(const unsigned char *p, size_t n);
/* The other way round, at most 4 bytes; c is at most 0x10ffff and no surrogate. */
size_t utf8_put(uint32_t c, char *out);
/* As the inside of a JSON string, quotes not included: control bytes, quotes, backslash and every
 * byte that is not valid UTF-8 are escaped, so the result is always valid JSON and one line. */
void str_json(struct str *s, struct span v);
/* As HTML text. */
void str_html(struct str *s, struct span v);
