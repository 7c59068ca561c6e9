/* Printers: exact bytes, and that what is printed reads back as what it was. */
#include "cases.h"
#include "http/h1.h"
#include <time.h>

static struct arena arena;

static void head_on_arena(struct head *h) {
    arena_finish(&arena);
    arena_init(&arena, NULL);
    head_init(h, &arena);
}

static void expect(struct span got, const char *want) {
    if (!span_eq(got, span_z(want)))
        fail_msg("got\n%.*s\nwant\n%s", SPAN_ARG(got), want);
}

static void put(struct head *h, const char *name, const char *value) {
    assert_int_equal(hdr_put(h, span_z(name), span_z(value), ORIGIN_GATEWAY), FAULT_NONE);
}

static void get_head(struct head *h) {
    head_on_arena(h);
    h->method = METHOD_GET;
    h->method_text = method_name(METHOD_GET);
    h->path = SPAN("/a");
    h->query = SPAN("b=c");
    h->has_query = true;
    h->authority = SPAN("gw.test");
    put(h, "x-own", "1");
    put(h, "etag", "");
    put(h, "www-authenticate", "Basic");
}

static void test_request(void **state) {
    (void)state;
    struct head h;
    get_head(&h);
    struct field extra = {"x-request-id", "77", 2, 12, HDR_X_REQUEST_ID};
    struct h1_print how = {.framing = FRAMING_NONE, .no_length = true};
    expect(
        h1_print_request(&h, &arena, &how),
        "GET /a?b=c HTTP/1.1\r\nHost: gw.test\r\nx-own: 1\r\nETag: \r\nWWW-Authenticate: Basic\r\n"
        "\r\n");
    how = (struct h1_print){.framing = FRAMING_LENGTH,
                            .length = UINT64_MAX,
                            .close = true,
                            .extra = &extra,
                            .extra_count = 1,
                            .authority = SPAN("other:1")};
    expect(
        h1_print_request(&h, &arena, &how),
        "GET /a?b=c HTTP/1.1\r\nHost: other:1\r\nx-own: 1\r\nETag: \r\nWWW-Authenticate: Basic\r\n"
        "X-Request-ID: 77\r\nContent-Length: 18446744073709551615\r\nConnection: close\r\n\r\n");
    h.count = 0;
    h.bytes = 0;
    h.query = SPAN_NONE;
    how = (struct h1_print){.framing = FRAMING_CHUNKED};
    expect(h1_print_request(&h, &arena, &how),
           "GET /a? HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    how = (struct h1_print){.framing = FRAMING_NONE};
    h.authority = SPAN_NONE;
    expect(h1_print_request(&h, &arena, &how),
           "GET /a? HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n");
}

static void test_websocket(void **state) {
    (void)state;
    struct head h;
    get_head(&h);
    h.method = METHOD_CONNECT;
    h.method_text = method_name(METHOD_CONNECT);
    h.protocol = SPAN("websocket");
    h.count = 0;
    h.bytes = 0;
    h.present[0] = h.present[1] = 0;
    struct h1_print how = {.framing = FRAMING_TUNNEL, .ws_key = SPAN("dGhlIHNhbXBsZSBub25jZQ==")};
    expect(h1_print_request(&h, &arena, &how),
           "GET /a?b=c HTTP/1.1\r\nHost: gw.test\r\nSec-WebSocket-Version: 13\r\n"
           "Connection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    put(&h, "sec-websocket-version", "13");
    expect(h1_print_request(&h, &arena, &how),
           "GET /a?b=c HTTP/1.1\r\nHost: gw.test\r\nSec-WebSocket-Version: 13\r\n"
           "Connection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    head_on_arena(&h);
    h.status = 200;
    how.ws_key = SPAN("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    expect(h1_print_response(&h, &arena, &how),
           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

static void test_response(void **state) {
    (void)state;
    static const struct {
        int status;
        struct h1_print how;
        const char *want;
    } rows[] = {
        {200,
         {.framing = FRAMING_LENGTH, .length = 5},
         "200 OK\r\nVary: *\r\nContent-Length: 5\r\n"},
        {200,
         {.framing = FRAMING_CHUNKED, .http10 = true},
         "200 OK\r\nVary: *\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"},
        {200, {.framing = FRAMING_CLOSE}, "200 OK\r\nVary: *\r\nConnection: close\r\n"},
        {200,
         {.framing = FRAMING_CLOSE, .http10 = true},
         "200 OK\r\nVary: *\r\nConnection: close\r\n"},
        {404,
         {.framing = FRAMING_NONE, .close = true},
         "404 Not Found\r\nVary: *\r\nContent-Length: 0\r\nConnection: close\r\n"},
        {599, {.framing = FRAMING_NONE, .no_length = true}, "599 \r\nVary: *\r\n"},
        {204, {.framing = FRAMING_NONE}, "204 No Content\r\nVary: *\r\n"},
        {204, {.framing = FRAMING_LENGTH, .length = 5}, "204 No Content\r\nVary: *\r\n"},
        {304, {.framing = FRAMING_NONE}, "304 Not Modified\r\nVary: *\r\n"},
        {304,
         {.framing = FRAMING_LENGTH, .length = 5},
         "304 Not Modified\r\nVary: *\r\nContent-Length: 5\r\n"},
        {103, {.framing = FRAMING_NONE, .close = true}, "103 Early Hints\r\nVary: *\r\n"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct head h;
        char want[256];
        head_on_arena(&h);
        h.status = rows[i].status;
        put(&h, "vary", "*");
        snprintf(want, sizeof want, "HTTP/1.1 %s\r\n", rows[i].want);
        expect(h1_print_response(&h, &arena, &rows[i].how), want);
    }
}

static void test_chunks(void **state) {
    (void)state;
    char line[20];
    struct head t;
    assert_true(span_eq(span_of(line, h1_chunk_line(line, 0x1a2b, true)), SPAN("1a2b\r\n")));
    assert_true(span_eq(span_of(line, h1_chunk_line(line, 0x10, false)), SPAN("\r\n10\r\n")));
    assert_true(span_eq(span_of(line, h1_chunk_line(line, UINT64_MAX, false)),
                        SPAN("\r\nffffffffffffffff\r\n")));
    head_on_arena(&t);
    expect(h1_print_last_chunk(NULL, &arena, true), "0\r\n\r\n");
    expect(h1_print_last_chunk(NULL, &arena, false), "\r\n0\r\n\r\n");
    expect(h1_print_last_chunk(&t, &arena, false), "\r\n0\r\n\r\n");
    put(&t, "grpc-status", "0");
    expect(h1_print_last_chunk(&t, &arena, true), "0\r\ngrpc-status: 0\r\n\r\n");
}

/* Values of every length: the short copies have their own paths. */
static void test_lengths(void **state) {
    (void)state;
    static struct h1_parser p;
    static const char text[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    struct h1_rules rules = {.scheme = SPAN("http")};
    for (size_t n = 1; n < sizeof text; n++) {
        struct head h, back;
        struct h1_message m;
        char value[64], name[64];
        get_head(&h);
        snprintf(value, sizeof value, "%.*s", (int)n, text);
        for (size_t i = 0; i <= n; i++)
            name[i] = lower(value[i]);
        put(&h, name, value);
        struct h1_print how = {.framing = FRAMING_NONE, .no_length = true};
        struct span s = h1_print_request(&h, &arena, &how);
        h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
        assert_int_equal(h1_parse(&p, s.p, s.n), H1_DONE);
        head_init(&back, &arena);
        assert_int_equal(h1_request(&p, s.p, &rules, &back, &m), FAULT_NONE);
        assert_int_equal(back.count, h.count);
        assert_true(span_eq(hdr_find(&back, span_z(name)), span_z(value)));
    }
}

static void test_ws_accept(void **state) {
    (void)state;
    char out[28];
    ws_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), out); /* RFC 6455 1.3 */
    assert_true(span_eq(span_of(out, 28), SPAN("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}

static void test_ws_key(void **state) {
    (void)state;
    char out[WS_KEY_LEN];
    ws_key((const unsigned char *)"the sample nonce", out); /* RFC 6455 1.3 */
    assert_true(span_eq(span_of(out, WS_KEY_LEN), SPAN("dGhlIHNhbXBsZSBub25jZQ==")));
}

static void test_date(void **state) {
    (void)state;
    char out[29], want[64];
    http_date(784111777, out); /* RFC 9110 5.6.7 */
    assert_true(span_eq(span_of(out, 29), SPAN("Sun, 06 Nov 1994 08:49:37 GMT")));
    http_date(-5, out);
    assert_true(span_eq(span_of(out, 29), SPAN("Thu, 01 Jan 1970 00:00:00 GMT")));
    http_date(INT64_MAX, out);
    assert_true(span_eq(span_of(out, 29), SPAN("Fri, 31 Dec 9999 23:59:59 GMT")));
    for (int64_t t = 0; t < 253402300800; t += 86400 * 13 + 3607) {
        time_t seconds = (time_t)t;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        assert_int_equal(strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm), 29);
        http_date(t, out);
        assert_memory_equal(out, want, 29);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),  cmocka_unit_test(test_websocket),
        cmocka_unit_test(test_response), cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_ws_accept),
        cmocka_unit_test(test_ws_key),   cmocka_unit_test(test_date),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
