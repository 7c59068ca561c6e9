/*
 * back: what a service of HTTP/2 is told, read by nghttp2's own server: fields of an attempt,
 * deadlines, trailers. How streams and connections live is in tests/flow/test_h2_out.c.
 */
#include "../core/actors.h"
#include "back/pool.h"
#include "back/proxy.h"
#include "core/publish.h"
#include "io/tcp.h"
#include "service/service.h"
#include <nghttp2/nghttp2.h>

static int listener, peer;
static struct service_conf *shop;
static struct forward_conf forward;
static struct plan plan;
static nghttp2_session *server;
static char told[8192]; /* a line for each thing that came */

/* ---- the service ---- */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...) {
    size_t n = strlen(told);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(told + n, sizeof told - n, fmt, ap);
    va_end(ap);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t n,
                     const uint8_t *value, size_t v, uint8_t flags, void *ctx) {
    (void)s, (void)f, (void)flags, (void)ctx;
    note("%.*s: %.*s\n", (int)n, (const char *)name, (int)v, (const char *)value);
    return 0;
}
static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *ctx) {
    (void)s, (void)flags, (void)id, (void)ctx;
    note("DATA %.*s\n", (int)n, (const char *)p);
    return 0;
}
static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *ctx) {
    (void)s, (void)ctx;
    if (f->hd.flags & NGHTTP2_FLAG_END_STREAM && f->hd.type <= NGHTTP2_HEADERS)
        note("END\n");
    return 0;
}

static ssize_t say(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *ctx) {
    (void)s, (void)flags, (void)ctx;
    return send(peer, p, n, MSG_NOSIGNAL);
}

static void service_begins(void) {
    nghttp2_session_callbacks *c;
    assert_int_equal(nghttp2_session_callbacks_new(&c), 0);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_send_callback(c, say);
    assert_int_equal(nghttp2_session_server_new(&server, c, NULL), 0);
    nghttp2_session_callbacks_del(c);
    nghttp2_submit_settings(server, 0, NULL, 0);
}

static void turns(void) {
    for (int i = 0; i < 20; i++)
        loop_turn(&thread->loop, 0);
}

/* Both sides say what they have to say. */
static void talk(void) {
    static uint8_t bytes[65536];
    for (int i = 0; i < 4; i++) {
        turns();
        if (peer < 0)
            peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        ssize_t n = peer < 0 ? 0 : recv(peer, bytes, sizeof bytes, 0);
        if (n > 0) /* and breaks no rule that nghttp2 knows */
            assert_int_equal(nghttp2_session_mem_recv(server, bytes, (size_t)n), n);
        if (peer >= 0)
            assert_int_equal(nghttp2_session_send(server), 0);
    }
}

static void service_answers(int32_t id) {
    const nghttp2_nv nv = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "204", 7, 3, 0};
    assert_int_equal(nghttp2_submit_response(server, id, &nv, 1, NULL), 0);
    talk();
}

/* ---- the gateway ---- */

static void make_shop(struct arena *a) {
    struct endpoint_conf *e = arena_zero(a, sizeof *e);
    struct target *t = arena_zero(a, sizeof *t);
    char text[ADDRESS_TEXT_MAX];
    socklen_t n = sizeof e->address.in;
    assert_true(address_parse(SPAN("127.0.0.1:0"), &e->address));
    listener = tcp_listen(&e->address, 64);
    assert_true(listener >= 0 && getsockname(listener, &e->address.sa, &n) == 0);
    e->address_text = arena_span(a, address_text(&e->address, text, true));
    e->weight = 1;
    shop = arena_zero(a, sizeof *shop);
    *shop = (struct service_conf){.name = SPAN("shop"),
                                  .endpoint = e,
                                  .endpoint_count = 1,
                                  .protocol = PROTOCOL_H2,
                                  .connect_timeout_ms = 3000,
                                  .keepalive_idle_ms = 55000,
                                  .keepalive_requests = 10000,
                                  .max_connections = 2,
                                  .max_pending = 3,
                                  .queue_timeout_ms = 1000};
    *t = (struct target){.service = shop, .weight = 1};
    forward = (struct forward_conf){.target = t, .target_count = 1, .weight_sum = 1};
    plan = (struct plan){.back = &proxy_back, .back_conf = &forward};
}

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    peer = -1;
    told[0] = 0;
    pools_init();
    publish_join(thread);
    struct snapshot *s = thread->snap->snapshot;
    s->limits.h1_response = h1_response_limits;
    s->limits.h1_trailers = h1_trailer_limits;
    make_shop(&s->arena);
    s->service = shop;
    s->service_count = 1;
    s->free_parts = service_detach;
    service_attach(s);
    service_begins();
    return 0;
}

