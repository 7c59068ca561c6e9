/* matches(): a pattern is searched for anywhere in the text. Constant patterns are compiled with
 * the expression; others for each call, which is counted. */
#include "data/regex.h"
#include "expr/lib.h"

enum { COMPILE_STEPS = 500 };

static const char *prepare(struct arena *a, const struct expr_scope *s,
                           const struct value *constant, const void **out) {
    struct regex_error e;
    if (constant->kind != VALUE_STRING || !s || !s->keep)
        return NULL;
    struct regex *r = regex_compile_text(value_span(constant), &e);
    if (!r)
        return arena_fmt(a, "the pattern is wrong at byte %zu: %s", e.at, e.text);
    s->keep(s->ctx, r);
    *out = r;
    return NULL;
}

static bool answer(struct expr_call *c, enum regex_result r) {
    if (r == REGEX_FAILED)
        return expr_fail(c, "the pattern takes too many steps on this text");
    return lib_bool(c, r == REGEX_YES);
}

static bool matches(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    struct regex_error e;
    if (!lib_spend_bytes(c, s.n))
        return false;
    if (c->prepared)
        return answer(c, regex_match(c->prepared, s, NULL, 0));
    if (!expr_spend(c, COMPILE_STEPS + c->arg[1].n))
        return false;
    struct regex *r = regex_compile_text(lib_span(c, 1), &e);
    if (!r)
        return expr_failf(c, "the pattern is wrong at byte %zu: %s", e.at, e.text);
    enum regex_result result = regex_match(r, s, NULL, 0);
    regex_free(r);
    return answer(c, result);
}

const struct expr_function lib_regex[] = {
    {.signature = "matches(string, string) -> bool", .fn = matches, .prepare = prepare},
    {.signature = "string.matches(string) -> bool", .fn = matches, .prepare = prepare},
    {0},
};
