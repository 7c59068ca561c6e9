/*
 * routes - routes and requests from one-line texts, for the tests of the router.
 *
 *     NAME host=a.test,*.b.test path=/a/{id} path=~^/v(?<n>[0-9]+) method=GET,POST listener=1
 *          header:x-v=1 query:q=* cookie:c=- priority=5 when=path.id=="7"     (one line, `when`
 * last; "-" is absent, "~re" an expression) GET a.test /a/7?q=1 x-v:1 listener:1
 */
#pragma once
#include "conf/path.h"
#include "data/regex.h"
#include "core/route.h"
#include "core/route_tree.h"
#include "core/facts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROUTES_MAX = 512 };

struct routes {
    struct arena arena;
    struct route route[ROUTES_MAX];
    uint32_t count;
    struct regex *regex[ROUTES_MAX];
    uint32_t regexes;
    const struct router *router;
    struct route_report report;
};

static inline void routes_open(struct routes *r) {
    memset(r, 0, sizeof *r);
    arena_init(&r->arena, NULL);
}

static inline void routes_close(struct routes *r) {
    for (uint32_t i = 0; i < r->regexes; i++)
        regex_free(r->regex[i]);
    arena_finish(&r->arena);
}

static inline struct regex *routes_regex(struct routes *r, struct span text) {
    struct regex_error e = {0};
    struct regex *x = regex_compile(text, &e);
    assert_non_null(x);
    r->regex[r->regexes++] = x;
    return x;
}

static inline int routes_slot(struct route *t, struct span *names, struct span name) {
    for (uint32_t i = 0; i < t->capture_count; i++)
        if (span_eq(names[i], name))
            return (int)i;
    names[t->capture_count] = name;
    return (int)t->capture_count++;
}

static inline void routes_path(struct routes *r, struct route *t, struct path_match *p,
                               struct span *names, struct span text) {
    p->text = text;
    if (text.p[0] == '~') {
        p->regex = routes_regex(r, span_from(text, 1));
        for (unsigned i = 0; i < regex_names(p->regex); i++)
            routes_slot(t, names, regex_name(p->regex, i));
        return;
    }
    struct path_error e = {0};
    assert_true(path_parse(&r->arena, text, p, &e));
    struct segment *s = arena_alloc(&r->arena, p->count * sizeof *s + 1);
    memcpy(s, p->segment, p->count * sizeof *s);
    p->segment = s;
    for (uint32_t i = 0; i < p->count; i++)
        if (s[i].kind != SEGMENT_LITERAL && s[i].text.n)
            s[i].capture = routes_slot(t, names, s[i].text);
}

static inline struct value_match routes_value(struct routes *r, struct span name,
                                              struct span value) {
    struct value_match v = {.name = name, .kind = VALUE_IS, .value = value};
    if (span_eq(value, SPAN("*")))
        v.kind = VALUE_PRESENT;
    else if (span_eq(value, SPAN("-")))
        v.kind = VALUE_ABSENT;
    else if (value.n && value.p[0] == '~') {
        v.kind = VALUE_REGEX;
        v.regex = routes_regex(r, span_from(value, 1));
    }
    return v;
}

static inline void routes_method(struct routes *r, struct route_match *m, struct span list) {
    m->method_other = arena_zero(&r->arena, 8 * sizeof *m->method_other);
    while (list.p) {
        struct span one = span_split(&list, ',');
        enum method known = method_lookup(one);
        if (known == METHOD_OTHER)
            m->method_other[m->method_other_count++] = one;
        else
            m->methods |= 1u << known;
    }
}

static inline void routes_keep(void *ctx, struct regex *x) {
    struct routes *r = ctx;
    r->regex[r->regexes++] = x;
}

