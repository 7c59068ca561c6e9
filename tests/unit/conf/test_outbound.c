#include "../tls/certs.h"
#include "back/canned.h"
#include "back/proxy.h"
#include "conf/conf.h"
#include "core/outbound.h"
#include "core/schema.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* URLs of the configuration: what they become, and what is said about them. A policy of the test
 * owns them. */

struct asking {
    const struct outbound *url, *keys, *issuer;
};
static const struct schema_field fields[] = {
    {.key = "url", .type = &schema_url, .doc = "a", .offset = offsetof(struct asking, url)},
    {.key = "keys",
     .type = &schema_url_or_file,
     .doc = "b",
     .offset = offsetof(struct asking, keys)},
    {.key = "issuer",
     .type = &schema_issuer,
     .doc = "c",
     .offset = offsetof(struct asking, issuer)},
};
static const struct schema_object form = {
    .name = "rewrite", SCHEMA_OBJECT_OF(fields), .doc = "A policy of the test."};
static struct asking seen;

static const char *finish(struct arena *a, void *conf) {
    (void)a;
    seen = *(struct asking *)conf;
    if (seen.keys)
        outbound_unused(seen.issuer);
    return NULL;
}

static const struct filter_ops ops = {
    .name = "rewrite", .phase = PHASE_SHAPE, .step_size = sizeof(struct step)};
static const struct policy policy = {
    .name = "rewrite", .form = &form, .ops = &ops, .size = sizeof(struct asking), .finish = finish};
static const struct policy *const policies[] = {&policy};
static const struct back_ops *const backs[] = {&proxy_back, &canned_respond};
static const struct conf_registry registry = {
    .policy = policies, .policies = 1, .back = backs, .backs = 2};

static struct diag_list diags;

static struct snapshot *load(const char *asks, const char *more) {
    const char *name = certs_path("a.yaml");
    char text[1000];
    int n = snprintf(text, sizeof text,
                     "version: 1\nlisteners: {a: 127.0.0.1:1}\n%s\n"
                     "services: {id: {endpoints: [10.0.0.9:70], host: id.test}, un: 'unix:/x', "
                     "ip: 10.0.0.8:80}\n"
                     "routes: [{match: {path: /}, respond: ok, rewrite: {%s}}]\n",
                     more, asks);
    certs_write(name, text, (size_t)n, 0644);
    struct conf_options o = {.file = &name, .files = 1, .warnings = true, .registry = &registry};
    memset(&seen, 0, sizeof seen);
    diag_init(&diags, true);
    return conf_load(&o, &diags);
}

static void done(struct snapshot *s) {
    snapshot_unref_atomic(s);
    diag_finish(&diags);
}

static unsigned said(const char *code) {
    unsigned n = 0;
    for (unsigned i = 0; i < diags.count; i++)
        n += strcmp(diags.diag[i]->info->code, code) == 0;
    return n;
}

static void is(struct span got, const char *wanted) {
    if (!span_eq(got, span_z(wanted)))
        fail_msg("got \"%.*s\", wanted \"%s\"", SPAN_ARG(got), wanted);
}

