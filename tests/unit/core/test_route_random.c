/*
 * The router against a matcher that looks at every route, on random sets and requests. Ties that a
 * request meets must have been reported, and a route reported as shadowed is never chosen.
 * ROUTE_SEED=n replays one set.
 */
#include "routes.h"

enum { SETS = 4000, REQUESTS = 60, SET_ROUTES = 12 };

static uint64_t seed;

static unsigned draw(unsigned n) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % n;
}

static const char *pick(const char *const *of, unsigned n) {
    return of[draw(n)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__}, array_len(((const char *const[]){__VA_ARGS__})))

static void random_path(struct str *s) {
    unsigned n = draw(4), used = 0;
    if (draw(12) == 0) {
        str_fmt(s, " path=~%s", PICK("^/a", "b$", "^/(?<x>[ab])/", "a.*b", "^/b/a$"));
        return;
    }
    str_lit(s, " path=");
    for (unsigned i = 0; i < n; i++) {
        if (draw(3) == 0)
            str_fmt(s, "/{p%u}", used++);
        else
            str_fmt(s, "/%s", PICK("a", "b", "c", "a;v"));
    }
    str_add(s, span_z(n == 0 ? PICK("/", "/*", "/{t*}") : PICK("", "", "", "/", "/*", "/{t*}")));
}

static void random_route(struct str *s, unsigned i) {
    str_fmt(s, "r%u", i);
    if (draw(3))
        str_fmt(s, " host=%s", PICK("a.t", "b.a.t", "*.t", "*.a.t", "a.t,*.a.t", "c.t"));
    for (unsigned n = draw(8) == 0 ? 2 : draw(9) > 0; n; n--)
        random_path(s);
    if (draw(3) == 0)
        str_fmt(s, " method=%s", PICK("GET", "HEAD", "POST", "GET,POST", "PURGE", "PUT,PURGE"));
    if (draw(4) == 0)
        str_fmt(s, " header:x=%s", PICK("1", "2", "*", "-", "~^1"));
    if (draw(6) == 0)
        str_fmt(s, " query:q=%s", PICK("1", "2", "*", "-"));
    if (draw(8) == 0)
        str_fmt(s, " listener=%s", PICK("1", "2", "3"));
    if (draw(4) == 0)
        str_fmt(s, " priority=%u", draw(3));
}

static void random_request(struct str *s) {
    str_fmt(s, "%s %s ", PICK("GET", "HEAD", "POST", "PUT", "PURGE"),
            PICK("a.t", "b.a.t", "c.b.a.t", "c.t", "t", "-"));
    unsigned n = draw(5);
    for (unsigned i = 0; i < n; i++)
        str_fmt(s, "/%s", PICK("a", "b", "c", "a;v", "a;w", "b;", ";x", "a%3Bv", "d"));
    str_add(s, span_z(n == 0 ? "/" : PICK("", "", "/")));
    str_add(s, span_z(PICK("", "", "?q=1", "?q=2", "?q", "?q=1&q=1")));
    str_add(s, span_z(PICK("", "", " x:1", " x:2", " x:3")));
    str_add(s, span_z(PICK("", " listener:1", " listener:2")));
}

/* ---- the plain matcher: written apart from the router, one route and one rule after the other
 * ------------ */

static size_t base_len(struct span s) {
    size_t semi = 0;
    while (semi < s.n && s.p[semi] != ';' && strncmp(s.p + semi, "%3B", 3) != 0)
        semi++;
    return semi;
}

struct cut_path {
    struct span seg[64];
    unsigned n;
    bool slash;
};

static void cut_path(struct span path, struct cut_path *out) {
    size_t i = 0;
    out->n = 0;
    out->slash = false;
    while (i < path.n) {
        size_t k = ++i;
        while (k < path.n && path.p[k] != '/')
            k++;
        struct span s = span_of(path.p + i, k - i);
        if (base_len(s))
            out->seg[out->n++] = s;
        else
            out->slash = k == path.n;
        i = k;
    }
}

/* 0: no; else a number whose order is the order of precedence, from the left: 5 a literal as it
 * stands, 4 up to its parameters, 3 a capture, 2 the end, 1 a tail. */
