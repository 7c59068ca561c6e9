/* gRPC: content types, timeouts, codes, message frames cut in every way, gRPC-Web's base64. */
#include "cuts.h"
#include "http/grpc.h"

static struct arena arena;

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *type;
        enum grpc_kind kind;
        const char *plain, *web, *text; /* converted */
    } cases[] = {
        {"application/grpc", GRPC_PLAIN, "application/grpc", "application/grpc-web",
         "application/grpc-web-text"},
        {"application/grpc+proto", GRPC_PLAIN, "application/grpc+proto",
         "application/grpc-web+proto", "application/grpc-web-text+proto"},
        {"application/grpc-web", GRPC_WEB, "application/grpc", "application/grpc-web",
         "application/grpc-web-text"},
        {"application/grpc-web-text+json; charset=utf-8", GRPC_WEB_TEXT,
         "application/grpc+json; charset=utf-8", "application/grpc-web+json; charset=utf-8",
         "application/grpc-web-text+json; charset=utf-8"},
        {"Application/GRPC;a=b", GRPC_PLAIN, "Application/GRPC;a=b", "application/grpc-web;a=b",
         "application/grpc-web-text;a=b"},
        {"application/grpcx", GRPC_NONE, "application/grpcx", "application/grpcx",
         "application/grpcx"},
        {"application/grpc-webx", GRPC_NONE, "application/grpc-webx", "application/grpc-webx",
         "application/grpc-webx"},
        {"application/grpc-", GRPC_NONE, "application/grpc-", "application/grpc-",
         "application/grpc-"},
        {"application/grp", GRPC_NONE, "application/grp", "application/grp", "application/grp"},
        {"", GRPC_NONE, "", "", ""},
        {"text/html", GRPC_NONE, "text/html", "text/html", "text/html"},
    };
    for (unsigned i = 0; i < array_len(cases); i++) {
        struct span type = span_z(cases[i].type);
        const char *want[] = {cases[i].type, cases[i].plain, cases[i].web, cases[i].text};
        assert_int_equal(grpc_kind(type), cases[i].kind);
        for (unsigned k = GRPC_NONE; k <= GRPC_WEB_TEXT; k++) {
            struct span got = grpc_content_type(type, (enum grpc_kind)k, &arena);
            if (!span_eq(got, span_z(want[k])))
                fail_msg("%s as %u: %.*s", cases[i].type, k, SPAN_ARG(got));
        }
    }
}

static void test_timeout(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"1n", 1},
        {"20u", 20000},
        {"100m", 100000000},
        {"5S", 5000000000},
        {"3M", 180000000000},
        {"2H", 7200000000000},
        {"0S", 0},
        {"00000001S", 1000000000},
        {"99999999n", 99999999},
        {"99999999H", UINT64_MAX},
        {"5124095H", 5124095 * 3600000000000u},
    };
    static const char *const bad[] = {"",   "1",    "S",   "1s",         "1 S", "-1S", "+1S",
                                      "1h", "1.5S", "1SS", "123456789S", "1N",  " 1S", "1S "};
    uint64_t ns;
    for (unsigned i = 0; i < array_len(good); i++) {
        assert_true(grpc_timeout(span_z(good[i].text), &ns));
        assert_true(ns == good[i].ns);
    }
    for (unsigned i = 0; i < array_len(bad); i++)
        if (grpc_timeout(span_z(bad[i]), &ns))
            fail_msg("\"%s\" passed", bad[i]);
}

static void test_timeout_print(void **state) {
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0n"},
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {100000001, "100001u"},
        {99999999000, "99999999u"},
        {99999999001, "100000m"},
        {30000000000, "30000000u"},
        {3600000000000, "3600000m"},
        {UINT64_MAX, "5124096H"},
    };
    char out[16];
    for (unsigned i = 0; i < array_len(cases); i++) {
        struct span s = grpc_timeout_print(cases[i].ns, out);
        if (!span_eq(s, span_z(cases[i].text)))
            fail_msg("%llu ns: %.*s", (unsigned long long)cases[i].ns, SPAN_ARG(s));
    }
    /* Read back it is never less, and at most a part in a hundred thousand more. */
    for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns = ns * 3 / 2 + 1) {
        uint64_t back;
        assert_true(grpc_timeout(grpc_timeout_print(ns, out), &back));
        assert_true(back >= ns && back - ns <= ns / 25000);
    }
}

