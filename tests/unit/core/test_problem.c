#include "core/accept.h"
#include "core/canned.h"
#include "desk.h"

static const struct {
    const char *accept, *type;
} negotiated[] = {
    {NULL, "application/problem+json"},
    {"*/*", "application/problem+json"},
    {"application/json", "application/problem+json"},
    {"text/html", "text/html; charset=utf-8"},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"},
    {"text/plain", "text/plain; charset=utf-8"},
    {"text/*", "text/html; charset=utf-8"},
    {"text/html;q=0.5, application/json", "application/problem+json"},
    {"text/html;q=0.5, application/problem+json;q=0.4", "text/html; charset=utf-8"},
    {"text/html, */*", "application/problem+json"},
    {"text/html;q=0, text/plain;q=0.1", "text/plain; charset=utf-8"},
    {"image/png", "application/problem+json"},
    {";;,,/,", "application/problem+json"},
};

static struct exchange *failing(const char *accept) {
    return accept ? desk_exchange("GET", "a.test", "/x?<script>", "accept", accept, NULL)
                  : desk_exchange("GET", "a.test", "/x?<script>", NULL);
}

static void refuse(struct exchange *x, enum fault why) {
    exchange_refuse(x, why);
    loop_drain(&desk.thread.loop);
}

static void test_negotiated(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(negotiated); i++) {
        refuse(failing(negotiated[i].accept), FAULT_NO_ROUTE);
        assert_true(strncmp(desk.head, "404\n", 4) == 0);
        if (strcmp(desk_field("content-type"), negotiated[i].type) != 0)
            fail_msg("%s: %s", negotiated[i].accept, desk_field("content-type"));
        assert_null(strstr(desk.body, "script")); /* nothing of the request comes back */
        assert_non_null(strstr(desk.body, "no_route"));
    }
    desk_close();
}

static void test_json(void **state) {
    (void)state;
    desk_open();
    refuse(failing(NULL), FAULT_UPSTREAM_TIMEOUT);
    assert_string_equal(
        desk.body,
        "{\"type\":\"urn:sluice:error:upstream_timeout\",\"title\":\"Gateway "
        "Timeout\",\"status\":504,"
        "\"detail\":\"the service did not answer in time\",\"code\":\"upstream_timeout\","
        "\"who\":\"upstream\",\"request_id\":\"00ff-1\"}\n");
    assert_string_equal(desk_field("cache-control"), "no-store");
    assert_string_equal(desk_field("x-request-id"), "00ff-1");
    assert_null(strstr(strstr(desk.head, "x-request-id") + 1, "x-request-id"));
    desk_close();
}

/* Every kind answers with its own status and a code, and every answer ends. */
static void test_every_fault(void **state) {
    (void)state;
    desk_open();
    for (int f = 1; f < FAULT_COUNT; f++) {
        char status[8], code[80];
        int want = fault_table[f].status == 499 ? 500 : fault_table[f].status;
        snprintf(status, sizeof status, "%d\n", want);
        snprintf(code, sizeof code, "\"code\":\"%s\"", fault_table[f].code);
        refuse(failing(NULL), (enum fault)f);
        assert_true(strncmp(desk.head, status, 4) == 0);
        assert_non_null(strstr(desk.body, code));
        assert_int_equal(desk.heads, 1);
        assert_int_equal(*desk_field("allow") != 0, want == 405);
    }
    desk_close();
}

static void test_fields(void **state) {
    (void)state;
    desk_open();
    refuse(failing(NULL), FAULT_QUEUE_FULL);
    assert_string_equal(desk_field("retry-after"), "1");
    refuse(failing(NULL), FAULT_NO_ENDPOINT);
    assert_string_equal(desk_field("retry-after"), "5");
    refuse(failing(NULL), FAULT_CONNECT_FAILED);
    assert_string_equal(desk_field("retry-after"), "");
    refuse(failing(NULL), FAULT_UPGRADE_REFUSED);
    assert_string_equal(desk_field("sec-websocket-version"), "13");
    struct exchange *x = failing(NULL);
    struct route_found f = {.path_matched = true,
                            .allow = 1u << METHOD_GET | 1u << METHOD_HEAD,
                            .allow_other = {SPAN("PURGE")},
                            .allow_other_count = 1};
    problem_allow(x, &f);
    refuse(x, FAULT_METHOD_NOT_ALLOWED);
    assert_string_equal(desk_field("allow"), "GET, HEAD, PURGE");
    desk_close();
}

