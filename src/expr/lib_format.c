/* "..".format([..]): %s %d %f %e %x %X %o %b, as cel-spec's doc/extensions/strings.md has them. */
#include "data/number.h"
#include "expr/lib.h"
#include "expr/lib_net.h"
#include "expr/lib_number.h"
#include <math.h>
#include <stdio.h>

enum { DEPTH_MAX = 64, PRECISION_MAX = 100, PRECISION = 6 };

static void put_double(struct lib_text *t, double d) {
    char text[NUMBER_FIXED];
    lib_put(t, span_of(text, number_fixed(text, d)));
}

/* Digits of a number in base 2, 8, 10 or 16. */
static void put_unsigned(struct lib_text *t, uint64_t u, unsigned base, bool upper) {
    char text[64], *p = text + sizeof text;
    const char *digit = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    do
        *--p = digit[u % base];
    while (u /= base);
    lib_put(t, span_of(p, (size_t)(text + sizeof text - p)));
}

static void put_whole(struct lib_text *t, const struct value *v, unsigned base, bool upper) {
    bool below = v->kind == VALUE_INT && v->i < 0;
    if (below)
        lib_put_char(t, '-');
    put_unsigned(t, below ? 0 - v->u : v->u, base, upper);
}

/* A run of bytes that are no UTF-8 becomes one U+FFFD. */
static void put_bytes(struct lib_text *t, struct span s) {
    bool broken = false;
    for (size_t at = 0, n; at < s.n && !t->failed; at += n) {
        n = utf8_len((const unsigned char *)s.p + at, s.n - at);
        if (n)
            lib_put(t, span_cut(s, at, n));
        else if (!broken)
            lib_put_lit(t, "\uFFFD");
        broken = n == 0;
        n = n ? n : 1;
    }
}

/* What is neither list nor map. False: it cannot be shown. */
static bool put_leaf(struct lib_text *t, const struct value *v) {
    char text[NET_TEXT_MAX + MOMENT_TEXT];
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
        lib_put_lit(t, "null");
        return true;
    case VALUE_BOOL:
        lib_put(t, v->b ? SPAN("true") : SPAN("false"));
        return true;
    case VALUE_INT:
    case VALUE_UINT:
        put_whole(t, v, 10, false);
        return true;
    case VALUE_DOUBLE:
        put_double(t, v->d);
        return true;
    case VALUE_BYTES:
        put_bytes(t, value_span(v));
        return true;
    case VALUE_STRING:
    case VALUE_TYPE:
        lib_put(t, value_span(v));
        return true;
    case VALUE_TIMESTAMP:
        lib_put(t, span_of(text, timestamp_text(v->i, v->nanos, text)));
        return true;
    case VALUE_DURATION:
        lib_put(t, span_of(text, duration_text(v->i, v->nanos, text)));
        return true;
    case VALUE_IP:
    case VALUE_CIDR:
        lib_put(t, span_of(text, net_print(text, v)));
        return true;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
    case VALUE_NUMBER:
    case VALUE_ERROR:
        break;
    }
    return false;
}

static bool wrong(struct expr_call *c, const struct value *v, const char *what) {
    return expr_failf(c, "error during formatting: %s, was given %.*s", what,
                      SPAN_ARG(value_type_name(v)));
}

/* A list or map half shown. Of a map the members are sorted by their keys as text. */
struct level {
    struct value of;
    struct value_member *member; /* MAP */
    uint32_t at, n;
};

static bool by_text(struct expr_call *c, const struct value *x, const struct value *y, int *order) {
    *order = span_cmp(value_span(x), value_span(y));
    return lib_spend_bytes(c, x->n < y->n ? x->n : y->n);
}

