#include "back/canned.h"
#include "back/proxy.h"
#include "conf/conf.h"
#include "core/canned.h"
#include "core/log_conf.h"
#include "core/problem.h"
#include "core/route.h"
#include "filter/rewrite.h"
#include "memory_files.h"
#include "observe/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct policy *const policies[] = {&rewrite_policy};
static const struct back_ops *const backs[] = {&proxy_back, &canned_respond, &canned_redirect};
static const struct conf_registry registry = {
    .policy = policies, .policies = 1, .back = backs, .backs = 3, .log = &log_policy};

static const char *environment(void *ctx, const char *name) {
    (void)ctx;
    if (strcmp(name, "PORT") == 0)
        return "7009";
    if (strcmp(name, "EVIL") == 0)
        return "${path.id}";
    return strcmp(name, "TOKEN") == 0 ? "s3cret" : NULL;
}

static struct diag_list diags;

static struct snapshot *load(const char *a, const char *b) {
    static const char *const names[] = {"a.yaml", "b.yaml"};
    memory_put(names[0], a, strlen(a));
    if (b)
        memory_put(names[1], b, strlen(b));
    struct conf_options o = {.file = names,
                             .files = b ? 2 : 1,
                             .getenv = environment,
                             .warnings = true,
                             .registry = &registry};
    diag_init(&diags, true);
    struct snapshot *s = conf_load(&o, &diags);
    memory_clear();
    for (unsigned i = 0; i < diags.count; i++)
        print_message("# %s: %s\n", diags.diag[i]->info->code, diags.diag[i]->message);
    return s;
}

static void done(struct snapshot *s) {
    snapshot_unref_atomic(s);
    diag_finish(&diags);
}

#define HEAD                                                                                       \
    "version: 1\nlisteners: {public: {address: 127.0.0.1:8080}, other: {address: 127.0.0.1:8081, " \
    "limits: {header_timeout: 1s}}}\n"                                                             \
    "services: {a: 127.0.0.1:7001, b: 127.0.0.1:7002}\n"

static const struct route *named(const struct snapshot *s, const char *name) {
    for (uint32_t i = 0; i < s->route_count; i++)
        if (span_eq(s->route[i].name, span_z(name)))
            return &s->route[i];
    fail_msg("no route %s", name);
    return NULL;
}

static struct span setting(const struct route *r, const char *name, struct span *origin) {
    for (uint32_t i = 0; i < r->setting_count; i++)
        if (span_eq(r->settings[i].name, span_z(name))) {
            *origin = r->settings[i].origin;
            return r->settings[i].value;
        }
    return SPAN_NONE;
}

static void assert_span(struct span got, const char *wanted) {
    if (!span_eq(got, span_z(wanted)))
        fail_msg("got \"%.*s\", wanted \"%s\"", SPAN_ARG(got), wanted);
}

static void shipped_values(void **state) {
    (void)state;
    struct snapshot *s =
        load(HEAD "routes: [{match: {path: /x}, to: a}, {match: {path: /y}, to: b}]\n", NULL);
    assert_non_null(s);
    assert_int_equal(s->limits.h1_request.total_max, 32 * 1024);
    assert_int_equal(s->limits.h1_request.count_max, 100);
    assert_int_equal(s->limits.max_body, 10 << 20);
    assert_int_equal(s->limits.header_timeout_ms, 10000);
    assert_int_equal(s->limits.body_min_rate, 240);
    assert_false(s->limits.keep_encoded_slash);
    assert_ptr_equal(s->listener[0].limits, &s->limits);
    assert_int_equal(s->listener[1].limits->header_timeout_ms, 1000);
    assert_int_equal(s->listener[1].limits->h1_request.total_max, 32 * 1024);
    assert_int_equal(s->service[0].connect_timeout_ms, 3000);
    assert_int_equal(s->service[0].timeout_ms, 0);
    assert_int_equal(s->service[0].max_connections, 1024);
    assert_int_equal(s->route[0].request_timeout_ms, 30000);
    assert_int_equal(s->route[0].max_body, 10 << 20);
    assert_int_equal(s->shutdown_grace_ms, 30000);
    assert_int_equal(s->admin.len, 0);
    assert_null(s->log);
    done(s);
}