static void test_codes(void **state) {
    (void)state;
    static const struct {
        int status;
        enum grpc_code code;
    } status[] = {
        {200, GRPC_UNKNOWN},       {400, GRPC_INTERNAL},          {401, GRPC_UNAUTHENTICATED},
        {404, GRPC_UNIMPLEMENTED}, {403, GRPC_PERMISSION_DENIED}, {429, GRPC_UNAVAILABLE},
        {500, GRPC_UNKNOWN},       {502, GRPC_UNAVAILABLE},       {503, GRPC_UNAVAILABLE},
        {504, GRPC_UNAVAILABLE},   {418, GRPC_UNKNOWN},           {301, GRPC_UNKNOWN}};
    static const struct {
        enum fault fault;
        enum grpc_code code;
    } fault[] = {
        {FAULT_NONE, GRPC_OK},
        {FAULT_REQUEST_TIMEOUT, GRPC_DEADLINE_EXCEEDED},
        {FAULT_UPSTREAM_TIMEOUT, GRPC_DEADLINE_EXCEEDED},
        {FAULT_UPSTREAM_IDLE, GRPC_DEADLINE_EXCEEDED},
        {FAULT_STREAM_IDLE, GRPC_DEADLINE_EXCEEDED},
        {FAULT_MAX_DURATION, GRPC_DEADLINE_EXCEEDED},
        {FAULT_BODY_TIMEOUT, GRPC_DEADLINE_EXCEEDED},
        {FAULT_CLIENT_CLOSED, GRPC_CANCELLED},
        {FAULT_SEND_STALLED, GRPC_CANCELLED},
        {FAULT_NO_ENDPOINT, GRPC_UNAVAILABLE},
        {FAULT_DNS_FAILED, GRPC_UNAVAILABLE},
        {FAULT_CONNECT_FAILED, GRPC_UNAVAILABLE},
        {FAULT_CONNECT_TIMEOUT, GRPC_UNAVAILABLE},
        {FAULT_UPSTREAM_TLS, GRPC_UNAVAILABLE},
        {FAULT_UPSTREAM_RESET, GRPC_UNAVAILABLE},
        {FAULT_UPSTREAM_CLOSED, GRPC_UNAVAILABLE},
        {FAULT_UPSTREAM_TRUNCATED, GRPC_UNAVAILABLE},
        {FAULT_UPSTREAM_REFUSED_STREAM, GRPC_UNAVAILABLE},
        {FAULT_SHUTTING_DOWN, GRPC_UNAVAILABLE},
        {FAULT_QUEUE_FULL, GRPC_UNAVAILABLE},
        {FAULT_OVERLOADED, GRPC_RESOURCE_EXHAUSTED},
        {FAULT_BODY_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED},
        {FAULT_GRPC_MESSAGE_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED},
        {FAULT_HEADERS_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED},
        {FAULT_UPSTREAM_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED},
        {FAULT_NO_ROUTE, GRPC_UNIMPLEMENTED},
        {FAULT_METHOD_NOT_ALLOWED, GRPC_UNIMPLEMENTED},
        {FAULT_BAD_GRPC_FRAME, GRPC_INTERNAL},
        {FAULT_MALFORMED_H2, GRPC_INTERNAL},
        {FAULT_BAD_HOST, GRPC_INTERNAL},
        {FAULT_UPSTREAM_PROTOCOL, GRPC_INTERNAL},
        {FAULT_UPSTREAM_BAD_FRAMING, GRPC_INTERNAL},
        {FAULT_INTERNAL, GRPC_INTERNAL},
    };
    for (unsigned i = 0; i < array_len(status); i++)
        assert_int_equal(grpc_code_of_status(status[i].status), status[i].code);
    for (unsigned i = 0; i < array_len(fault); i++)
        if (grpc_code_of_fault(fault[i].fault) != fault[i].code)
            fail_msg("%s: %s", fault_table[fault[i].fault].code,
                     grpc_code_name(grpc_code_of_fault(fault[i].fault)));
    /* No fault is a success, and none leaves the caller without a reason. */
    for (unsigned f = 1; f < FAULT_COUNT; f++) {
        enum grpc_code c = grpc_code_of_fault((enum fault)f);
        if (c == GRPC_OK || c == GRPC_UNKNOWN || c >= GRPC_CODES)
            fail_msg("%s: %s", fault_table[f].code, grpc_code_name(c));
    }
    assert_string_equal(grpc_code_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(grpc_code_name(GRPC_UNIMPLEMENTED), "UNIMPLEMENTED");
    assert_string_equal(grpc_code_name((enum grpc_code)99), "UNKNOWN");
    assert_int_equal(grpc_code_read(SPAN("16")), GRPC_UNAUTHENTICATED);
    assert_int_equal(grpc_code_read(SPAN("0")), GRPC_OK);
    assert_int_equal(grpc_code_read(SPAN("17")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_read(SPAN("")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_read(SPAN("-1")), GRPC_UNKNOWN);
}

static void test_message(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"all is well", "all is well"},
                                           {"100%", "100%25"},
                                           {"a\r\nb\tc\x7f~", "a%0D%0Ab%09c%7F~"},
                                           {"zu sp\xc3\xa4t", "zu sp%C3%A4t"}};
    char room[64];
    for (unsigned i = 0; i < array_len(cases); i++) {
        struct str out = str_on(room, sizeof room);
        grpc_message(&out, span_z(cases[i][0]));
        assert_true(span_eq(str_span(&out), span_z(cases[i][1])));
    }
}

static void start(void *scan, const void *how) {
    const struct span *words = how;
    struct grpc_scan *s = scan;
    grpc_scan_start(s, (uint32_t)word_value(*words, "max"), word_value(*words, "encoding"));
    s->web = word_value(*words, "web");
}

static size_t feed(void *scan, struct span piece) {
    const struct grpc_scan *s = scan;
    size_t before = s->head_len, n = grpc_scan(scan, piece);
    assert_true(n <= before + piece.n);
    if (s->fault == GRPC_OK)
        assert_int_equal(s->head_len, before + piece.n - n);
    return n;
}

static void tell(const void *scan, size_t passed, size_t n, struct str *got) {
    const struct grpc_scan *s = scan;
    str_fmt(got, "%zu of %zu, %llu messages", passed, n, (unsigned long long)s->messages);
    str_fmt(got, "%s%s", grpc_scan_between(s) ? ", between" : "", s->trailed ? ", trailed" : "");
    if (s->fault)
        str_fmt(got, ", %s", grpc_code_name(s->fault));
}

static const struct cut_ops ops = {start, feed, tell};

static void run_case(struct span input, struct str *got) {
    struct grpc_scan s;
    struct span words = span_split(&input, '|');
    assert_non_null(input.p);
    cuts_run(&ops, &s, &words, input, got);
}

static void test_frames(void **state) {
    (void)state;
    unsigned n = cases_run("grpc_frames.txt", run_case);
    assert_true(n > 15);
    print_message("# %u cases\n", n);
}

static void test_web_trailers(void **state) {
    (void)state;
    struct head h;
    head_init(&h, &arena);
    struct span none = grpc_web_trailers(&h, &arena);
    assert_true(span_eq(none, SPAN("\x80\0\0\0\0")));
    assert_true(span_eq(grpc_web_trailers(NULL, &arena), none));
    assert_int_equal(hdr_put(&h, SPAN("grpc-status"), SPAN("5"), ORIGIN_UPSTREAM), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("etag"), SPAN(""), ORIGIN_UPSTREAM), FAULT_NONE);
    assert_true(
        span_eq(grpc_web_trailers(&h, &arena), SPAN("\x80\0\0\0\x18grpc-status: 5\r\netag: \r\n")));
}

