/* Looking into texts: sizes, parts, positions. Results are spans of the arguments. */
#include "expr/lib.h"

static bool size_text(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    return lib_spend_bytes(c, s.n) && lib_int(c, (int64_t)lib_characters(s));
}

static bool size_bytes(struct expr_call *c) {
    return lib_int(c, c->arg[0].n);
}

static bool size_members(struct expr_call *c) {
    return lib_int(c, value_count(&c->arg[0]));
}

/* The first byte of `what` in s at or behind `from`; SIZE_MAX: it is not there. */
static size_t find(struct span s, struct span what, size_t from) {
    if (what.n == 0)
        return from;
    if (from >= s.n)
        return SIZE_MAX;
    const char *p = memmem(s.p + from, s.n - from, what.p, what.n);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

static bool contains(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    return lib_spend_bytes(c, s.n + what.n) && lib_bool(c, find(s, what, 0) != SIZE_MAX);
}

static bool starts(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    return lib_spend_bytes(c, what.n) && lib_bool(c, span_eq(span_cut(s, 0, what.n), what));
}

static bool ends(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    return lib_spend_bytes(c, what.n) &&
           lib_bool(c, what.n <= s.n && span_eq(span_from(s, s.n - what.n), what));
}

static bool out_of_range(struct expr_call *c, int64_t i) {
    return expr_failf(c, "index out of range: %lld", (long long)i);
}

/* The byte of character `i` of the text that is the first argument. */
static bool position(struct expr_call *c, int64_t i, size_t *at) {
    struct span s = lib_span(c, 0);
    if (i < 0)
        return out_of_range(c, i);
    if (!lib_spend_bytes(c, s.n))
        return false;
    *at = lib_character_at(s, (uint64_t)i);
    return *at != SIZE_MAX || out_of_range(c, i);
}

static bool char_at(struct expr_call *c) {
    size_t at = 0;
    if (!position(c, c->arg[1].i, &at))
        return false;
    struct span rest = span_from(lib_span(c, 0), at);
    size_t n = lib_character_at(rest, 1);
    return lib_given_string(c, span_cut(rest, 0, n));
}

static bool substring_from(struct expr_call *c) {
    size_t at = 0;
    return position(c, c->arg[1].i, &at) && lib_given_string(c, span_from(lib_span(c, 0), at));
}

static bool substring(struct expr_call *c) {
    int64_t from = c->arg[1].i, to = c->arg[2].i;
    size_t at = 0, end = 0;
    if (from > to)
        return expr_failf(c, "invalid substring range. start: %lld, end: %lld", (long long)from,
                          (long long)to);
    return position(c, from, &at) && position(c, to, &end) &&
           lib_given_string(c, span_cut(lib_span(c, 0), at, end - at));
}

/* A position in bytes (SIZE_MAX: none) as one in characters. */
static bool give_position(struct expr_call *c, size_t at) {
    return lib_int(c,
                   at == SIZE_MAX ? -1 : (int64_t)lib_characters(span_cut(lib_span(c, 0), 0, at)));
}

static bool index_of(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    return lib_spend_bytes(c, s.n + what.n) && give_position(c, find(s, what, 0));
}

static bool index_of_from(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    int64_t from = c->arg[2].i;
    if (from < 0)
        return out_of_range(c, from);
    if (!lib_spend_bytes(c, 2 * s.n + what.n))
        return false;
    size_t at = lib_character_at(s, (uint64_t)from);
    if (at == SIZE_MAX) /* beyond the end: nothing is there but the empty text */
        return what.n ? lib_int(c, -1) : give_position(c, s.n);
    return give_position(c, find(s, what, at));
}

/* The last place at or before byte `from`. There is no linear search backwards in libc: what is
 * compared is counted. */
static bool find_last(struct expr_call *c, struct span s, struct span what, size_t from) {
    uint64_t compared = 0;
    if (what.n > s.n)
        return lib_int(c, -1);
    size_t at = from < s.n - what.n ? from : s.n - what.n;
    for (;; at--) {
        size_t same = 0;
        while (same < what.n && s.p[at + same] == what.p[same])
            same++;
        if (same == what.n)
            return give_position(c, at);
        compared += same;
        if (compared > 4096) {
            if (!lib_spend_bytes(c, compared))
                return false;
            compared = 0;
        }
        if (at == 0)
            return lib_int(c, -1);
    }
}

static bool last_index_of(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    return lib_spend_bytes(c, s.n + what.n) && find_last(c, s, what, s.n);
}

static bool last_index_of_from(struct expr_call *c) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1);
    int64_t from = c->arg[2].i;
    if (from < 0)
        return out_of_range(c, from);
    if (!lib_spend_bytes(c, 3 * s.n + what.n))
        return false;
    size_t at = lib_character_at(s, (uint64_t)from);
    if (what.n && (at == SIZE_MAX || at == s.n))
        return lib_int(c, -1);
    return find_last(c, s, what, at == SIZE_MAX ? s.n : at);
}

const struct expr_function lib_text[] = {
    {.signature = "size(string) -> int", .fn = size_text},
    {.signature = "size(bytes) -> int", .fn = size_bytes},
    {.signature = "size(list<A>) -> int", .fn = size_members},
    {.signature = "size(map<A, B>) -> int", .fn = size_members},
    {.signature = "string.size() -> int", .fn = size_text},
    {.signature = "bytes.size() -> int", .fn = size_bytes},
    {.signature = "list<A>.size() -> int", .fn = size_members},
    {.signature = "map<A, B>.size() -> int", .fn = size_members},
    {.signature = "string.contains(string) -> bool", .fn = contains},
    {.signature = "string.startsWith(string) -> bool", .fn = starts},
    {.signature = "string.endsWith(string) -> bool", .fn = ends},
    {.signature = "string.charAt(int) -> string", .fn = char_at},
    {.signature = "string.substring(int) -> string", .fn = substring_from},
    {.signature = "string.substring(int, int) -> string", .fn = substring},
    {.signature = "string.indexOf(string) -> int", .fn = index_of},
    {.signature = "string.indexOf(string, int) -> int", .fn = index_of_from},
    {.signature = "string.lastIndexOf(string) -> int", .fn = last_index_of},
    {.signature = "string.lastIndexOf(string, int) -> int", .fn = last_index_of_from},
    {0},
};
