/* The router, by tests/data/routing.txt. */
#include "routes.h"
#include "core/route_when.h"
#include "core/thread.h"

enum { LINE_MAX_ = 2048, TEXT_MAX = 4096 };

static struct routes set;
static char want[TEXT_MAX], got[TEXT_MAX];

static void show(struct str *out, const struct route_found *f) {
    if (!f->route && f->path_matched) {
        str_lit(out, "405");
        for (unsigned i = 1; i < METHOD_COUNT; i++)
            if (f->allow >> i & 1)
                str_fmt(out, " %.*s", SPAN_ARG(method_name((enum method)i)));
        for (uint32_t i = 0; i < f->allow_other_count; i++)
            str_fmt(out, " %.*s", SPAN_ARG(f->allow_other[i]));
        return;
    }
    str_add(out, f->route ? f->route->name : SPAN("none"));
    for (uint32_t i = 0; f->route && i < f->route->capture_count; i++)
        if (f->capture[i].p)
            str_fmt(out, " %.*s=%.*s", SPAN_ARG(f->route->capture_name[i]),
                    SPAN_ARG(f->capture[i]));
}

static void show_report(struct str *out, const struct route_report *r) {
    for (uint32_t i = 0; i < r->conflict_count; i++)
        str_fmt(out, "%sconflict %.*s %.*s", out->n ? "; " : "", SPAN_ARG(r->conflict[i].a->name),
                SPAN_ARG(r->conflict[i].b->name));
    for (uint32_t i = 0; i < r->shadow_count; i++)
        str_fmt(out, "%s%.*s shadowed by %.*s", out->n ? "; " : "",
                SPAN_ARG(r->shadow[i].route->name), SPAN_ARG(r->shadow[i].by->name));
    if (!out->n)
        str_lit(out, "fine");
}

/* What expressions ask is an exchange, as far as they look at it. */
static struct exchange *asker(const struct head *h) {
    static struct thread thread;
    struct exchange *x = arena_zero(&set.arena, sizeof *x);
    arena_init(&x->arena, NULL);
    x->thread = &thread;
    x->req = *h;
    return x;
}

static void ask(struct span line, struct str *out) {
    struct head h;
    struct listener_conf l;
    struct route_found f;
    routes_request(&set.arena, line, &h, &l);
    struct exchange *x = asker(&h);
    struct route_judge judge = route_judge(x);
    router_find_judged(set.router, &h, &l, &judge, &f);
    show(out, &f);
    assert_null(x->route); /* as it was */
    arena_finish(&x->arena);
}

static const char *const kinds[] = {"matches", "host",  "path",   "listener", "method",
                                    "header",  "query", "cookie", "when"};

/* "? NAME REQUEST": the first condition that failed. */
static void why(struct span line, struct str *out) {
    struct head h;
    struct listener_conf l;
    struct miss m;
    struct span rest = line, name = span_split(&rest, ' ');
    routes_request(&set.arena, rest, &h, &l);
    for (uint32_t i = 0; i < set.count; i++) {
        if (!span_eq(set.route[i].name, name))
            continue;
        route_why_not(&set.route[i], &h, &l, &set.arena, &m);
        struct exchange *x = asker(&h);
        struct route_judge judge = route_judge(x);
        if (m.kind == MISS_WHEN)
            route_why_when(&m, &h, &l, &judge, &set.arena);
        arena_finish(&x->arena);
        str_fmt(out, "%s %u", kinds[m.kind], m.matched_segments);
        if (m.kind != MISS_NONE && m.wanted.n)
            str_fmt(out, " %.*s", SPAN_ARG(m.wanted));
    }
}

static void nearest(struct span line, struct str *out) {
    struct head h;
    struct listener_conf l;
    struct miss m[3];
    struct snapshot s = {.route = set.route, .route_count = set.count};
    routes_request(&set.arena, line, &h, &l);
    uint32_t n = router_nearest(&s, &h, &l, &set.arena, m, 3);
    for (uint32_t i = 0; i < n; i++)
        str_fmt(out, "%s%.*s %s", i ? ", " : "", SPAN_ARG(m[i].route->name), kinds[m[i].kind]);
}

static unsigned line_number, checked;

static void compare(struct span expected) {
    str_fmt(&(struct str){want, 0, TEXT_MAX - 1, false}, "%.*s%c", SPAN_ARG(expected), 0);
    want[expected.n] = 0;
    if (strcmp(want, got) != 0)
        fail_msg("tests/data/routing.txt:%u:\n  want %s\n  got  %s", line_number, want, got);
    checked++;
}

static void begin(void) {
    if (set.arena.blocks || set.count)
        routes_close(&set);
    routes_open(&set);
}

