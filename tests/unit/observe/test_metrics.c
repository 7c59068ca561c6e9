/* observe/metrics: counts by route and service, over reloads, and their text. */
#include "core/authenticator.h"
#include "observe/metrics.h"
#include "observe/histogram.h"
#include "sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <malloc.h>
#include <pthread.h>

static struct sample s;
static struct thread one, two;
static struct text page;

static int begin(void **state) {
    (void)state;
    metrics_start();
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    two.control = true;
    sample_init(&s);
    metrics_attach(&s.snapshot);
    page = text_new(8 * 1024 * 1024);
    return metrics_thread_init(&one) && metrics_thread_init(&two) ? 0 : -1;
}

static int finish(void **state) {
    (void)state;
    metrics_detach(&s.snapshot);
    metrics_thread_finish(&one);
    metrics_thread_finish(&two);
    sample_finish(&s);
    text_finish(&page);
    return 0;
}

/* The value of a sample; -1: there is no such line. */
static double value(const char *sample) {
    char line[512];
    double v = -1;
    page.n = 0;
    metrics_write(&page, &s.snapshot);
    assert_false(page.full);
    text_put(&page, "", 1);
    snprintf(line, sizeof line, "\n%s ", sample);
    const char *at = strstr(page.p, line);
    if (at)
        assert_int_equal(sscanf(at + strlen(line), "%lf", &v), 1);
    return v;
}

static void buckets(void **state) {
    (void)state;
    assert_int_equal(histogram_bucket(0), 0);
    /* Every edge is the last value of its bucket, one more the first of the next. */
    for (unsigned b = 0; b < HIST_BUCKETS - 1; b++) {
        uint64_t edge = histogram_edge(b);
        assert_int_equal(histogram_bucket(edge), b);
        assert_int_equal(histogram_bucket(edge + 1), b + 1);
        if (b)
            assert_true(edge > histogram_edge(b - 1));
    }
    assert_int_equal(histogram_edge(HIST_BUCKETS - 1), 0);
    assert_int_equal(histogram_bucket(UINT64_MAX), HIST_BUCKETS - 1);
    assert_int_equal(histogram_edge(0), 64000);
    assert_int_equal(histogram_edge(HIST_BUCKETS - 2), 67108864000);
}

static void below_and_quantile(void **state) {
    struct histogram h = {0};
    struct histogram_sum sum = {0};
    (void)state;
    assert_int_equal(histogram_quantile(&sum, 0.5), 0);
    for (uint64_t us = 1; us <= 1024; us++)
        histogram_add(&h, us * 1000);
    histogram_sum(&h, &sum);
    assert_int_equal(sum.count, 1024);
    assert_int_equal(sum.sum_ns, 1024ull * 1025 / 2 * 1000);
    for (unsigned power = HIST_LOW; power <= 10; power++)
        assert_int_equal(histogram_below(&sum, power), 1u << power);
    assert_in_range(histogram_quantile(&sum, 0.5), 511000, 513000);
    assert_in_range(histogram_quantile(&sum, 0.99), 1012000, 1015000);
    assert_int_equal(histogram_quantile(&sum, 1), 1024000);
    histogram_add(&h, UINT64_MAX / 2); /* beyond all edges: the largest that is known */
    histogram_clear(&h);
    sum = (struct histogram_sum){0};
    histogram_sum(&h, &sum);
    assert_int_equal(sum.count + sum.sum_ns, 0);
}

static void requests_are_summed_over_threads(void **state) {
    (void)state;
    s.r.request_body = 10;
    metrics_record(&one, &s.r);
    metrics_record(&two, &s.r);
    s.r.status = 404;
    s.r.fault = FAULT_CONNECT_FAILED;
    s.r.upstream_ns = -1;
    metrics_record(&two, &s.r);
    s.r.status = 0;
    metrics_record(&two, &s.r);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"2xx\"}") == 2);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"4xx\"}") == 1);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"none\"}") == 1);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"5xx\"}") == -1);
    assert_true(value("sluice_request_bytes_total{route=\"products\"}") == 40);
    assert_true(value("sluice_response_bytes_total{route=\"products\"}") == 4096);
    assert_true(value("sluice_request_duration_seconds_count{route=\"products\"}") == 4);
    assert_true(
        value("sluice_request_duration_seconds_bucket{route=\"products\",le=\"0.001024\"}") == 0);
    assert_true(
        value("sluice_request_duration_seconds_bucket{route=\"products\",le=\"0.002048\"}") == 4);
    assert_true(value("sluice_request_duration_seconds_sum{route=\"products\"}") > 0.0049);
    assert_true(value("sluice_upstream_duration_seconds_count{service=\"product\"}") == 2);
    assert_true(value("sluice_faults_total{code=\"connect_failed\",who=\"upstream\"}") == 2);
    assert_true(value("sluice_upstream_failures_total{service=\"product\"}") == 2);
    assert_true(metrics_service_answers(&s.service) == 2);
    assert_true(metrics_service_failures(&s.service) == 2);
    assert_in_range(metrics_service_quantile(&s.service, 0.5), 768000, 1024000);
}

