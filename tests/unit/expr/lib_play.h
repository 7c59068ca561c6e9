/*
 * lib_play - tables of expressions and what they are worth, in CEL's own notation; an error is "! "
 * and the beginning of its message. `x` is a name of any value.
 */
#pragma once
#include "data/json.h"
#include "data/regex.h"
#include "expr/expr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct row {
    const char *expr, *want;
};

static bool lib_get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    (void)a;
    (void)ref;
    *out = *(const struct value *)ctx;
    return true;
}

static struct regex *lib_kept[16];
static unsigned lib_kept_count;

static void lib_keep(void *ctx, struct regex *r) {
    (void)ctx;
    assert_true(lib_kept_count < array_len(lib_kept));
    lib_kept[lib_kept_count++] = r;
}

/* The result lies in the arena. */
static const char *lib_eval(struct arena *a, const char *source, const struct value *x,
                            struct expr_run *run) {
    static const struct expr_name names[] = {{"x", &expr_dyn, 0}};
    struct expr_scope scope = {.name = names, .count = 1, .keep = lib_keep};
    struct expr_error err = {0};
    struct value out;
    struct span text = SPAN_NONE;
    run->arena = a;
    run->get = lib_get;
    run->ctx = (void *)(uintptr_t)x;
    const struct expr *e = expr_compile(a, span_z(source), &scope, &err);
    if (!e)
        return arena_fmt(a, "! %s", err.text);
    if (!expr_eval(e, run, &out))
        return arena_fmt(a, "! %s", run->error.text);
    if (!json_notation(a, &out, 0, 1 << 22, &text))
        return "! no notation";
    return arena_text(a, text);
}

static void lib_finish(struct arena *a) {
    while (lib_kept_count > 0)
        regex_free(lib_kept[--lib_kept_count]);
    arena_finish(a);
}

static unsigned lib_check(const char *expr, const char *want, const struct value *x) {
    struct arena a;
    struct expr_run run = {0};
    arena_init(&a, NULL);
    const char *got = lib_eval(&a, expr, x, &run);
    bool same = want[0] == '!' ? strncmp(got, want, strlen(want)) == 0 : strcmp(got, want) == 0;
    if (!same)
        print_error("%s\n  expected %s\n  got      %s\n", expr, want, got);
    lib_finish(&a);
    return !same;
}

static inline void lib_table(const struct row *row, size_t n) {
    static const struct value nothing = VALUE_NOTHING;
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += lib_check(row[i].expr, row[i].want, &nothing);
    assert_int_equal(wrong, 0);
}

/* The same with `x` a text. */
static inline void lib_text_table(const struct row *row, size_t n, struct span text) {
    struct value x = value_string(text);
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += lib_check(row[i].expr, row[i].want, &x);
    assert_int_equal(wrong, 0);
}
