#include "conf/build.h"
#include "conf/constant_expr.h"
#include "base/env.h"
#include "conf/files.h"
#include "conf/show.h"
#include "core/overload.h"
#include "core/state.h"
#include "core/log_conf.h"
#include "data/regex.h"
#include <stdlib.h>

struct where build_where(struct build *b, const struct node *n) {
    return (struct where){b->file[n->at.file], n->at.line, n->at.column};
}

struct span build_text(struct build *b, const struct node *n) {
    return arena_span(b->arena, node_plain(n));
}

static void regex_keep(struct regexes *r, struct regex *x) {
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 8;
        r->at = mem_realloc(r->at, r->cap * sizeof(struct regex *), cap * sizeof(struct regex *));
        r->cap = cap;
    }
    r->at[r->count++] = x;
}

/* Of a constant pattern in an expression. */
static void constant_regex(void *ctx, struct regex *r) {
    regex_keep(ctx, r);
}

static void expression_placed(void *ctx, const struct expr *e, struct mark at) {
    struct build *b = ctx;
    if (b->places == b->places_cap) {
        uint32_t cap = b->places_cap ? b->places_cap * 2 : 64;
        b->place = mem_realloc(b->place, b->places_cap * sizeof *b->place, cap * sizeof *b->place);
        b->places_cap = cap;
    }
    b->place[b->places++] =
        (struct expr_place){expr_source(e).p, {b->file[at.file], at.line, at.column}};
}

static int by_source(const void *pa, const void *pb) {
    const struct expr_place *a = pa, *b = pb;
    return a->source < b->source ? -1 : a->source > b->source;
}

static void keep_places(struct build *b) {
    struct expr_place *all = arena_alloc(b->arena, b->places * sizeof *all + 1);
    if (b->places) {
        qsort(b->place, b->places, sizeof *b->place, by_source);
        memcpy(all, b->place, b->places * sizeof *all);
    }
    b->s->place = all;
    b->s->place_count = b->places;
    mem_free(b->place);
}

struct schema_fill build_fill(struct build *b, const struct fact_captures *captures) {
    return (struct schema_fill){.arena = b->arena,
                                .tree = b->tree,
                                .diags = b->diags,
                                .captures = captures,
                                .scopes = b->scopes,
                                .constants = &b->known,
                                .keep = constant_regex,
                                .keep_ctx = b->regexes,
                                .placed = expression_placed,
                                .placed_ctx = b,
                                .outbounds = &b->outbounds};
}

struct setting *build_settings(struct build *b, const struct schema_type *t, const struct node *n,
                               struct span own, uint32_t *count) {
    *count = 0;
    if (n->kind != NODE_MAP)
        return NULL;
    struct setting *all = arena_zero(b->arena, n->count * sizeof *all + 1);
    for (uint32_t i = 0; i < n->count; i++) {
        const struct pair *p = &n->pair[i];
        const struct schema_field *f = schema_field_of(t, p->key->text);
        if (f && !node_null(p->value))
            all[(*count)++] = (struct setting){.name = span_z(f->key),
                                               .value = show_flow(b->arena, p->value, f),
                                               .origin = p->from ? p->from->name : own,
                                               .where = build_where(b, p->value)};
    }
    return all;
}

static struct regex *regex_made(struct build *b, struct node *n, struct span pattern, size_t at,
                                bool inside) {
    struct regex_error e = {0};
    struct regex *x = regex_compile(arena_span(b->arena, pattern), &e);
    if (x) {
        regex_keep(b->regexes, x);
        return x;
    }
    struct mark m = inside ? node_inside(b->diags, n, at + e.at, 1) : n->at;
    diag_add(b->diags, DIAG_E0407, m, "this regular expression is wrong: %s", e.text);
    n->bad = true;
    return NULL;
}

struct regex *build_regex(struct build *b, struct node *n, struct span pattern, size_t at) {
    return regex_made(b, n, pattern, at, !n->constant);
}

void build_regex_keep(void *b, struct regex *x) {
    regex_keep(((struct build *)b)->regexes, x);
}

struct regex *build_regex_made(struct build *b, struct node *n, struct span pattern) {
    return regex_made(b, n, pattern, 0, false);
}

static void free_regexes(struct snapshot *s) {
    struct regexes *r = s->parts;
    for (uint32_t i = 0; i < r->count; i++)
        regex_free(r->at[i]);
    mem_free(r->at);
    mem_free(r);
    s->parts = NULL;
    free_tls(s);
}

/* --- names --- */

static void names_of(struct build *b, const char *section, enum schema_refers r,
                     const struct schema_type *t) {
    struct node *n = node_get(b->root, section);
    if (!n)
        return;
    n = schema_long(b->tree, b->diags, t, n);
    if (n->kind != NODE_MAP)
        return;
    struct schema_names *names = &b->names;
    names->name[r] = arena_alloc(b->tree, (n->count + 1) * sizeof(struct span));
    for (uint32_t i = 0; i < n->count; i++) {
        struct span name = n->pair[i].key->text;
        names->name[r][names->count[r]++] = name;
        map_put(&names->map[r], name, n->pair[i].key);
    }
}

