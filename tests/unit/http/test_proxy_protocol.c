/* Headers of the PROXY protocol, cut in every way, and what is written read back. */
#include "cases.h"
#include "http/proxy_protocol.h"

static const char *const status_name[] = {"more", "done", "bad"};

/* Bytes come piece by piece into blocks of their own; the last one is returned. */
static char *feed(struct span s, size_t at, enum proxy_status *status, struct proxy_header *h) {
    size_t came = 0;
    char *block = NULL;
    do {
        came = at == 0 ? came + 1 : came < at ? at : s.n;
        came = came < s.n ? came : s.n;
        free(block);
        block = malloc(came + !came);
        assert_non_null(block);
        memcpy(block, s.p, came);
        *status = proxy_header_read(span_of(block, came), h);
        assert_true(*status != PROXY_DONE || (h->length > 0 && h->length <= came));
        assert_true(*status != PROXY_MORE || came < PROXY_HEADER_MAX);
    } while (*status == PROXY_MORE && came < s.n);
    return block;
}

static void show_address(struct str *got, bool ip6, const unsigned char *a, unsigned port) {
    for (unsigned i = 0; i < (ip6 ? 16u : 4u); i++)
        str_fmt(got, ip6 ? "%02x" : i ? ".%u" : "%u", a[i]);
    str_fmt(got, " %u", port);
}

static void show_span(struct str *got, const char *name, struct span v) {
    if (!v.n)
        return;
    str_fmt(got, ", %s ", name);
    case_show(got, v);
}

static void show(struct str *got, enum proxy_status status, const struct proxy_header *h) {
    str_fmt(got, "%s", status_name[status]);
    if (status != PROXY_DONE)
        return;
    str_fmt(got, " %u v%u ", h->length, h->version);
    if (h->local) {
        str_lit(got, "local");
    } else {
        show_address(got, h->ip6, h->source, h->source_port);
        str_lit(got, " -> ");
        show_address(got, h->ip6, h->target, h->target_port);
    }
    show_span(got, "authority", h->authority);
    show_span(got, "alpn", h->alpn);
    show_span(got, "id", h->unique_id);
    if (h->tls)
        str_lit(got, ", tls");
}

static void run_case(struct span input, struct str *got) {
    static char room[4096];
    struct proxy_header h;
    enum proxy_status status;
    free(feed(input, input.n, &status, &h));
    char *whole = feed(input, input.n, &status, &h);
    show(got, status, &h);
    free(whole);
    for (size_t at = 0; at < input.n; at++) {
        struct str other = str_on(room, sizeof room);
        char *block = feed(input, at, &status, &h);
        show(&other, status, &h);
        free(block);
        if (!span_eq(str_span(&other), str_span(got)))
            fail_msg("cut at %zu: %.*s\nwhole: %.*s", at, SPAN_ARG(str_span(&other)),
                     SPAN_ARG(str_span(got)));
    }
}

static void test_cases(void **state) {
    (void)state;
    unsigned n = cases_run("proxy_protocol.txt", run_case);
    assert_true(n > 60);
    print_message("# %u cases\n", n);
}

static void same(const struct proxy_header *a, const struct proxy_header *b) {
    size_t n = a->local ? 0 : a->ip6 ? 16 : 4;
    assert_true(a->version == b->version && a->local == b->local && a->ip6 == b->ip6);
    assert_memory_equal(a->source, b->source, n);
    assert_memory_equal(a->target, b->target, n);
    assert_true(a->source_port == b->source_port && a->target_port == b->target_port);
    assert_true(span_eq(a->authority, b->authority) && span_eq(a->alpn, b->alpn));
    assert_true(span_eq(a->unique_id, b->unique_id) && a->tls == b->tls);
}

static void test_round_trip(void **state) {
    (void)state;
    static const struct proxy_header headers[] = {
        {.version = 1, .local = true},
        {.version = 2, .local = true},
        {.version = 1, .source = {192, 0, 2, 1}, .target = {10, 0, 0, 1}, .source_port = 65535},
        {.version = 1, .ip6 = true, .source = {0x20, 1, 0xd, 0xb8, [15] = 1}, .target_port = 443},
        {.version = 2, .source = {255, 255, 255, 255}, .source_port = 1, .target_port = 2},
        {.version = 2, .ip6 = true, .source = {0xfe, 0x80, [15] = 9}, .target = {[15] = 1}},
        {.version = 2,
         .authority = SPAN("shop.example"),
         .alpn = SPAN("h2"),
         .unique_id = SPAN("0190-abc"),
         .tls = true},
    };
    for (unsigned i = 0; i < array_len(headers); i++) {
        unsigned char out[PROXY_HEADER_MAX];
        struct proxy_header h;
        size_t n = proxy_header_write(out, &headers[i]);
        assert_int_equal(proxy_header_read(span_of((char *)out, n), &h), PROXY_DONE);
        assert_int_equal(h.length, n);
        same(&headers[i], &h);
    }
}

/* What does not fit is left out, and the header stays one that this reader takes. */
static void test_long_tlvs(void **state) {
    (void)state;
    static const char text[1024];
    for (size_t n = 0; n <= sizeof text; n++) {
        unsigned char out[PROXY_HEADER_MAX];
        struct proxy_header h, in = {.version = 2,
                                     .authority = span_of(text, n),
                                     .alpn = SPAN("h2"),
                                     .unique_id = span_of(text, n / 2)};
        size_t len = proxy_header_write(out, &in);
        assert_int_equal(proxy_header_read(span_of((char *)out, len), &h), PROXY_DONE);
        assert_int_equal(h.length, len);
        assert_int_equal(h.authority.n, n <= PROXY_TLV_MAX - 3 - 5 ? n : 0);
        assert_true(h.unique_id.n == n / 2 || h.unique_id.n == 0);
        assert_true(h.unique_id.n || n < 2 || n / 2 > PROXY_UNIQUE_ID_MAX || n > 300);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_tlvs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