static void without_a_route(void **state) {
    (void)state;
    s.x.route = NULL;
    s.x.service = NULL;
    s.r.fault = FAULT_NO_ROUTE;
    s.r.status = 404;
    s.r.upstream_ns = -1;
    metrics_record(&one, &s.r);
    assert_true(value("sluice_requests_total{route=\"\",class=\"4xx\"}") == 1);
}

/* THREATS.md K17: whatever clients send, the number of series stays. */
static void labels_come_from_the_configuration(void **state) {
    char path[64];
    (void)state;
    value("x");
    size_t lines = 0, after = 0;
    for (int i = 0; i < 10000; i++) {
        s.x.req.target = s.x.req.path = s.x.req.host = s.x.req.method_text =
            span_of(path, (size_t)snprintf(path, sizeof path, "/%d", i));
        s.r.status = 100 + i % 900;
        metrics_record(&one, &s.r);
        if (i == 2000) {
            value("x");
            for (size_t k = 0; k < page.n; k++)
                lines += page.p[k] == '\n';
        }
    }
    value("x");
    for (size_t k = 0; k < page.n; k++)
        after += page.p[k] == '\n';
    assert_int_equal(after, lines);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"none\"}") > 0); /* 999 */
}

static void label_values_are_escaped(void **state) {
    static const struct {
        const char *name, *label;
    } row[] = {
        {"GET /a", "GET /a"}, {"say \"x\"", "say \\\"x\\\""}, {"a\nb", "a\\nb"},
        {"c:\\d", "c:\\\\d"}, {"gr\xc3\xbcn", "gr\xc3\xbcn"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        char sample[128];
        metrics_detach(&s.snapshot);
        s.route.name = span_z(row[i].name);
        metrics_attach(&s.snapshot);
        metrics_record(&one, &s.r);
        snprintf(sample, sizeof sample, "sluice_response_bytes_total{route=\"%s\"}", row[i].label);
        assert_true(value(sample) == 1024);
    }
}

static void counts_last_over_reloads(void **state) {
    struct sample next;
    (void)state;
    sample_init(&next);
    metrics_record(&one, &s.r);
    metrics_attach(&next.snapshot);
    metrics_detach(&s.snapshot);
    metrics_record(&one, &next.r);
    metrics_attach(&s.snapshot); /* back again */
    metrics_detach(&next.snapshot);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"2xx\"}") == 2);
    assert_true(value("sluice_upstream_duration_seconds_count{service=\"product\"}") == 2);
    sample_finish(&next);
}

/* A row that gets another name begins at zero. */
static void a_new_name_begins_at_zero(void **state) {
    (void)state;
    metrics_record(&one, &s.r);
    metrics_record(&two, &s.r);
    metrics_detach(&s.snapshot);
    s.route.name = SPAN("orders");
    s.service.name = SPAN("order");
    metrics_attach(&s.snapshot);
    metrics_record(&two, &s.r);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"2xx\"}") == -1);
    assert_true(value("sluice_requests_total{route=\"orders\",class=\"2xx\"}") == 1);
    assert_true(value("sluice_upstream_duration_seconds_count{service=\"order\"}") == 1);
}

static void memory_stays_flat_over_reloads(void **state) {
    enum { ROUTES = 20 };
    static struct route route[ROUTES];
    static char name[ROUTES][32];
    struct snapshot next = {.route = route, .route_count = ROUTES};
    size_t early = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        for (unsigned k = 0; k < ROUTES; k++) /* two of them change with every reload */
            route[k].name = span_of(
                name[k], (size_t)snprintf(name[k], sizeof name[k], "r%u-%u", k, k < 2 ? i : 0));
        metrics_attach(&next);
        metrics_record(&one, &s.r);
        metrics_detach(&next);
        if (i == 100)
            early = mallinfo2().uordblks;
    }
    if (early) /* sanitizers do not tell */
        assert_in_range(mallinfo2().uordblks, 0, early + early / 50);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"2xx\"}") == 10000);
}