static void collect_names(struct build *b) {
    names_of(b, "services", REFERS_SERVICE, &schema_services_type);
    names_of(b, "listeners", REFERS_LISTENER, &schema_listeners_type);
    names_of(b, "policies", REFERS_POLICY_SET, &schema_policies_type);
    names_of(b, "authenticators", REFERS_AUTHENTICATOR, &schema_authenticators_type);
    names_of(b, "plans", REFERS_PLAN, &schema_plans_type);
    struct node *plans = node_get(b->root, "plans");
    b->plans = plans ? schema_long(b->tree, b->diags, &schema_plans_type, plans) : NULL;
}

/* --- top-level settings --- */

static void build_state(struct build *b) {
    struct state_conf *c = arena_zero(b->arena, sizeof *c);
    struct node *n = node_get(b->root, "state");
    struct schema_fill f = build_fill(b, NULL);
    schema_shipped(b->arena, schema_state_type.object, c);
    if (n && n->kind == NODE_MAP && !n->bad)
        schema_fill(&f, &schema_state_type, n, c);
    uint32_t before = b->diags->errors;
    const char *wrong = n && n->bad ? NULL : state_finish(b->arena, c);
    struct node *at = node_get(n, "shared");
    if (wrong && b->diags->errors == before)
        diag_add(b->diags, DIAG_E0115, at ? at->at : n ? n->at : b->root->at, "state: %s", wrong);
    c->dns_server = b->s->dns_server;
    c->dns_servers = b->s->dns_server_count;
    b->s->state = c;
    if (c->wants_tls && b->diags->errors == before)
        build_state_tls(b, c, at);
}

static void build_overload(struct build *b) {
    struct overload_conf *c = arena_zero(b->arena, sizeof *c);
    struct node *n = node_get(b->root, "overload");
    struct schema_fill f = build_fill(b, NULL);
    schema_shipped(b->arena, schema_overload_type.object, c);
    if (n && n->kind == NODE_MAP && !n->bad)
        schema_fill(&f, &schema_overload_type, n, c);
    c->off = n && n->kind == NODE_SCALAR && span_eq(node_plain(n), SPAN("false"));
    b->s->overload = c;
}

void build_limits(struct build *b, const struct schema_type *t, struct node *n,
                  struct limits_conf *out) {
    if (!n)
        return;
    struct schema_fill f = build_fill(b, NULL);
    schema_fill(&f, t, n, out);
    struct node *slash = node_get(n, "encoded_slash");
    out->h1_response.field_max = out->h1_response.total_max; /* one field may be all of it */
    if (slash && slash->kind == NODE_SCALAR && !node_null(slash))
        out->keep_encoded_slash = span_eq(node_plain(slash), SPAN("keep"));
}

static void shipped_limits(struct build *b) {
    struct limits_conf *l = &b->s->limits;
    l->h1_request = h1_request_limits;
    l->h1_response = h1_response_limits;
    l->h1_trailers = h1_trailer_limits;
    schema_shipped(b->arena, &schema_limits, l);
}

static void build_admin(struct build *b) {
    struct node *n = node_get(b->root, "admin");
    if (!n)
        return;
    n = schema_long(b->tree, b->diags, &schema_admin_type, n);
    struct node *at = node_get(n, "address");
    if (at && at->kind == NODE_SCALAR && !at->bad && address_parse(node_plain(at), &b->s->admin))
        b->s->admin_text = build_text(b, at);
}

static void build_log(struct build *b) {
    struct node *n = node_get(b->root, "log");
    const struct policy *p = schema_policy(SPAN("log"));
    if (!n || !p || node_null(n) || n->bad)
        return;
    struct log_conf *conf = arena_zero(b->arena, p->size);
    const struct schema_field *f = schema_field_of(&schema_root_type, SPAN("log"));
    n = schema_long(b->tree, b->diags, schema_type_of(f), n);
    if (node_false(n))
        return;
    struct schema_fill fill = build_fill(b, NULL);
    schema_shipped(b->arena, p->form, conf);
    schema_fill(&fill, schema_type_of(f), n, conf);
    const char *wrong = p->finish ? p->finish(b->arena, conf) : NULL;
    if (wrong)
        diag_add(b->diags, DIAG_E0115, n->at, "%s", wrong);
    b->s->log = conf;
}

/* "10.0.0.2:53", "10.0.0.2", "::1" */
static bool dns_address(struct span t, struct address *out) {
    if (address_parse(t, out))
        return out->sa.sa_family != AF_UNIX && address_port(out) != 0;
    if (!address_parse_ip(t, out))
        return false;
    address_set_port(out, 53);
    return true;
}

