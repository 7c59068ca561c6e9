/*
 * linear_code - the program that linear_compile makes. Jumps are relative, so a piece of code may
 * be copied or moved as a whole. Owner: the arena. Thread: any.
 */
#pragma once
#include "data/linear.h"

enum linear_op {
    OP_CHAR,   /* a: the character */
    OP_ANY,    /* any at all */
    OP_LINE,   /* any but a line break */
    OP_CLASS,  /* a: number of the class */
    OP_SPLIT,  /* first to a, then to b */
    OP_JUMP,   /* to a */
    OP_SAVE,   /* a: the slot */
    OP_ASSERT, /* a: enum linear_assert */
    OP_MATCH
};
enum linear_assert { AT_BEGIN, AT_END, AT_LINE_BEGIN, AT_LINE_END, AT_WORD, AT_NO_WORD };

struct linear_code {
    enum linear_op op;
    int32_t a, b;
};

struct linear_range {
    uint32_t low, high;
};
struct linear_class {
    uint64_t ascii[2];
    struct linear_range *range; /* beyond ASCII; in any order */
    uint32_t ranges;
    bool other; /* what no range has */
};

struct linear {
    const struct linear_code *code;
    const struct linear_class *class_at;
    uint32_t count, groups;
};

/* One character of s at `at`; *n is its length. */
static inline uint32_t linear_char(struct span s, size_t at, size_t *n) {
    const unsigned char *p = (const unsigned char *)s.p + at;
    if (p[0] < 0x80) {
        *n = 1;
        return p[0];
    }
    size_t len = utf8_len(p, s.n - at);
    *n = len ? len : 1;
    switch (len) {
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
               (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    default:
        return 0xfffd;
    }
}

/* What the parser's two files share. */
struct linear_parse {
    struct arena *a;
    struct span s;
    size_t at;
    bool fold, lines, dots, lazy; /* (?imsU) */
    enum linear_result result;
    struct regex_error *err;
    struct linear_class *class_at;
    uint32_t classes, class_cap;
};
/* Always false; the first failure stays. */
bool linear_wrong(struct linear_parse *p, size_t at, const char *text);
bool linear_unicode(struct linear_parse *p);
/* A new class in p; NULL: too many. */
struct linear_class *linear_class_new(struct linear_parse *p);
void linear_class_add(struct linear_parse *p, struct linear_class *c, uint32_t low, uint32_t high);
void linear_class_not(struct linear_class *c);
/* \d and the like, `letter` without the backslash; false: it is none. */
bool linear_class_perl(struct linear_parse *p, struct linear_class *c, char letter);
/* "[..]", p->at behind the bracket; leaves it behind the last. */
bool linear_class_parse(struct linear_parse *p, struct linear_class *c);
/* An escape that is one character, p->at behind the backslash. */
bool linear_escape(struct linear_parse *p, uint32_t *out);
