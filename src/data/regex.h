/*
 * regex - PCRE2 over bytes, compiled with the configuration and run under limits.
 *
 * Patterns are searched for anywhere unless they say ^ and $; "$" is the very end, never "before a
 * last line break". Backtracking is bounded (REGEX_MATCH_LIMIT, REGEX_DEPTH_LIMIT): a subject that
 * would cost more is REGEX_FAILED, which callers must take for the safe side of their question. A
 * match allocates nothing where the machine has a JIT. Owner: whoever compiled it (a snapshot frees
 * its own). Thread: compiled by one, then used by all.
 */
#pragma once
#include "base/str.h"

enum {
    REGEX_PATTERN_MAX = 4096,
    REGEX_MATCH_LIMIT = 10000,
    REGEX_DEPTH_LIMIT = 20,
    REGEX_GROUPS_MAX = 32 /* the whole match is group 0 */
};

struct regex;

struct regex_error {
    size_t at;      /* byte of the pattern */
    char text[160]; /* what is wrong, a sentence without a full stop */
};

/* NULL: *err says why. */
must_use struct regex *regex_compile(struct span pattern, struct regex_error *err);
/* Of characters, not bytes: pattern and subjects are UTF-8, (?i) folds as Unicode does, \d \w \s
 * stay ASCII. A subject that is no UTF-8 is REGEX_FAILED. */
must_use struct regex *regex_compile_text(struct span pattern, struct regex_error *err);
void regex_free(struct regex *r);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_FAILED };

/* group[i] for i < max: what group i matched, {NULL, 0} when it took no part. max may be 0. */
enum regex_result regex_match(const struct regex *r, struct span subject, struct span *group,
                              unsigned max);
static inline bool regex_test(const struct regex *r, struct span subject) {
    return regex_match(r, subject, NULL, 0) == REGEX_YES;
}

struct span regex_pattern(const struct regex *r);
unsigned regex_groups(const struct regex *r);              /* numbered groups, 0 not counted */
unsigned regex_names(const struct regex *r);               /* how many groups have names */
struct span regex_name(const struct regex *r, unsigned i); /* the i-th of them, by the alphabet */
int regex_group(const struct regex *r, struct span name);  /* its number, or -1 */
