#include "observe/errlog.h"
#include "observe/log.h"
#include "observe/metrics_cells.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The text format, version 0.0.4. */

void metric_family(struct text *out, const char *name, const char *type, const char *help) {
    text_lit(out, "# HELP ");
    text_z(out, name);
    text_lit(out, " ");
    text_z(out, help);
    text_lit(out, "\n# TYPE ");
    text_z(out, name);
    text_lit(out, " ");
    text_z(out, type);
    text_lit(out, "\n");
}

static void label_value(struct text *out, struct span v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\n')
            text_lit(out, "\\n");
        else if (v.p[i] == '"' || v.p[i] == '\\')
            text_put(out, (char[]){'\\', v.p[i]}, 2);
        else
            text_put(out, &v.p[i], 1);
    }
}

static void sample(struct text *out, const char *name, const struct metric_label *label,
                   unsigned labels) {
    text_z(out, name);
    for (unsigned i = 0; i < labels; i++) {
        text_z(out, i ? "," : "{");
        text_z(out, label[i].name);
        text_lit(out, "=\"");
        label_value(out, label[i].value);
        text_lit(out, "\"");
    }
    text_z(out, labels ? "} " : " ");
}

void metric_u64(struct text *out, const char *name, const struct metric_label *label,
                unsigned labels, uint64_t value) {
    sample(out, name, label, labels);
    text_u64(out, value);
    text_lit(out, "\n");
}

void metric_seconds(struct text *out, const char *name, const struct metric_label *label,
                    unsigned labels, uint64_t ns) {
    sample(out, name, label, labels);
    text_seconds(out, ns);
    text_lit(out, "\n");
}

static void one(struct text *out, const char *name, const char *type, const char *help,
                uint64_t value) {
    metric_family(out, name, type, help);
    metric_u64(out, name, NULL, 0, value);
}

static void one_seconds(struct text *out, const char *name, const char *type, const char *help,
                        uint64_t ns) {
    metric_family(out, name, type, help);
    metric_seconds(out, name, NULL, 0, ns);
}

/* Counters: the name's end becomes a label where several count one thing. */

static const struct group {
    const char *prefix, *metric, *label, *help; /* help: of them all */
} groups[] = {
    {"client_connections_refused_", "client_connections_refused", "reason",
     "Client connections refused, by the limit that was reached"},
    {"requests_shed_", "requests_shed", "reason",
     "Requests refused because the gateway was overloaded"},
    {"client_tls_handshakes_by_", "client_tls_handshakes", "version",
     "TLS handshakes with clients"},
    {"client_tls_failed_", "client_tls_failed", "reason",
     "TLS handshakes with clients that failed"},
};

static const struct group *group_of(const char *name) {
    for (size_t i = 0; i < array_len(groups); i++)
        if (strncmp(name, groups[i].prefix, strlen(groups[i].prefix)) == 0)
            return &groups[i];
    return NULL;
}

/* *group: of the counter before, as those of a group stand together. */
static void write_counter(struct text *out, const char *name, const char *help, uint64_t value,
                          const struct group **group) {
    const struct group *g = group_of(name), *before = *group;
    char full[128];
    struct str s = str_on(full, sizeof full);
    str_fmt(&s, "sluice_%s_total", g ? g->metric : name);
    str_put(&s, "", 1);
    *group = g;
    if (!g) {
        one(out, full, "counter", help, value);
        return;
    }
    if (g != before)
        metric_family(out, full, "counter", g->help);
    struct span of = span_z(name + strlen(g->prefix));
    metric_u64(out, full, &(struct metric_label){g->label, of}, 1, value);
}

static void write_counters(struct text *out, const struct metrics_totals *t) {
    const struct group *group = NULL;
#define C(name, help) write_counter(out, #name, help, t->value[METRIC_##name], &group);
    COUNTER_LIST(C)
#undef C
    one(out, "sluice_exchanges_in_flight", "gauge",
        "Requests under way: accepted = completed + aborted + rejected + in flight", t->in_flight);
    one(out, "sluice_client_connections_open", "gauge", "Client connections that are open",
        t->value[METRIC_client_connections_accepted] - t->value[METRIC_client_connections_closed]);
    one(out, "sluice_upstream_connections_open", "gauge", "Connections to services that are open",
        t->value[METRIC_upstream_connections_opened] -
            t->value[METRIC_upstream_connections_closed]);
}

