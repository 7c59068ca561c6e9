/* Regular expressions in RE2's syntax, linear in time. Constant patterns are compiled with the
 * expression; others for each call, which is counted. What needs Unicode's tables (\p{..}, folding
 * beyond ASCII) is PCRE2's, under its limits, and known to matches() alone. */
#include "data/linear.h"
#include "expr/lib.h"

enum { COMPILE_STEPS = 200 };

struct pattern {
    const struct linear *linear; /* or */
    struct regex *unicode;
};

static const char *const needs_tables =
    "\\p{..}, and (?i) beyond ASCII, are known to matches() alone";

/* NULL: it is in *out. */
static const char *compile(struct arena *a, struct span s, struct pattern *out) {
    struct regex_error e = {0};
    *out = (struct pattern){0};
    enum linear_result r = linear_compile(a, s, &out->linear, &e);
    if (r == LINEAR_UNICODE)
        out->unicode = regex_compile_text(s, &e);
    if (out->linear || out->unicode)
        return NULL;
    return arena_fmt(a, "the pattern is wrong at byte %zu: %s", e.at, e.text);
}

static const char *prepare(struct arena *a, const struct expr_scope *s,
                           const struct value *constant, const void **out) {
    struct pattern *p = arena_alloc(a, sizeof *p);
    if (constant->kind != VALUE_STRING)
        return NULL;
    const char *why = compile(a, value_span(constant), p);
    if (why)
        return why;
    if (p->unicode && !s->keep) { /* nobody would free it: compiled for each call */
        regex_free(p->unicode);
        return NULL;
    }
    if (p->unicode)
        s->keep(s->ctx, p->unicode);
    *out = p;
    return NULL;
}

/* The pattern that is argument i. False: it is wrong, or the budget is spent. */
static bool compiled(struct expr_call *c, unsigned i, struct pattern *out) {
    if (!expr_spend(c, COMPILE_STEPS + c->arg[i].n))
        return false;
    const char *why = compile(c->run->arena, lib_span(c, i), out);
    return !why || expr_fail(c, why);
}

static bool answer(struct expr_call *c, enum regex_result r) {
    if (r == REGEX_FAILED)
        return c->run->steps > 0 ? expr_fail(c, "the pattern takes too many steps on this text")
                                 : expr_spend(c, 1);
    return lib_bool(c, r == REGEX_YES);
}

static bool begin(struct expr_call *c, const struct linear *r, unsigned max,
                  struct linear_search *out) {
    size_t n = linear_room(r, max);
    struct span s = lib_span(c, 0); /* matches point into it, into an empty one too */
    *out = (struct linear_search){.subject = s.p ? s : SPAN(""), .steps = &c->run->steps};
    return n == 0 || (out->room = expr_memory(c, n)) != NULL;
}

static bool matches(struct expr_call *c) {
    struct pattern mine;
    const struct pattern *p = c->prepared;
    struct linear_search search;
    if (!p && !compiled(c, 1, &mine))
        return false;
    p = p ? p : &mine;
    if (p->linear)
        return begin(c, p->linear, 0, &search) &&
               answer(c, linear_match(p->linear, &search, NULL, 0));
    struct span s = lib_span(c, 0);
    enum regex_result r =
        lib_spend_bytes(c, s.n) ? regex_match(p->unicode, s, NULL, 0) : REGEX_FAILED;
    if (p == &mine)
        regex_free(mine.unicode);
    return answer(c, r);
}

/* One match after the other. Empty ones stand between characters, never right behind a match. */
struct walk {
    const struct linear *r;
    struct linear_search search;
    struct span group[REGEX_GROUPS_MAX];
    unsigned groups;
    const char *last; /* the end of the match before */
};

static bool walk_begin(struct expr_call *c, struct walk *w) {
    struct pattern mine;
    const struct pattern *p = c->args == 2 ? c->prepared : NULL;
    if (!p && !compiled(c, 1, &mine))
        return false;
    p = p ? p : &mine;
    if (!p->linear) {
        if (p == &mine)
            regex_free(mine.unicode);
        return expr_fail(c, needs_tables);
    }
    w->r = p->linear;
    w->groups = linear_groups(p->linear);
    w->last = NULL;
    return begin(c, p->linear, w->groups + 1, &w->search);
}

