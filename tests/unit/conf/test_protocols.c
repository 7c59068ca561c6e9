#include "../tls/certs.h"
#include "back/canned.h"
#include "back/proxy.h"
#include "conf/conf.h"
#include "core/canned.h"
#include "core/log_conf.h"
#include "filter/grpc.h"
#include "filter/rewrite.h"
#include "filter/websocket.h"
#include "observe/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* TLS, HTTP/2, the PROXY protocol, streams: from the file to the snapshot. */

static const struct policy *const policies[] = {&rewrite_policy, &websocket_policy, &grpc_policy};
static const struct back_ops *const backs[] = {&proxy_back, &canned_respond, &canned_redirect};
static const struct conf_registry registry = {
    .policy = policies, .policies = 3, .back = backs, .backs = 3, .log = &log_policy};

static struct diag_list diags;

static struct snapshot *load(const char *text) {
    const char *name = certs_path("a.yaml");
    certs_write(name, text, strlen(text), 0644);
    struct conf_options o = {.file = &name, .files = 1, .warnings = true, .registry = &registry};
    diag_init(&diags, true);
    struct snapshot *s = conf_load(&o, &diags);
    for (unsigned i = 0; i < diags.count; i++)
        print_message("# %s: %s\n", diags.diag[i]->info->code, diags.diag[i]->message);
    return s;
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

#define PAIR(name) "certificate: " name ".pem, private_key: " name ".key"
#define ROUTE "routes: [{match: {path: /}, respond: ok}]\n"

static void listeners(void **state) {
    (void)state;
    struct snapshot *s =
        load("version: 1\n"
             "trusted_proxies: [10.0.0.0/8]\n"
             "listeners:\n"
             "  plain: {address: 127.0.0.1:1}\n"
             "  off: {address: 127.0.0.1:2, tls: false, http2: false, proxy_protocol: false}\n"
             "  tls: {address: 127.0.0.1:3, tls: {" PAIR(
                 "a") "}}\n"
                      "  own: {address: 127.0.0.1:4, tls: {" PAIR(
                          "a") ", min_version: '1.3'}, http2: false,\n"
                               "        proxy_protocol: {required: false, from: [192.0.2.0/24, "
                               "'2001:db8::1']}}\n"
                               "  proxy: {address: 127.0.0.1:5, proxy_protocol: true}\n" ROUTE);
    static const struct {
        bool tls, no_h2, proxy, required;
        uint32_t trusted;
    } rows[] = {
        {0, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {1, 0, 0, 0, 0}, {1, 1, 1, 0, 2}, {0, 0, 1, 1, 0}};
    assert_non_null(s);
    assert_int_equal(diags.count, 0);
    assert_int_equal(s->listener_count, array_len(rows));
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct listener_conf *l = &s->listener[i];
        assert_int_equal(l->tls != NULL, rows[i].tls);
        assert_true(span_eq(l->scheme, rows[i].tls ? SPAN("https") : SPAN("http")));
        assert_int_equal(l->no_h2, rows[i].no_h2);
        assert_int_equal(l->proxy.on, rows[i].proxy);
        assert_int_equal(l->proxy.required, rows[i].required);
        assert_int_equal(l->proxy.trusted_count, rows[i].trusted);
    }
    assert_int_equal(tls_server_min_version(s->listener[2].tls), TLS_1_2);
    assert_int_equal(tls_server_min_version(s->listener[3].tls), TLS_1_3);
    done(s);
}

struct answer {
    unsigned n;
    char file[64], names[64];
    enum tls_client_mode client;
};

static void answers(void *ctx, const struct tls_cert_state *c) {
    struct answer *a = ctx;
    ptrdiff_t slash = 0;
    for (size_t i = 0; i < c->file.n; i++)
        slash = c->file.p[i] == '/' ? (ptrdiff_t)i + 1 : slash;
    a->n++;
    a->client = c->client;
    snprintf(a->file, sizeof a->file, "%.*s", SPAN_ARG(span_from(c->file, (size_t)slash)));
    snprintf(a->names, sizeof a->names, "%.*s", SPAN_ARG(c->names));
}

/* Names in the file go before those in the certificate; a certificate's own word on clients goes
 * before the listener's. */
static void certificates_by_name(void **state) {
    static const struct {
        const char *host, *file, *names;
        enum tls_client_mode client;
    } rows[] = {
        {"a.test", "a.pem", "a.test", TLS_CLIENT_REQUIRE},
        {"b.test", "b.pem", "b.test,x.b.test", TLS_CLIENT_REQUEST},
        {"x.b.test", "b.pem", "b.test,x.b.test", TLS_CLIENT_REQUEST},
        {"y.b.test", "a.pem", "a.test", TLS_CLIENT_REQUIRE},
        {"c.test", "c.pem", "c.test", TLS_CLIENT_NONE},
        {"", "a.pem", "a.test", TLS_CLIENT_REQUIRE},
    };
    (void)state;
    struct snapshot *s = load(
        "version: 1\nlisteners:\n  l:\n    address: 127.0.0.1:1\n    tls:\n"
        "      certificate: a.pem\n      private_key: a.key\n"
        "      client_certificate: {ca: ca.pem}\n      certificates:\n"
        "        - {" PAIR(
            "b") ", names: [b.test, x.b.test],\n"
                 "           client_certificate: {ca: ca.pem, mode: request, headers: false}}\n"
                 "        - {" PAIR("c") ", client_certificate: false}\n" ROUTE);
    assert_non_null(s);
    assert_int_equal(diags.count, 0);
    struct tls_server *tls = s->listener[0].tls;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct answer got = {0};
        tls_server_answering(tls, span_z(rows[i].host), answers, &got);
        assert_int_equal(got.n, 1);
        assert_string_equal(got.file, rows[i].file);
        assert_string_equal(got.names, rows[i].names);
        assert_int_equal(got.client, rows[i].client);
    }
    struct answer all = {0};
    tls_server_walk(tls, answers, &all);
    assert_int_equal(all.n, 3);
    assert_int_not_equal(tls_server_policy(tls, SPAN("a.test")),
                         tls_server_policy(tls, SPAN("b.test")));
    done(s);
}

