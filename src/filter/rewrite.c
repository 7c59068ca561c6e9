#include "filter/rewrite.h"
#include "core/facts.h"
#include "data/regex.h"
#include "core/route_tree.h"
#include "http/uri.h"

enum { TARGET_MAX = 64 * 1024 };

/* ---- when the configuration is read -----------------------------------------------------------
 */

struct writer {
    struct template_part *part;
    uint32_t count, groups;
    bool too_high;
};

static void put_text(struct writer *w, const struct template_part *like, struct span text) {
    if (!text.n)
        return;
    w->part[w->count] = *like;
    w->part[w->count++].literal = text;
}

/* "$12" at the head of s: its length, 0: it is none. */
static size_t group_at(struct span s, int *number) {
    size_t n = 1;
    *number = 0;
    if (!s.n || s.p[0] != '$')
        return 0;
    while (n < s.n && n < 3 && s.p[n] >= '0' && s.p[n] <= '9')
        *number = *number * 10 + (s.p[n++] - '0');
    return n > 1 ? n : 0;
}

static void put_literal(struct writer *w, const struct template_part *p) {
    struct span s = p->literal;
    size_t from = 0, n;
    int number;
    for (size_t i = 0; i < s.n; i += n) {
        n = group_at(span_from(s, i), &number);
        if (n) {
            put_text(w, p, span_cut(s, from, i - from));
            w->part[w->count++] =
                (struct template_part){.group = number, .place = p->place, .tail = true};
            w->too_high |= (uint32_t)number > w->groups;
            from = i + n;
        } else {
            n = 1;
        }
    }
    put_text(w, p, span_from(s, from));
}

/* $N in the literal parts becomes a name, so that a value which holds "$1" stays what it is. */
static const struct template *with_groups(struct arena *a, const struct template *t,
                                          struct writer *w) {
    size_t max = 0;
    for (uint32_t i = 0; i < t->count; i++)
        max += t->part[i].literal.n + 1;
    w->part = arena_zero(a, (max + 1) * sizeof *w->part);
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->part[i].expr)
            put_literal(w, &t->part[i]);
        else
            w->part[w->count++] = t->part[i];
    }
    struct template *out = arena_zero(a, sizeof *out);
    *out = (struct template){w->part, w->count, false, t->source};
    return out;
}

/* A prefix as the operator may write it, as canonical paths have it: "/api" for "/api/". */
static const char *prefix(struct arena *a, struct span *p) {
    struct head h = {.arena = a};
    if (!p->n)
        return NULL;
    if (p->p[0] != '/' || uri_rewrite(&h, *p) || h.has_query)
        return "a prefix is a plain path that begins with \"/\"";
    *p = h.path.p[h.path.n - 1] == '/' ? span_cut(h.path, 0, h.path.n - 1) : h.path;
    return NULL;
}

/* Equal but for doubled slashes, which an empty value leaves behind. */
static bool same_path(struct span made, struct span canonical) {
    size_t k = 0;
    for (size_t i = 0; i < made.n; i++) {
        if (made.p[i] == '/' && i && made.p[i - 1] == '/')
            continue;
        if (k >= canonical.n || made.p[i] != canonical.p[k++])
            return false;
    }
    return k == canonical.n;
}

/* The template with "x" for every value must be what uri_rewrite would make of it: else each
 * request would be refused. */
static const char *literals(struct arena *a, const struct template *t) {
    struct head h = {.arena = a};
    size_t max = 1;
    for (uint32_t i = 0; i < t->count; i++)
        max += t->part[i].literal.n + 1;
    struct str s = str_on(arena_alloc(a, max), max);
    for (uint32_t i = 0; i < t->count; i++)
        str_add(&s, !t->part[i].expr ? t->part[i].literal : SPAN("x"));
    if (s.n > TARGET_MAX || uri_rewrite(&h, str_span(&s)))
        return "this is no path: blanks, \"#\", \"\\\" and letters beyond ASCII must be "
               "percent-encoded";
    ptrdiff_t query = span_find(str_span(&s), '?');
    if (query >= 0)
        s.n = (size_t)query;
    if (same_path(str_span(&s), h.path))
        return NULL;
    return arena_fmt(a, "the path is not in its canonical form: write `%.*s`", SPAN_ARG(h.path));
}

static const char *finish(struct arena *a, void *conf) {
    struct rewrite_conf *c = conf;
    const char *why = prefix(a, &c->strip);
    if (!why)
        why = prefix(a, &c->add);
    if (why)
        return why;
    if (!c->path && !c->strip.n && !c->add.n && !c->regex && !c->with)
        return "a rewrite needs `path`, `strip` or `add`, or `regex` with `with`";
    if (!c->regex != !c->with)
        return "`regex` and `with` belong together";
    if (c->path &&
        !(c->path->count && c->path->part[0].literal.n && c->path->part[0].literal.p[0] == '/'))
        return "the new path must begin with \"/\"";
    if (!c->regex)
        return c->path ? literals(a, c->path) : NULL;
    struct writer w = {.groups = regex_groups(c->regex)};
    c->with = with_groups(a, c->with, &w);
    return w.too_high ? "`with` names a group that `regex` does not have" : NULL;
}

