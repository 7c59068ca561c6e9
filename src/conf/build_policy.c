#include "conf/build.h"
#include "conf/show.h"
#include "core/log_conf.h"
#include "core/overload.h"
#include "core/problem.h"

static int place_of(struct span key) {
    const struct schema_field *f = schema_field_of(&schema_route_type, key);
    return f && (f->flags & FIELD_POLICY) ? (int)(f - schema_route.field) : -1;
}

struct node *policies_value(const struct policy_level *p, const char *key) {
    int i = place_of(span_z(key));
    must(i >= 0 && i < POLICIES_MAX);
    struct node *n = p->value[i].value;
    return n && !node_false(n) ? n : NULL;
}

static bool drops_inherited(const struct node *n) {
    const struct node *inherit = node_get(n, "inherit");
    return node_false(n) || (inherit && node_false(inherit));
}

/* CONFIG.md, Inheritance 2: of every level, the farthest first. */
static void add(struct build *b, struct policy_level *p, int i, struct pair own) {
    struct node *list = own.value;
    bool many = list->kind == NODE_LIST;
    if (node_false(list)) {
        p->more[i] = NULL;
        return;
    }
    for (uint32_t k = 0; k < (many ? list->count : 1); k++) {
        struct policy_link *link = arena_alloc(b->tree, sizeof *link);
        own.value = many ? list->item[k] : list;
        if (drops_inherited(own.value))
            p->more[i] = NULL;
        *link = (struct policy_link){own, k, p->more[i]};
        p->more[i] = link;
    }
}

static void apply_one(struct build *b, struct policy_level *p, struct pair own) {
    int i = place_of(own.key->text);
    if (i < 0 || i >= POLICIES_MAX)
        return;
    const struct schema_field *f = &schema_route.field[i];
    if (node_null(own.value)) { /* back to the shipped value */
        p->value[i] = (struct pair){0};
        p->more[i] = NULL;
    } else if (f->flags & FIELD_ADDITIVE) {
        add(b, p, i, own);
    } else {
        const struct schema_type *t = schema_choose(schema_type_of(f), own.value);
        struct pair old = p->value[i];
        own.value = t ? schema_long(b->tree, b->diags, t, own.value) : own.value;
        if (old.value && !node_false(old.value) && !drops_inherited(own.value))
            own.value = merge(b->tree, b->diags, schema_type_of(f), old, own);
        p->value[i] = own;
    }
}

static void apply_map(struct build *b, struct policy_level *p, struct node *n,
                      const struct level *level) {
    for (uint32_t i = 0; n->kind == NODE_MAP && i < n->count; i++) {
        struct pair own = n->pair[i];
        own.from = level;
        if (!own.value->bad)
            apply_one(b, p, own);
    }
}

struct visit {
    struct node *set;
    uint32_t next; /* of its `use` */
};

static struct node *set_named(struct build *b, const struct node *name, struct level **level) {
    struct node *sets = node_get(b->root, "policies");
    sets = sets ? schema_long(b->tree, b->diags, &schema_policies_type, sets) : NULL;
    for (uint32_t i = 0; sets && sets->kind == NODE_MAP && i < sets->count; i++)
        if (span_eq(sets->pair[i].key->text, node_plain(name))) {
            b->set_used[i] = true;
            *level = arena_zero(b->tree, sizeof **level);
            (*level)->name =
                span_z(arena_fmt(b->arena, "policies.%.*s", SPAN_ARG(sets->pair[i].key->text)));
            return sets->pair[i].value;
        }
    return NULL;
}

static struct node *use_at(struct node *n, uint32_t i) {
    struct node *use = node_get(n, "use");
    if (!use || node_null(use) || use->bad)
        return NULL;
    if (use->kind == NODE_LIST)
        return i < use->count ? use->item[i] : NULL;
    return i == 0 ? use : NULL;
}

enum { SETS_DEEP = 16 };

