#include "conf/build.h"
#include "conf/units.h"
#include "core/limits.h"
#include "core/state.h"

/* Legal, and probably wrong. What needs the router stands in build_routes.c. */

static void unused_services(struct build *b) {
    for (uint32_t i = 0; i < b->s->service_count; i++)
        if (!b->service_used[i])
            diag_add(b->diags, DIAG_W0104, b->service_node[i]->at, "no route uses the service %.*s",
                     SPAN_ARG(b->service[i].name));
}

static void unused_sets(struct build *b) {
    struct node *sets = node_get(b->root, "policies");
    for (uint32_t i = 0; sets && sets->kind == NODE_MAP && i < sets->count; i++)
        if (!b->set_used[i])
            diag_add(b->diags, DIAG_W0105, sets->pair[i].key->at, "nobody uses the policy set %.*s",
                     SPAN_ARG(sets->pair[i].key->text));
}

static void unused_vars(struct build *b) {
    const struct node *vars = b->constants.vars;
    for (uint32_t i = 0; vars && i < vars->count; i++)
        if (!b->constants.var_used[i])
            diag_add(b->diags, DIAG_W0108, vars->pair[i].key->at, "nobody uses vars.%.*s",
                     SPAN_ARG(vars->pair[i].key->text));
}

static bool loopback(const struct address *a) {
    struct cidr v4, v6;
    if (!a->len || a->sa.sa_family == AF_UNIX)
        return true;
    return cidr_parse(SPAN("127.0.0.0/8"), &v4) && cidr_parse(SPAN("::1"), &v6) &&
           (cidr_has(&v4, a) || cidr_has(&v6, a));
}

static void open_admin(struct build *b) {
    struct node *n = node_get(b->root, "admin");
    if (!n || loopback(&b->s->admin))
        return;
    struct node *address = node_get(n, "address");
    struct diag *d = diag_add(b->diags, DIAG_W0107, address ? address->at : n->at,
                              "the admin listener is reachable from other machines");
    diag_help(b->diags, d,
              "it asks nobody who he is: let it listen on 127.0.0.1, or guard the port");
}

bool lint_everybody(const struct cidr *c) {
    static const unsigned char v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return c->bits == 0 || (c->bits == 96 && memcmp(c->ip, v4, sizeof v4) == 0);
}

static void trusts_all(struct build *b) {
    struct node *n = node_get(b->root, "trusted_proxies");
    for (uint32_t i = 0; i < b->s->trusted_count; i++) {
        const struct cidr *c = &b->s->trusted[i];
        if (!lint_everybody(c) || !n || b->diags->errors)
            continue;
        struct mark at = n->kind == NODE_LIST && i < n->count ? n->item[i]->at : n->at;
        struct diag *d = diag_add(b->diags, DIAG_W0109, at, "every address is a trusted proxy");
        diag_help(b->diags, d,
                  "then every client may say where it comes from; name your proxies only");
    }
}

static void late(struct build *b, const struct setting *s, const struct route *r) {
    uint32_t file = 0;
    while (file < b->files && b->file[file] != s->where.file)
        file++;
    struct mark at = {file < b->files ? file : 0, s->where.line, s->where.column,
                      (uint32_t)s->value.n};
    char text[32];
    struct str took = str_on(text, sizeof text);
    units_put_duration(&took, r->request_timeout_ms);
    struct diag *d = diag_add(b->diags, DIAG_W0103, at,
                              "this timeout never ends anything: request_timeout (%.*s) is shorter",
                              SPAN_ARG(str_span(&took)));
    diag_help(b->diags, d, "raise request_timeout of \"%.*s\", or lower this one",
              SPAN_ARG(r->name));
}

static const struct setting *timeout_in(const struct setting *s, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(s[i].name, SPAN("timeout")))
            return &s[i];
    return NULL;
}

/* What a route's exchange may take in all caps what its service may. */
static void late_timeouts(struct build *b) {
    for (uint32_t i = 0; i < b->s->route_count; i++) {
        const struct route *r = &b->s->route[i];
        const struct forward_conf *f = r->plan.back_conf;
        if (!f || !r->plan.back || strcmp(r->plan.back->name, "proxy") != 0)
            continue;
        const struct setting *own = timeout_in(r->settings, r->setting_count);
        if (own && f->timeout_ms > r->request_timeout_ms)
            late(b, own, r);
        for (uint32_t k = 0; !own && k < f->target_count; k++) {
            const struct service_conf *s = f->target[k].service;
            const struct setting *its = timeout_in(s->settings, s->setting_count);
            if (its && s->timeout_ms > r->request_timeout_ms)
                late(b, its, r);
        }
    }
}

