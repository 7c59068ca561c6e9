/*
 * linear - regular expressions in RE2's syntax, matched in time that grows with the text and the
 * pattern and never faster: all possible matches are followed at once, so there is no backtracking
 * and nothing that a pattern or a text could make explode.
 *
 * UTF-8 throughout; a byte that is no UTF-8 is one character of its own, U+FFFD. Not here: \p{..},
 * and (?i) together with characters beyond ASCII, which would need Unicode's tables
 * (LINEAR_UNICODE: data/regex.h can). What RE2 does not have (back references, looking around) is
 * an error. Owner: compiled patterns lie in the arena given. Thread: compiled by one, then used by
 * all.
 */
#pragma once
#include "base/arena.h"
#include "data/regex.h"

enum { LINEAR_CODE_MAX = 10000, LINEAR_REPEAT_MAX = 1000, LINEAR_DEPTH_MAX = 200 };

struct linear;

enum linear_result { LINEAR_FINE, LINEAR_WRONG, LINEAR_UNICODE };
/* WRONG: *err says why. */
must_use enum linear_result linear_compile(struct arena *a, struct span pattern,
                                           const struct linear **out, struct regex_error *err);
unsigned linear_groups(const struct linear *r); /* 0 not counted */

struct linear_search {
    struct span subject;
    size_t from;     /* begins here; what stands in front still counts for ^ and \b */
    void *room;      /* linear_room bytes, aligned to 16; may be used again */
    uint64_t *steps; /* counted down by the work done, 1 for about 16 instructions */
};
/* 0 where small ones do without. At most some MB. */
size_t linear_room(const struct linear *r, unsigned max);
/* The leftmost match; group[i] for i < max as in regex_match, max 0 is quickest. FAILED: no steps
 * are left. */
enum regex_result linear_match(const struct linear *r, const struct linear_search *search,
                               struct span *group, unsigned max);
