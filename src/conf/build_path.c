#include "conf/build.h"
#include "conf/path.h"
#include "data/regex.h"

/* Patterns of a route to their compiled form; captures of all alternatives share their slots. */

struct slots {
    struct span name[CAPTURES_MAX];
    bool tail[CAPTURES_MAX];
    uint32_t count;
};

static int slot(struct build *b, struct slots *s, struct span name, bool tail, struct node *n) {
    for (uint32_t i = 0; i < s->count; i++)
        if (span_eq(s->name[i], name)) {
            s->tail[i] |= tail;
            return (int)i;
        }
    if (s->count == CAPTURES_MAX) {
        diag_add(b->diags, DIAG_E0408, n->at, "a route has at most 16 captures");
        n->bad = true;
        return 0;
    }
    s->name[s->count] = name;
    s->tail[s->count] = tail;
    return (int)s->count++;
}

/* The place of a joined pattern's bytes: what the child wrote stands at its end. */
static struct mark place(struct build *b, const struct text_at *t, size_t at, size_t len) {
    struct span own = node_plain(t->node);
    size_t before = t->text.n > own.n ? t->text.n - own.n : 0;
    if (at < before || t->node->constant)
        return t->node->at;
    return node_inside(b->diags, t->node, at - before, len);
}

static void segments(struct build *b, const struct text_at *t, struct path_match *m,
                     struct slots *s) {
    struct path_error e = {0};
    if (!path_parse(b->arena, m->text, m, &e)) {
        struct diag *d = diag_add(b->diags, DIAG_E0405, place(b, t, e.at, e.len), "%s", e.text);
        if (e.help)
            diag_help(b->diags, d, "%s", e.help);
        t->node->bad = true;
        m->count = 0;
        return;
    }
    struct segment *all = arena_alloc(b->arena, m->count * sizeof *all + 1);
    memcpy(all, m->segment, m->count * sizeof *all);
    m->segment = all;
    for (uint32_t i = 0; i < m->count; i++) {
        if (all[i].kind == SEGMENT_LITERAL || !all[i].text.n)
            continue;
        for (uint32_t k = 0; k < i; k++)
            if (all[k].kind != SEGMENT_LITERAL && span_eq(all[k].text, all[i].text))
                diag_add(b->diags, DIAG_E0408, t->node->at,
                         "the capture {%.*s} stands twice in one path", SPAN_ARG(all[i].text));
        all[i].capture = slot(b, s, all[i].text, all[i].kind == SEGMENT_TAIL, t->node);
    }
}

static void expression(struct build *b, const struct text_at *t, struct path_match *m,
                       struct slots *s) {
    struct span own = node_plain(t->node), re = span_from(m->text, 1);
    size_t blanks = 0;
    while (blanks < re.n && re.p[blanks] == ' ')
        blanks++;
    re = span_from(re, blanks);
    m->regex = span_eq(own, m->text) ? build_regex(b, t->node, re, 1 + blanks)
                                     : build_regex_made(b, t->node, re);
    if (!m->regex)
        return;
    for (unsigned i = 0; i < regex_names(m->regex); i++)
        slot(b, s, regex_name(m->regex, i), false, t->node);
}

static bool in_all(const struct path_match *m, uint32_t count, struct span name) {
    for (uint32_t i = 0; i < count; i++) {
        bool has = m[i].regex && regex_group(m[i].regex, name) >= 0;
        for (uint32_t k = 0; k < m[i].count && !has; k++)
            has = m[i].segment[k].capture >= 0 && span_eq(m[i].segment[k].text, name);
        if (!has)
            return false;
    }
    return true;
}

/* A capture that only some alternatives have would be missing with the others. */
static void same_captures(struct build *b, const struct narrowed *n, const struct path_match *m,
                          const struct slots *s) {
    for (uint32_t i = 0; i < s->count; i++) {
        if (in_all(m, n->paths, s->name[i]) || n->path[0].node->bad)
            continue;
        struct diag *d =
            diag_add(b->diags, DIAG_E0408, n->path[0].node->at,
                     "the capture {%.*s} is not in every path of this route", SPAN_ARG(s->name[i]));
        diag_help(b->diags, d, "name the same captures in every path, or make two routes");
    }
}

static struct path_match *paths(struct build *b, const struct narrowed *n, struct slots *s) {
    struct path_match *m = arena_zero(b->arena, n->paths * sizeof *m + 1);
    for (uint32_t i = 0; i < n->paths; i++) {
        const struct text_at *t = &n->path[i];
        m[i].text = arena_span(b->arena, t->text);
        m[i].where = build_where(b, t->node);
        if (t->node->bad)
            continue;
        if (t->text.p[0] == '~')
            expression(b, t, &m[i], s);
        else
            segments(b, t, &m[i], s);
        if (t->shown.n)
            m[i].text = arena_span(b->arena, t->shown);
    }
    if (n->paths > 1)
        same_captures(b, n, m, s);
    return m;
}

