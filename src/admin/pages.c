#include "admin/pages.h"
#include "base/log.h"
#include "core/pressure.h"
#include "core/route.h"
#include "observe/errlog.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/service.h"

/* /metrics: endpoints, which observe may not see, behind everything else. */

struct endpoint_family {
    const char *name, *type, *help;
    uint64_t (*value)(const struct endpoint_state *);
};

static uint64_t connections(const struct endpoint_state *e) {
    return e->connections;
}
static uint64_t in_flight(const struct endpoint_state *e) {
    return e->in_flight;
}
static uint64_t requests(const struct endpoint_state *e) {
    return e->requests;
}
static uint64_t connects(const struct endpoint_state *e) {
    return e->connects;
}
static uint64_t failures(const struct endpoint_state *e) {
    return e->connect_failures;
}
static uint64_t idle(const struct endpoint_state *e) {
    /* The two counts are read one after the other. */
    return e->connections > e->in_flight ? e->connections - e->in_flight : 0;
}

static const struct endpoint_family families[] = {
    {"sluice_endpoint_connections_open", "gauge", "Open connections to an endpoint", connections},
    {"sluice_endpoint_connections_idle", "gauge",
     "Open connections to an endpoint that carry no request now", idle},
    {"sluice_endpoint_requests_in_flight", "gauge", "Requests under way at an endpoint", in_flight},
    {"sluice_endpoint_requests_total", "counter", "Requests sent to an endpoint, every attempt",
     requests},
    {"sluice_endpoint_connects_total", "counter", "Connections opened to an endpoint", connects},
    {"sluice_endpoint_connect_failures_total", "counter",
     "Connections to an endpoint that could not be opened", failures},
};

struct endpoint_visit {
    struct text *t;
    const struct endpoint_family *family;
    unsigned told;
};

static void endpoint_sample(void *ctx, const struct endpoint_state *e) {
    struct endpoint_visit *v = ctx;
    struct metric_label label[] = {{"service", e->service}, {"endpoint", e->text}};
    if (v->told++ < METRIC_ENDPOINTS)
        metric_u64(v->t, v->family->name, label, 2, v->family->value(e));
}

static void count_endpoint(void *ctx, const struct endpoint_state *e) {
    (void)e;
    ++*(uint64_t *)ctx;
}

static void walk(const struct snapshot *s, void (*fn)(void *, const struct endpoint_state *),
                 void *ctx) {
    struct service_walk w = {.endpoint = fn, .ctx = ctx};
    for (uint32_t i = 0; i < s->service_count; i++)
        service_walk(&s->service[i], &w);
}

void page_metrics(struct text *t, const struct snapshot *s) {
    static const char omitted[] = "sluice_endpoints_omitted";
    uint64_t count = 0;
    metrics_write(t, s);
    for (unsigned i = 0; i < array_len(families); i++) {
        const struct endpoint_family *f = &families[i];
        metric_family(t, f->name, f->type, f->help);
        walk(s, endpoint_sample, &(struct endpoint_visit){t, f, 0});
    }
    walk(s, count_endpoint, &count);
    metric_family(t, omitted, "gauge", "Endpoints without samples here: there are too many");
    metric_u64(t, omitted, NULL, 0, count > METRIC_ENDPOINTS ? count - METRIC_ENDPOINTS : 0);
    page_keys_metrics(t);
    page_state_metrics(t);
    page_limits_metrics(t);
    page_gates_metrics(t, s);
    page_quotas_metrics(t);
    page_shared_limits_metrics(t);
}

/* /status */

static void time_field(struct text *t, const char *key, int64_t wall_ns) {
    char text[TIME_TEXT];
    time_text(wall_ns, text);
    json_str(t, key, wall_ns ? span_of(text, sizeof text) : SPAN_NONE);
}