static void write_faults(struct text *out, const struct metrics_totals *t) {
    static const char name[] = "sluice_faults_total";
    metric_family(
        out, name, "counter",
        "Requests that were refused, failed or broke off, by cause (see the error codes)");
    for (unsigned i = FAULT_NONE + 1; i < FAULT_COUNT; i++) {
        const struct fault_info *f = &fault_table[i];
        struct metric_label label[] = {{"code", span_z(f->code)},
                                       {"who", span_z(fault_who_name(f->who))}};
        metric_u64(out, name, label, 2, t->fault[i]);
    }
}

/* Routes and services */

struct route_sum {
    uint64_t answered[CLASSES], request_bytes, response_bytes;
    struct histogram_sum duration;
};
struct pick {
    unsigned row;
    void *sum;
};

static uint64_t load(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add_route(const struct metrics_local *l, void *ctx) {
    struct pick *p = ctx;
    struct route_sum *sum = p->sum;
    const struct route_cell *c = &l->route[p->row];
    for (unsigned i = 0; i < CLASSES; i++)
        sum->answered[i] += load(&c->answered[i]);
    sum->request_bytes += load(&c->request_bytes);
    sum->response_bytes += load(&c->response_bytes);
    histogram_sum(&c->duration, &sum->duration);
}

struct service_sum {
    uint64_t failed;
    struct histogram_sum answer;
};

static void add_service(const struct metrics_local *l, void *ctx) {
    struct pick *p = ctx;
    struct service_sum *sum = p->sum;
    sum->failed += load(&l->service[p->row].failed);
    histogram_sum(&l->service[p->row].answer, &sum->answer);
}

static struct route_sum route_sum_of(unsigned row) {
    struct route_sum sum = {0};
    metrics_each(add_route, &(struct pick){row, &sum});
    return sum;
}
static struct service_sum service_sum_of(unsigned row) {
    struct service_sum sum = {0};
    metrics_each(add_service, &(struct pick){row, &sum});
    return sum;
}

uint64_t metrics_service_quantile(const struct service_conf *s, double q) {
    struct service_sum sum = service_sum_of(metrics_service_row(s));
    return histogram_quantile(&sum.answer, q);
}
uint64_t metrics_service_answers(const struct service_conf *s) {
    return service_sum_of(metrics_service_row(s)).answer.count;
}
uint64_t metrics_service_failures(const struct service_conf *s) {
    return service_sum_of(metrics_service_row(s)).failed;
}

static void write_histogram(struct text *out, const char *name, struct metric_label by,
                            const struct histogram_sum *h) {
    char full[96], le[32];
    struct str s = str_on(full, sizeof full);
    struct metric_label label[] = {by, {"le", SPAN_NONE}};
    str_fmt(&s, "%s_bucket%c", name, 0);
    for (unsigned power = HIST_LOW; power < HIST_HIGH; power++) {
        struct str edge = str_on(le, sizeof le);
        str_fmt(&edge, "%u.%06u", (1u << power) / 1000000, (1u << power) % 1000000);
        label[1].value = str_span(&edge);
        metric_u64(out, full, label, 2, histogram_below(h, power));
    }
    label[1].value = SPAN("+Inf");
    metric_u64(out, full, label, 2, h->count);
    s.n = 0;
    str_fmt(&s, "%s_sum%c", name, 0);
    metric_seconds(out, full, &by, 1, h->sum_ns);
    s.n = 0;
    str_fmt(&s, "%s_count%c", name, 0);
    metric_u64(out, full, &by, 1, h->count);
}

/* Calls for each route that has a row with requests, the shared rows first; one that was never
 * asked for takes no series. */
struct route_visit {
    struct text *out;
    void (*write)(struct text *out, struct metric_label route, const struct route_sum *sum);
};

static void visit_route(const struct route_visit *v, unsigned row, struct span name) {
    struct route_sum sum = route_sum_of(row);
    if (sum.duration.count)
        v->write(v->out, (struct metric_label){"route", name}, &sum);
}

static void visit_routes(const struct route_visit *v, const struct snapshot *s) {
    visit_route(v, ROW_NONE, SPAN(""));
    visit_route(v, ROW_OTHER, SPAN("(other)"));
    for (uint32_t i = 0; i < s->route_count; i++) {
        unsigned row = metrics_route_row(&s->route[i]);
        if (row >= ROW_NAMES)
            visit_route(v, row, s->route[i].name);
    }
}

static void write_answered(struct text *out, struct metric_label route,
                           const struct route_sum *sum) {
    static const char *const class[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (unsigned i = 0; i < CLASSES; i++) {
        struct metric_label label[] = {route, {"class", span_z(class[i])}};
        if (sum->answered[i])
            metric_u64(out, "sluice_requests_total", label, 2, sum->answered[i]);
    }
}
static void write_request_bytes(struct text *out, struct metric_label route,
                                const struct route_sum *sum) {
    metric_u64(out, "sluice_request_bytes_total", &route, 1, sum->request_bytes);
}
static void write_response_bytes(struct text *out, struct metric_label route,
                                 const struct route_sum *sum) {
    metric_u64(out, "sluice_response_bytes_total", &route, 1, sum->response_bytes);
}
static void write_duration(struct text *out, struct metric_label route,
                           const struct route_sum *sum) {
    write_histogram(out, "sluice_request_duration_seconds", route, &sum->duration);
}

static void write_routes(struct text *out, const struct snapshot *s) {
    metric_family(out, "sluice_requests_total", "counter",
                  "Requests by route (empty: none matched) and class of the status sent");
    visit_routes(&(struct route_visit){out, write_answered}, s);
    metric_family(out, "sluice_request_bytes_total", "counter", "Bytes of request bodies by route");
    visit_routes(&(struct route_visit){out, write_request_bytes}, s);
    metric_family(out, "sluice_response_bytes_total", "counter",
                  "Bytes of response bodies by route");
    visit_routes(&(struct route_visit){out, write_response_bytes}, s);
    metric_family(out, "sluice_request_duration_seconds", "histogram",
                  "Time from a request's first byte to the end of its answer, by route");
    visit_routes(&(struct route_visit){out, write_duration}, s);
}

/* The same for services. */
struct service_visit {
    struct text *out;
    void (*write)(struct text *out, struct metric_label service, const struct service_sum *sum);
};

static void visit_service(const struct service_visit *v, unsigned row, struct span name) {
    struct service_sum sum = service_sum_of(row);
    if (sum.answer.count || sum.failed)
        v->write(v->out, (struct metric_label){"service", name}, &sum);
}

static void visit_services(const struct service_visit *v, const struct snapshot *s) {
    visit_service(v, ROW_OTHER, SPAN("(other)"));
    for (uint32_t i = 0; i < s->service_count; i++) {
        unsigned row = metrics_service_row(&s->service[i]);
        if (row >= ROW_NAMES)
            visit_service(v, row, s->service[i].name);
    }
}

static void write_answer_time(struct text *out, struct metric_label service,
                              const struct service_sum *sum) {
    write_histogram(out, "sluice_upstream_duration_seconds", service, &sum->answer);
}
static void write_failed(struct text *out, struct metric_label service,
                         const struct service_sum *sum) {
    metric_u64(out, "sluice_upstream_failures_total", &service, 1, sum->failed);
}

static void write_services(struct text *out, const struct snapshot *s) {
    metric_family(out, "sluice_upstream_failures_total", "counter",
                  "Requests that a service failed: no connection, no answer, a broken one");
    visit_services(&(struct service_visit){out, write_failed}, s);
    metric_family(out, "sluice_upstream_duration_seconds", "histogram",
                  "Time until the head of a service's answer, by service");
    visit_services(&(struct service_visit){out, write_answer_time}, s);
}

/* Logs, configuration, process */

static void write_logs(struct text *out) {
    struct log_counts c = log_counts();
    one(out, "sluice_access_log_lines_total", "counter", "Lines taken by the access log's writer",
        c.lines);
    one(out, "sluice_access_log_bytes_total", "counter", "Bytes written to access logs", c.bytes);
    one(out, "sluice_access_log_lost_total", "counter",
        "Access log lines lost because a file could not be written", c.lost);
    one(out, "sluice_access_log_failures_total", "counter",
        "Failed attempts to open or write an access log", c.failures);
    one(out, "sluice_error_log_dropped_total", "counter",
        "Error log lines dropped because standard error was behind", errlog_dropped());
    one(out, "sluice_error_log_suppressed_total", "counter",
        "Error log lines held back because the same event came too often", log_events_suppressed());
}

static void write_config(struct text *out, const struct snapshot *s) {
    static const char reloads[] = "sluice_config_reloads_total";
    const struct metrics_state *m = metrics_state();
    one(out, "sluice_config_generation", "gauge", "Number of the configuration in force",
        s->generation);
    metric_family(out, reloads, "counter", "Reloads of the configuration, by result");
    metric_u64(out, reloads, &(struct metric_label){"result", SPAN("ok")}, 1, m->reloads_ok);
    metric_u64(out, reloads, &(struct metric_label){"result", SPAN("failed")}, 1,
               m->reloads_failed);
    one(out, "sluice_config_last_reload_success", "gauge", "1 if the last reload was taken over",
        m->reload_ok);
    one_seconds(out, "sluice_config_last_reload_timestamp_seconds", "gauge",
                "When the last reload ended, since the epoch; 0: never", (uint64_t)m->reloaded_at);
    metric_family(out, "sluice_build_info", "gauge", "Always 1; the version as a label");
    metric_u64(out, "sluice_build_info", &(struct metric_label){"version", SPAN(SLUICE_VERSION)}, 1,
               1);
    one(out, "sluice_workers", "gauge", "Worker threads", m->workers);
}

/* The second number of /proc/self/statm: pages in memory. */
static uint64_t resident(void) {
    char buf[128];
    uint64_t pages = 0;
    int fd = env.open("/proc/self/statm", O_RDONLY, 0);
    if (fd < 0)
        return 0;
    ssize_t n = env.read(fd, buf, sizeof buf);
    env.close(fd);
    struct span rest = span_of(buf, n > 0 ? (size_t)n : 0);
    span_split(&rest, ' ');
    if (!parse_dec(span_split(&rest, ' '), UINT64_MAX >> 20, &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t descriptors(void) {
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static uint64_t cpu_ns(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000 +
           ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000;
}

static void write_process(struct text *out) {
    struct rlimit files;
    one_seconds(out, "sluice_process_start_time_seconds", "gauge",
                "When the process started, since the epoch", (uint64_t)metrics_state()->started_at);
    one_seconds(out, "sluice_process_cpu_seconds_total", "counter",
                "Processor time used, user and system", cpu_ns());
    one(out, "sluice_process_resident_memory_bytes", "gauge", "Memory in use", resident());
    one(out, "sluice_process_open_fds", "gauge", "Open file descriptors", descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        one(out, "sluice_process_max_fds", "gauge", "Most file descriptors that may be open",
            (uint64_t)files.rlim_cur);
}

void metrics_write(struct text *out, const struct snapshot *s) {
    struct metrics_totals t;
    metrics_totals(&t);
    write_config(out, s);
    write_counters(out, &t);
    write_faults(out, &t);
    write_routes(out, s);
    write_services(out, s);
    metrics_authenticators(out, s);
    metrics_certificates(out, s);
    metrics_overload(out);
    write_logs(out);
    write_process(out);
}

/* Each with its most series, so that together they stay below the promise: requests by class,
 * bytes, a histogram; endpoints with eight (admin); 300 for everything else. */
enum { HIST_SERIES = HIST_HIGH - HIST_LOW + 3 };
_Static_assert((METRIC_ROUTES + 2) * (CLASSES + 2 + HIST_SERIES) +
                       (METRIC_SERVICES + 2) * (1 + HIST_SERIES) + METRIC_ENDPOINTS * 8 +
                       (METRIC_AUTHENTICATORS + 1) * (AUTH_FAULTS + 2) + METRIC_CERTIFICATES * 2 +
                       300 <=
                   METRIC_SERIES_MAX,
               "the number of series is bounded");