/* A set may use sets; they come before its own keys. */
static void apply_set(struct build *b, struct policy_level *p, struct node *name) {
    struct visit stack[SETS_DEEP];
    struct level *level[SETS_DEEP];
    unsigned depth = 0;
    struct node *next = name;
    while (depth || next) {
        if (next) {
            struct node *set = next->bad ? NULL : set_named(b, next, &level[depth]);
            bool again = false;
            for (unsigned i = 0; i < depth; i++)
                again |= set == stack[i].set;
            if (again || depth + 1 == SETS_DEEP)
                diag_add(b->diags, DIAG_E0303, next->at,
                         "the policy set %.*s uses itself, by a loop", SPAN_ARG(node_plain(next)));
            else if (set && set->kind == NODE_MAP)
                stack[depth++] = (struct visit){set, 0};
            next = NULL;
            continue;
        }
        next = use_at(stack[depth - 1].set, stack[depth - 1].next++);
        if (!next) {
            depth--;
            apply_map(b, p, stack[depth].set, level[depth]);
        }
    }
}

void policies_apply(struct build *b, struct policy_level *p, struct node *n,
                    const struct level *level) {
    struct node *name;
    for (uint32_t i = 0; (name = use_at(n, i)); i++)
        apply_set(b, p, name);
    apply_map(b, p, n, level);
}

/* --- a leaf --- */

struct leaf {
    struct build *b;
    struct route *r;
    const struct fact_captures *captures;
    bool forwards;
    struct span place;     /* of the policy at hand */
    bool additive_refuses; /* the policy at hand adds up and can refuse: a `when` that fails is true
                            */
    struct filter filter[FILTERS_MAX];
    unsigned filters;
    struct setting setting[POLICIES_MAX * 2];
    uint32_t settings;
};

static void note_one(struct leaf *l, struct span name, const struct pair *p,
                     const struct schema_field *f) {
    if (l->settings == array_len(l->setting))
        return;
    struct span origin = p->from ? p->from->name : SPAN("route");
    l->setting[l->settings++] = (struct setting){.name = name,
                                                 .value = show_flow(l->b->arena, p->value, f),
                                                 .origin = origin,
                                                 .place = l->place,
                                                 .where = build_where(l->b, p->value)};
}

/* The policy, and those of its parts that come from another level. */
static void note(struct leaf *l, const struct schema_field *f, const struct pair *p) {
    const struct node *n = p->value;
    const struct schema_type *t = schema_choose(schema_form_of(f), n);
    note_one(l, span_z(f->key), p, f);
    for (uint32_t i = 0; n->kind == NODE_MAP && i < n->count; i++) {
        const struct pair *part = &n->pair[i];
        if (!part->from || part->from == p->from)
            continue;
        struct span key = part->key->text;
        note_one(l, span_z(arena_fmt(l->b->arena, "%s.%.*s", f->key, SPAN_ARG(key))), part,
                 t && t->kind == SCHEMA_OBJECT ? schema_field_of(t, key) : NULL);
    }
}

static bool observes(const struct node *n) {
    const struct node *mode = node_get(n, "mode");
    return mode && mode->kind == NODE_SCALAR && span_eq(node_plain(mode), SPAN("observe"));
}

/* What authentication finds is not known before it. */
static const struct expr *policy_when(struct schema_fill *f, const struct filter_ops *ops,
                                      struct node *n) {
    if (ops->phase <= PHASE_IDENTIFY)
        f->scopes &= ~(unsigned)SCOPE_CALLER;
    f->no_caller = ops->phase <= PHASE_IDENTIFY
                       ? "is not known yet where this policy stands, before "
                         "or in authentication"
                       : NULL;
    return schema_cel(f, n, SCOPE_REQUEST, true);
}