static void decode(struct span text, size_t step, struct str *got, bool *bad, bool *ended) {
    struct base64_in b = {0};
    for (size_t i = 0; i < text.n; i += step) {
        struct span piece = span_cut(text, i, step);
        char *room = malloc(piece.n); /* as large as the header promises */
        assert_non_null(room);
        str_put(got, room, base64_decode_some(&b, piece, room));
        free(room);
    }
    *bad = b.bad;
    *ended = base64_ended(&b);
}

static void test_base64_decode(void **state) {
    (void)state;
    static const struct {
        const char *text, *bytes;
        bool bad, ended;
    } cases[] = {
        {"", "", false, true},
        {"Zm9vYmFy", "foobar", false, true},
        {"Zm9vYmE=", "fooba", false, true},
        {"Zm9vYg==", "foob", false, true},
        {"Zg==Zm8=Zm9v", "ffofoo", false, true}, /* each flush of a client pads */
        {"Zm9v//++", "foo\xff\xff\xbe", false, true},
        {"Zm9vY", "foo", false, false},
        {"Zm9vYg", "foob", false, false},
        {"Zm9vYg=", "foob", false, false},
        {"Zm9vYg=a", "foob", true, false},
        {"Zm9v=", "foo", true, false},
        {"Zm9vY=", "foo", true, false},
        {"Zm8==", "fo", true, false},
        {"====", "", true, false},
        {"Zh==", "f", true, false}, /* bits behind the byte */
        {"Zo==", "f", true, false},
        {"Zm9=", "fo", true, false},
        {"Zm+=", "fo", true, false},
        {"Zm9v Zm9v", "foo", true, false},
        {"Zm9v\nZm9v", "foo", true, false},
        {"Zm9v-_", "foo", true, false},
    };
    for (unsigned i = 0; i < array_len(cases); i++)
        for (size_t step = 1; step <= 13; step++) {
            char room[64];
            bool bad, ended;
            struct str got = str_on(room, sizeof room);
            decode(span_z(cases[i].text), step, &got, &bad, &ended);
            if (!span_eq(str_span(&got), span_z(cases[i].bytes)) || bad != cases[i].bad ||
                ended != cases[i].ended)
                fail_msg("%s in steps of %zu: %.*s %d %d", cases[i].text, step, (int)got.n, got.p,
                         bad, ended);
        }
}

