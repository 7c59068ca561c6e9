#include "admin/pages.h"
#include "base/log.h"
#include "core/pressure.h"
#include "core/snapshot.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/service.h"

/* /status for people: what `sluice status` prints. */

static void number(struct text *t, uint64_t v, const char *behind) {
    text_u64(t, v);
    text_z(t, behind);
}

/* Names of the configuration on a terminal: control bytes are escaped. */
static void name(struct text *t, struct span v) {
    text_json(t, v);
}

static void uptime(struct text *t, uint64_t seconds) {
    static const struct {
        uint64_t seconds;
        const char *unit;
    } unit[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    unsigned told = 0;
    for (unsigned i = 0; i < array_len(unit) && told < 2; i++) {
        uint64_t n = seconds / unit[i].seconds;
        seconds %= unit[i].seconds;
        if (!n && !(told == 0 && i == array_len(unit) - 1))
            continue;
        text_z(t, told++ ? " " : "");
        number(t, n, " ");
        text_z(t, unit[i].unit);
    }
}

static void time_of(struct text *t, int64_t wall_ns) {
    char text[TIME_TEXT];
    time_text(wall_ns, text);
    text_put(t, text, TIME_TEXT);
}

static void config(struct text *t, const struct snapshot *s) {
    const struct metrics_state *m = metrics_state();
    text_lit(t, "configuration  number ");
    number(t, s->generation, ": ");
    for (uint32_t i = 0; i < s->file_count && i < 4; i++) {
        text_z(t, i ? ", " : "");
        name(t, s->file[i]);
    }
    text_z(t, s->file_count > 4 ? ", ...; " : "; ");
    number(t, s->route_count, " routes, ");
    number(t, s->service_count, s->service_count == 1 ? " service\n" : " services\n");
    text_lit(t, "reloads        ");
    number(t, m->reloads_ok, " taken over, ");
    number(t, m->reloads_failed, " refused");
    if (m->reloaded_at) {
        text_z(t, m->reload_ok ? "; the last at " : "; the last was refused at ");
        time_of(t, m->reloaded_at);
    }
    if (m->reload_text[0]) {
        text_lit(t, ": ");
        name(t, span_z(m->reload_text));
    }
    text_lit(t, "\n");
}

static void listeners(struct text *t, const struct snapshot *s) {
    for (uint32_t i = 0; i < s->listener_count; i++) {
        text_z(t, i ? "               " : "listeners      ");
        name(t, s->listener[i].name);
        text_lit(t, " ");
        name(t, s->listener[i].scheme);
        text_lit(t, "://");
        name(t, s->listener[i].address_text);
        text_lit(t, "\n");
    }
}

static void counts(struct text *t, const struct metrics_totals *v) {
    const uint64_t *n = v->value;
    text_lit(t, "connections    ");
    number(t, n[METRIC_client_connections_accepted] - n[METRIC_client_connections_closed],
           " open, ");
    number(t, n[METRIC_client_connections_accepted], " accepted, ");
    number(t,
           n[METRIC_client_connections_refused_total] +
               n[METRIC_client_connections_refused_address],
           " refused\n");
    text_lit(t, "requests       ");
    number(t, n[METRIC_exchanges_accepted], " accepted: ");
    number(t, n[METRIC_exchanges_completed], " completed, ");
    number(t, n[METRIC_exchanges_aborted], " aborted, ");
    number(t, n[METRIC_exchanges_rejected], " rejected, ");
    number(t, v->in_flight, " in flight\n");
}

/* Milliseconds with two digits behind the point. */
static void milliseconds(struct text *t, uint64_t ns) {
    char buf[32];
    struct str s = str_on(buf, sizeof buf);
    str_fmt(&s, "%llu.%02llu ms", (unsigned long long)(ns / 1000000),
            (unsigned long long)(ns / 10000 % 100));
    text_add(t, str_span(&s));
}

static void load(struct text *t, const struct metrics_totals *v) {
    struct pressure_figures p = pressure_figures();
    struct loop_figures l = overload_loops();
    const uint64_t *n = v->value;
    text_lit(t, "load           ");
    number(t, p.used >> 20, " MiB of ");
    number(t, p.budget >> 20, " MiB in use (level ");
    text_z(t, overload_level_name(p.level));
    text_lit(t, "), loop delay ");
    milliseconds(t, l.delay_ns);
    if (l.cutting) {
        text_lit(t, ", ");
        number(t, l.cutting, l.cutting == 1 ? " worker refuses" : " workers refuse");
    }
    text_lit(t, "; ");
    number(t, n[METRIC_requests_shed_loop_delay] + n[METRIC_requests_shed_memory], " refused, ");
    number(t, n[METRIC_requests_ended_memory], " ended\n");
}

static void faults(struct text *t, const struct metrics_totals *v) {
    bool any = false;
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (!v->fault[i])
            continue;
        text_z(t, any ? ", " : "failures       ");
        any = true;
        number(t, v->fault[i], " ");
        text_z(t, fault_table[i].code);
    }
    text_z(t, any ? "\n" : "");
}

static void logs(struct text *t, const struct metrics_totals *v) {
    struct log_counts c = log_counts();
    text_lit(t, "access log     ");
    number(t, c.lines, " lines, ");
    number(t, v->value[METRIC_log_dropped], " dropped, ");
    number(t, c.lost, " lost\n");
}

static void unresolved(void *ctx, const struct service_state *s) {
    if (s->unresolved)
        text_lit(ctx, ", a name without address");
}

static void endpoint(void *ctx, const struct endpoint_state *e) {
    struct text *t = ctx;
    text_lit(t, "    ");
    name(t, e->text);
    if (!e->address.len)
        text_lit(t, " (no address known)");
    text_lit(t, ": ");
    number(t, e->connections, " connections, ");
    number(t, e->in_flight, " requests in flight, ");
    number(t, e->requests, " sent; ");
    number(t, e->connects, " connects, ");
    number(t, e->connect_failures, " failed\n");
}

static void services(struct text *t, const struct snapshot *s) {
    for (uint32_t i = 0; i < s->service_count; i++) {
        const struct service_conf *c = &s->service[i];
        text_lit(t, "\n  service ");
        name(t, c->name);
        text_lit(t, ": ");
        number(t, metrics_service_failures(c), " failures, ");
        number(t, metrics_service_answers(c), " answers, half within ");
        milliseconds(t, metrics_service_quantile(c, 0.5));
        text_lit(t, ", 99 % within ");
        milliseconds(t, metrics_service_quantile(c, 0.99));
        service_walk(c, &(struct service_walk){.service = unresolved, .ctx = t});
        text_lit(t, "\n");
        page_gate_text(t, c);
        service_walk(c, &(struct service_walk){.endpoint = endpoint, .ctx = t});
    }
}

void page_status_text(struct text *t, const struct snapshot *s) {
    const struct metrics_state *m = metrics_state();
    struct metrics_totals totals;
    int64_t up = env.wall_ns() - m->started_at;
    metrics_totals(&totals);
    text_lit(t, "sluice " SLUICE_VERSION ", up ");
    uptime(t, up > 0 ? (uint64_t)up / 1000000000 : 0);
    text_lit(t, ", ");
    number(t, m->workers, m->workers == 1 ? " worker\n" : " workers\n");
    config(t, s);
    listeners(t, s);
    counts(t, &totals);
    load(t, &totals);
    page_limits_text(t);
    faults(t, &totals);
    logs(t, &totals);
    services(t, s);
    page_keys_text(t);
    page_state_text(t);
}