/* ---- gRPC ---------------------------------------------------------------------------------------
 */

static struct exchange *calling(const char *type) {
    return desk_exchange("POST", "a.test", "/s/M?<script>", "content-type", type, "accept",
                         "text/html", NULL);
}

/* A call's own errors: status 200, and the end of the call tells what was wrong. */
static void test_grpc(void **state) {
    (void)state;
    static const char *const types[] = {"application/grpc", "application/grpc+proto<script>"};
    desk_open();
    for (int f = 1; f < FAULT_COUNT; f++) {
        char want[8];
        snprintf(want, sizeof want, "%d", (int)grpc_code_of_fault((enum fault)f));
        refuse(calling(types[f % 2]), (enum fault)f);
        assert_true(strncmp(desk.head, "200\n", 4) == 0);
        assert_string_equal(desk_field("content-type"), "application/grpc");
        assert_string_equal(desk_field("grpc-status"), want);
        assert_int_not_equal(strcmp(want, "0"), 0);
        assert_non_null(strstr(desk_field("grpc-message"), fault_table[f].code));
        assert_string_equal(desk.body, "");
        assert_string_equal(desk_field("allow"), "");
        assert_null(strstr(desk.head, "script"));
    }
    refuse(calling(types[0]), FAULT_NO_ENDPOINT);
    assert_string_equal(desk_field("grpc-status"), "14");
    assert_string_equal(desk_field("grpc-message"), "the service has no endpoint (no_endpoint)");
    assert_string_equal(desk_field("retry-after"), "5");
    refuse(calling(types[0]), FAULT_ENCODED_SEPARATOR); /* its text holds what must be escaped */
    assert_true(strncmp(desk_field("grpc-message"), "%252F, %255C,", 13) == 0);
    desk_close();
}

/* In the body: a browser's script may not see the fields. */
static void test_grpc_web(void **state) {
    (void)state;
    static const char frame[] = "grpc-status: 14\r\n"
                                "grpc-message: the service has no endpoint (no_endpoint)\r\n";
    char text[256];
    desk_open();
    refuse(calling("application/grpc-web"), FAULT_NO_ENDPOINT);
    assert_true(strncmp(desk.head, "200\n", 4) == 0);
    assert_string_equal(desk_field("content-type"), "application/grpc-web+proto");
    assert_string_equal(desk_field("grpc-status"), "");
    assert_int_equal((unsigned char)desk.body[0], 0x80);
    assert_int_equal(desk.body[4], sizeof frame - 1);
    assert_memory_equal(desk.body + 5, frame, sizeof frame);
    refuse(calling("application/grpc-web-text"), FAULT_NO_ENDPOINT);
    assert_string_equal(desk_field("content-type"), "application/grpc-web-text+proto");
    struct base64_in b = {0};
    size_t n = base64_decode_some(&b, span_z(desk.body), text);
    assert_true(base64_ended(&b));
    assert_int_equal(n, 5 + sizeof frame - 1);
    assert_memory_equal(text + 5, frame, sizeof frame - 1);
    desk_close();
}

/* ---- replaced answers ---------------------------------------------------------------------------
 */

static void fail_start(struct exchange *x) {
    exchange_fail(x, (enum fault)(uintptr_t)x->back_conf, NULL);
}
static const struct back_ops failing_back = {"failing", fail_start, NULL, NULL};

static void run_fault(enum fault f) {
    desk_run(desk_exchange("GET", "a.test", "/x", "accept-language", "a\"b<", NULL), &failing_back,
             (const void *)(uintptr_t)f, NULL, NULL);
}

static void run_grpc_fault(enum fault f) {
    desk_run(calling("application/grpc"), &failing_back, (const void *)(uintptr_t)f, NULL, NULL);
}

