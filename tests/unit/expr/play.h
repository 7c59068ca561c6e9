/*
 * play - an expression, what it is asked with, and what came of it as a text: for the tables of the
 * tests in this folder.
 *
 * Values are printed so that kinds differ: 1 int, 1u uint, 1.5 and 1.0 double, "a" string, b"61"
 * bytes (hexadecimal), [..], {..}, null, <int> a type, some(..) and none, 1.5s a duration,
 * @0.5 a timestamp. An error is "! " and its message.
 */
#pragma once
#include "base/env.h"
#include "expr/expr.h"
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A name with a value of its own, or with an object's type. */
struct play_name {
    const char *name;
    struct value value;
};

struct play {
    struct arena a;
    const struct expr *e; /* NULL: err says why */
    struct expr_error err;
    struct expr_run run;
    struct value out;
    bool fine;
};

/* ---- values as texts --------------------------------------------------------------------------
 */

static void play_print_leaf(struct str *s, const struct value *v) {
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
        str_lit(s, "null");
        return;
    case VALUE_BOOL:
        str_fmt(s, "%s", v->b ? "true" : "false");
        return;
    case VALUE_INT:
        str_fmt(s, "%" PRId64, v->i);
        return;
    case VALUE_UINT:
        str_fmt(s, "%" PRIu64 "u", v->u);
        return;
    case VALUE_DOUBLE:
        if (v->d == floor(v->d) && fabs(v->d) < 1e15)
            str_fmt(s, signbit(v->d) && v->d == 0 ? "-0.0" : "%.1f", v->d);
        else
            str_fmt(s, "%.17g", v->d);
        return;
    case VALUE_STRING:
        str_fmt(s, "\"%.*s\"", SPAN_ARG(value_span(v)));
        return;
    case VALUE_BYTES:
        str_lit(s, "b\"");
        for (uint32_t i = 0; i < v->n; i++)
            str_fmt(s, "%02x", (unsigned char)v->p[i]);
        str_char(s, '"');
        return;
    case VALUE_TYPE:
        str_fmt(s, "<%.*s>", SPAN_ARG(value_span(v)));
        return;
    case VALUE_DURATION:
        str_fmt(s, "%.9gs", (double)v->i + v->nanos / 1e9);
        return;
    case VALUE_TIMESTAMP:
        str_fmt(s, "@%" PRId64 "+%d", v->i, v->nanos);
        return;
    case VALUE_NUMBER:
        str_fmt(s, "number %.*s", SPAN_ARG(value_span(v)));
        return;
    case VALUE_ERROR:
        str_fmt(s, "error %.*s", SPAN_ARG(value_span(v)));
        return;
    case VALUE_IP:
    case VALUE_CIDR:
        str_fmt(s, "ip of %u bytes", v->n);
        return;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
        break;
    }
    str_lit(s, "?");
}

struct play_level {
    struct value v;
    uint32_t at, count;
};

static void play_open(struct str *s, struct play_level *level, const struct value *v) {
    *level = (struct play_level){.v = *v, .count = 1};
    if (v->kind == VALUE_OPTIONAL) {
        str_lit(s, "some(");
        return;
    }
    level->count = value_count(v);
    str_char(s, v->kind == VALUE_LIST ? '[' : '{');
}

static void play_print(struct str *s, struct arena *a, struct value v) {
    struct play_level stack[64];
    unsigned depth = 0;
    for (;;) {
        bool none = v.kind == VALUE_OPTIONAL && !v.of;
        if (none)
            str_lit(s, "none");
        else if (depth < array_len(stack) &&
                 (v.kind == VALUE_LIST || v.kind == VALUE_MAP || v.kind == VALUE_OPTIONAL))
            play_open(s, &stack[depth++], &v);
        else
            play_print_leaf(s, &v);
        while (depth && stack[depth - 1].at == stack[depth - 1].count) {
            unsigned kind = stack[--depth].v.kind;
            str_char(s, kind == VALUE_LIST ? ']' : kind == VALUE_MAP ? '}' : ')');
        }
        if (!depth)
            return;
        struct play_level *top = &stack[depth - 1];
        if (top->at)
            str_lit(s, ", ");
        if (top->v.kind == VALUE_LIST) {
            v = value_at(&top->v, a, top->at++);
        } else if (top->v.kind == VALUE_OPTIONAL) {
            top->at++;
            v = *top->v.of;
        } else {
            struct value key;
            value_member_at(&top->v, a, top->at++, &key, &v);
            play_print_leaf(s, &key);
            str_lit(s, ": ");
        }
    }
}

/* ---- a host of plain values -------------------------------------------------------------------
 */

static bool play_get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    const struct value *value = ctx;
    (void)a;
    *out = value[ref->id];
    return out->kind != VALUE_ERROR;
}

static void play_compile(struct play *p, const char *source, const struct expr_scope *scope) {
    *p = (struct play){.fine = false};
    arena_init(&p->a, NULL);
    /* Of exactly its size and without a NUL, so that a byte too many is seen. */
    size_t n = strlen(source);
    char *copy = malloc(n ? n : 1);
    memcpy(copy, source, n);
    p->e = expr_compile(&p->a, span_of(copy, n), scope, &p->err);
    free(copy);
}

static void play_eval(struct play *p, const struct value *values) {
    p->run.arena = &p->a;
    p->run.get = play_get;
    p->run.ctx = (void *)(uintptr_t)values;
    p->fine = p->e && expr_eval(p->e, &p->run, &p->out);
}

static void play_finish(struct play *p) {
    arena_finish(&p->a);
}

/* What came of it; an error of compilation is "? " and its message. */
static const char *play_text(struct play *p) {
    static char text[4096];
    struct str s = str_on(text, sizeof text - 1);
    if (!p->e)
        str_fmt(&s, "? %s", p->err.text ? p->err.text : "(no message)");
    else if (!p->fine)
        str_fmt(&s, "! %s", p->run.error.text ? p->run.error.text : "(no message)");
    else
        play_print(&s, &p->a, p->out);
    text[s.n] = 0;
    return text;
}

/* Any number of names x, y, z.. with values; all dyn. */
static inline void play_with(struct play *p, const char *source, struct expr_scope *scope,
                             const struct value *values) {
    play_compile(p, source, scope);
    play_eval(p, values);
}