static void one_line(struct span s) {
    struct str out = str_on(got, TEXT_MAX - 1);
    struct span rest = s.n > 2 ? span_from(s, 2) : SPAN("");
    if (!s.n || s.p[0] == '#')
        return;
    if (span_starts(s, SPAN("==")))
        begin();
    else if (span_starts(s, SPAN("route ")))
        routes_add(&set, span_from(s, 6));
    else if (s.p[0] == '=')
        compare(rest);
    else {
        if (!set.router || s.p[0] == '!')
            routes_build(&set);
        if (s.p[0] == '!')
            show_report(&out, &set.report);
        else if (s.p[0] == '?')
            why(rest, &out);
        else if (s.p[0] == '~')
            nearest(rest, &out);
        else
            ask(rest, &out);
        got[out.n] = 0;
        if (s.p[0] == '!')
            compare(rest);
    }
}

static void test_data(void **state) {
    (void)state;
    char line[LINE_MAX_];
    FILE *f = fopen("tests/data/routing.txt", "r");
    assert_non_null(f);
    begin();
    while (fgets(line, sizeof line, f)) {
        line_number++;
        one_line(span_of(line, strcspn(line, "\n")));
    }
    fclose(f);
    routes_close(&set);
    assert_true(checked > 100);
}

/* 10,000 routes, each found, in a set that also tells no lies about ties. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 10000 };
    struct arena a;
    arena_init(&a, NULL);
    struct route *r = arena_zero(&a, MANY * sizeof *r);
    struct route_report report;
    char path[64];
    static struct routes one;
    routes_open(&one);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "r path=/api/s%u/{id}/items", i);
        one.count = 0;
        r[i] = *routes_add(&one, span_z(path));
        r[i].index = i;
    }
    const struct router *router = router_build(&a, r, MANY, &report);
    assert_int_equal(report.conflict_count, 0);
    assert_int_equal(report.shadow_count, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        struct head h = {.method = METHOD_GET};
        struct route_found f;
        snprintf(path, sizeof path, "/api/s%u/77/items", i);
        h.path = span_z(path);
        router_find(router, &h, NULL, &f);
        assert_ptr_equal(f.route, &r[i]);
        assert_true(span_eq(f.capture[0], SPAN("77")));
    }
    routes_close(&one);
    arena_finish(&a);
}

/* Many routes on one path, told apart by a header: ties are still found, without comparing all
 * pairs. */
static void test_many_values(void **state) {
    (void)state;
    enum { MANY = 20000 };
    static struct routes one;
    struct arena a;
    arena_init(&a, NULL);
    struct route *r = arena_zero(&a, MANY * sizeof *r);
    struct route_report report;
    char text[64];
    routes_open(&one);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "r path=/ header:x-tenant=%u", i == MANY - 1 ? 7 : i);
        one.count = 0;
        r[i] = *routes_add(&one, span_z(text));
    }
    router_build(&a, r, MANY, &report);
    assert_int_equal(report.conflict_count, 1);
    assert_ptr_equal(report.conflict[0].a, &r[7]);
    assert_ptr_equal(report.conflict[0].b, &r[MANY - 1]);
    routes_close(&one);
    arena_finish(&a);
}

/* A path of thousands of segments, and one that tries every branch. */
static void test_hostile_paths(void **state) {
    (void)state;
    static struct routes r;
    static char path[60000];
    struct head h = {.method = METHOD_GET};
    struct route_found f;
    routes_open(&r);
    routes_add(&r, SPAN("a path=/{a}/{b}/{c}/x"));
    routes_add(&r, SPAN("b path=/a/{b}/c/y"));
    routes_add(&r, SPAN("t path=/a/a/*"));
    routes_build(&r);
    for (size_t i = 0; i + 1 < sizeof path; i += 2) {
        path[i] = '/';
        path[i + 1] = i % 6 ? 'a' : ';';
    }
    h.path = span_of(path, sizeof path);
    router_find(r.router, &h, NULL, &f);
    assert_true(f.route && span_eq(f.route->name, SPAN("t")));
    memset(path, '/', sizeof path);
    router_find(r.router, &h, NULL, &f);
    assert_null(f.route);
    h.path = SPAN("*");
    router_find(r.router, &h, NULL, &f);
    assert_null(f.route);
    h.path = SPAN_NONE;
    router_find(r.router, &h, NULL, &f);
    assert_null(f.route);
    routes_close(&r);
}

static void test_no_routes(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    struct route_report report;
    struct route_found f;
    struct head h = {.method = METHOD_GET, .path = SPAN("/"), .host = SPAN("a.test")};
    const struct router *r = router_build(&a, NULL, 0, &report);
    router_find(r, &h, NULL, &f);
    assert_null(f.route);
    assert_false(f.path_matched);
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),        cmocka_unit_test(test_many),
        cmocka_unit_test(test_many_values), cmocka_unit_test(test_hostile_paths),
        cmocka_unit_test(test_no_routes),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
