#include "cli/explain.h"
#include "conf/schema.h"
#include "conf/tables.h"

static const char *const route_keys[] = {"request_timeout", "max_body", "idle_timeout",
                                         "max_duration"};
const unsigned explain_shipped_count = array_len(route_keys);
static const char *const service_keys[] = {"connect_timeout",
                                           "timeout",
                                           "first_byte_timeout",
                                           "idle_timeout",
                                           "queue_timeout",
                                           "max_connections",
                                           "max_pending",
                                           "load_balancing",
                                           "host",
                                           "protocol",
                                           "tls",
                                           "proxy_protocol"};
const unsigned explain_service_shipped_count = array_len(service_keys);

bool explain_set(const struct setting *s, uint32_t count, const char *key) {
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(s[i].name, span_z(key)))
            return true;
    return false;
}

const struct schema_field *explain_shipped(const struct route *r, unsigned i) {
    if (explain_set(r->settings, r->setting_count, route_keys[i]))
        return NULL;
    return schema_field_of(&schema_route_type, span_z(route_keys[i]));
}

const struct schema_field *explain_service_shipped(const struct service_conf *s, unsigned i) {
    const struct schema_field *f = schema_field_of(&schema_service_type, span_z(service_keys[i]));
    return explain_set(s->settings, s->setting_count, service_keys[i]) || !f->shipped ? NULL : f;
}

void explain_put_where(struct jout *j, const struct where *w) {
    if (!w->file)
        return;
    jout_text(j, "file", span_z(w->file));
    jout_number(j, "line", w->line);
    jout_number(j, "column", w->column);
}

void explain_put_setting(struct jout *j, const struct setting *s) {
    jout_open(j, NULL, '{');
    jout_text(j, "name", s->name);
    jout_text(j, "value", s->value);
    jout_text(j, "origin", s->origin);
    explain_put_where(j, &s->where);
    jout_close(j, '}');
}

void explain_put_shipped(struct jout *j, const struct schema_field *f) {
    if (!f)
        return;
    jout_open(j, NULL, '{');
    jout_text(j, "name", span_z(f->key));
    jout_text(j, "value", span_z(f->shipped ? f->shipped : ""));
    jout_text(j, "origin", SPAN("shipped"));
    jout_close(j, '}');
}

static void put_policy(struct jout *j, const struct explained *e, const struct filter *f) {
    const struct route *r = e->found.route;
    const char *web = explain_grpc_web(f);
    if (!f->of_plans && !explain_set(r->settings, r->setting_count, f->ops->name)) {
        jout_open(j, NULL, '{');
        jout_text(j, "name", span_z(f->ops->name));
        jout_text(j, "value", explain_policy(&e->x->arena, f));
        jout_text(j, "origin", SPAN("shipped"));
        jout_close(j, '}');
    }
    if (!web)
        return;
    jout_open(j, NULL, '{');
    jout_text(j, "name", SPAN("gRPC-Web"));
    jout_text(j, "value", span_z(web));
    jout_text(j, "origin", SPAN("worked out"));
    jout_close(j, '}');
}

/* The policies, and what the `when` of those that have one came to. */
static void put_policies(struct jout *j, const struct explained *e) {
    const struct plan *p = route_whole(e->found.route);
    jout_open(j, "policies", '[');
    for (unsigned i = 0; i < p->count; i++)
        jout_text(j, NULL, span_z(p->filter[i].ops->name));
    jout_close(j, ']');
    jout_open(j, "conditions", '[');
    for (unsigned i = 0; i < p->count; i++) {
        if (!p->filter[i].when)
            continue;
        jout_open(j, NULL, '{');
        jout_text(j, "policy", span_z(p->filter[i].ops->name));
        jout_text(j, "when", expr_source(p->filter[i].when));
        jout_text(j, "result", span_z(explain_test_text(&e->x->arena, &e->when[i])));
        jout_text(j, "runs", explain_runs(&p->filter[i], &e->when[i]) ? SPAN("yes") : SPAN("no"));
        jout_close(j, '}');
    }
    jout_close(j, ']');
}