static void services(void **state) {
    static const struct {
        const char *name;
        enum protocol protocol;
        bool tls, multiplexes;
        unsigned proxy;
        uint32_t streams;
        const char *expects;
    } rows[] = {
        {"plain", PROTOCOL_HTTP1, false, false, 0, 1000, ""},
        {"h2c", PROTOCOL_H2, false, true, 1, 1000, ""},
        {"http2", PROTOCOL_H2, true, true, 2, 20, ""},
        {"auto", PROTOCOL_AUTO, true, true, 0, 1000, "x.test"},
        {"clear", PROTOCOL_AUTO, false, false, 0, 1000, ""},
        {"one", PROTOCOL_HTTP1, true, false, 0, 1000, "y.test"},
    };
    (void)state;
    struct snapshot *s =
        load("version: 1\nlisteners: {l: {address: 127.0.0.1:1}}\nservices:\n"
             "  plain: 127.0.0.1:2\n"
             "  h2c: {endpoints: [127.0.0.1:2], protocol: h2c, proxy_protocol: v1}\n"
             "  http2: {endpoints: [127.0.0.1:2], protocol: http2, tls: true, proxy_protocol: v2, "
             "h2_streams: 20}\n"
             "  auto: {endpoints: [127.0.0.1:2], protocol: auto, tls: {name: x.test}}\n"
             "  clear: {endpoints: [127.0.0.1:2], protocol: auto}\n"
             "  one: {endpoints: [127.0.0.1:2], tls: {name: y.test, ca: ca.pem, " PAIR(
                 "c") "}}\n"
                      "routes: [{match: {path: /}, to: [plain, h2c, http2, auto, clear, one]}]\n");
    assert_non_null(s);
    assert_int_equal(s->service_count, array_len(rows));
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct service_conf *c = &s->service[i];
        assert_true(span_eq(c->name, span_z(rows[i].name)));
        assert_int_equal(c->protocol, rows[i].protocol);
        assert_int_equal(c->tls != NULL, rows[i].tls);
        assert_int_equal(c->multiplexes, rows[i].multiplexes);
        assert_int_equal(c->proxy_protocol, rows[i].proxy);
        assert_int_equal(c->h2_streams, rows[i].streams);
        assert_true(!c->tls || span_eq(tls_client_name(c->tls), span_z(rows[i].expects)));
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(service_identity(c), service_identity(&s->service[k]));
    }
    done(s);
}