static void test_replaced(void **state) {
    (void)state;
    desk_open();
    unsigned scopes = SCOPE_REQUEST | SCOPE_ERROR;
    struct answer_header header[] = {
        {SPAN("x-code"), desk_template("${error.code} ", PLACE_HEADER, scopes, NULL)},
        {SPAN("cache-control"), desk_template("max-age=1", PLACE_HEADER, scopes, NULL)}};
    struct answer_header evil[] = {{SPAN("bad name"), header[0].value}};
    struct error_answer answer[] = {
        {.code = SPAN("upstream_timeout"),
         .status = 200,
         .content_type = SPAN("text/plain"),
         .body = desk_template("${error.status} ${error.who} ${request.path} ${route.name}",
                               PLACE_TEXT, scopes, NULL)},
        {.status_from = 500,
         .status_to = 599,
         .content_type = SPAN("application/json"),
         .body = desk_template("{\"c\":\"${error.code}\",\"l\":\"${header[\"accept-language\"]}\"}",
                               PLACE_JSON, scopes, NULL),
         .header = header,
         .header_count = 2},
        {.status_from = 413, .status_to = 413, .header = evil, .header_count = 1},
        {.status_from = 408, .status_to = 408},
    };
    struct errors_conf conf = {answer, array_len(answer)};
    desk.route.errors = &conf;
    run_fault(FAULT_UPSTREAM_TIMEOUT);
    assert_true(strncmp(desk.head, "200\n", 4) == 0);
    assert_string_equal(desk.body, "200 upstream /x r");
    run_fault(FAULT_CONNECT_FAILED);
    assert_true(strncmp(desk.head, "502\n", 4) == 0);
    assert_string_equal(desk.body, "{\"c\":\"connect_failed\",\"l\":\"a\\\"b<\"}");
    assert_string_equal(desk_field("x-code"), "connect_failed");
    assert_string_equal(desk_field("cache-control"), "max-age=1");
    assert_string_equal(desk_field("content-type"), "application/json");
    run_fault(FAULT_BODY_TOO_LARGE); /* what cannot be said is not: the shipped answer */
    assert_true(strncmp(desk.head, "413\n", 4) == 0);
    assert_string_equal(desk_field("content-type"), "application/problem+json");
    run_fault(FAULT_BODY_TIMEOUT);
    assert_string_equal(desk.body, "");
    assert_string_equal(desk_field("content-type"), "");
    run_grpc_fault(FAULT_UPSTREAM_TIMEOUT); /* not of a call */
    assert_true(strncmp(desk.head, "200\n", 4) == 0);
    assert_string_equal(desk_field("grpc-status"), "4");
    assert_string_equal(desk_field("x-code"), "");
    run_fault(FAULT_NO_ROUTE); /* none fits */
    assert_string_equal(desk_field("content-type"), "application/problem+json");
    desk_close();
}

static void test_quality(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        unsigned html;
    } q[] = {
        {"text/html;q=0.123", 123},
        {"text/html;q=1.000", 1000},
        {"text/html;q=0", 0},
        {"text/*;q=0.2,*/*;q=0.9", 200},
        {"*/*;q=0.9,text/html;q=0.1", 100},
        {"TEXT/HTML ; Q=0.5", 500},
        {"text/html;level=1;q=0.4", 400},
        {"text", 0},
        {"text/html;q=2", 1000},
        {"text/html;q=0.1234", 1000},
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < array_len(q); i++) {
        struct head h;
        head_init(&h, &a);
        assert_int_equal(hdr_put(&h, SPAN("accept"), span_z(q[i].accept), ORIGIN_CLIENT), 0);
        if (accept_quality(&h, SPAN("text"), SPAN("html")) != q[i].html)
            fail_msg("%s: %u", q[i].accept, accept_quality(&h, SPAN("text"), SPAN("html")));
    }
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_negotiated),  cmocka_unit_test(test_json),
        cmocka_unit_test(test_every_fault), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_grpc),        cmocka_unit_test(test_grpc_web),
        cmocka_unit_test(test_replaced),    cmocka_unit_test(test_quality)};
    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