static void add_filter(struct leaf *l, const struct filter_ops *ops, const void *conf,
                       const struct node *n) {
    if (!ops)
        return;
    if (l->filters == FILTERS_MAX) {
        diag_add(l->b->diags, DIAG_E0121, n->at, "a route has at most %d policies in its chain",
                 (int)FILTERS_MAX);
        return;
    }
    struct node *when = node_get(n, "when");
    struct schema_fill fill = build_fill(l->b, l->captures);
    l->filter[l->filters++] =
        (struct filter){.ops = ops,
                        .conf = conf,
                        .place = l->place,
                        .observe = observes(n),
                        .when_fails = l->additive_refuses,
                        .when = when && !node_null(when) ? policy_when(&fill, ops, when) : NULL};
}

/* `early: true` (rate_limit): it stands before authentication. */
static bool is_early(const struct node *n) {
    const struct node *early = node_get(n, "early");
    return early && early->kind == NODE_SCALAR && span_eq(node_plain(early), SPAN("true"));
}

/* A value of it, or an element of a list in it, has been told of already. */
static bool has_bad(const struct node *n) {
    for (uint32_t i = 0; n->kind == NODE_MAP && i < n->count; i++) {
        const struct node *v = n->pair[i].value;
        if (v->bad)
            return true;
        for (uint32_t k = 0; v->kind == NODE_LIST && k < v->count; k++)
            if (v->item[k]->bad)
                return true;
    }
    return false;
}

/* A policy that another room brought, with its table. */
static void *brought(struct leaf *l, const struct policy *p, const struct schema_field *f,
                     struct node *n) {
    struct build *b = l->b;
    void *conf = arena_zero(b->arena, p->size + 1);
    struct schema_fill fill = build_fill(b, l->captures);
    if (is_early(n)) {
        fill.scopes &= ~(unsigned)SCOPE_CALLER;
        fill.no_caller = "is not known yet: `early` stands before authentication";
    }
    schema_shipped(b->arena, p->form, conf);
    uint32_t before = b->diags->errors;
    schema_fill(&fill, schema_form_of(f), n, conf);
    bool whole = !n->bad && !has_bad(n) &&
                 b->diags->errors == before; /* else it would miss what is told already */
    const char *wrong = p->finish && whole ? p->finish(b->arena, conf) : NULL;
    if (p->regexes)
        p->regexes(conf, build_regex_keep, b);
    if (!wrong && p->on_caller && whole)
        wrong = p->on_caller(conf, b->scopes & SCOPE_CALLER);
    if (!wrong && p->bind && !n->bad && !b->diags->errors)
        wrong = p->bind(b->s, conf);
    if (wrong)
        diag_add(b->diags, DIAG_E0115, n->at, "%s: %s", f->key, wrong);
    return conf;
}

static void check_mode(struct leaf *l, const struct schema_field *f, const struct node *n) {
    struct node *mode = node_get(n, "mode");
    if (mode && observes(n) && !(f->flags & FIELD_REFUSES)) {
        struct diag *d = diag_add(l->b->diags, DIAG_E0602, mode->at,
                                  "`%s` refuses nothing, so there is nothing to observe", f->key);
        diag_help(l->b->diags, d,
                  "mode: observe belongs to policies that can refuse, as rate_limit");
    }
}

/* The loader fills its record, its room judges it. */
static void rewrite_policy(struct leaf *l, const struct policy *policy, struct node *n) {
    struct build *b = l->b;
    struct rewrite_conf *conf = rewrite_build(b, n, l->captures);
    const char *wrong = conf && !n->bad && policy->finish ? policy->finish(b->arena, conf) : NULL;
    struct node *at = node_get(n, "path");
    if (wrong)
        diag_add(b->diags, DIAG_E0503, at ? at->at : n->at, "%s", wrong);
    if (conf)
        add_filter(l, policy->ops, conf, n);
}

/* Its filter stands there all the same, to refuse what it would have let pass. */
static void turned_off(struct leaf *l, const struct policy *p, const struct node *n) {
    void *conf = arena_zero(l->b->arena, p->size + 1);
    p->on_route(conf, NULL);
    if (l->forwards)
        add_filter(l, p->ops, conf, n);
}