static int finish(void **state) {
    (void)state;
    while (list_linked(&thread->exchanges)) /* of a test that has failed: let it be told */
        exchange_abort(container_of(thread->exchanges.next, struct exchange, node), FAULT_INTERNAL);
    loop_drain(&thread->loop);
    pools_finish(thread);
    assert_int_equal(thread->counters.upstream_connections_opened,
                     thread->counters.upstream_connections_closed);
    publish_leave(thread);
    service_thread_finish(thread);
    nghttp2_session_del(server);
    close(peer);
    close(listener);
    world_end();
    return 0;
}

static void has(const char *line) {
    if (!strstr(told, line))
        fail_msg("the service was not told \"%s\" but:\n%s", line, told);
}

/* ---- the tests ---- */

/* Behind the body, or instead of it. */
static void trailers(void **state) {
    static const struct {
        const char *body, *wanted;
        bool unknown;
    } rows[] = {{"hello", "DATA hello\nx-sum: 5\nEND\n", true},
                {"hello", "DATA hello\nx-sum: 5\nEND\n", false},
                {"", "te: trailers\nx-sum: 5\nEND\n", true}};
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct asker a = {.body = rows[i].body,
                          .body_len = strlen(rows[i].body),
                          .unknown_length = rows[i].unknown,
                          .never_ends = true};
        told[0] = 0;
        ask(&a, &plan);
        loop_drain(&thread->loop);
        talk();
        struct head *h = arena_zero(&a.x->arena, sizeof *h);
        head_init(h, &a.x->arena);
        assert_int_equal(hdr_put(h, SPAN("x-sum"), SPAN("5"), ORIGIN_CLIENT), FAULT_NONE);
        body_end(&a.x->up_half.source, h);
        loop_drain(&thread->loop);
        talk();
        has(rows[i].wanted);
        service_answers((int32_t)(2 * i + 1));
        assert_answer(&a, 204, "");
    }
}

/* A service need not work longer than somebody waits. */
static void grpc_timeouts(void **state) {
    static const struct {
        const char *told;
        uint64_t timeout_ms; /* of the route's target */
        const char *wanted;
    } rows[] = {{"10S", 0, "10S"},         {"10S", 20000, "10S"},        {"10S", 10000, "10S"},
                {"10S", 3000, "3000000u"}, {"100m", 3000, "100m"},       {"1H", 3000, "3000000u"},
                {"soon", 3000, "soon"},    {"99999999H", 0, "99999999H"}};
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        char line[64];
        struct asker a = {0};
        told[0] = 0;
        forward.timeout_ms = rows[i].timeout_ms;
        asker_begin(&a, &plan);
        assert_int_equal(
            hdr_put(&a.x->req, SPAN("grpc-timeout"), span_z(rows[i].told), ORIGIN_CLIENT),
            FAULT_NONE);
        exchange_start(a.x);
        loop_drain(&thread->loop);
        talk();
        snprintf(line, sizeof line, "grpc-timeout: %s\n", rows[i].wanted);
        has(line);
        assert_null(strstr(strstr(told, "grpc-timeout") + 1, "grpc-timeout"));
        service_answers((int32_t)(2 * i + 1));
        assert_answer(&a, 204, "");
    }
}

static void authorities(void **state) {
    static const struct {
        enum host_mode mode;
        const char *wanted;
    } rows[] = {{HOST_KEEP, ":authority: a.example\n"},
                {HOST_NAME, ":authority: name.internal\n"},
                {HOST_SERVICE, ":authority: 127.0.0.1:"}};
    (void)state;
    shop->host_name = SPAN("name.internal");
    for (size_t i = 0; i < array_len(rows); i++) {
        struct asker a = {0};
        told[0] = 0;
        shop->host_mode = rows[i].mode;
        asker_begin(&a, &plan);
        a.x->req.scheme = SPAN("https"); /* of the client; the service's connection is clear text */
        exchange_start(a.x);
        loop_drain(&thread->loop);
        talk();
        has(rows[i].wanted);
        has(":scheme: http\n");
        has("x-forwarded-proto: https\n");
        service_answers((int32_t)(2 * i + 1));
        assert_answer(&a, 204, "");
    }
}

/* Registries that last are made at first use and stay. */
static int make_registries(void **state) {
    begin(state);
    mem_kept = SIZE_MAX;
    return finish(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trailers, begin, finish),
        cmocka_unit_test_setup_teardown(grpc_timeouts, begin, finish),
        cmocka_unit_test_setup_teardown(authorities, begin, finish),
    };
    return cmocka_run_group_tests_name("back/h2_client", tests, make_registries, NULL);
}
