/* Why routes did not match: for explain and the operator's log, never on a request's way. */
#include "core/route_tree.h"
#include "expr/expr.h"

enum { LOOK_MAX = 20000 };

/* ---- host and path, one route at a time -------------------------------------------------------
 */

static bool host_holds(const struct route_match *m, struct span host) {
    for (uint32_t i = 0; i < m->host_count; i++) {
        struct span want = m->host[i];
        bool wildcard = span_starts(want, SPAN("*"));
        struct span suffix = span_from(want, 1);
        if (span_eq(want, SPAN("*")) || (!wildcard && span_eq(want, host)) ||
            (wildcard && host.n > suffix.n && span_ends(host, suffix)))
            return true;
    }
    return m->host_count == 0;
}

/* The next segment of *rest, {NULL, 0} at the end; as the router cuts them. */
static struct span next_segment(struct span *rest, bool *slash) {
    while (rest->p) {
        struct span s = span_split(rest, '/');
        if (route_segment_base(s))
            return s;
        if (!rest->p)
            *slash = true;
    }
    return SPAN_NONE;
}

static bool segment_holds(const struct segment *p, struct span s) {
    if (p->kind == SEGMENT_CAPTURE)
        return s.n > 0;
    return span_eq(p->text, s) || span_eq(p->text, span_cut(s, 0, route_segment_base(s)));
}

/* How many segments fit, and whether the whole path does. */
static bool path_holds(const struct path_match *p, struct span path, unsigned *matched) {
    bool slash = false;
    *matched = 0;
    if (p->regex)
        return path.n && path.p[0] == '/' && regex_test(p->regex, path);
    if (!path.n || path.p[0] != '/')
        return false;
    struct span rest = span_from(path, 1), s = next_segment(&rest, &slash);
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->segment[i].kind == SEGMENT_TAIL)
            return true;
        if (!s.p || !segment_holds(&p->segment[i], s))
            return false;
        ++*matched;
        s = next_segment(&rest, &slash);
    }
    return !s.p && slash == p->exact_slash;
}

/* The alternative that went farthest. */
static bool paths_hold(const struct route_match *m, struct span path, struct miss *out) {
    out->wanted = SPAN_NONE;
    for (uint32_t i = 0; i < m->path_count; i++) {
        unsigned matched;
        bool whole = path_holds(&m->path[i], path, &matched);
        if (i == 0 || whole || matched > out->matched_segments) {
            out->matched_segments = matched;
            out->wanted = m->path[i].text;
            out->where = m->path[i].where;
        }
        if (whole)
            return true;
    }
    return m->path_count == 0;
}

/* ---- the first condition that failed ----------------------------------------------------------
 */

static struct span host_text(const struct route_match *m, struct arena *a) {
    struct str s = str_on(arena_alloc(a, 1024), 1024);
    for (uint32_t i = 0; i < m->host_count; i++) {
        if (i)
            str_lit(&s, ", ");
        str_add(&s, m->host[i]);
    }
    return str_span(&s);
}

static struct span method_text(const struct route_match *m, struct arena *a) {
    struct str s = str_on(arena_alloc(a, 1024), 1024);
    for (unsigned i = 1; i < METHOD_COUNT; i++)
        if (m->methods >> i & 1) {
            if (s.n)
                str_lit(&s, ", ");
            str_add(&s, method_name((enum method)i));
        }
    for (uint32_t i = 0; i < m->method_other_count; i++) {
        if (s.n)
            str_lit(&s, ", ");
        str_add(&s, m->method_other[i]);
    }
    return str_span(&s);
}

static struct span match_text(const struct value_match *v, struct arena *a) {
    const char *how[] = {[VALUE_IS] = ": ",
                         [VALUE_PRESENT] = ": \"*\"",
                         [VALUE_ABSENT] = ": null",
                         [VALUE_REGEX] = ": ~ "};
    struct span value = v->kind == VALUE_IS || v->secret ? value_shown(v)
                        : v->kind == VALUE_REGEX         ? regex_pattern(v->regex)
                                                         : SPAN_NONE;
    return span_z(arena_fmt(a, "%.*s%s%.*s", SPAN_ARG(v->name), how[v->kind], SPAN_ARG(value)));
}

static void miss_at(struct miss *out, enum miss_kind kind, struct where where, struct span wanted) {
    out->kind = kind;
    out->where = where;
    out->wanted = wanted;
}