/* service_defaults reach every service; one that says nothing of it stays as it is by a reload. */
static void defaults_of_services(void **state) {
    static const char text[] = "version: 1\nlisteners: {l: {address: 127.0.0.1:1}}\n"
                               "service_defaults: {protocol: http2, tls: {ca: ca.pem}}\n"
                               "services:\n"
                               "  a: 127.0.0.1:2\n"
                               "  b: {endpoints: [127.0.0.1:3], tls: {name: b.test}}\n"
                               "  c: {endpoints: [127.0.0.1:4], tls: false, protocol: h2c}\n"
                               "routes: [{match: {path: /}, to: [a, b, c]}]\n";
    (void)state;
    struct snapshot *s = load(text);
    assert_non_null(s);
    diag_finish(&diags);
    struct snapshot *again = load(text);
    assert_non_null(again);
    assert_non_null(s->service[0].tls);
    assert_true(span_eq(tls_client_name(s->service[1].tls), SPAN("b.test")));
    assert_null(s->service[2].tls);
    assert_int_equal(s->service[2].protocol, PROTOCOL_H2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(service_identity(&s->service[i]), service_identity(&again->service[i]));
    assert_int_not_equal(service_identity(&s->service[0]), service_identity(&s->service[1]));
    snapshot_unref_atomic(again);
    done(s);
}

static void limits(void **state) {
    (void)state;
    struct snapshot *s =
        load("version: 1\nlisteners:\n  a: {address: 127.0.0.1:1}\n"
             "  b: {address: 127.0.0.1:2, limits: {h2_max_concurrent_streams: 7, "
             "tls_handshake_timeout: 3s, h2_reset_burst: 9, h2_reset_rate: 600/m}}\n" ROUTE);
    assert_non_null(s);
    const struct limits_conf *a = s->listener[0].limits, *b = s->listener[1].limits;
    assert_int_equal(a->h2_max_concurrent_streams, 100);
    assert_int_equal(a->h2_initial_window, 64 * 1024);
    assert_int_equal(a->h2_connection_window, 1024 * 1024);
    assert_int_equal(a->h2_max_total_streams, 10000);
    assert_int_equal(a->h2_reset_burst, 200);
    assert_int_equal(a->h2_reset_rate, 33);
    assert_int_equal(a->h2_glitch_burst, 1000);
    assert_int_equal(a->h2_glitch_rate, 100);
    assert_int_equal(a->h2_header_table, 4096);
    assert_int_equal(a->tls_handshake_timeout_ms, 10000);
    assert_int_equal(b->h2_max_concurrent_streams, 7);
    assert_int_equal(b->tls_handshake_timeout_ms, 3000);
    assert_int_equal(b->h2_reset_burst, 9);
    assert_int_equal(b->h2_reset_rate, 10);
    assert_int_equal(b->h2_glitch_rate, 100);
    done(s);
}

/* --- policies that need no word --- */

static const void *conf_of(const struct snapshot *s, const char *route,
                           const struct filter_ops *ops) {
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct plan *plan = route_whole(&s->route[i]);
        if (!span_eq(s->route[i].name, span_z(route)))
            continue;
        for (unsigned k = 0; k < plan->count; k++)
            if (plan->filter[k].ops == ops)
                return plan->filter[k].conf;
        return NULL;
    }
    fail_msg("no route %s", route);
    return NULL;
}