static bool stands(const struct leaf *l, const struct policy *p) {
    for (unsigned i = 0; i < l->filters; i++)
        if (l->filter[i].ops == p->ops)
            return true;
    return false;
}

/* Policies that need no word in the file where a route forwards. */
static void shipped_policies(struct leaf *l, const struct node *n) {
    const struct conf_registry *r = l->b->options->registry;
    for (unsigned i = 0; r && i < r->policies; i++) {
        const struct policy *p = r->policy[i];
        if (!p->on_route || stands(l, p))
            continue;
        void *conf = arena_zero(l->b->arena, p->size + 1);
        schema_shipped(l->b->arena, p->form, conf);
        add_filter(l, p->ops, conf, n);
    }
}

/* "group routes[1] rate_limit 2": stays the same when other lines of the file change. */
static struct span place_text(struct leaf *l, const struct schema_field *f, const struct pair *p,
                              uint32_t at) {
    struct arena *a = l->b->arena;
    bool own = !p->from || span_eq(p->from->name, SPAN("route"));
    struct span name = own ? l->r->name : p->from->name;
    return span_z(
        at ? arena_fmt(a, "%s%.*s %s %u", own ? "route " : "", SPAN_ARG(name), f->key, at + 1)
           : arena_fmt(a, "%s%.*s %s", own ? "route " : "", SPAN_ARG(name), f->key));
}

static void one_policy(struct leaf *l, const struct schema_field *f, struct pair p, uint32_t at) {
    const struct policy *policy = schema_policy(span_z(f->key));
    struct span key = span_z(f->key);
    unsigned strict = FIELD_ADDITIVE | FIELD_REFUSES;
    if (p.value->bad || schema_later(f))
        return;
    l->additive_refuses = (f->flags & strict) == strict;
    l->place = place_text(l, f, &p, at);
    note(l, f, &p);
    if (node_false(p.value) && policy && policy->on_route) {
        turned_off(l, policy, p.value);
        return;
    }
    if (node_false(p.value) && !span_eq(key, SPAN("log")))
        return;
    check_mode(l, f, p.value);
    if (span_eq(key, SPAN("log"))) {
        struct log_conf *log = arena_zero(l->b->arena, sizeof *log);
        log->off = node_false(p.value);
        l->r->log = log->off || !policy ? (const void *)log : brought(l, policy, f, p.value);
    } else if (policy && policy->on_route && !l->forwards) {
        return; /* inherited by a route that answers itself */
    } else if (policy && policy->form) {
        const void *conf = brought(l, policy, f, p.value);
        add_filter(l, policy->ops_of ? policy->ops_of(conf) : policy->ops, conf, p.value);
    } else if (span_eq(key, SPAN("rewrite")) && policy) {
        rewrite_policy(l, policy, p.value);
    }
}

/* Farthest first: the list is the other way round. */
static void additive(struct leaf *l, const struct schema_field *f, struct policy_link *nearest) {
    struct policy_link *order[FILTERS_MAX];
    unsigned n = 0;
    for (struct policy_link *k = nearest; k && n < FILTERS_MAX; k = k->farther)
        order[n++] = k;
    while (n) {
        struct pair p = order[--n]->pair;
        p.value = schema_long(l->b->tree, l->b->diags, schema_form_of(f), p.value);
        one_policy(l, f, p, order[n]->at);
    }
}

/* One filter serves all plans, behind authentication. */
static void check_of_plan(struct leaf *l, const struct schema_field *f, const struct node *n) {
    static const char *const no[] = {"early", "plans", "when", "mode", "inherit"};
    for (unsigned i = 0; i < array_len(no); i++) {
        const struct node *at = node_get(n, no[i]);
        if (at && !node_null(at) && !node_false(at))
            diag_add(l->b->diags, DIAG_E0115, at->at,
                     "%s: `%s` has no place in what a plan grants; a route's own %s takes it",
                     f->key, no[i], f->key);
    }
}