/* ---- for every request ------------------------------------------------------------------------
 */

/* What stands behind the prefix; {NULL, 0}: the path does not begin with it. By whole segments,
 * each up to its parameters, as the router compares them. */
static struct span behind(struct span path, struct span prefix) {
    while (prefix.n) {
        struct span want = span_from(prefix, 1), rest = span_from(path, 1);
        if (!path.n || path.p[0] != '/')
            return SPAN_NONE;
        struct span w = span_split(&want, '/'), s = span_split(&rest, '/');
        path = rest.p ? span_of(rest.p - 1, rest.n + 1) : span_of(s.p + s.n, 0);
        size_t base = route_segment_base(s);
        if (base == 0 && path.n)
            continue; /* only parameters: the router does not see it */
        if (!span_eq(w, s) && !span_eq(w, span_cut(s, 0, base)))
            return SPAN_NONE;
        prefix = want.p ? span_of(want.p - 1, want.n + 1) : SPAN_NONE;
    }
    return path.p ? path : SPAN("");
}

static bool join(struct arena *a, struct span x, struct span y, struct span z, struct span *out) {
    char *room = arena_try(a, x.n + y.n + z.n + 1);
    if (!room)
        return false;
    struct str s = str_on(room, x.n + y.n + z.n);
    str_add(&s, x);
    str_add(&s, y);
    str_add(&s, z);
    *out = str_span(&s);
    return true;
}

static enum fault by_prefix(const struct rewrite_conf *c, const struct head *h, struct span *out) {
    struct span rest = behind(h->path, c->strip);
    if (!rest.p)
        rest = h->path;
    if (!c->add.n && rest.n == 0)
        rest = SPAN("/");
    return join(h->arena, c->add, rest, SPAN(""), out) ? FAULT_NONE : FAULT_OUT_OF_MEMORY;
}

/* In a path they stay the pieces of a canonical path that they are. */
static struct span group(void *ctx, struct arena *a, const struct template_part *p) {
    const struct span *groups = ctx;
    (void)a;
    return groups[p->group];
}

/* The first match is replaced; what stands before and behind it stays. */
static enum fault by_regex(const struct rewrite_conf *c, const struct head *h,
                           const struct template_values *v, struct span *out) {
    struct span groups[REGEX_GROUPS_MAX];
    struct template_values values = *v;
    values.group = group;
    values.group_ctx = groups;
    struct span path = h->path, with;
    enum regex_result r = regex_match(c->regex, path, groups, REGEX_GROUPS_MAX);
    if (r != REGEX_YES)
        return r == REGEX_NO ? FAULT_NONE : FAULT_EXPRESSION_FAILED;
    size_t from = (size_t)(groups[0].p - path.p), to = from + groups[0].n;
    if (!template_eval(c->with, h->arena, &values, TARGET_MAX, &with))
        return FAULT_EXPRESSION_FAILED;
    return join(h->arena, span_cut(path, 0, from), with, span_from(path, to), out)
               ? FAULT_NONE
               : FAULT_OUT_OF_MEMORY;
}

enum fault rewrite_apply(const struct rewrite_conf *c, struct head *h,
                         const struct template_values *v) {
    struct span text = SPAN_NONE;
    enum fault f = FAULT_NONE;
    if (span_eq(h->path, SPAN("*")))
        return FAULT_NONE;
    if (c->regex)
        f = by_regex(c, h, v, &text);
    else if (!c->path)
        f = by_prefix(c, h, &text);
    else if (!template_eval(c->path, h->arena, v, TARGET_MAX, &text))
        f = FAULT_EXPRESSION_FAILED;
    if (f || !text.p)
        return f;
    f = uri_rewrite(h, text);
    if (f)
        return f == FAULT_OUT_OF_MEMORY ? f : FAULT_BAD_TARGET;
    ptrdiff_t query = span_find(text, '?');
    return same_path(query < 0 ? text : span_cut(text, 0, (size_t)query), h->path)
               ? FAULT_NONE
               : FAULT_BAD_TARGET;
}

static enum verdict request(struct step *s) {
    struct template_values v = facts_values(s->x);
    enum fault f = rewrite_apply(s->filter->conf, &s->x->req, &v);
    return f ? exchange_answer(s->x, f, "rewrite") : NEXT;
}

const struct filter_ops rewrite_ops = {
    .name = "rewrite", .phase = PHASE_SHAPE, .step_size = sizeof(struct step), .request = request};

const struct policy rewrite_policy = {
    .name = "rewrite", .ops = &rewrite_ops, .size = sizeof(struct rewrite_conf), .finish = finish};