static void nearer_wins(void **state) {
    (void)state;
    struct snapshot *s = load(
        HEAD
        "policies:\n"
        "  set: {request_timeout: 7s, max_body: 1KiB}\n"
        "defaults: {request_timeout: 10s, max_body: 64KiB, rewrite: {strip: /api}}\n"
        "routes:\n"
        "  - match: {path: /api}\n"
        "    use: set\n"
        "    max_body: 2KiB\n"
        "    routes:\n"
        "      - {name: one, match: {path: /one}, to: a}\n"
        "      - {name: two, match: {path: /two}, to: a, request_timeout: 3s, rewrite: {add: "
        "/v2}}\n"
        "      - {name: three, match: {path: /three}, to: b, rewrite: /whole}\n"
        "      - {name: four, match: {path: /four}, to: b, rewrite: false, max_body: null}\n"
        "      - {name: five, match: {path: /five}, to: b, rewrite: {inherit: false, add: /x}}\n"
        "  - {name: six, match: {path: /six}, to: b}\n",
        NULL);
    struct span origin;
    assert_non_null(s);
    const struct route *r = named(s, "one");
    assert_int_equal(r->request_timeout_ms, 7000);
    assert_int_equal(r->max_body, 2048);
    assert_span(setting(r, "request_timeout", &origin), "7s");
    assert_span(origin, "policies.set");
    assert_span(setting(r, "max_body", &origin), "2KiB");
    assert_span(origin, "group routes[0]");
    assert_span(setting(r, "rewrite", &origin), "{strip: /api}");
    assert_span(origin, "defaults");
    r = named(s, "two");
    assert_int_equal(r->request_timeout_ms, 3000);
    const struct rewrite_conf *w = r->plan.filter[0].conf;
    assert_span(w->strip, "/api");
    assert_span(w->add, "/v2");
    assert_span(setting(r, "rewrite.strip", &origin), "/api");
    assert_span(origin, "defaults");
    w = named(s, "three")->plan.filter[0].conf;
    assert_int_equal(w->strip.n, 0); /* one alternative drops the others */
    assert_non_null(w->path);
    r = named(s, "four");
    assert_int_equal(r->plan.count, 0);
    assert_int_equal(r->max_body, 10 << 20); /* null: back to the shipped value */
    w = named(s, "five")->plan.filter[0].conf;
    assert_int_equal(w->strip.n, 0);
    assert_int_equal(named(s, "six")->request_timeout_ms, 10000);
    done(s);
}

static void match_narrows(void **state) {
    (void)state;
    struct snapshot *s = load(
        HEAD
        "routes:\n"
        "  - match: {path: /api/*, host: [\"*.shop.example\", x.example], method: [GET, POST], "
        "listener: public, header: {x-a: '1'}}\n"
        "    routes:\n"
        "      - {name: one, match: {path: /one, host: eu.shop.example, method: GET, header: {x-b: "
        "'2'}}, to: a}\n"
        "      - {name: own, match: {path: /}, to: b}\n"
        "      - {name: below, to: b}\n",
        NULL);
    assert_non_null(s);
    const struct route_match *m = named(s, "one")->match;
    assert_int_equal(m->path_count, 1);
    assert_span(m->path[0].text, "/api/one");
    assert_int_equal(m->host_count, 1);
    assert_span(m->host[0], "eu.shop.example");
    assert_int_equal(m->methods, 1u << METHOD_GET | 1u << METHOD_HEAD);
    assert_int_equal(m->listeners, 1);
    assert_int_equal(m->value_count[VALUE_HEADER], 2);
    m = named(s, "own")->match;
    assert_int_equal(m->path_count, 2);
    assert_span(m->path[0].text, "/api");
    assert_span(m->path[1].text, "/api/");
    assert_int_equal(m->host_count, 2);
    m = named(s, "below")->match;
    assert_span(m->path[0].text, "/api/*");
    assert_int_equal(m->path[0].segment[1].kind, SEGMENT_TAIL);
    done(s);
}