/* Every length, in steps of every size, flushed at the end or after every step. */
static void test_base64_round(void **state) {
    (void)state;
    char bytes[100], text[400], back[400];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 + 200);
    for (size_t n = 0; n <= sizeof bytes; n++)
        for (size_t step = 1; step <= n + 1; step++)
            for (unsigned flush = 0; flush < 2; flush++) {
                struct base64_out b = {0};
                struct base64_in in = {0};
                size_t len = 0;
                for (size_t at = 0; at < n; at += step) {
                    struct span piece = span_cut(span_of(bytes, n), at, step);
                    size_t wrote = base64_encode_some(&b, piece, text + len);
                    assert_true(wrote <= 4 * ((piece.n + 2) / 3));
                    len += wrote;
                    len += flush ? base64_encode_end(&b, text + len) : 0;
                }
                len += base64_encode_end(&b, text + len);
                assert_true(flush || len == 4 * ((n + 2) / 3));
                assert_int_equal(base64_decode_some(&in, span_of(text, len), back), n);
                assert_true(base64_ended(&in));
                assert_memory_equal(bytes, back, n);
            }
}

static int start_arena(void **state) {
    (void)state;
    arena_init(&arena, NULL);
    return 0;
}

static int end_arena(void **state) {
    (void)state;
    arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),         cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_timeout_print), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_message),       cmocka_unit_test(test_frames),
        cmocka_unit_test(test_web_trailers),  cmocka_unit_test(test_base64_decode),
        cmocka_unit_test(test_base64_round),
    };
    return cmocka_run_group_tests(tests, start_arena, end_arena);
}