/* False: there is no more (*fine), or the call failed. */
static bool walk_next(struct expr_call *c, struct walk *w, bool *fine) {
    for (;;) {
        enum regex_result r = linear_match(w->r, &w->search, w->group, w->groups + 1);
        *fine = r != REGEX_FAILED && expr_spend(c, 1);
        if (r != REGEX_YES || !*fine)
            return !*fine && answer(c, REGEX_FAILED);
        struct span s = w->search.subject, whole = w->group[0];
        size_t end = (size_t)(whole.p + whole.n - s.p);
        size_t step = whole.n ? 0 : lib_character_at(span_from(s, end), 1);
        w->search.from = step == SIZE_MAX ? s.n + 1 : end + step;
        if (end == s.n) /* an empty one may follow a match no more */
            w->search.from = s.n + 1;
        if (whole.n == 0 && whole.p == w->last)
            continue;
        w->last = whole.p + whole.n;
        return true;
    }
}

static bool one_group(struct expr_call *c, const struct walk *w) {
    return w->groups < 2 || expr_fail(c, "the pattern has more than one group to extract");
}

static bool extract(struct expr_call *c) {
    struct walk w = {0};
    bool fine;
    struct value none = {.kind = VALUE_OPTIONAL};
    if (!walk_begin(c, &w) || !one_group(c, &w))
        return false;
    if (!walk_next(c, &w, &fine))
        return fine && lib_give(c, none);
    struct value *v = expr_memory(c, sizeof *v);
    if (!v || !w.group[w.groups].p)
        return v && lib_give(c, none);
    *v = value_string(w.group[w.groups]);
    none.of = v;
    return lib_give(c, none);
}

static bool extract_all(struct expr_call *c) {
    struct walk w = {0};
    bool fine;
    struct lib_items l = {.c = c};
    if (!walk_begin(c, &w) || !one_group(c, &w))
        return false;
    while (walk_next(c, &w, &fine))
        if (w.group[w.groups].p && !lib_add(&l, value_string(w.group[w.groups])))
            return false;
    return fine && lib_list_of(c, l.item, l.n);
}

/* \0 to \9 are groups, \\ is a backslash. */
static bool put_replacement(struct lib_text *t, struct span by, const struct walk *w) {
    for (size_t at = 0; at < by.n && !t->failed; at++) {
        if (by.p[at] != '\\') {
            lib_put_char(t, by.p[at]);
            continue;
        }
        char ch = ++at < by.n ? by.p[at] : 0;
        if (ch == '\\')
            lib_put_char(t, ch);
        else if (ch >= '0' && ch <= '9' && (unsigned)(ch - '0') <= w->groups)
            lib_put(t, w->group[ch - '0']);
        else
            return expr_fail(t->c, "a backslash in the replacement is followed by the number of a "
                                   "group of the pattern, or a backslash");
    }
    return !t->failed;
}

static bool replace_up_to(struct expr_call *c, int64_t most) {
    struct walk w = {0};
    struct lib_text t = {.c = c};
    size_t at = 0;
    bool fine = true;
    if (!walk_begin(c, &w))
        return false;
    struct span s = w.search.subject;
    for (int64_t n = 0; (most < 0 || n < most) && walk_next(c, &w, &fine); n++) {
        size_t from = (size_t)(w.group[0].p - s.p);
        lib_put(&t, span_cut(s, at, from - at));
        if (!put_replacement(&t, lib_span(c, 2), &w))
            return false;
        at = from + w.group[0].n;
    }
    lib_put(&t, span_from(s, at));
    return fine && lib_text_give(&t);
}

static bool replace(struct expr_call *c) {
    return replace_up_to(c, -1);
}

static bool replace_some(struct expr_call *c) {
    return replace_up_to(c, c->arg[3].i);
}

const struct expr_function lib_regex[] = {
    {.signature = "matches(string, string) -> bool", .fn = matches, .prepare = prepare},
    {.signature = "string.matches(string) -> bool", .fn = matches, .prepare = prepare},
    {.signature = "regex.extract(string, string) -> optional<string>",
     .fn = extract,
     .prepare = prepare},
    {.signature = "regex.extractAll(string, string) -> list<string>",
     .fn = extract_all,
     .prepare = prepare},
    {.signature = "regex.replace(string, string, string) -> string", .fn = replace},
    {.signature = "regex.replace(string, string, string, int) -> string", .fn = replace_some},
    {0},
};