static void status_config(struct text *t, const struct snapshot *s) {
    const struct metrics_state *m = metrics_state();
    json_open(t, "config", '{');
    json_u64(t, "generation", s->generation);
    json_open(t, "files", '[');
    for (uint32_t i = 0; i < s->file_count; i++)
        json_str(t, NULL, s->file[i]);
    json_close(t, ']');
    json_u64(t, "routes", s->route_count);
    json_u64(t, "reloads", m->reloads_ok);
    json_u64(t, "reloads_failed", m->reloads_failed);
    time_field(t, "last_reload", m->reloaded_at);
    json_bool(t, "last_reload_ok", m->reload_ok);
    json_str(t, "last_reload_error", m->reload_text[0] ? span_z(m->reload_text) : SPAN_NONE);
    json_close(t, '}');
}

static void status_counts(struct text *t, const struct metrics_totals *v) {
    json_open(t, "connections", '{');
    json_u64(t, "open",
             v->value[METRIC_client_connections_accepted] -
                 v->value[METRIC_client_connections_closed]);
    json_u64(t, "accepted", v->value[METRIC_client_connections_accepted]);
    json_u64(t, "refused",
             v->value[METRIC_client_connections_refused_total] +
                 v->value[METRIC_client_connections_refused_address] +
                 v->value[METRIC_client_connections_refused_descriptors]);
    json_close(t, '}');
    json_open(t, "requests", '{');
    json_u64(t, "accepted", v->value[METRIC_exchanges_accepted]);
    json_u64(t, "completed", v->value[METRIC_exchanges_completed]);
    json_u64(t, "aborted", v->value[METRIC_exchanges_aborted]);
    json_u64(t, "rejected", v->value[METRIC_exchanges_rejected]);
    json_u64(t, "in_flight", v->in_flight);
    json_close(t, '}');
}

static void status_load(struct text *t, const struct metrics_totals *v) {
    struct pressure_figures p = pressure_figures();
    struct loop_figures l = overload_loops();
    json_open(t, "load", '{');
    json_u64(t, "memory_used", p.used);
    json_u64(t, "memory_budget", p.budget);
    json_str(t, "memory_level", span_z(overload_level_name(p.level)));
    json_u64(t, "loop_delay_us", l.delay_ns / 1000);
    json_u64(t, "workers_shedding", l.cutting);
    json_u64(t, "refused_loop_delay", v->value[METRIC_requests_shed_loop_delay]);
    json_u64(t, "refused_memory", v->value[METRIC_requests_shed_memory]);
    json_u64(t, "ended_memory", v->value[METRIC_requests_ended_memory]);
    json_close(t, '}');
}

static void status_listeners(struct text *t, const struct snapshot *s) {
    json_open(t, "listeners", '[');
    for (uint32_t i = 0; i < s->listener_count; i++) {
        json_open(t, NULL, '{');
        json_str(t, "name", s->listener[i].name);
        json_str(t, "address", s->listener[i].address_text);
        json_str(t, "scheme", s->listener[i].scheme);
        json_close(t, '}');
    }
    json_close(t, ']');
}

static void status_endpoint(void *ctx, const struct endpoint_state *e) {
    struct text *t = ctx;
    char text[ADDRESS_TEXT_MAX];
    json_open(t, NULL, '{');
    json_str(t, "endpoint", e->text);
    json_str(t, "address", e->address.len ? address_text(&e->address, text, true) : SPAN_NONE);
    json_u64(t, "weight", e->weight);
    json_u64(t, "connections", e->connections);
    json_u64(t, "idle", idle(e));
    json_u64(t, "in_flight", e->in_flight);
    json_u64(t, "requests", e->requests);
    json_u64(t, "connects", e->connects);
    json_u64(t, "connect_failures", e->connect_failures);
    json_close(t, '}');
}

static void status_service(void *ctx, const struct service_state *s) {
    struct text *t = ctx;
    json_bool(t, "resolved", !s->unresolved);
}