static uint64_t path_rank(const struct path_match *p, struct span path, const struct cut_path *c) {
    uint64_t rank = 0;
    bool tail = p->count && p->segment[p->count - 1].kind == SEGMENT_TAIL;
    unsigned fixed = p->count - tail;
    if (p->regex)
        return regex_test(p->regex, path) ? 2 : 0;
    if (c->n < fixed || (!tail && (c->n != fixed || c->slash != p->exact_slash)))
        return 0;
    for (unsigned i = 0; i < 12; i++) {
        unsigned kind = i == fixed ? (tail ? 1 : 2) : 0;
        if (i < fixed && p->segment[i].kind == SEGMENT_CAPTURE)
            kind = 3;
        else if (i < fixed && span_eq(p->segment[i].text, c->seg[i]))
            kind = 5;
        else if (i < fixed) {
            if (!span_eq(p->segment[i].text, span_cut(c->seg[i], 0, base_len(c->seg[i]))))
                return 0;
            kind = 4;
        }
        rank = rank << 4 | kind;
    }
    return rank + 10;
}

static uint64_t host_rank(const struct route_match *m, struct span host) {
    uint64_t best = m->host_count == 0;
    for (uint32_t i = 0; i < m->host_count; i++) {
        struct span w = m->host[i];
        uint64_t r = 0;
        if (w.p[0] == '*' && host.n > w.n - 1 && span_ends(host, span_from(w, 1)))
            r = 1 + w.n;
        else if (span_eq(w, host))
            r = 1000;
        best = r > best ? r : best;
    }
    return best;
}

static bool one_value(const struct value_match *v, struct span s) {
    return v->kind == VALUE_PRESENT || (v->kind == VALUE_IS && span_eq(v->value, s)) ||
           (v->kind == VALUE_REGEX && regex_test(v->regex, s));
}

static bool values_fit(const struct route_match *m, const struct head *h) {
    for (uint32_t i = 0; i < m->value_count[VALUE_HEADER]; i++) {
        const struct value_match *v = &m->value[VALUE_HEADER][i];
        struct span s = hdr_find(h, v->name);
        if (v->kind == VALUE_ABSENT ? s.p != NULL : !s.p || !one_value(v, s))
            return false;
    }
    for (uint32_t i = 0; i < m->value_count[VALUE_QUERY]; i++) {
        const struct value_match *v = &m->value[VALUE_QUERY][i];
        struct span rest = h->query;
        bool any = false, fits = false;
        while (rest.n) {
            struct span value = span_split(&rest, '&'), name = span_split(&value, '=');
            any |= span_eq(name, v->name);
            fits |= span_eq(name, v->name) && one_value(v, value.p ? value : SPAN(""));
        }
        if (v->kind == VALUE_ABSENT ? any : !fits)
            return false;
    }
    return true;
}

struct rank {
    int priority;
    uint64_t host, path, conditions, head;
    bool regex;
};

static int compare_rank(const struct rank *a, const struct rank *b) {
    if (a->priority != b->priority)
        return a->priority > b->priority ? 1 : -1;
    if (a->host != b->host)
        return a->host > b->host ? 1 : -1;
    if (a->path != b->path)
        return a->path > b->path ? 1 : -1;
    if (a->conditions != b->conditions)
        return a->conditions > b->conditions ? 1 : -1;
    return a->head != b->head ? (a->head > b->head ? 1 : -1) : 0;
}

/* False: it does not match, were it not for the method. */
static bool rank_of(const struct route *r, const struct head *h, const struct listener_conf *l,
                    struct rank *out, bool *method) {
    const struct route_match *m = r->match;
    struct cut_path c;
    cut_path(h->path, &c);
    *out = (struct rank){.priority = m->priority, .host = host_rank(m, h->host)};
    out->path = m->path_count == 0;
    for (uint32_t i = 0; i < m->path_count; i++) {
        uint64_t p = path_rank(&m->path[i], h->path, &c);
        out->path = p > out->path ? p : out->path;
    }
    bool get = m->methods >> METHOD_GET & 1, head = m->methods >> METHOD_HEAD & 1;
    *method = (!m->methods && !m->method_other_count) ||
              (h->method && m->methods >> h->method & 1) || (get && h->method == METHOD_HEAD);
    for (uint32_t i = 0; i < m->method_other_count; i++)
        *method |= span_eq(m->method_other[i], h->method_text);
    out->head = head && !get;
    out->conditions = (uint64_t)(m->methods || m->method_other_count) + (m->listeners != 0) +
                      m->value_count[0] + m->value_count[1];
    return out->host && out->path && (!m->listeners || (m->listeners & l->routes_bit)) &&
           values_fit(m, h);
}