static void build_dns(struct build *b) {
    struct node *n = node_get(node_get(b->root, "dns"), "servers");
    if (!n || node_null(n) || n->kind == NODE_MAP)
        return;
    uint32_t count = n->kind == NODE_LIST ? n->count : 1;
    struct address *all = arena_zero(b->arena, count * sizeof *all + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct node *item = n->kind == NODE_LIST ? n->item[i] : n;
        if (item->kind == NODE_SCALAR && !item->bad && !dns_address(node_plain(item), &all[i]))
            diag_add(b->diags, DIAG_E0209, item->at, "\"%.*s\" is not the address of a DNS server",
                     SPAN_ARG(node_plain(item)));
    }
    b->s->dns_server = all;
    b->s->dns_server_count = count;
}

static void build_top(struct build *b) {
    struct schema_fill f = build_fill(b, NULL);
    schema_shipped(b->arena, &schema_root, b->s);
    schema_fill(&f, &schema_root_type, b->root, b->s);
    shipped_limits(b);
    build_limits(b, &schema_limits_type, node_get(b->root, "limits"), &b->s->limits);
    build_admin(b);
    build_dns(b);
    build_outbound_conf(b);
    build_state(b);
    build_overload(b);
    struct node *metrics = node_get(b->root, "metrics");
    b->s->metrics_off = metrics && span_eq(node_plain(metrics), SPAN("false"));
    build_log(b);
}

static void keep_files(struct build *b) {
    b->files = b->diags->sources;
    b->file = arena_alloc(b->arena, (b->files + 1) * sizeof *b->file);
    b->s->file = arena_alloc(b->arena, (b->files + 1) * sizeof *b->s->file);
    for (uint32_t i = 0; i < b->files; i++) {
        b->file[i] = arena_text(b->arena, span_z(b->diags->source[i].name));
        b->s->file[b->s->file_count++] = span_z(b->file[i]);
    }
}

static const char *env_of(void *ctx, struct span name) {
    return constant_env(ctx, name);
}

static void var_used(void *ctx, struct span name) {
    (void)constant_var(ctx, name);
}

/* Top-level `vars` for expressions that are evaluated for each request. */
static void keep_constants(struct build *b) {
    struct constants *c = &b->constants;
    struct value v = c->vars ? constant_value(b->tree, c->vars) : (struct value){.kind = VALUE_MAP};
    must(value_copy(&v, b->arena, SIZE_MAX, &b->s->vars)); /* the file itself is bounded */
    b->known = (struct fact_constants){b->s->vars, env_of, var_used, c};
}

static void put_constants_in(struct build *b) {
    b->constants = (struct constants){
        .arena = b->tree, .diags = b->diags, .getenv = b->options->getenv, .ctx = b->options->ctx};
    constants_put_in(&b->constants, b->root);
    keep_constants(b);
}

static void check_version(struct build *b) {
    struct node *n = node_get(b->root, "version");
    if (!n || node_null(n)) {
        struct diag *d =
            diag_add(b->diags, DIAG_E0118, b->root->at, "the configuration says no version");
        diag_help(b->diags, d, "begin it with `version: 1`");
    } else if (n->kind != NODE_SCALAR || !span_eq(node_plain(n), SPAN("1"))) {
        diag_add(b->diags, DIAG_E0118, n->at,
                 "this version of the language is not known; there is 1");
        n->bad = true;
    }
}

static void keep_secrets(struct build *b) {
    uint32_t n = 0;
    for (const struct constant_secret *k = b->constants.secrets; k; k = k->next)
        n++;
    struct span *all = arena_alloc(b->arena, n * sizeof *all + 1);
    for (const struct constant_secret *k = b->constants.secrets; k; k = k->next)
        all[b->s->secret_count++] = arena_span(b->arena, k->value);
    b->s->secret = all;
}

static void build_all(struct build *b) {
    keep_files(b);
    put_constants_in(b);
    keep_secrets(b);
    collect_names(b);
    check_version(b);
    schema_check(b->tree, b->diags, &b->names, &schema_root_type, b->root);
    build_top(b);
    build_listeners(b);
    build_services(b);
    build_identity(b);
    build_routes(b);
    build_outbounds(b);
    if (b->diags->want_warnings)
        lint(b);
}

static void finish(struct build *b) {
    keep_places(b);
    map_finish(&b->services);
    for (int i = 0; i < REFERS_COUNT; i++)
        map_finish(&b->names.map[i]);
}

struct snapshot *conf_load(const struct conf_options *o, struct diag_list *diags) {
    struct arena tree;
    arena_init(&tree, NULL);
    schema_use(o->registry);
    struct node *root = files_load(&tree, diags, o->file, o->files);
    struct snapshot *s = NULL;
    if (root) {
        s = snapshot_create();
        struct build b = {.s = s,
                          .arena = &s->arena,
                          .tree = &tree,
                          .diags = diags,
                          .options = o,
                          .root = root,
                          .regexes = mem_alloc(sizeof(struct regexes))};
        s->parts = b.regexes;
        s->free_parts = free_regexes;
        build_all(&b);
        finish(&b);
    }
    arena_finish(&tree);
    diag_sort(diags);
    if (s && diags->errors) {
        snapshot_unref_atomic(s);
        s = NULL;
    }
    return s;
}
