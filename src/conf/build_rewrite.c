#include "conf/build.h"
#include "conf/path.h"
#include "data/regex.h"

static bool there(const struct node *n) {
    return n && !node_null(n) && !n->bad;
}

static bool prefix(struct build *b, struct node *n, struct span *out) {
    struct span t = node_plain(n);
    bool fine = t.n && t.p[0] == '/' && span_find(t, '?') < 0 && span_find(t, '{') < 0 &&
                span_find(t, '*') < 0;
    if (!fine) {
        struct diag *d =
            diag_add(b->diags, DIAG_E0503, n->at, "\"%.*s\" is not a path prefix", SPAN_ARG(t));
        diag_help(b->diags, d, "write a path of whole segments, as /api");
        n->bad = true;
        return false;
    }
    while (t.n && t.p[t.n - 1] == '/')
        t.n--;
    *out = arena_span(b->arena, path_canonical(b->arena, t));
    return true;
}

static void with_regex(struct build *b, struct node *n, struct rewrite_conf *c,
                       const struct fact_captures *captures) {
    struct node *re = node_get(n, "regex"), *with = node_get(n, "with");
    struct schema_fill f = build_fill(b, captures);
    if (!there(re) || !there(with)) {
        struct node *at = there(re) ? re : with;
        n->bad = true;
        if ((re && re->bad) || (with && with->bad))
            return;
        struct diag *d = diag_add(b->diags, DIAG_E0503, at ? at->at : n->at, "`%s` without `%s`",
                                  there(re) ? "regex" : "with", there(re) ? "with" : "regex");
        diag_help(b->diags, d, "write {regex: '^/old/(.*)', with: '/new/$1'}");
        return;
    }
    c->regex = build_regex(b, re, node_plain(re), 0);
    c->with = schema_template(&f, with, PLACE_PATH, SCOPE_REQUEST);
    n->bad |= !c->regex || !c->with;
}

struct rewrite_conf *rewrite_build(struct build *b, struct node *n,
                                   const struct fact_captures *captures) {
    struct rewrite_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, captures);
    if (n->kind != NODE_MAP)
        return NULL;
    struct node *strip = node_get(n, "strip"), *add = node_get(n, "add"),
                *path = node_get(n, "path");
    if (there(strip))
        (void)!prefix(b, strip, &c->strip);
    if (there(add))
        (void)!prefix(b, add, &c->add);
    if (there(node_get(n, "regex")) || there(node_get(n, "with")))
        with_regex(b, n, c, captures);
    schema_fill(&f, &schema_rewrite_type, n, c);
    n->bad |= (path && path->bad) || (strip && strip->bad) || (add && add->bad);
    return c;
}
