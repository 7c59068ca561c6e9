/*
 * cuts - feeds a scanner that holds bytes back in every way to cut its input in two, and byte by
 * byte, each piece in a block of its own size. The text that comes of each must be the same.
 */
#pragma once
#include "cases.h"

/* Shows one piece to the scanner; returns what it returns. */
typedef size_t cut_feed(void *scan, struct span piece);
/* Starts it anew, and says what came of it. */
typedef void cut_start(void *scan, const void *how);
typedef void cut_tell(const void *scan, size_t passed, size_t n, struct str *got);

struct cut_ops {
    cut_start *start;
    cut_feed *feed;
    cut_tell *tell;
};

static inline size_t cut_piece(const struct cut_ops *ops, void *scan, struct span s) {
    char *block = malloc(s.n + !s.n);
    assert_non_null(block);
    if (s.n)
        memcpy(block, s.p, s.n);
    size_t n = ops->feed(scan, span_of(block, s.n));
    free(block);
    return n;
}

/* `at`: where the first piece ends; 0: byte by byte. */
static inline void cut_once(const struct cut_ops *ops, void *scan, const void *how, struct span s,
                            size_t at, struct str *got) {
    size_t passed = 0;
    ops->start(scan, how);
    if (at)
        passed = cut_piece(ops, scan, span_cut(s, 0, at));
    for (size_t i = at, step = at ? s.n - at : 1; i < s.n; i += step)
        passed += cut_piece(ops, scan, span_cut(s, i, step));
    ops->tell(scan, passed, s.n, got);
}

static inline void cuts_run(const struct cut_ops *ops, void *scan, const void *how, struct span s,
                            struct str *got) {
    static char room[4096];
    cut_once(ops, scan, how, s, s.n, got);
    for (size_t at = 0; at < s.n; at += s.n < 2000 ? 1 : 1 + s.n / 500) {
        struct str other = str_on(room, sizeof room);
        cut_once(ops, scan, how, s, at, &other);
        if (!span_eq(str_span(&other), str_span(got)))
            fail_msg("cut at %zu of %zu: %.*s\nwhole: %.*s", at, s.n, SPAN_ARG(str_span(&other)),
                     SPAN_ARG(str_span(got)));
    }
}

/* "name" or "name=12" among words that blanks part: 1 or 12; 0: it is not there. */
static inline unsigned long word_value(struct span words, const char *name) {
    struct span want = span_z(name);
    while (words.p) {
        struct span value = span_split(&words, ' ');
        struct span key = span_split(&value, '=');
        if (span_eq(key, want))
            return value.p ? strtoul(value.p, NULL, 10) : 1;
    }
    return 0;
}