/* --- secrets --- */

struct walk {
    struct node *node;
    uint32_t next;
};

/* Header fields that carry credentials, and keys of CONFIG.md that hold secrets. */
static bool secret_key(struct span key) {
    static const char *const words[] = {"authorization",
                                        "proxy-authorization",
                                        "client_secret",
                                        "x-api-key",
                                        "secret",
                                        "password",
                                        "key"};
    for (size_t i = 0; i < array_len(words); i++)
        if (span_eq_nocase(key, span_z(words[i])))
            return true;
    return false;
}

static bool in_clear(struct span key, const struct node *n) {
    if (n->kind != NODE_SCALAR || n->bad || !secret_key(key))
        return false;
    struct span t = n->text;
    bool hashed = span_starts(t, SPAN("sha256:")) || span_starts(t, SPAN("$")) ||
                  span_starts(t, SPAN("-----BEGIN PUBLIC KEY"));
    bool template = memmem(t.p ? t.p : "", t.n, "${", 2) != NULL;
    return t.n >= 6 && !template && !hashed && !node_null(n);
}

static void secret(struct build *b, const struct node *n) {
    struct diag *d = diag_add(b->diags, DIAG_W0102, n->at, "a secret stands here in clear");
    diag_help(b->diags, d,
              "keep it in a file or in the environment: \"${secret('file:..')}\", "
              "\"${secret('env:..')}\"");
}

static void secrets(struct build *b) {
    struct walk stack[YAML_DEPTH + 2];
    unsigned depth = 0;
    uint64_t looked = 0;
    stack[depth++] = (struct walk){b->root, 0};
    while (depth && looked++ < 10000000) {
        struct walk *w = &stack[depth - 1];
        if (w->next == w->node->count) {
            depth--;
            continue;
        }
        uint32_t i = w->next++;
        struct node *child = w->node->kind == NODE_MAP ? w->node->pair[i].value : w->node->item[i];
        if (w->node->kind == NODE_MAP && in_clear(w->node->pair[i].key->text, child))
            secret(b, child);
        if (child->kind != NODE_SCALAR && depth < array_len(stack))
            stack[depth++] = (struct walk){child, 0};
    }
}

/* --- who may come --- */

static bool asks(const struct route *r) {
    for (unsigned i = 0; i < r->plan.count; i++)
        if (strcmp(r->plan.filter[i].ops->name, "authenticate") == 0)
            return true;
    return false;
}

/* Every path of every host. */
static bool takes_all(const struct route_match *m) {
    bool any = m->path_count == 0;
    for (uint32_t i = 0; i < m->path_count; i++)
        any |= m->path[i].count == 1 && m->path[i].segment[0].kind == SEGMENT_TAIL;
    return any && m->host_count == 0;
}

static struct mark mark_at(const struct build *b, const struct where *w) {
    uint32_t file = 0;
    while (file < b->files && b->file[file] != w->file)
        file++;
    return (struct mark){file < b->files ? file : 0, w->line, w->column, 1};
}

/* Whoever has authenticators means to ask: a route that takes everything and asks nobody is a hole,
 * not a choice. */
static void open_to_all(struct build *b) {
    for (uint32_t i = 0; b->s->authenticator_count && i < b->s->route_count; i++) {
        const struct route *r = &b->s->route[i];
        bool forwards = r->plan.back && strcmp(r->plan.back->name, "proxy") == 0;
        if (!forwards || asks(r) || !takes_all(r->match))
            continue;
        struct diag *d = diag_add(b->diags, DIAG_W0130, mark_at(b, &r->where),
                                  "this route takes every path, and asks nobody who he is");
        diag_help(b->diags, d,
                  "give it `authenticate: NAME`, or a narrower match; what is meant to be open "
                  "says so with `authenticate: {any: NAME, optional: true}`");
    }
}

/* The setting's text is a flow of words: {any: [a, b]}. */
static bool has_word(struct span text, struct span word) {
    const char *at = text.p, *end = text.p + text.n;
    while ((at = memmem(at, (size_t)(end - at), word.p, word.n)) != NULL) {
        bool begins = at == text.p || strchr(" [{\"", at[-1]);
        const char *behind = at + word.n;
        if (begins && (behind == end || strchr(",]}\"", *behind)))
            return true;
        at++;
    }
    return false;
}