static bool sorted_members(struct expr_call *c, struct level *l) {
    l->member = expr_memory(c, l->n * sizeof *l->member);
    for (uint32_t i = 0; l->member && i < l->n; i++) {
        struct value_member *m = &l->member[i];
        struct lib_text key = {.c = c};
        if (!expr_spend(c, 1))
            return false;
        value_member_at(&l->of, c->run->arena, i, &m->key, &m->value);
        if (m->key.kind == VALUE_STRING)
            continue;
        struct value k = value_settle(m->key);
        if (!put_leaf(&key, &k) || key.failed)
            return false;
        m->key = value_string(span_of(key.p, key.n));
    }
    return l->member && lib_sort(c, l->member, l->n, by_text);
}

static bool open_level(struct lib_text *t, struct level *l, const struct value *v) {
    *l = (struct level){.of = *v, .n = value_count(v)};
    lib_put_char(t, v->kind == VALUE_LIST ? '[' : '{');
    return v->kind == VALUE_LIST || sorted_members(t->c, l);
}

/* The next part of the innermost level, what stands in front of it put. */
static bool next_part(struct lib_text *t, struct level *l, struct value *out) {
    if (l->at > 0)
        lib_put_lit(t, ", ");
    if (l->of.kind == VALUE_LIST)
        return lib_item(t->c, &l->of, l->at++, out);
    const struct value_member *m = &l->member[l->at++];
    lib_put(t, value_span(&m->key));
    lib_put_lit(t, ": ");
    *out = value_settle(m->value);
    return expr_spend(t->c, 1);
}

static bool is_nest(const struct value *v) {
    return v->kind == VALUE_LIST || v->kind == VALUE_MAP;
}

static bool put_any(struct lib_text *t, const struct value *first) {
    struct level stack[DEPTH_MAX];
    size_t depth = 0;
    struct value v = *first;
    for (;;) {
        if (is_nest(&v)) {
            if (depth == DEPTH_MAX)
                return expr_fail(t->c, "error during formatting: lists or maps lie too deep");
            if (!open_level(t, &stack[depth++], &v))
                return false;
        } else if (!put_leaf(t, &v)) {
            return wrong(t->c, &v,
                         "string clause can only be used on strings, bools, bytes, "
                         "numbers, lists, maps, types, durations and timestamps");
        }
        while (depth > 0 && stack[depth - 1].at == stack[depth - 1].n)
            lib_put_char(t, stack[--depth].of.kind == VALUE_LIST ? ']' : '}');
        if (depth == 0 || t->failed)
            return !t->failed;
        if (!next_part(t, &stack[depth - 1], &v))
            return false;
    }
}

static bool as_double(const struct value *v, double *d) {
    if (v->kind == VALUE_DOUBLE)
        *d = v->d;
    else if (v->kind == VALUE_INT)
        *d = (double)v->i;
    else if (v->kind == VALUE_UINT)
        *d = (double)v->u;
    else
        return false;
    return true;
}

static bool put_point(struct lib_text *t, const struct value *v, char verb, int precision) {
    char text[NUMBER_FIXED + PRECISION_MAX];
    double d;
    if (!as_double(v, &d))
        return wrong(t->c, v,
                     verb == 'f' ? "fixed-point clause can only be used on numbers"
                                 : "scientific clause can only be used on numbers");
    if (!isfinite(d)) {
        put_double(t, d);
        return true;
    }
    int n = verb == 'f' ? snprintf(text, sizeof text, "%.*f", precision, d)
                        : snprintf(text, sizeof text, "%.*e", precision, d);
    for (int i = 0; i < n; i++)
        if (text[i] == ',') /* of a locale */
            text[i] = '.';
    lib_put(t, span_of(text, (size_t)n));
    return true;
}

static bool put_decimal(struct lib_text *t, const struct value *v) {
    if (v->kind == VALUE_DOUBLE)
        put_double(t, v->d);
    else if (v->kind == VALUE_INT || v->kind == VALUE_UINT)
        put_whole(t, v, 10, false);
    else
        return wrong(t->c, v, "decimal clause can only be used on numbers");
    return true;
}