/* What authenticators said, by name; a reload keeps it, and nobody asked is not counted. */
static void authenticators(void **state) {
    static struct authenticator by[2] = {{.name = SPAN("shop")}, {.name = SPAN("partners")}};
    static struct caller caller = {.by = &by[1]};
    (void)state;
    metrics_detach(&s.snapshot);
    s.snapshot.authenticator = by;
    s.snapshot.authenticator_count = 2;
    metrics_attach(&s.snapshot);
    metrics_record(&one, &s.r);
    s.x.asked = &by[1];
    s.x.caller = &caller;
    metrics_record(&one, &s.r);
    s.x.caller = NULL;
    s.x.auth_waited = true;
    s.x.auth_fault = FAULT_INVALID_CREDENTIALS;
    metrics_record(&one, &s.r);
    metrics_record(&one, &s.r);
    s.x.auth_fault = FAULT_NONE;
    s.x.auth_waited = false;
    s.x.asked = NULL;
    /* The next configuration stands before the last one goes. */
    static struct authenticator later[2] = {{.name = SPAN("shop")}, {.name = SPAN("partners")}};
    struct snapshot next = {.authenticator = later, .authenticator_count = 2};
    metrics_attach(&next);
    metrics_detach(&s.snapshot);
    metrics_attach(&s.snapshot);
    metrics_detach(&next);
#define RESULT(name, result)                                                                       \
    value("sluice_authentications_total{authenticator=\"" name "\",result=\"" result "\"}")
    assert_true(RESULT("partners", "accepted") == 1);
    assert_true(RESULT("partners", "invalid_credentials") == 2);
    assert_true(RESULT("shop", "accepted") == 0);
    assert_true(value("sluice_authentication_waits_total{authenticator=\"partners\"}") == 2);
    metrics_detach(&s.snapshot);
    s.snapshot.authenticator_count = 0;
    metrics_attach(&s.snapshot);
}

/* More routes than rows: the surplus shares one, and the page stays below its bounds. */
static void more_names_than_rows(void **state) {
    enum { ROUTES = METRIC_ROUTES + 100, SERVICES = METRIC_SERVICES + 50 };
    static struct route route[ROUTES];
    static struct service_conf service[SERVICES];
    static char name[ROUTES][64], service_name[SERVICES][64];
    (void)state;
    metrics_detach(&s.snapshot);
    s.snapshot.route = route;
    s.snapshot.route_count = ROUTES;
    s.snapshot.service = service;
    s.snapshot.service_count = SERVICES;
    for (unsigned i = 0; i < ROUTES; i++)
        route[i].name = span_of(name[i], (size_t)snprintf(name[i], 64, "GET /a/long/path/%u", i));
    for (unsigned i = 0; i < SERVICES; i++)
        service[i].name =
            span_of(service_name[i], (size_t)snprintf(service_name[i], 64, "service-%u", i));
    metrics_attach(&s.snapshot);
    for (unsigned i = 0; i < ROUTES; i++) {
        s.x.route = &route[i];
        s.x.service = &service[i % SERVICES];
        for (int class = 0; class < 6; class ++) {
            s.r.status = class * 100;
            metrics_record(&one, &s.r);
        }
    }
    assert_true(value("sluice_response_bytes_total{route=\"(other)\"}") == 100 * 6 * 1024);
    assert_true(value("sluice_response_bytes_total{route=\"GET /a/long/path/479\"}") == 6 * 1024);
    assert_true(value("sluice_upstream_duration_seconds_count{service=\"(other)\"}") > 0);
    unsigned series = 0;
    for (const char *p = page.p; (p = strchr(p, '\n')); p++)
        series += p[1] && p[1] != '#';
    assert_in_range(series, METRIC_ROUTES * 30, METRIC_SERIES_MAX);
    assert_true(page.n < 5 * 1024 * 1024);
    metrics_detach(&s.snapshot);
    s.snapshot.route_count = s.snapshot.service_count = 0;
}

