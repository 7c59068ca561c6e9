#include "expr/lib.h"

bool lib_no_overload(struct expr_call *c) {
    return expr_fail(c, "no such overload");
}

bool lib_item(struct expr_call *c, const struct value *list, uint32_t i, struct value *out) {
    if (!expr_spend(c, 1))
        return false;
    *out = value_settle(value_at(list, c->run->arena, i));
    return true;
}

bool lib_equal(struct expr_call *c, const struct value *x, const struct value *y, bool *same) {
    *same = value_equal(x, y, c->run->arena, &c->run->steps);
    return c->run->steps > 0 || expr_spend(c, 1);
}

static bool begins(char c) {
    return (c & 0xc0) != 0x80;
}

size_t lib_characters(struct span s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += begins(s.p[i]);
    return n;
}

size_t lib_character_at(struct span s, uint64_t i) {
    if (i == 0)
        return 0;
    uint64_t seen = 0;
    for (size_t at = 0; at < s.n; at++)
        if (begins(s.p[at]) && seen++ == i)
            return at;
    return seen == i ? s.n : SIZE_MAX;
}

static bool text_room(struct lib_text *t, size_t n) {
    if (n <= t->cap - t->n)
        return true;
    size_t cap = (t->cap > n ? t->cap : n) * 2;
    char *p = cap <= UINT32_MAX && lib_spend_bytes(t->c, cap) ? expr_memory(t->c, cap) : NULL;
    if (!p) {
        t->failed = true;
        return false;
    }
    if (t->n)
        memcpy(p, t->p, t->n);
    t->p = p;
    t->cap = cap;
    return true;
}

void lib_put(struct lib_text *t, struct span s) {
    if (t->failed || s.n == 0 || !text_room(t, s.n))
        return;
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

bool lib_text_give(struct lib_text *t) {
    return !t->failed && lib_given_string(t->c, span_of(t->p ? t->p : "", t->n));
}

bool lib_add(struct lib_items *l, struct value v) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct value *p = expr_memory(l->c, cap * sizeof *p);
        if (!p)
            return false;
        if (l->n)
            memcpy(p, l->item, l->n * sizeof *p);
        l->item = p;
        l->cap = cap;
    }
    l->item[l->n++] = v;
    return true;
}

/* Two sorted runs, [0, half) and [half, n) of `from`, become one in `to`. */
static bool merge(struct expr_call *c, const struct value_member *from, struct value_member *to,
                  size_t half, size_t n, lib_order *order) {
    size_t a = 0, b = half;
    for (size_t i = 0; i < n; i++) {
        int o = 0;
        if (a < half && b < n && (!expr_spend(c, 1) || !order(c, &from[a].key, &from[b].key, &o)))
            return false;
        bool left = b >= n || (a < half && o <= 0);
        to[i] = from[left ? a++ : b++];
    }
    return true;
}

bool lib_sort(struct expr_call *c, struct value_member *m, size_t n, lib_order *order) {
    struct value_member *spare = n > 1 ? expr_memory(c, n * sizeof *m) : m;
    if (!spare)
        return false;
    struct value_member *from = m, *to = spare;
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t at = 0; at < n; at += 2 * run) {
            size_t left = n - at;
            size_t half = left < run ? left : run, both = left < 2 * run ? left : 2 * run;
            if (!merge(c, from + at, to + at, half, both, order))
                return false;
        }
        struct value_member *swap = from;
        from = to;
        to = swap;
    }
    if (from != m)
        memcpy(m, from, n * sizeof *m);
    return true;
}
