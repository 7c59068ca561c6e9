/*
 * CEL, from text to program. What must hold: an error has a sentence and a place inside of the
 * text; what compiles keeps its source and compiles again to the same answers; a checker that is
 * switched off refuses nothing that it accepts when on; templates find the end of an expression
 * that the compiler accepts.
 */
#include "data/regex.h"
#include "expr/expr.h"

enum { TEXT_MAX = 4096, PATTERNS_MAX = 4096 };

struct patterns {
    struct regex *r[PATTERNS_MAX];
    unsigned n;
};

static void keep(void *ctx, struct regex *r) {
    struct patterns *p = ctx;
    must(p->n < PATTERNS_MAX);
    p->r[p->n++] = r;
}

static const struct expr_name tls[] = {{"version", &expr_string, 1}, {NULL, NULL, 0}};
static const struct expr_type tls_type = {.kind = EXPR_OBJECT, .field = tls};
static const struct expr_name client[] = {
    {"ip", &expr_ip, 2}, {"tls", &tls_type, 0}, {NULL, NULL, 0}};
static const struct expr_type client_type = {.kind = EXPR_OBJECT, .field = client};
static const struct expr_type header_type = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_name names[] = {
    {"x", &expr_dyn, 3},         {"y", &expr_dyn, 4},         {"s", &expr_string, 5},
    {"i", &expr_int, 6},         {"l", &expr_list_string, 7}, {"m", &expr_map_dyn, 8},
    {"client", &client_type, 0}, {"a.b", &expr_bool, 9},      {"header", &header_type, 10},
};

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    (void)ctx;
    return ref->key.n == 1 && ref->key.p[0] == 'z' ? arena_fmt(a, "no z") : NULL;
}

static void check_error(const struct expr_error *e, struct span source) {
    must(e->text && e->text[0]);
    must(e->at <= source.n && e->len >= 1 && e->len <= source.n + 1);
}

static const struct expr *compile(struct arena *a, struct span source, const struct expr_scope *s) {
    struct expr_error err = {.text = NULL};
    const struct expr *e = expr_compile(a, source, s, &err);
    if (!e) {
        check_error(&err, source);
        return NULL;
    }
    must(span_eq(expr_source(e), source) && expr_result(e));
    must(!expr_constant(e) || !expr_single(e));
    return e;
}

static void check_template(struct arena *a, struct span source) {
    struct str s = str_on(arena_alloc(a, source.n + 4), source.n + 4);
    str_lit(&s, "${");
    str_add(&s, source);
    str_lit(&s, "}.");
    must(expr_template_end(str_span(&s), 0) == source.n + 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct patterns patterns;
    struct span source = {(const char *)data, n};
    struct arena a;
    struct expr_scope s = {
        .name = names, .count = array_len(names), .check = check, .keep = keep, .ctx = &patterns};
    if (n > TEXT_MAX)
        return 0;
    arena_init(&a, NULL);
    patterns.n = 0;
    const struct expr *e = compile(&a, source, &s), *again;
    if (e) {
        again = compile(&a, source, &s);
        must(again && !expr_constant(e) == !expr_constant(again));
        must(!expr_single(e) == !expr_single(again));
        must(expr_result(e)->kind == expr_result(again)->kind);
        if (!memchr(data, '/', n)) /* a comment would take the brace along */
            check_template(&a, source);
    }
    s.no_check = true;
    again = compile(&a, source, &s);
    must(!e || again);
    s.no_macros = true;
    (void)!compile(&a, source, &s);
    while (patterns.n)
        regex_free(patterns.r[--patterns.n]);
    arena_finish(&a);
    return 0;
}