static void default_names(void **state) {
    (void)state;
    struct snapshot *s =
        load(HEAD "routes:\n"
                  "  - {match: {path: /a, method: [GET, POST], host: h.example}, to: a}\n"
                  "  - {match: {path: /a, method: HEAD}, to: b}\n"
                  "  - {to: b}\n",
             NULL);
    assert_non_null(s);
    named(s, "GET,POST h.example/a");
    named(s, "HEAD /a");
    named(s, "/*");
    done(s);
}

static void a_later_file_is_a_patch(void **state) {
    (void)state;
    struct snapshot *s = load(
        HEAD "service_defaults: {timeout: 2s}\n"
             "routes:\n"
             "  - {name: one, match: {path: /one}, to: a, request_timeout: 5s}\n"
             "  - match: {path: /g}\n"
             "    routes: [{name: two, match: {path: /two}, to: b}]\n",
        "services: {a: {max_connections: 7}, b: {endpoints: [127.0.0.1:9999], timeout: null}}\n"
        "listeners: {other: null}\n"
        "limits: {header_count_max: 50}\n"
        "routes:\n"
        "  - {name: two, respond: gone, match: {method: GET}}\n"
        "  - {name: three, match: {path: /three}, to: a}\n"
        "  - {name: one, request_timeout: 6s}\n");
    assert_non_null(s);
    assert_int_equal(s->listener_count, 1);
    assert_int_equal(s->service[0].max_connections, 7);
    assert_int_equal(s->service[0].endpoint_count, 1);
    assert_int_equal(s->service[0].endpoint[0].port, 7001);
    assert_int_equal(s->service[1].endpoint[0].port, 9999);
    assert_int_equal(s->service[0].timeout_ms, 2000);
    assert_int_equal(s->limits.h1_request.count_max, 50);
    assert_int_equal(s->route_count, 3);
    assert_int_equal(named(s, "one")->request_timeout_ms, 6000);
    assert_string_equal(named(s, "one")->plan.back->name, "proxy");
    const struct route *two = named(s, "two");
    assert_string_equal(two->plan.back->name, "respond"); /* another action takes its place */
    assert_span(two->match->path[0].text, "/g/two");
    assert_int_equal(two->match->methods, 1u << METHOD_GET | 1u << METHOD_HEAD);
    named(s, "three");
    done(s);
}

static void constants(void **state) {
    (void)state;
    struct snapshot *s = load(
        "version: 1\nvars: {host: 127.0.0.1, nets: [10.0.0.0/8], both: "
        "'${vars.host}:${env.PORT}'}\n"
        "listeners: {public: {address: '${vars.host}:8080'}}\n"
        "services: {a: '${vars.both}'}\n"
        "trusted_proxies: '${vars.nets}'\n"
        "defaults: {request_timeout: \"${env.?NONE.orValue('4s')}\"}\n"
        "routes:\n"
        "  - {name: evil, match: {path: '/e/{id}'}, respond: 'x ${env.EVIL} $${y} ${path.id}'}\n"
        "  - {name: to, match: {path: /t}, to: a, rewrite: \"/t?${secret('env:TOKEN')}\"}\n",
        NULL);
    struct span origin;
    assert_non_null(s);
    assert_int_equal(s->service[0].endpoint[0].port, 7009);
    assert_int_equal(s->trusted_count, 1);
    assert_int_equal(named(s, "evil")->request_timeout_ms, 4000);
    /* What came from the environment is text, never a template: three literals and one name. */
    const struct respond_conf *c = named(s, "evil")->plan.back_conf;
    unsigned names = 0;
    for (uint32_t i = 0; i < c->body->count; i++)
        names += c->body->part[i].expr != NULL;
    assert_int_equal(names, 1);
    assert_span(setting(named(s, "to"), "rewrite", &origin), "{path: \"***\"}");
    done(s);
}

