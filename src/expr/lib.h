/*
 * lib - what the files of the function library share: arguments, results, growing texts and lists,
 * sorting. Everything is counted against the run's budget. Owner: the run's arena. Thread: the
 * run's.
 */
#pragma once
#include "expr/function.h"

extern const struct expr_function lib_text[], lib_string[], lib_format[], lib_convert[],
    lib_getters[], lib_math[], lib_encode[], lib_net[], lib_optional[], lib_list[], lib_sets[],
    lib_regex[];

static inline struct span lib_span(const struct expr_call *c, unsigned i) {
    return value_span(&c->arg[i]);
}
static inline bool lib_give(struct expr_call *c, struct value v) {
    *c->out = v;
    return true;
}
static inline bool lib_bool(struct expr_call *c, bool b) {
    return lib_give(c, value_bool(b));
}
static inline bool lib_int(struct expr_call *c, int64_t i) {
    return lib_give(c, value_int(i));
}
static inline bool lib_given_string(struct expr_call *c, struct span s) {
    return lib_give(c, value_string(s));
}
static inline bool lib_list_of(struct expr_call *c, const struct value *item, size_t n) {
    return lib_give(c, (struct value){.kind = VALUE_LIST, .n = (uint32_t)n, .item = item});
}
/* For `n` bytes looked at. */
static inline bool lib_spend_bytes(struct expr_call *c, size_t n) {
    return expr_spend(c, n / 16);
}
bool lib_no_overload(struct expr_call *c);
/* Element i of the list, a number of JSON settled; costs a step. False: the budget is spent. */
bool lib_item(struct expr_call *c, const struct value *list, uint32_t i, struct value *out);
/* Equality counted against the budget: false in *same with a failed call where it was spent. */
bool lib_equal(struct expr_call *c, const struct value *x, const struct value *y, bool *same);

/* Characters are code points; in bytes that are no UTF-8 every byte but 10xxxxxx begins one. */
size_t lib_characters(struct span s);
/* The byte where character `i` begins (s.n: behind the last); SIZE_MAX: there are fewer. */
size_t lib_character_at(struct span s, uint64_t i);

/* A text that grows. After a failure puts do nothing; lib_text_give says false. */
struct lib_text {
    struct expr_call *c;
    char *p;
    size_t n, cap;
    bool failed;
};
void lib_put(struct lib_text *t, struct span s);
static inline void lib_put_char(struct lib_text *t, char ch) {
    lib_put(t, span_of(&ch, 1));
}
#define lib_put_lit(t, lit) lib_put((t), SPAN(lit))
bool lib_text_give(struct lib_text *t);

/* A list that grows. False: no memory in the budget; the call has failed. */
struct lib_items {
    struct expr_call *c;
    struct value *item;
    size_t n, cap;
};
bool lib_add(struct lib_items *l, struct value v);

/* Stable, by key; `order` says false where two keys have none, and the sort stops. */
typedef bool lib_order(struct expr_call *c, const struct value *x, const struct value *y,
                       int *order);
bool lib_sort(struct expr_call *c, struct value_member *m, size_t n, lib_order *order);