static void services(void **state) {
    (void)state;
    static const struct {
        const char *asks, *service, *host, *path;
        bool tls, guarded;
    } rows[] = {
        {"url: 'https://a.example/k'", "https://a.example", "a.example", "/k", 1, 1},
        {"url: {url: 'https://a.example:99'}", "https://a.example:99", "a.example:99", "/", 1, 1},
        {"url: 'http://127.0.0.1:9/x?y'", "http://127.0.0.1:9", "127.0.0.1:9", "/x?y", 0, 0},
        {"url: {service: id, path: '/k?v=1'}", "id", "id.test", "/k?v=1", 0, 0},
        {"url: {service: ip}", "ip", "10.0.0.8:80", "/", 0, 0},
        {"url: {service: un}", "un", "localhost", "/", 0, 0},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct snapshot *s = load(rows[i].asks, "");
        for (unsigned k = 0; !s && k < diags.count; k++)
            print_message("# %s\n", diags.diag[k]->message);
        assert_non_null(s);
        const struct outbound *o = seen.url;
        assert_non_null(o);
        is(o->service->name, rows[i].service);
        is(o->host, rows[i].host);
        is(o->path, rows[i].path);
        assert_int_equal(o->service->tls != NULL, rows[i].tls);
        assert_int_equal(o->service->guarded, rows[i].guarded);
        assert_ptr_equal(&s->service[o->service->index], o->service);
        assert_true(o->plan.back == &proxy_back && o->forward.target->service == o->service);
        assert_true(o->service->max_pending && o->service->connect_timeout_ms);
        assert_int_equal(o->where.line, 5);
        done(s);
    }
}

/* One service for each origin; none for what nobody needs. */
static void shared(void **state) {
    (void)state;
    struct snapshot *s = load("url: 'https://a.example/x', issuer: 'https://A.example:443/realm/'",
                              "outbound: {allow_private: [10.0.0.0/8, '::1']}");
    assert_non_null(s);
    assert_int_equal(s->service_count, 4);
    assert_ptr_equal(seen.url->service, seen.issuer->service);
    is(seen.issuer->url, "https://A.example:443/realm/");
    is(seen.issuer->path, "/realm/.well-known/openid-configuration");
    assert_int_equal(seen.url->service->allowed_count, 2);
    done(s);

    s = load("issuer: 'https://a.example', keys: 'file:k/x.json'", "");
    assert_non_null(s);
    assert_int_equal(s->service_count, 3);
    assert_null(seen.issuer->service);
    assert_true(span_ends(seen.keys->file, SPAN("/k/x.json")) && !seen.keys->service);
    assert_int_equal(said("W0119"), 0);
    done(s);

    s = load("issuer: 'somebody'", "");
    assert_non_null(s);
    is(seen.issuer->url, "somebody");
    assert_int_equal(seen.issuer->host.n, 0);
    assert_int_equal(s->service_count, 3);
    done(s);
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *asks, *more, *code;
        bool loads;
    } rows[] = {
        {"url: 'http://a.example/'", "", "W0119", true},
        {"url: 'http://10.0.0.1/'", "", "W0119", true},
        {"url: 'ftp://a.example/'", "", "E0219", false},
        {"url: 'https://u:p@a.example/'", "", "E0219", false},
        {"url: 'https://a.example/#x'", "", "E0219", false},
        {"url: 'file:x'", "", "E0219", false},
        {"issuer: 'https://a.example/?x'", "", "E0219", false},
        {"issuer: 'https://a b'", "", "E0219", false},
        {"url: {service: none}", "", "E0301", false},
        {"url: {service: id, path: x}", "", "E0219", false},
        {"url: {service: id, url: 'https://a/'}", "", "E0115", false},
        {"url: {}", "", "E0219", false},
        {"url: {uri: 'https://a/'}", "", "E0112", false},
        {"url: [a]", "", "E0113", false},
        {"url: 'https://a/'", "outbound: {allow_private: [10.0.0.1/8]}", "E0210", false},
        {"url: 'https://a/'", "outbound: {ca: nothing.pem}", "E0310", false},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct snapshot *s = load(rows[i].asks, rows[i].more);
        if (said(rows[i].code) != 1 || !!s != rows[i].loads) {
            for (unsigned k = 0; k < diags.count; k++)
                print_message("# %s: %s\n", diags.diag[k]->info->code, diags.diag[k]->message);
            fail_msg("%s: %s is not what was said", rows[i].asks, rows[i].code);
        }
        done(s);
    }
}

static int begin(void **state) {
    (void)state;
    certs_begin();
    return 0;
}
static int end(void **state) {
    (void)state;
    certs_finish();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(shared),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
