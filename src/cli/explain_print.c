#include "cli/explain.h"
#include "core/canned.h"

const char *explain_why(const struct miss *m) {
    switch (m->kind) {
    case MISS_HOST:
        return "host";
    case MISS_PATH:
        return "path";
    case MISS_LISTENER:
        return "listener";
    case MISS_METHOD:
        return "method";
    case MISS_HEADER:
        return "header";
    case MISS_QUERY:
        return "query";
    case MISS_COOKIE:
        return "cookie";
    case MISS_WHEN:
        return "when";
    case MISS_NONE:
    case MISS_OUTRANKED:
        break;
    }
    return "outranked";
}

static bool outranked(const struct miss *m) {
    return m->kind == MISS_NONE || m->kind == MISS_OUTRANKED;
}

void explain_print_where(const struct where *w) {
    if (w->file)
        printf("%s:%u", w->file, w->line);
    else
        printf("shipped");
}

static void print_rejected(const struct explained *e) {
    if (!e->rejected_count)
        return;
    printf("\nrejected routes, and the first condition that failed\n");
    for (uint32_t i = 0; i < e->rejected_count; i++) {
        const struct miss *m = &e->rejected[i];
        printf("  %-28.*s ", SPAN_ARG(m->route->name));
        if (outranked(m))
            printf("matches too, but goes behind  ");
        else
            printf("%s: wants %.*s  ", explain_why(m), SPAN_ARG(m->wanted));
        printf("(");
        explain_print_where(m->where.file ? &m->where : &m->route->where);
        printf(")\n");
    }
    if (e->rejected_more)
        printf("  and %u more\n", e->rejected_more);
}

static void print_captures(const struct explained *e) {
    const struct route *r = e->found.route;
    for (uint32_t i = 0; i < r->capture_count; i++)
        printf("  path.%.*s = %.*s\n", SPAN_ARG(r->capture_name[i]), SPAN_ARG(e->found.capture[i]));
}

/* Of a policy whose levels add up each level has its own setting; what plans grant has none. */
static const struct setting *setting_of(const struct route *r, const struct filter *f) {
    for (uint32_t i = 0; i < r->setting_count; i++)
        if (span_eq(r->settings[i].name, span_z(f->ops->name)) &&
            span_eq(r->settings[i].place, f->place))
            return &r->settings[i];
    return NULL;
}

void explain_print_setting(const struct setting *s) {
    printf("  %-18.*s %-32.*s %.*s, ", SPAN_ARG(s->name), SPAN_ARG(s->value), SPAN_ARG(s->origin));
    explain_print_where(&s->where);
    printf("\n");
}

static bool is_policy(const struct route *r, const struct setting *s) {
    for (unsigned i = 0; i < route_whole(r)->count; i++)
        if (span_eq(span_z(route_whole(r)->filter[i].ops->name), s->name))
            return true;
    return false;
}

static void print_when(const struct explained *e, const struct filter *f) {
    const struct explained_test *t = &e->when[f - route_whole(e->found.route)->filter];
    if (!f->when)
        return;
    printf("  %-18s when: %s", "", explain_test_text(&e->x->arena, t));
    if (t->is == TEST_FALSE || t->is == TEST_FAILED)
        printf(explain_runs(f, t) ? "; it runs all the same" : "; so it is skipped");
    printf("\n");
}

static void print_policy(const struct explained *e, const struct filter *f) {
    const struct setting *s = setting_of(e->found.route, f);
    const char *web = explain_grpc_web(f);
    if (s) {
        explain_print_setting(s);
    } else if (f->of_plans) {
        printf("  %-18s %-32s plans\n", f->ops->name, "of the caller's plan");
    } else {
        struct span form = explain_policy(&e->x->arena, f);
        printf("  %-18s %-32.*s shipped\n", f->ops->name, SPAN_ARG(form));
    }
    explain_print_limit(e, f);
    explain_print_quota(e, f);
    print_when(e, f);
    if (f->observe)
        printf("  %-18s observed only\n", "");
    if (web)
        printf("  %-18s %s\n", "gRPC-Web", web);
}

static void print_policies(const struct explained *e) {
    const struct route *r = e->found.route;
    printf("\npolicies, in their order\n");
    for (unsigned i = 0; i < route_whole(r)->count; i++)
        print_policy(e, &route_whole(r)->filter[i]);
    if (!route_whole(r)->count)
        printf("  none\n");
    printf("\nsettings, and where they come from\n");
    for (uint32_t i = 0; i < r->setting_count; i++)
        if (!is_policy(r, &r->settings[i]))
            explain_print_setting(&r->settings[i]);
}