static inline void routes_when(struct routes *r, const struct route *t, struct route_match *m,
                               struct span *names, struct span text) {
    static const bool tails[CAPTURES_MAX];
    struct fact_captures captures = {names, tails, t->capture_count};
    struct route_when *all = arena_zero(&r->arena, (m->when_count + 1) * sizeof *all);
    struct facts_names scope;
    struct expr_error e = {0};
    facts_names(&scope, SCOPE_REQUEST, &captures);
    scope.keep = routes_keep;
    scope.keep_ctx = r;
    if (m->when_count)
        memcpy(all, m->when, m->when_count * sizeof *all);
    all[m->when_count].expr = expr_compile(&r->arena, text, &scope.scope, &e);
    if (!all[m->when_count].expr)
        fail_msg("%.*s: %s", SPAN_ARG(text), e.text);
    m->when = all;
    m->when_count++;
}

static inline void routes_key(struct routes *r, struct route *t, struct route_match *m,
                              struct span *names, struct span pair) {
    struct span value = pair, key = span_split(&value, '=');
    static const char *const of[] = {"header:", "query:", "cookie:"};
    if (span_eq(key, SPAN("path")))
        routes_path(r, t, &m->path[m->path_count++], names, value);
    else if (span_eq(key, SPAN("host")))
        while (value.p)
            m->host[m->host_count++] = span_split(&value, ',');
    else if (span_eq(key, SPAN("method")))
        routes_method(r, m, value);
    else if (span_eq(key, SPAN("listener")))
        m->listeners = (uint64_t)(value.p[0] - '0');
    else if (span_eq(key, SPAN("when")))
        routes_when(r, t, m, names, value);
    else if (span_eq(key, SPAN("priority")))
        m->priority = value.p[0] - '0';
    else
        for (int i = 0; i < 3; i++)
            if (span_starts(key, span_z(of[i])))
                m->value[i][m->value_count[i]++] =
                    routes_value(r, span_from(key, strlen(of[i])), value);
}

static inline struct route *routes_add(struct routes *r, struct span line) {
    struct span rest = arena_span(&r->arena, line);
    struct route *t = &r->route[r->count];
    struct route_match *m = arena_zero(&r->arena, sizeof *m);
    struct span *names = arena_zero(&r->arena, CAPTURES_MAX * sizeof *names);
    assert_true(r->count < ROUTES_MAX);
    m->path = arena_zero(&r->arena, 8 * sizeof *m->path);
    m->host = arena_zero(&r->arena, 8 * sizeof *m->host);
    for (int i = 0; i < 3; i++)
        m->value[i] = arena_zero(&r->arena, 8 * sizeof *m->value[i]);
    *t = (struct route){.index = r->count++, .match = m, .capture_name = names};
    t->name = span_split(&rest, ' ');
    while (rest.p) {
        struct span pair = span_split(&rest, ' ');
        if (pair.n)
            routes_key(r, t, m, names, pair);
    }
    return t;
}

static inline void routes_build(struct routes *r) {
    r->router = router_build(&r->arena, r->route, r->count, &r->report);
}

/* A head without the doors: the path is canonical as given. */
static inline void routes_request(struct arena *a, struct span line, struct head *h,
                                  struct listener_conf *l) {
    struct span rest = arena_span(a, line), target;
    head_init(h, a);
    *l = (struct listener_conf){.routes_bit = 1};
    h->method_text = span_split(&rest, ' ');
    h->method = method_lookup(h->method_text);
    h->host = h->authority = span_split(&rest, ' ');
    target = span_split(&rest, ' ');
    h->path = span_split(&target, '?');
    h->has_query = target.p != NULL;
    h->query = target;
    h->scheme = SPAN("http");
    if (span_eq(h->host, SPAN("-")))
        h->host = h->authority = SPAN_NONE;
    while (rest.p) {
        struct span value = span_split(&rest, ' '), name = span_split(&value, ':');
        if (span_eq(name, SPAN("protocol"))) /* of an extended CONNECT */
            h->protocol = value;
        else if (span_eq(name, SPAN("listener")))
            l->routes_bit = (uint64_t)(value.p[0] - '0');
        else if (name.n)
            assert_int_equal(hdr_put(h, name, value, ORIGIN_CLIENT), FAULT_NONE);
    }
}
