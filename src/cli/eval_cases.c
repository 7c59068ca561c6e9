/* Files of cases: one JSON object a line, an expression and what it comes to. */
#include "cli/eval.h"
#include "cli/cli.h"
#include "cli/jout.h"
#include "conf/files.h"
#include "data/json.h"

enum { CASES_MAX = 256 * 1024 * 1024, SHOWN_MAX = 64 * 1024 };

struct cases {
    const char *path;
    unsigned line, passed, failed;
    struct jout *json; /* NULL: text */
};

/* One case; what it should be and what it was are texts for people. */
struct one {
    struct span name, expr;
    struct value with, want;
    bool fails, no_check, no_macros; /* it should fail */
    struct span container;
    const char *expected, *got;
};

static struct span text_of(const struct value *v, const char *name) {
    const struct value *m = value_find(v, span_z(name));
    return m && m->kind == VALUE_STRING ? value_span(m) : SPAN_NONE;
}

static bool is_true(const struct value *v, const char *name) {
    const struct value *m = value_find(v, span_z(name));
    return m && m->kind == VALUE_BOOL && m->b;
}

static const char *shown(struct arena *a, const struct value *v) {
    struct span text;
    return json_notation(a, v, 0, SHOWN_MAX, &text) ? arena_text(a, text) : "something large";
}

static const char *untag_all(struct arena *a, const struct value *tagged, struct value *out) {
    struct value_member *m = arena_alloc(a, (tagged->n + 1) * sizeof *m);
    *out = (struct value){.kind = VALUE_MAP, .n = tagged->n, .member = m};
    for (uint32_t i = 0; i < tagged->n; i++) {
        m[i].key = tagged->member[i].key;
        const char *why = eval_untag(a, &tagged->member[i].value, &m[i].value);
        if (why)
            return why;
    }
    return NULL;
}

/* NULL, or what is wrong with the case itself. */
static const char *read_one(struct arena *a, struct span line, struct one *one) {
    struct value v;
    struct json_error err;
    if (!json_read(a, line, NULL, &v, &err))
        return arena_fmt(a, "column %zu: %s", err.at + 1, err.text);
    const struct value *want = value_find(&v, SPAN("value"));
    const struct value *bindings = value_find(&v, SPAN("bindings"));
    struct span file = text_of(&v, "file"), section = text_of(&v, "section");
    struct span name = text_of(&v, "name");
    *one = (struct one){.expr = text_of(&v, "expr"),
                        .container = text_of(&v, "container"),
                        .no_check = is_true(&v, "disable_check"),
                        .no_macros = is_true(&v, "disable_macros"),
                        .fails = value_find(&v, SPAN("error")) != NULL};
    one->with = (struct value){.kind = VALUE_MAP};
    one->name = span_z(arena_fmt(a, "%.*s%s%.*s%s%.*s", SPAN_ARG(file), file.n ? "/" : "",
                                 SPAN_ARG(section), section.n ? "/" : "", SPAN_ARG(name)));
    if (!one->expr.p)
        return "there is no \"expr\"";
    if (!want == !one->fails)
        return "either \"value\" or \"error\" is expected";
    if (bindings && bindings->kind != VALUE_MAP)
        return "\"bindings\" is an object";
    const char *why = want ? eval_untag(a, want, &one->want) : NULL;
    if (!why && bindings)
        why = untag_all(a, bindings, &one->with);
    return why;
}

static bool run_one(struct arena *a, struct one *one) {
    struct eval e = {.a = a, .with = one->with};
    struct value v;
    eval_init(&e);
    e.scope.container = one->container;
    e.scope.no_check = one->no_check;
    e.scope.no_macros = one->no_macros;
    bool fine = eval_run(&e, one->expr, &v);
    one->expected = one->fails ? "an error" : shown(a, &one->want);
    if (fine)
        one->got = shown(a, &v);
    else
        one->got = arena_fmt(a, "%s: %s (byte %zu)", e.compiled ? "an error" : "not compiled",
                             e.error.text, e.error.at + 1);
    eval_finish(&e);
    return fine ? !one->fails && eval_same(a, &one->want, &v) : one->fails;
}

/* Control bytes, which a terminal would obey, are not printed. */
static void print_clean(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        putchar((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i]);
}

static void failed_text(const struct cases *c, const struct one *one, const char *why) {
    printf("%s:%u: ", c->path, c->line);
    print_clean(one->name);
    printf("%s", one->name.n ? ": " : "");
    if (why) {
        print_clean(span_z(why));
        printf("\n");
        return;
    }
    print_clean(one->expr);
    printf("\n    expected ");
    print_clean(span_z(one->expected));
    printf("\n    got      ");
    print_clean(span_z(one->got));
    printf("\n");
}

static void failed_json(struct cases *c, const struct one *one, const char *why) {
    jout_open(c->json, NULL, '{');
    jout_number(c->json, "line", c->line);
    jout_text(c->json, "name", one->name);
    jout_text(c->json, "expr", one->expr);
    if (why)
        jout_text(c->json, "malformed", span_z(why));
    else {
        jout_text(c->json, "expected", span_z(one->expected));
        jout_text(c->json, "got", span_z(one->got));
    }
    jout_close(c->json, '}');
}

static void try_line(struct cases *c, struct span line) {
    struct arena a;
    struct one one = {.fails = false};
    arena_init(&a, NULL);
    const char *why = read_one(&a, line, &one);
    if (!why && run_one(&a, &one)) {
        c->passed++;
    } else {
        c->failed++;
        if (c->json)
            failed_json(c, &one, why);
        else
            failed_text(c, &one, why);
    }
    arena_finish(&a);
}

static void try_all(struct cases *c, struct span text) {
    while (text.p) {
        struct span line = span_split(&text, '\n');
        c->line++;
        while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
            line.n--;
        if (line.n)
            try_line(c, line);
    }
}

int eval_cases(const char *path, bool json) {
    struct jout j = {.f = stdout};
    struct cases c = {.path = path, .json = json ? &j : NULL};
    struct arena a;
    struct span text;
    arena_init(&a, NULL);
    const char *why = files_read(&a, path, CASES_MAX, &text);
    if (why) {
        fprintf(stderr, "sluice: %s: %s\n", path, why);
        arena_finish(&a);
        return CLI_FAILED;
    }
    if (json) {
        jout_open(&j, NULL, '{');
        jout_open(&j, "failures", '[');
    }
    try_all(&c, text);
    if (json) {
        jout_close(&j, ']');
        jout_number(&j, "passed", c.passed);
        jout_number(&j, "failed", c.failed);
        jout_close(&j, '}');
        printf("\n");
    } else {
        printf("%u passed, %u failed\n", c.passed, c.failed);
    }
    arena_finish(&a);
    if (c.passed + c.failed == 0)
        fprintf(stderr, "sluice: %s: there is no case in it\n", path);
    return c.failed || !c.passed ? CLI_FAILED : CLI_FINE;
}