static void values_why(const struct route_match *m, const struct head *h, struct arena *a,
                       struct miss *out) {
    static const enum miss_kind kind[3] = {MISS_HEADER, MISS_QUERY, MISS_COOKIE};
    for (unsigned of = 0; of < 3; of++)
        for (uint32_t i = 0; i < m->value_count[of]; i++) {
            const struct value_match *v = &m->value[of][i];
            if (!value_holds(v, (enum value_of)of, h)) {
                miss_at(out, kind[of], v->where, match_text(v, a));
                return;
            }
        }
    out->kind = MISS_NONE;
    if (m->when_count)
        miss_at(out, MISS_WHEN, m->when[0].where, expr_source(m->when[0].expr));
}

void route_why_not(const struct route *r, const struct head *h, const struct listener_conf *l,
                   struct arena *a, struct miss *out) {
    const struct route_match *m = r->match;
    *out = (struct miss){.route = r, .kind = MISS_PATH, .where = r->where};
    bool path = paths_hold(m, h->path, out);
    if (!host_holds(m, h->host))
        miss_at(out, MISS_HOST, m->host_where, host_text(m, a));
    else if (!path)
        return;
    else if (m->listeners && !(l && m->listeners & l->routes_bit))
        miss_at(out, MISS_LISTENER, m->listener_where, m->listener_text);
    else if (!route_method(m, h))
        miss_at(out, MISS_METHOD, m->method_where, method_text(m, a));
    else
        values_why(m, h, a, out);
}

/* ---- when ----------------------------------------------------------------------------------- */

struct spy { /* a judge who remembers what failed */
    const struct route_judge *judge;
    const struct route_when *failed;
};

static bool spy_holds(void *ctx, const struct route *r, const struct route_when *w,
                      const struct head *h, const struct span *capture) {
    struct spy *s = ctx;
    bool yes = s->judge->holds(s->judge->ctx, r, w, h, capture);
    s->failed = yes ? s->failed : w;
    return yes;
}

/* The router itself finds the captures: one for this route alone. */
void route_why_when(struct miss *m, const struct head *h, const struct listener_conf *l,
                    const struct route_judge *j, struct arena *a) {
    struct spy spy = {.judge = j};
    struct route_judge judge = {spy_holds, &spy};
    struct route_found found;
    router_find_judged(router_build(a, m->route, 1, NULL), h, l, &judge, &found);
    if (found.route)
        miss_at(m, MISS_NONE, m->route->where, SPAN_NONE);
    else if (spy.failed)
        miss_at(m, MISS_WHEN, spy.failed->where, expr_source(spy.failed->expr));
}

/* ---- the nearest misses ------------------------------------------------------------------------
 */

/* How near: conditions after the path weigh more than any number of segments. */
static unsigned nearness(const struct route *r, const struct head *h, const struct listener_conf *l,
                         unsigned matched) {
    const struct route_match *m = r->match;
    struct miss m_path = {0};
    bool path = paths_hold(m, h->path, &m_path), host = host_holds(m, h->host);
    unsigned n = 2 * (matched > 99 ? 99 : matched) + host;
    if (!path)
        return n;
    n += 1000;
    if (m->listeners && l && !(m->listeners & l->routes_bit))
        n -= 300;
    return n + (host ? 500 : 0) + (route_method(m, h) ? 0 : 100);
}

struct near {
    struct miss miss;
    unsigned score;
};

/* Keeps the best `max`, sorted; equal ones in the order of the file. */
static uint32_t keep(struct near *best, uint32_t count, uint32_t max, const struct near *n) {
    uint32_t at = count;
    while (at > 0 && best[at - 1].score < n->score)
        at--;
    if (at == max)
        return count;
    if (count == max)
        count--;
    memmove(best + at + 1, best + at, (count - at) * sizeof *best);
    best[at] = *n;
    return count + 1;
}

uint32_t router_nearest(const struct snapshot *s, const struct head *h,
                        const struct listener_conf *l, struct arena *a, struct miss *out,
                        uint32_t max) {
    struct near best[16];
    uint32_t count = 0;
    max = max < array_len(best) ? max : array_len(best);
    for (uint32_t i = 0; max && i < s->route_count && i < LOOK_MAX; i++) {
        const struct route *r = &s->route[i];
        struct near n = {.miss = {.route = r}};
        paths_hold(r->match, h->path, &n.miss);
        n.score = nearness(r, h, l, n.miss.matched_segments);
        if (n.score > 1)
            count = keep(best, count, max, &n);
    }
    for (uint32_t i = 0; i < count; i++)
        route_why_not(best[i].miss.route, h, l, a, &out[i]);
    return count;
}