static void errors_by_code_status_class(void **state) {
    (void)state;
    struct snapshot *s =
        load(HEAD "defaults: {errors: {5xx: five, 404: four, no_route: {status: 410, "
                  "body: {gone: true}}}}\n"
                  "routes: [{name: r, match: {path: /x}, to: [a, b]}]\n",
             NULL);
    assert_non_null(s);
    const struct errors_conf *e = named(s, "r")->errors;
    assert_int_equal(e->count, 3);
    assert_span(e->answer[0].code, "no_route");
    assert_int_equal(e->answer[0].status, 410);
    assert_span(e->answer[0].content_type, "application/json");
    assert_int_equal(e->answer[1].status_from, 404);
    assert_int_equal(e->answer[2].status_from, 500);
    assert_int_equal(e->answer[2].status_to, 599);
    done(s);
}

static void log_of_routes(void **state) {
    (void)state;
    struct snapshot *s = load(HEAD "log: {file: logs/access.log}\n"
                                   "routes:\n"
                                   "  - {name: r, match: {path: /x}, to: [a, b]}\n"
                                   "  - {name: quiet, match: {path: /y}, to: a, log: false}\n",
                              NULL);
    assert_non_null(s);
    assert_span(s->log->file, "logs/access.log");
    assert_null(named(s, "r")->log);
    assert_true(((const struct log_conf *)named(s, "quiet")->log)->off);
    done(s);
}

static void wrong_files_give_no_snapshot(void **state) {
    static const struct {
        const char *text;
        enum diag_code code;
    } rows[] = {
        {"", DIAG_E0109},
        {"version: 1\n", DIAG_E0305},
        {HEAD "nonsense: 1\n", DIAG_E0112},
        {HEAD "routes: [{match: {path: /x}, to: c}]\n", DIAG_E0301},
        {HEAD "routes: [{match: {path: '/{a}'}, to: a}, {match: {path: '/{b}'}, to: b}]\n",
         DIAG_E0403},
        {HEAD "authenticators: {x: {jwt: {}}}\n", DIAG_E0901},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct snapshot *s = load(rows[i].text, NULL);
        bool found = false;
        assert_null(s);
        for (unsigned k = 0; k < diags.count; k++)
            found |= diags.diag[k]->info == &diag_codes[rows[i].code];
        assert_true(found);
        diag_finish(&diags);
    }
}

/* 10,000 routes: no step may look at all of them for each. Counted, not timed: bytes of the
 * snapshot. */
static void many_routes(void **state) {
    size_t max = 4 << 20;
    char *text = test_malloc(max);
    struct str s = str_on(text, max - 1);
    (void)state;
    str_lit(&s, HEAD "defaults: {request_timeout: 5s}\nroutes:\n");
    for (int i = 0; i < 10000; i++)
        str_fmt(&s,
                "  - {match: {path: \"/api/r%d/{id}\", method: GET}, to: a, rewrite: "
                "\"/x/%d/${path.id}\"}\n",
                i, i);
    assert_false(s.full);
    text[s.n] = 0;
    struct snapshot *snap = load(text, NULL);
    assert_non_null(snap);
    assert_int_equal(snap->route_count, 10000);
    assert_true(snap->arena.used < 64u << 20);
    done(snap);
    test_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_values),
        cmocka_unit_test(nearer_wins),
        cmocka_unit_test(match_narrows),
        cmocka_unit_test(default_names),
        cmocka_unit_test(a_later_file_is_a_patch),
        cmocka_unit_test(constants),
        cmocka_unit_test(errors_by_code_status_class),
        cmocka_unit_test(log_of_routes),
        cmocka_unit_test(wrong_files_give_no_snapshot),
        cmocka_unit_test(many_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