/* The k-th of each plan's, in addition to what the route says: one filter that knows them all. */
static bool one_of_plans(struct leaf *l, const struct schema_field *f, struct node *plans,
                         uint32_t k) {
    const struct policy *policy = schema_policy(span_z(f->key));
    struct build *b = l->b;
    struct span *name = arena_alloc(b->tree, plans->count * sizeof *name + 1);
    void **conf = arena_alloc(b->tree, plans->count * sizeof *conf + 1);
    struct node *first = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < plans->count; i++) {
        struct node *all = node_get(plans->pair[i].value, f->key);
        struct node *one = !all || node_null(all) || all->bad ? NULL
                           : all->kind != NODE_LIST           ? (k ? NULL : all)
                           : k < all->count                   ? all->item[k]
                                                              : NULL;
        if (!one || one->bad || node_false(one))
            continue;
        one = schema_long(b->tree, b->diags, schema_form_of(f), one);
        check_of_plan(l, f, one);
        name[n] = arena_span(b->arena, plans->pair[i].key->text);
        conf[n++] = brought(l, policy, f, one);
        first = first ? first : one;
    }
    if (!n)
        return false;
    void *of_all = policy->of_plans(b->arena, name, conf, n);
    l->place = span_z(k ? arena_fmt(b->arena, "plans %s %u", f->key, k + 1)
                        : arena_fmt(b->arena, "plans %s", f->key));
    l->additive_refuses = true;
    struct filter *before = &l->filter[l->filters];
    unsigned had = l->filters;
    add_filter(l, policy->ops, of_all, node_new_map(b->tree, first, 0));
    if (l->filters > had)
        before->of_plans = true;
    return true;
}

static void of_plans(struct leaf *l, const struct schema_field *f) {
    const struct policy *policy = f->flags & FIELD_POLICY ? schema_policy(span_z(f->key)) : NULL;
    struct node *plans = l->b->plans;
    if (!policy || !policy->of_plans || !plans || plans->kind != NODE_MAP)
        return;
    for (uint32_t k = 0; k < FILTERS_MAX && one_of_plans(l, f, plans, k); k++)
        ;
}

static uint64_t number(struct build *b, const struct policy_level *p, const char *key,
                       uint64_t otherwise) {
    struct node *n = policies_value(p, key);
    const struct schema_field *f = schema_field_of(&schema_route_type, span_z(key));
    uint64_t v = otherwise;
    if (n && n->kind == NODE_SCALAR && !n->bad)
        (void)!schema_scalar(b->arena, b->diags, f->type, 8, n, &v);
    return v;
}

static unsigned char shed_word(struct build *b, const struct policy_level *p) {
    struct node *n = policies_value(p, "shed");
    const struct schema_field *f = schema_field_of(&schema_route_type, SPAN("shed"));
    int word = SHED_WORD_FAIR;
    if (n && n->kind == NODE_SCALAR && !n->bad)
        (void)!schema_scalar(b->arena, b->diags, f->type, sizeof word, n, &word);
    return (unsigned char)word;
}

static const struct limits_conf *limits_of(struct leaf *l, const struct policy_level *p) {
    struct node *n = policies_value(p, "limits");
    struct build *b = l->b;
    if (!n || n->bad)
        return &b->s->limits;
    struct limits_conf *own = arena_alloc(b->arena, sizeof *own);
    *own = b->s->limits;
    build_limits(b, &schema_route_limits_type, n, own);
    return own;
}

/* Phase gives the order; within a phase that of the table. */
static void sort_filters(struct leaf *l) {
    for (unsigned i = 1; i < l->filters; i++)
        for (unsigned k = i; k && l->filter[k].ops->phase < l->filter[k - 1].ops->phase; k--) {
            struct filter f = l->filter[k];
            l->filter[k] = l->filter[k - 1];
            l->filter[k - 1] = f;
        }
}

static size_t step_sizes(const struct filter *f, unsigned n) {
    size_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += (f[i].ops->step_size + 15) & ~(size_t)15;
    return sum;
}