static bool is_asked(const struct build *b, struct span name) {
    for (uint32_t i = 0; i < b->s->route_count; i++) {
        const struct route *r = &b->s->route[i];
        for (uint32_t k = 0; k < r->setting_count; k++)
            if (span_eq(r->settings[k].name, SPAN("authenticate")) &&
                has_word(r->settings[k].value, name))
                return true;
    }
    return false;
}

static void unused_authenticators(struct build *b) {
    for (uint32_t i = 0; i < b->s->authenticator_count; i++) {
        struct span name = b->s->authenticator[i].name;
        if (!is_asked(b, name))
            diag_add(b->diags, DIAG_W0131, b->authenticator_node[i]->at,
                     "no route asks the authenticator %.*s", SPAN_ARG(name));
    }
}

static bool counts_quotas(const struct route *r) {
    const struct plan *p = route_whole(r);
    for (unsigned i = 0; i < p->count; i++)
        if (strcmp(p->filter[i].ops->name, "quota") == 0)
            return true;
    return false;
}

static const struct where *where_of(const struct route *r, struct span setting) {
    for (uint32_t i = 0; i < r->setting_count; i++)
        if (span_eq(r->settings[i].name, setting))
            return &r->settings[i].where;
    return &r->where;
}

static void forgetful_quotas(struct build *b) {
    const struct state_conf *state = b->s->state;
    for (uint32_t i = 0; !state->store.n && state->kind == STATE_MEMORY && i < b->s->route_count;
         i++) {
        const struct route *r = &b->s->route[i];
        if (!counts_quotas(r))
            continue;
        struct diag *d = diag_add(b->diags, DIAG_W0140, mark_at(b, where_of(r, SPAN("quota"))),
                                  "what quotas count is lost at a restart");
        diag_help(b->diags, d, "state: {store: /var/lib/sluice/state.db} keeps it");
        return;
    }
}

/* --- limits of one name --- */

enum { NAMES_MAX = 64 }; /* that are looked at */

struct named_limit {
    const struct rate_limit_conf *first;
    const struct route *route;
    struct span told; /* the place where it differed last: what is inherited is told once */
};

static bool same_rates(const struct rate_limit_conf *a, const struct rate_limit_conf *b) {
    bool same = a->rates == b->rates && a->algorithm == b->algorithm && a->burst == b->burst;
    for (uint32_t i = 0; same && i < a->rates; i++)
        same = a->rate[i].count == b->rate[i].count && a->rate[i].per_ms == b->rate[i].per_ms;
    return same;
}

static void differ(struct build *b, const struct named_limit *n, const struct route *r) {
    struct diag *d = diag_add(b->diags, DIAG_W0120, mark_at(b, &r->where),
                              "the limit \"%.*s\" has other rates here than in route \"%.*s\"",
                              SPAN_ARG(n->first->name), SPAN_ARG(n->route->name));
    diag_help(b->diags, d,
              "limits of one name have one count, which each judges by its own rate: say the same "
              "everywhere, or use another name");
}

static void look_at_limit(struct build *b, struct named_limit named[NAMES_MAX],
                          const struct route *r, const struct filter *f) {
    const struct rate_limit_conf *c = f->conf;
    for (unsigned i = 0; c->name.n && c->rates && i < NAMES_MAX; i++) {
        struct named_limit *n = &named[i];
        if (!n->first)
            *n = (struct named_limit){c, r, f->place};
        if (!span_eq(n->first->name, c->name))
            continue;
        if (!span_eq(n->told, f->place) && !same_rates(n->first, c)) {
            differ(b, n, r);
            n->told = f->place;
        }
        return;
    }
}

static void limits_of_one_name(struct build *b) {
    struct named_limit named[NAMES_MAX] = {{NULL, NULL, SPAN_NONE}};
    for (uint32_t i = 0; i < b->s->route_count; i++) {
        const struct route *r = &b->s->route[i];
        const struct plan *p = route_whole(r);
        for (unsigned k = 0; k < p->count; k++)
            if (strcmp(p->filter[k].ops->name, "rate_limit") == 0)
                look_at_limit(b, named, r, &p->filter[k]);
    }
}

void lint(struct build *b) {
    if (!b->diags->errors) { /* else what is unused is not known */
        unused_services(b);
        unused_sets(b);
        unused_vars(b);
        unused_authenticators(b);
        open_to_all(b);
        forgetful_quotas(b);
        limits_of_one_name(b);
    }
    open_admin(b);
    trusts_all(b);
    late_timeouts(b);
    secrets(b);
}