#define STREAMS                                                                                    \
    "version: 1\nlisteners: {l: {address: 127.0.0.1:1}}\nservices:\n"                              \
    "  one: 127.0.0.1:2\n"                                                                         \
    "  two: {endpoints: [127.0.0.1:3], protocol: h2c}\n"

static void shipped_on_routes_that_forward(void **state) {
    (void)state;
    struct snapshot *s = load(STREAMS "routes:\n"
                                      "  - {name: to, match: {path: /a}, to: one}\n"
                                      "  - {name: answer, match: {path: /b}, respond: ok}\n");
    assert_non_null(s);
    const struct websocket_conf *w = conf_of(s, "to", &websocket_ops);
    const struct grpc_conf *g = conf_of(s, "to", &grpc_ops);
    assert_non_null(w);
    assert_non_null(g);
    assert_false(w->off || g->off || w->limits.utf8);
    assert_int_equal(w->limits.frame_max, 16 << 20);
    assert_int_equal(w->limits.message_max, 16 << 20);
    assert_int_equal(w->limits.fragments_max, 131072);
    assert_int_equal(w->ping_rate, 10);
    assert_int_equal(g->max_message, 4 << 20);
    assert_null(conf_of(s, "answer", &websocket_ops));
    assert_null(conf_of(s, "answer", &grpc_ops));
    assert_int_equal(s->route[0].idle_timeout_ms, 300000);
    assert_int_equal(s->route[0].max_duration_ms, 0);
    done(s);
}

static void policies_of_streams(void **state) {
    static const struct {
        const char *name;
        bool ws_off, grpc_off;
        uint64_t message, idle, longest;
    } rows[] = {
        {"inherits", false, false, 1 << 20, 60000, 3600000},
        {"own", false, false, 2048, 10000, 3600000},
        {"off", true, true, 0, 60000, 3600000},
        {"again", false, false, 16 << 20, 60000, 5000},
    };
    (void)state;
    struct snapshot *s = load(
        STREAMS
        "defaults: {websocket: {max_message: 1MiB}, idle_timeout: 1m, max_duration: 1h}\n"
        "routes:\n"
        "  - {name: answer, match: {path: /b}, respond: ok}\n"
        "  - {name: inherits, match: {path: /a}, to: one}\n"
        "  - {name: own, match: {path: /c}, to: one, websocket: {max_message: 2KiB, utf8: true}, "
        "idle_timeout: 10s}\n"
        "  - match: {path: /d}\n"
        "    websocket: false\n"
        "    grpc: false\n"
        "    routes:\n"
        "      - {name: off, match: {path: /e}, to: one}\n"
        "      - {name: again, match: {path: /f}, to: one, websocket: true, grpc: {}, "
        "max_duration: 5s}\n");
    assert_non_null(s);
    assert_null(conf_of(s, "answer", &websocket_ops));
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct websocket_conf *w = conf_of(s, rows[i].name, &websocket_ops);
        const struct grpc_conf *g = conf_of(s, rows[i].name, &grpc_ops);
        assert_true(w && g);
        assert_int_equal(w->off, rows[i].ws_off);
        assert_int_equal(g->off, rows[i].grpc_off);
        if (!w->off)
            assert_int_equal(w->limits.message_max, rows[i].message);
        assert_int_equal(s->route[i + 1].idle_timeout_ms, rows[i].idle);
        assert_int_equal(s->route[i + 1].max_duration_ms, rows[i].longest);
    }
    done(s);
}