static bool put_hex(struct lib_text *t, const struct value *v, bool upper) {
    const char *digit = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    if (v->kind == VALUE_INT || v->kind == VALUE_UINT) {
        put_whole(t, v, 16, upper);
        return true;
    }
    if (v->kind != VALUE_STRING && v->kind != VALUE_BYTES)
        return wrong(t->c, v, "only integers, bytes and strings can be formatted as hex");
    for (uint32_t i = 0; i < v->n && !t->failed; i++) {
        unsigned char b = (unsigned char)v->p[i];
        const char pair[2] = {digit[b >> 4], digit[b & 15]};
        lib_put(t, span_of(pair, 2));
    }
    return true;
}

static bool put_base(struct lib_text *t, const struct value *v, unsigned base) {
    if (v->kind == VALUE_BOOL && base == 2)
        lib_put_char(t, v->b ? '1' : '0');
    else if (v->kind == VALUE_INT || v->kind == VALUE_UINT)
        put_whole(t, v, base, false);
    else
        return wrong(t->c, v,
                     base == 2 ? "only integers and bools can be formatted as binary"
                               : "octal clause can only be used on integers");
    return true;
}

static bool put_clause(struct lib_text *t, const struct value *v, char verb, int precision) {
    switch (verb) {
    case 's':
        return put_any(t, v);
    case 'd':
        return put_decimal(t, v);
    case 'f':
    case 'e':
        return put_point(t, v, verb, precision);
    case 'x':
    case 'X':
        return put_hex(t, v, verb == 'X');
    case 'o':
        return put_base(t, v, 8);
    case 'b':
        return put_base(t, v, 2);
    default:
        break;
    }
    return expr_failf(t->c,
                      "could not parse formatting clause: unrecognized formatting clause '%c'",
                      verb >= ' ' && verb <= '~' ? verb : '?');
}

/* What follows a "%" up to the verb, the precision among it. */
static bool take_precision(struct expr_call *c, struct span *rest, int *precision) {
    *precision = PRECISION;
    if (rest->n == 0 || rest->p[0] != '.')
        return true;
    size_t n = 1;
    while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9')
        n++;
    uint64_t v = 0;
    if (n == 1 || !number_parse_uint(span_cut(*rest, 1, n - 1), &v) || v > PRECISION_MAX)
        return expr_failf(c, "could not parse formatting clause: a precision is 0 to %d",
                          PRECISION_MAX);
    *precision = (int)v;
    *rest = span_from(*rest, n);
    return true;
}

static bool put_argument(struct lib_text *t, struct span *rest, uint32_t index) {
    struct expr_call *c = t->c;
    struct value v;
    int precision;
    if (!take_precision(c, rest, &precision))
        return false;
    if (rest->n == 0)
        return expr_fail(c, "could not parse formatting clause: unexpected end of string");
    if (index >= value_count(&c->arg[1]))
        return expr_failf(c, "index %u out of range: the list has too few values", index);
    char verb = rest->p[0];
    *rest = span_from(*rest, 1);
    return lib_item(c, &c->arg[1], index, &v) && put_clause(t, &v, verb, precision);
}

static bool format(struct expr_call *c) {
    struct lib_text t = {.c = c};
    struct span rest = lib_span(c, 0);
    uint32_t index = 0;
    if (!lib_spend_bytes(c, rest.n))
        return false;
    while (rest.n > 0 && !t.failed) {
        ptrdiff_t at = span_find(rest, '%');
        lib_put(&t, span_cut(rest, 0, at < 0 ? rest.n : (size_t)at));
        if (at < 0)
            break;
        rest = span_from(rest, (size_t)at + 1);
        if (rest.n > 0 && rest.p[0] == '%') {
            lib_put_char(&t, '%');
            rest = span_from(rest, 1);
        } else if (!put_argument(&t, &rest, index++)) {
            return false;
        }
    }
    return lib_text_give(&t);
}

const struct expr_function lib_format[] = {
    {.signature = "string.format(list<dyn>) -> string", .fn = format},
    {0},
};