static void keep_plan(struct leaf *l) {
    struct arena *a = l->b->arena;
    struct plan *plan = &l->r->plan;
    sort_filters(l);
    struct filter *filter = arena_alloc(a, l->filters * sizeof *filter + 1);
    memcpy(filter, l->filter, l->filters * sizeof *filter);
    plan->filter = filter;
    plan->count = l->filters;
    for (unsigned i = 0; i < l->filters; i++)
        l->r->preflights |= filter[i].ops->preflights && !filter[i].when && !filter[i].observe;
    plan->steps_size = step_sizes(filter, l->filters);
    struct setting *setting = arena_alloc(a, l->settings * sizeof *setting + 1);
    memcpy(setting, l->setting, l->settings * sizeof *setting);
    l->r->settings = setting;
    l->r->setting_count = l->settings;
}

/* Said by the route, a group or one of their policy sets: not only for all routes. */
static bool is_own(const struct policy_level *p, const char *key) {
    const struct pair *v = &p->value[place_of(span_z(key))];
    return v->value && !node_null(v->value) &&
           !(v->from && span_eq(v->from->name, SPAN("defaults")));
}

void policies_finish(struct build *b, const struct policy_level *p, struct route *r, struct node *n,
                     const struct fact_captures *captures) {
    if (!b->leaf) /* large, and used again for every route */
        b->leaf = arena_zero(b->tree, sizeof *b->leaf);
    struct leaf *l = b->leaf;
    struct node *to = node_get(n, "to");
    *l = (struct leaf){
        .b = b, .r = r, .captures = captures, .forwards = to && !node_null(to) && !to->bad};
    b->scopes = policies_value(p, "authenticate") ? SCOPE_CALLER : 0;
    r->limits = limits_of(l, p);
    r->request_timeout_ms = number(b, p, "request_timeout", 30000);
    r->max_body = number(b, p, "max_body", r->limits->max_body);
    r->max_body_own = is_own(p, "max_body");
    r->idle_timeout_ms = number(b, p, "idle_timeout", 300000);
    r->max_duration_ms = number(b, p, "max_duration", 0);
    r->shed = shed_word(b, p);
    for (unsigned i = 0; i < schema_route.fields && i < POLICIES_MAX; i++) {
        const struct schema_field *f = &schema_route.field[i];
        if (b->scopes & SCOPE_CALLER)
            of_plans(l, f);
        if (p->more[i])
            additive(l, f, p->more[i]);
        if (p->value[i].value && (f->flags & FIELD_POLICY))
            one_policy(l, f, p->value[i], 0);
    }
    if (l->forwards)
        shipped_policies(l, n);
    struct node *errors = policies_value(p, "errors");
    r->errors = errors && !errors->bad ? errors_build(b, errors, captures) : NULL;
    keep_plan(l);
}

/* What only tunnels and gRPC calls need, other requests don't even pass. */
static void split_plan(struct build *b, struct route *r) {
    struct filter *f = arena_alloc(b->arena, r->plan.count * sizeof *f + 1);
    unsigned n = 0;
    for (unsigned i = 0; i < r->plan.count; i++)
        if (!r->plan.filter[i].ops->rare)
            f[n++] = r->plan.filter[i];
    if (n == r->plan.count)
        return;
    struct plan *whole = arena_alloc(b->arena, sizeof *whole);
    *whole = r->plan;
    r->whole = whole;
    r->plan.filter = f;
    r->plan.count = n;
    r->plan.steps_size = step_sizes(f, n);
}

void policies_on_route(struct build *b, struct route *r, const struct forward_conf *to) {
    const struct conf_registry *reg = b->options->registry;
    for (unsigned i = 0; reg && i < reg->policies; i++)
        for (unsigned k = 0; reg->policy[i]->on_route && k < r->plan.count; k++)
            if (r->plan.filter[k].ops == reg->policy[i]->ops)
                reg->policy[i]->on_route((void *)(uintptr_t)r->plan.filter[k].conf, to);
    split_plan(b, r);
}