static void put_route(struct jout *j, const struct explained *e) {
    const struct route *r = e->found.route;
    jout_open(j, "route", '{');
    jout_text(j, "name", r->name);
    explain_put_where(j, &r->where);
    jout_open(j, "captures", '{');
    for (uint32_t i = 0; i < r->capture_count; i++) {
        char name[256];
        struct str s = str_on(name, sizeof name - 1);
        str_add(&s, r->capture_name[i]);
        name[s.n] = 0;
        jout_text(j, name, e->found.capture[i]);
    }
    jout_close(j, '}');
    jout_close(j, '}');
    put_policies(j, e);
    explain_put_limits(j, e);
    explain_put_quotas(j, e);
    jout_open(j, "settings", '[');
    for (uint32_t i = 0; i < r->setting_count; i++)
        explain_put_setting(j, &r->settings[i]);
    for (unsigned i = 0; i < route_whole(r)->count; i++)
        put_policy(j, e, &route_whole(r)->filter[i]);
    for (unsigned i = 0; i < explain_shipped_count; i++)
        explain_put_shipped(j, explain_shipped(r, i));
    jout_close(j, ']');
}

static void put_rejected(struct jout *j, const struct explained *e) {
    jout_open(j, "rejected", '[');
    for (uint32_t i = 0; i < e->rejected_count; i++) {
        const struct miss *m = &e->rejected[i];
        jout_open(j, NULL, '{');
        jout_text(j, "route", m->route->name);
        jout_text(j, "condition", span_z(explain_why(m)));
        jout_text(j, "wanted", m->wanted);
        explain_put_where(j, m->where.file ? &m->where : &m->route->where);
        jout_close(j, '}');
    }
    jout_close(j, ']');
    if (e->rejected_more)
        jout_number(j, "rejected_more", e->rejected_more);
}

static void put_headers(struct jout *j, struct span rest) {
    jout_open(j, "headers", '[');
    while (rest.p && rest.n) {
        struct span line = span_split(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        ptrdiff_t colon = span_find(line, ':');
        if (colon < 0)
            continue;
        jout_open(j, NULL, '[');
        jout_text(j, NULL, span_cut(line, 0, (size_t)colon));
        jout_text(j, NULL, span_trim(span_from(line, (size_t)colon + 1)));
        jout_close(j, ']');
    }
    jout_close(j, ']');
}

static void put_upstream(struct jout *j, const struct explained *e) {
    const struct service_conf *s = e->target->service;
    struct span rest = e->upstream, line = span_split(&rest, '\n');
    struct span method = span_split(&line, ' '), target = span_split(&line, ' ');
    jout_open(j, "upstream", '{');
    jout_text(j, "service", s->name);
    jout_open(j, "endpoints", '[');
    for (uint32_t i = 0; i < s->endpoint_count; i++)
        jout_text(j, NULL, s->endpoint[i].address_text);
    jout_close(j, ']');
    jout_text(j, "protocol", span_z(explain_protocol(s)));
    if (s->tls)
        jout_text(j, "tls_name", explain_tls_name(s));
    jout_text(j, "method", method);
    jout_text(j, "target", target);
    put_headers(j, rest);
    jout_open(j, "settings", '[');
    for (uint32_t i = 0; i < s->setting_count; i++)
        explain_put_setting(j, &s->settings[i]);
    for (unsigned i = 0; i < explain_service_shipped_count; i++)
        explain_put_shipped(j, explain_service_shipped(s, i));
    jout_close(j, ']');
    jout_close(j, '}');
}

static void put_answer(struct jout *j, const struct explained *e) {
    const struct fault_info *f = &fault_table[e->fault];
    jout_open(j, "answer", '{');
    jout_number(j, "status", e->fault ? f->status : e->status);
    if (e->fault) {
        jout_text(j, "code", span_z(f->code));
        jout_text(j, "detail", span_z(f->text));
        if (e->failed.is) {
            jout_text(j, "expression", expr_source(e->failed.expr));
            jout_text(j, "result", span_z(explain_test_text(&e->x->arena, &e->failed)));
        }
    } else if (e->location.n) {
        jout_text(j, "location", e->location);
    } else {
        jout_text(j, "content_type", e->content_type);
        jout_text(j, "body", e->body);
    }
    jout_close(j, '}');
}

void explain_json(struct cli *c, const struct explained *e) {
    struct jout j = {.f = stdout};
    jout_open(&j, NULL, '{');
    jout_open(&j, "request", '{');
    jout_text(&j, "method", span_z(c->argument[0]));
    jout_text(&j, "authority", e->x->req.authority);
    jout_text(&j, "target", e->url);
    jout_text(&j, "listener", e->listener->name);
    jout_close(&j, '}');
    explain_put_listener(&j, e);
    if (e->found.route)
        put_route(&j, e);
    put_rejected(&j, e);
    if (!e->fault && e->target)
        put_upstream(&j, e);
    else
        put_answer(&j, e);
    jout_close(&j, '}');
    printf("\n");
}