static void counters_and_conservation(void **state) {
    struct metrics_totals t;
    (void)state;
    for (int i = 0; i < 10; i++)
        count_up(&one, exchanges_accepted);
    for (int i = 0; i < 5; i++)
        count_up(&one, exchanges_completed);
    count_up(&one, exchanges_aborted);
    count_up(&two, exchanges_rejected);
    count_up(&two, exchanges_accepted);
    count_up(&two, client_connections_refused_address);
    atomic_store(&one.exchange_count, 4);
    metrics_totals(&t);
    assert_int_equal(t.value[METRIC_exchanges_accepted], 11);
    assert_int_equal(t.value[METRIC_exchanges_accepted],
                     t.value[METRIC_exchanges_completed] + t.value[METRIC_exchanges_aborted] +
                         t.value[METRIC_exchanges_rejected] + t.in_flight);
    assert_true(value("sluice_exchanges_accepted_total") == 11);
    assert_true(value("sluice_exchanges_in_flight") == 4);
    assert_true(value("sluice_client_connections_refused_total{reason=\"address\"}") == 1);
    assert_true(value("sluice_client_connections_refused_total{reason=\"total\"}") == 0);
    assert_true(value("sluice_workers") == 1);
}

static void reloads(void **state) {
    char longer[400];
    (void)state;
    assert_true(value("sluice_config_last_reload_timestamp_seconds") == 0);
    metrics_reload(true, "");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    metrics_reload(false, longer);
    assert_int_equal(strlen(metrics_state()->reload_text), 255);
    metrics_reload(false, "first line\nsecond");
    assert_string_equal(metrics_state()->reload_text, "first line");
    assert_true(value("sluice_config_reloads_total{result=\"ok\"}") == 1);
    assert_true(value("sluice_config_reloads_total{result=\"failed\"}") == 2);
    assert_true(value("sluice_config_last_reload_success") == 0);
    assert_true(value("sluice_config_last_reload_timestamp_seconds") > 1e9);
    assert_true(value("sluice_config_generation") == 7);
}

static void process(void **state) {
    (void)state;
    assert_true(value("sluice_process_resident_memory_bytes") > 100000);
    assert_true(value("sluice_process_open_fds") >= 3);
    assert_true(value("sluice_process_max_fds") >= 10);
    assert_true(value("sluice_process_cpu_seconds_total") > 0);
    assert_true(value("sluice_process_start_time_seconds") > 1e9);
    assert_true(value("sluice_build_info{version=\"" SLUICE_VERSION "\"}") == 1);
}

static void text_values(void **state) {
    static const struct {
        uint64_t ns;
        const char *text;
    } row[] = {{0, "0"},
               {1, "0.000000001"},
               {1500000000, "1.5"},
               {1000000000, "1"},
               {1700000000123456789, "1700000000.123456789"}};
    struct text t = text_new(100);
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        t.n = 0;
        text_seconds(&t, row[i].ns);
        assert_int_equal(t.n, strlen(row[i].text));
        assert_memory_equal(t.p, row[i].text, t.n);
    }
    t.n = 0;
    for (int i = 0; i < 30; i++)
        text_lit(&t, "1234");
    assert_true(t.full && t.n == 100);
    text_finish(&t);
    t = text_new(200);
    json_open(&t, NULL, '{');
    json_open(&t, "a", '[');
    json_u64(&t, NULL, 1);
    json_str(&t, NULL, SPAN("x\"\n"));
    json_str(&t, NULL, SPAN_NONE);
    json_close(&t, ']');
    json_bool(&t, "b", false);
    json_seconds(&t, "c", 1500000);
    json_close(&t, '}');
    assert_true(
        span_eq(span_of(t.p, t.n), SPAN("{\"a\":[1,\"x\\\"\\n\",null],\"b\":false,\"c\":0.0015}")));
    text_finish(&t);
}

/* One thread counts while another reads: the sanitizer looks on. */
static atomic_bool stop;
static void *reader(void *unused) {
    struct metrics_totals t;
    while (!atomic_load(&stop)) {
        metrics_totals(&t);
        metrics_service_quantile(&s.service, 0.9);
    }
    return unused;
}

static void counting_while_somebody_reads(void **state) {
    pthread_t t;
    (void)state;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&t, NULL, reader, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        count_up(&one, exchanges_accepted);
        metrics_record(&one, &s.r);
    }
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    assert_true(value("sluice_requests_total{route=\"products\",class=\"2xx\"}") == 20000);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),
        cmocka_unit_test(below_and_quantile),
        T(requests_are_summed_over_threads),
        T(without_a_route),
        T(labels_come_from_the_configuration),
        T(label_values_are_escaped),
        T(counts_last_over_reloads),
        T(a_new_name_begins_at_zero),
        T(memory_stays_flat_over_reloads),
        T(authenticators),
        T(more_names_than_rows),
        T(counters_and_conservation),
        T(reloads),
        T(process),
        cmocka_unit_test(text_values),
        T(counting_while_somebody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
