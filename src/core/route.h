/*
 * route - from a request head to a route: conditions, their compiled form, and why others did not
 * match.
 *
 * Host first (exact, then wildcard by longest suffix, then any), within it a tree over path
 * segments (literal, capture, tail), regular expressions last; at each leaf the few candidates
 * ordered by precedence. Cost grows with the length of the request, not with the number of routes.
 * CONFIG.md "Matching". Thread: built by one, then read by all.
 */
#pragma once
#include "core/snapshot.h"

struct exchange;

/* Segments of one path, captures and tail included; conf refuses more. */
enum { ROUTE_SEGMENTS_MAX = 64 };

enum value_match_kind { VALUE_IS, VALUE_PRESENT, VALUE_ABSENT, VALUE_REGEX };
struct value_match { /* of a header, query parameter or cookie */
    struct span name;
    enum value_match_kind kind;
    struct span value;
    struct regex *regex;
    bool secret; /* the value is never printed */
    struct where where;
};
/* The value, for people. */
static inline struct span value_shown(const struct value_match *v) {
    return v->secret ? SPAN("***") : v->value;
}

struct regex; /* data/regex.h: PCRE2 under limits */

enum segment_kind {
    SEGMENT_LITERAL,
    SEGMENT_CAPTURE,
    SEGMENT_TAIL /* the rest; may be captured */
};
struct segment {
    enum segment_kind kind;
    struct span text; /* literal, canonical; or the capture's name; tail without capture: empty */
    int capture;      /* slot, or -1 */
};
struct path_match { /* one alternative of `path` */
    const struct segment *segment;
    uint32_t count;
    struct regex *regex; /* "~ ...": then no segments */
    bool exact_slash;    /* the pattern ends with "/": "/a/" */
    struct span text;    /* as written, joined with the groups' */
    struct where where;
};

struct expr;
struct route_when { /* CEL, judged for a request that meets all other conditions */
    const struct expr *expr;
    struct where where;
};

struct route_match {
    struct span *host; /* lower-case; "*.suffix"; none: any */
    uint32_t host_count;
    struct where host_where;
    struct path_match *path; /* none: any path */
    uint32_t path_count;
    uint32_t methods;          /* bit per enum method; 0: any. GET includes HEAD */
    struct span *method_other; /* extension methods by name */
    uint32_t method_other_count;
    struct where method_where;
    uint64_t listeners;        /* bits; 0: all */
    struct span listener_text; /* their names, for messages */
    struct where listener_where;
    struct value_match *value[3]; /* by enum value_of */
    uint32_t value_count[3];
    const struct route_when *when; /* of the groups, then the route's own: all must hold */
    uint32_t when_count;
    int priority;
};
enum value_of { VALUE_HEADER, VALUE_QUERY, VALUE_COOKIE };

struct route_conflict { /* two routes that one request can meet and nothing ranks */
    const struct route *a, *b;
};
struct route_shadow { /* `route` can never be reached: `by` always wins */
    const struct route *route, *by;
};
enum { ROUTE_REPORT_MAX = 100 };
struct route_report {
    struct route_conflict *conflict;
    uint32_t conflict_count;
    struct route_shadow *shadow;
    uint32_t shadow_count;
};

/* Into the arena; regexes are compiled already. `report` (may be NULL) is filled with at most 100
 * of each. */
const struct router *router_build(struct arena *a, const struct route *routes, uint32_t count,
                                  struct route_report *report);

struct route_found {
    const struct route *route; /* NULL: none */
    struct span capture[CAPTURES_MAX];
    bool path_matched; /* some route matched but for its method: 405 */
    uint32_t allow;    /* methods for Allow, bits */
    struct span allow_other[8];
    uint32_t allow_other_count;
};
/* Who evaluates `when`: the router knows heads, and expressions ask for more (core/route_when.h).
 * It is asked for routes whose other conditions hold, the best first; `capture` are its path's. */
struct route_judge {
    bool (*holds)(void *ctx, const struct route *r, const struct route_when *w,
                  const struct head *h, const struct span *capture);
    void *ctx;
};
/* Matches by head and listener. Allocates nothing. Without a judge routes with a `when` are passed
 * over. */
void router_find(const struct router *r, const struct head *h, const struct listener_conf *l,
                 struct route_found *out);
void router_find_judged(const struct router *r, const struct head *h, const struct listener_conf *l,
                        const struct route_judge *j, struct route_found *out);

/* The same for a request: a CORS preflight (the Fetch standard) finds the route of the method that
 * it asks for, where that answers preflights; else what OPTIONS finds. */
void router_find_request(const struct router *r, const struct head *h,
                         const struct listener_conf *l, const struct route_judge *j,
                         struct route_found *out);

/* Why a route did not match: the first condition that failed, in the order host, path, listener,
 * method, header, query, cookie, when. */
enum miss_kind {
    MISS_NONE,
    MISS_HOST,
    MISS_PATH,
    MISS_LISTENER,
    MISS_METHOD,
    MISS_HEADER,
    MISS_QUERY,
    MISS_COOKIE,
    MISS_WHEN,
    MISS_OUTRANKED
};
struct miss {
    const struct route *route;
    enum miss_kind kind;
    struct where where;        /* of the condition */
    struct span wanted;        /* text of the condition */
    unsigned matched_segments; /* for the nearest misses: how far the path went */
};
void route_why_not(const struct route *r, const struct head *h, const struct listener_conf *l,
                   struct arena *a, struct miss *out);
/* A `when` is only named by that, and not evaluated. This says which one of a MISS_WHEN is not
 * true; if all are, MISS_NONE. */
void route_why_when(struct miss *m, const struct head *h, const struct listener_conf *l,
                    const struct route_judge *j, struct arena *a);
/* The nearest misses of a request that matched nothing, best first. Costs a look at every route
 * (bounded by `look_max`): for the operator's log and explain only. Returns how many. */
uint32_t router_nearest(const struct snapshot *s, const struct head *h,
                        const struct listener_conf *l, struct arena *a, struct miss *out,
                        uint32_t max);