static void grpc_web_where_services_can(void **state) {
    static const struct {
        const char *rest;
        int web;
    } rows[] = {
        {"to: one", GRPC_WEB_OFF},
        {"to: two", GRPC_WEB_ON},
        {"to: [two, one]", GRPC_WEB_OFF},
        {"to: one, grpc: {web: true}", GRPC_WEB_ON},
        {"to: two, grpc: {web: false}", GRPC_WEB_OFF},
        {"to: two, grpc: {max_message: 1KiB}", GRPC_WEB_ON},
        {"to: one, grpc: {web: auto}", GRPC_WEB_OFF},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        char text[1024];
        struct str t = str_on(text, sizeof text - 1);
        str_lit(&t, STREAMS "routes: [{name: r, match: {path: /}, ");
        str_add(&t, span_z(rows[i].rest));
        str_lit(&t, "}]\n");
        text[t.n] = 0;
        struct snapshot *s = load(text);
        assert_non_null(s);
        const struct grpc_conf *g = conf_of(s, "r", &grpc_ops);
        assert_non_null(g);
        assert_int_equal(g->web, rows[i].web);
        done(s);
    }
}

/* What is wrong gives no snapshot, and nothing is left of what was made before. */
static void wrong(void **state) {
    static const struct {
        const char *listener, *service, *code;
    } rows[] = {
        {"tls: {certificate: a.pem}", "", "E0313"},
        {"tls: {private_key: a.key}", "", "E0313"},
        {"tls: {}", "", "E0313"},
        {"tls: {certificate: a.pem, private_key: b.key}", "", "E0311"},
        {"tls: {certificate: none.pem, private_key: a.key}", "", "E0310"},
        {"tls: {" PAIR("a") ", ciphers: NONE}", "", "E0312"},
        {"tls: {" PAIR("a") "}, redirect: https", "", "E0316"},
        {"proxy_protocol: true", "", "E0314"},
        {"proxy_protocol: {required: false}", "", "E0314"},
        {"", "protocol: h2c, tls: true", "E0315"},
        {"", "tls: {certificate: a.pem}", "E0313"},
        {"", "tls: {ca: none.pem}", "E0310"},
        {"", "grpc: {descriptors: a.pb}", "E0901"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        char text[1024];
        struct str t = str_on(text, sizeof text - 1);
        str_fmt(&t,
                "version: 1\nlisteners: {good: {address: 127.0.0.1:2, tls: {" PAIR(
                    "c") "}},\n"
                         "  l: {address: 127.0.0.1:1%s%s}}\n"
                         "services: {s: {endpoints: [127.0.0.1:2]%s%s}}\n"
                         "routes: [{match: {path: /}, to: s}]\n",
                *rows[i].listener ? ", " : "", rows[i].listener, *rows[i].service ? ", " : "",
                rows[i].service);
        text[t.n] = 0;
        assert_null(load(text));
        assert_int_equal(said(rows[i].code), 1);
        assert_int_equal(diags.errors, 1);
        diag_finish(&diags);
    }
}

static int begin(void **state) {
    (void)state;
    certs_begin();
    struct made ca = certs_make("ca", &(struct wish){.cn = "ca", .ca = true}, NULL);
    static const struct wish wish[] = {{.cn = "a", .san = "DNS:a.test"},
                                       {.cn = "b", .san = "DNS:b.test,DNS:*.b.test"},
                                       {.cn = "c", .san = "DNS:c.test"}};
    for (size_t i = 0; i < array_len(wish); i++) {
        struct made m = certs_make(wish[i].cn, &wish[i], NULL);
        certs_free(&m);
    }
    certs_free(&ca);
    return 0;
}

static int end(void **state) {
    (void)state;
    certs_finish();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners),
        cmocka_unit_test(certificates_by_name),
        cmocka_unit_test(services),
        cmocka_unit_test(defaults_of_services),
        cmocka_unit_test(limits),
        cmocka_unit_test(shipped_on_routes_that_forward),
        cmocka_unit_test(policies_of_streams),
        cmocka_unit_test(grpc_web_where_services_can),
        cmocka_unit_test(wrong),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