static void keep_captures(struct build *b, const struct slots *s, struct fact_captures *out) {
    struct span *name = arena_zero(b->arena, s->count * sizeof *name + 1);
    bool *tail = arena_zero(b->arena, s->count + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        name[i] = arena_span(b->arena, s->name[i]);
        tail[i] = s->tail[i];
    }
    *out = (struct fact_captures){name, tail, s->count};
}

static struct span listener_names(struct build *b, uint64_t bits) {
    const char *all = "";
    for (uint32_t i = 0; i < b->s->listener_count; i++)
        if (bits & b->listener[i].routes_bit)
            all = arena_fmt(b->arena, "%s%s%.*s", all, *all ? ", " : "",
                            SPAN_ARG(b->listener[i].name));
    return span_z(all);
}

/* With the captures of this very route, though a group may have written it. */
static void whens(struct build *b, const struct narrowed *n, const struct fact_captures *captures,
                  struct route_match *m) {
    struct schema_fill f = build_fill(b, captures);
    struct route_when *when = arena_zero(b->arena, n->whens * sizeof *when + 1);
    f.scopes = 0; /* nobody is authenticated before a route is found */
    f.no_caller =
        "is not known yet where a route is chosen, before authentication; to choose by who "
        "calls, give a target of `to` a `when`";
    for (uint32_t i = 0; i < n->whens; i++) {
        const struct expr *e = schema_cel(&f, n->when[i], SCOPE_REQUEST, true);
        if (e)
            when[m->when_count++] = (struct route_when){e, build_where(b, n->when[i])};
    }
    m->when = when;
}

struct route_match *match_finish(struct build *b, const struct narrowed *n,
                                 struct fact_captures *captures) {
    struct route_match *m = arena_zero(b->arena, sizeof *m);
    struct slots s = {.count = 0};
    m->path = paths(b, n, &s);
    m->path_count = n->paths;
    keep_captures(b, &s, captures);
    m->host = arena_zero(b->arena, n->hosts * sizeof *m->host + 1);
    for (uint32_t i = 0; i < n->hosts; i++)
        m->host[m->host_count++] = arena_span(b->arena, n->host[i].text);
    if (n->host_node)
        m->host_where = build_where(b, n->host_node);
    m->methods = n->methods;
    m->method_other = arena_zero(b->arena, n->method_others * sizeof *m->method_other + 1);
    for (uint32_t i = 0; i < n->method_others; i++)
        m->method_other[m->method_other_count++] = arena_span(b->arena, n->method_other[i]);
    if (n->method_node)
        m->method_where = build_where(b, n->method_node);
    m->listeners = n->listeners;
    if (n->listener_node)
        m->listener_where = build_where(b, n->listener_node);
    m->listener_text = listener_names(b, n->listeners);
    memcpy(m->value, n->value, sizeof m->value);
    memcpy(m->value_count, n->values, sizeof m->value_count);
    whens(b, n, captures, m);
    m->priority = (int)n->priority;
    return m;
}

static void put_methods(struct str *s, const struct narrowed *n) {
    bool first = true;
    for (int i = 1; i < METHOD_COUNT; i++) {
        bool with_get = i == METHOD_HEAD && (n->methods & 1u << METHOD_GET);
        if (!(n->methods & 1u << i) || with_get)
            continue;
        if (!first)
            str_char(s, ',');
        str_add(s, method_name((enum method)i));
        first = false;
    }
    for (uint32_t i = 0; i < n->method_others; i++) {
        if (!first)
            str_char(s, ',');
        str_add(s, n->method_other[i]);
        first = false;
    }
    if (!first)
        str_char(s, ' ');
}

/* Long lists are cut: the name must only be unique and recognisable. */
static void put_texts(struct str *s, const struct text_at *t, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        /* "/a/" beside "/a", of one "/" in a group. */
        if (i && t[i].node == t[i - 1].node && t[i].text.n == t[i - 1].text.n + 1 &&
            span_starts(t[i].text, t[i - 1].text))
            continue;
        if (i)
            str_char(s, ',');
        str_add(s, t[i].shown.n ? t[i].shown : t[i].text);
    }
}

struct span match_name(struct build *b, const struct narrowed *n) {
    char buf[4096];
    struct str s = str_on(buf, sizeof buf);
    put_methods(&s, n);
    put_texts(&s, n->host, n->hosts);
    put_texts(&s, n->path, n->paths);
    if (!n->paths)
        str_lit(&s, "/*");
    return arena_span(b->arena, str_span(&s));
}