static void print_shipped(const struct explained *e) {
    const struct route *r = e->found.route;
    for (unsigned i = 0; i < explain_shipped_count; i++) {
        const struct schema_field *f = explain_shipped(r, i);
        if (f)
            printf("  %-18s %-32s shipped\n", f->key, f->shipped ? f->shipped : "none");
    }
}

static void print_service(const struct explained *e) {
    const struct service_conf *s = e->target->service;
    printf("\nservice %.*s (", SPAN_ARG(s->name));
    explain_print_where(&s->where);
    printf(")\n");
    for (uint32_t i = 0; i < s->setting_count; i++)
        explain_print_setting(&s->settings[i]);
    for (unsigned i = 0; i < explain_service_shipped_count; i++) {
        const struct schema_field *f = explain_service_shipped(s, i);
        if (f)
            printf("  %-18s %-32s shipped\n", f->key, f->shipped);
    }
    if (s->tls)
        printf("  %-18s %.*s\n", "certificate for", SPAN_ARG(explain_tls_name(s)));
}

/* Of the targets with a `when` up to the one that was taken. */
static void print_choice(const struct explained *e, const struct forward_conf *conf) {
    if (e->target->when)
        printf(" (its `when` holds)");
    else
        printf(" (one of %u targets, weight %u of %u)", conf->target_count, e->target->weight,
               conf->weight_sum);
    for (uint32_t i = 0; i < conf->target_count && &conf->target[i] != e->target; i++) {
        if (!conf->target[i].when)
            continue;
        struct explained_test t = explain_test(e, conf->target[i].when);
        printf("\n  not to %.*s: its `when` %s%s (", SPAN_ARG(conf->target[i].service->name),
               t.is == TEST_FALSE ? "is " : "", explain_test_text(&e->x->arena, &t));
        explain_print_where(&conf->target[i].where);
        printf(")");
    }
}

static void print_upstream(const struct cli *c, const struct explained *e) {
    must(e->found.route && e->found.route->plan.back_conf); /* a proxy has one */
    const struct forward_conf *conf = e->found.route->plan.back_conf;
    print_service(e);
    const struct service_conf *to = e->target->service;
    printf("\nrequest to %.*s by %s%s", SPAN_ARG(to->name), to->tls ? "TLS and " : "",
           explain_protocol(to));
    if (conf->target_count > 1)
        print_choice(e, conf);
    printf("\n");
    struct span rest = e->upstream;
    for (bool first = true; rest.p && rest.n; first = false) {
        struct span line = span_split(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (first && to->protocol == PROTOCOL_H2 && span_ends(line, SPAN("HTTP/1.1")))
            printf("  %.*sHTTP/2\n", SPAN_ARG(span_cut(line, 0, line.n - 8)));
        else if (line.n)
            printf("  %.*s\n", SPAN_ARG(line));
    }
    if (c->data)
        printf("\n  %s\n", c->data);
}

static void print_fault(const struct explained *e) {
    const struct fault_info *f = &fault_table[e->fault];
    printf("\nanswer  %d %s: %s\n", f->status, f->code, f->text);
    if (e->failed.is)
        printf("  `%.*s` %s\n", SPAN_ARG(expr_source(e->failed.expr)),
               explain_test_text(&e->x->arena, &e->failed));
}

static void print_answer(const struct cli *c, const struct explained *e) {
    if (e->fault)
        print_fault(e);
    else if (e->target)
        print_upstream(c, e);
    else if (e->location.n)
        printf("\nanswer  %d, to %.*s\n", e->status, SPAN_ARG(e->location));
    else
        printf("\nanswer  %d%s%.*s\n%.*s%s", e->status, e->content_type.n ? ", " : "",
               SPAN_ARG(e->content_type), SPAN_ARG(e->body), e->body.n ? "\n" : "");
}

void explain_text(struct cli *c, const struct explained *e) {
    const struct head *h = &e->x->req;
    printf("request   %s %.*s%.*s by listener %.*s\n", c->argument[0], SPAN_ARG(h->authority),
           SPAN_ARG(e->url), SPAN_ARG(e->listener->name));
    if (e->listener->redirect_https && !e->fault) {
        printf("answer    308: this listener redirects everything to https\n");
        explain_print_listener(e);
        return;
    }
    if (e->found.route) {
        printf("route     %.*s (", SPAN_ARG(e->found.route->name));
        explain_print_where(&e->found.route->where);
        printf(")\n");
        print_captures(e);
    } else {
        printf("route     none\n");
    }
    print_rejected(e);
    explain_print_listener(e);
    if (e->found.route) {
        print_policies(e);
        print_shipped(e);
    }
    print_answer(c, e);
}