static void status_services(struct text *t, const struct snapshot *s) {
    json_open(t, "services", '[');
    for (uint32_t i = 0; i < s->service_count; i++) {
        const struct service_conf *c = &s->service[i];
        json_open(t, NULL, '{');
        json_str(t, "name", c->name);
        service_walk(c, &(struct service_walk){.service = status_service, .ctx = t});
        json_u64(t, "answers", metrics_service_answers(c));
        json_u64(t, "failures", metrics_service_failures(c));
        json_seconds(t, "p50_seconds", metrics_service_quantile(c, 0.5));
        json_seconds(t, "p99_seconds", metrics_service_quantile(c, 0.99));
        page_gate_status(t, c);
        json_open(t, "endpoints", '[');
        service_walk(c, &(struct service_walk){.endpoint = status_endpoint, .ctx = t});
        json_close(t, ']');
        json_close(t, '}');
    }
    json_close(t, ']');
}

static void status_faults(struct text *t, const struct metrics_totals *v) {
    json_open(t, "faults", '{'); /* those that happened */
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        if (v->fault[i])
            json_u64(t, fault_table[i].code, v->fault[i]);
    json_close(t, '}');
}

static void status_logs(struct text *t, const struct metrics_totals *v) {
    struct log_counts c = log_counts();
    json_open(t, "access_log", '{');
    json_u64(t, "lines", c.lines);
    json_u64(t, "bytes", c.bytes);
    json_u64(t, "dropped", v->value[METRIC_log_dropped]);
    json_u64(t, "lost", c.lost);
    json_close(t, '}');
    json_u64(t, "error_log_dropped", errlog_dropped());
}

void page_status(struct text *t, const struct snapshot *s) {
    const struct metrics_state *m = metrics_state();
    struct metrics_totals totals;
    int64_t up = env.wall_ns() - m->started_at;
    metrics_totals(&totals);
    json_open(t, NULL, '{');
    json_str(t, "version", SPAN(SLUICE_VERSION));
    time_field(t, "started", m->started_at);
    json_u64(t, "uptime_seconds", up > 0 ? (uint64_t)up / 1000000000 : 0);
    json_u64(t, "workers", m->workers);
    status_config(t, s);
    status_counts(t, &totals);
    status_load(t, &totals);
    page_limits_status(t);
    status_listeners(t, s);
    status_services(t, s);
    page_keys_status(t);
    page_state_status(t);
    status_faults(t, &totals);
    status_logs(t, &totals);
    json_close(t, '}');
    text_lit(t, "\n");
}

/* /routes */

static void route_methods(struct text *t, const struct route_match *m) {
    json_open(t, "methods", '[');
    for (unsigned i = METHOD_OTHER + 1; i < METHOD_COUNT; i++)
        if (m->methods >> i & 1)
            json_str(t, NULL, method_name((enum method)i));
    for (uint32_t i = 0; i < m->method_other_count; i++)
        json_str(t, NULL, m->method_other[i]);
    json_close(t, ']');
}

static void route_match_fields(struct text *t, const struct route_match *m) {
    json_open(t, "hosts", '[');
    for (uint32_t i = 0; i < m->host_count; i++)
        json_str(t, NULL, m->host[i]);
    json_close(t, ']');
    json_open(t, "paths", '[');
    for (uint32_t i = 0; i < m->path_count; i++)
        json_str(t, NULL, m->path[i].text);
    json_close(t, ']');
    route_methods(t, m);
}

void page_routes(struct text *t, const struct snapshot *s) {
    json_open(t, NULL, '[');
    for (uint32_t i = 0; i < s->route_count && !t->full; i++) {
        const struct route *r = &s->route[i];
        json_open(t, NULL, '{');
        json_str(t, "name", r->name);
        if (r->match)
            route_match_fields(t, r->match);
        json_str(t, "back", span_z(r->plan.back ? r->plan.back->name : NULL));
        json_open(t, "policies", '[');
        for (unsigned f = 0; f < route_whole(r)->count; f++)
            json_str(t, NULL, span_z(route_whole(r)->filter[f].ops->name));
        json_close(t, ']');
        json_str(t, "file", span_z(r->where.file));
        json_u64(t, "line", r->where.line);
        json_close(t, '}');
    }
    json_close(t, ']');
    text_lit(t, "\n");
}