static bool reported(const struct route_report *p, const struct route *a, const struct route *b) {
    for (uint32_t i = 0; i < p->conflict_count; i++)
        if ((p->conflict[i].a == a && p->conflict[i].b == b) ||
            (p->conflict[i].a == b && p->conflict[i].b == a))
            return true;
    return false;
}

/* NULL: right; else what was wrong. */
static const char *check_found(const struct routes *set, const struct head *h,
                               const struct listener_conf *l, const struct route_found *f) {
    const struct route *expect = NULL;
    struct rank best = {0}, r;
    bool method, other = false, tied = false;
    for (uint32_t i = 0; i < set->count; i++) {
        if (!rank_of(&set->route[i], h, l, &r, &method))
            continue;
        other |= !method;
        int c = expect ? compare_rank(&r, &best) : 1;
        if (!method || c < 0)
            continue;
        tied = c == 0;
        if (tied && set->report.conflict_count < ROUTE_REPORT_MAX &&
            !reported(&set->report, expect, &set->route[i]))
            return "a tie that was not reported";
        if (c > 0) {
            best = r;
            expect = &set->route[i];
        }
    }
    if (f->path_matched != (!expect && other))
        return "405 and 404 are mixed up";
    if (!expect || !f->route)
        return expect == f->route ? NULL : "found and not found are mixed up";
    if (!rank_of(f->route, h, l, &r, &method) || !method || compare_rank(&r, &best) != 0)
        return "another route ranks higher";
    return NULL;
}

static const char *check_request(struct routes *set, const char *text) {
    struct head h;
    struct listener_conf l;
    struct route_found f;
    routes_request(&set->arena, span_z(text), &h, &l);
    router_find(set->router, &h, &l, &f);
    const char *wrong = check_found(set, &h, &l, &f);
    for (uint32_t i = 0; f.route && i < set->report.shadow_count; i++)
        if (set->report.shadow[i].route == f.route)
            return "a shadowed route was chosen";
    for (uint32_t i = 0; i < set->count; i++) { /* explain tells the same story */
        struct miss m;
        struct rank r;
        bool method, all = rank_of(&set->route[i], &h, &l, &r, &method) && method;
        route_why_not(&set->route[i], &h, &l, &set->arena, &m);
        if ((m.kind == MISS_NONE) != all)
            return "route_why_not and the conditions disagree";
    }
    return wrong;
}

static void check_set(uint64_t from) {
    static struct routes set;
    static char line[SET_ROUTES + 1][512], request[512];
    seed = from * 2654435761u + 1;
    routes_open(&set);
    for (unsigned i = 0, n = 1 + draw(SET_ROUTES); i < n; i++) {
        struct str s = str_on(line[i], sizeof line[i] - 1);
        random_route(&s, i);
        line[i][s.n] = 0;
        routes_add(&set, str_span(&s));
    }
    routes_build(&set);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct str s = str_on(request, sizeof request - 1);
        random_request(&s);
        request[s.n] = 0;
        const char *wrong = check_request(&set, request);
        for (uint32_t k = 0; wrong && k < set.count; k++)
            print_error("  %s\n", line[k]);
        if (wrong)
            fail_msg("ROUTE_SEED=%llu, %s: %s", (unsigned long long)from, request, wrong);
    }
    routes_close(&set);
}

static void test_random(void **state) {
    (void)state;
    const char *one = getenv("ROUTE_SEED");
    uint64_t only;
    if (one && parse_dec(span_z(one), UINT32_MAX, &only)) {
        check_set(only);
        return;
    }
    for (uint64_t i = 0; i < SETS; i++)
        check_set(i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests_name("route_random", tests, NULL, NULL);
}
