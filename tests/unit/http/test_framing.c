/*
 * framing_decide over every combination of what it looks at. The rules are told again here, one by
 * one, as statements about single cases (RFC 9112 6.3), not as a second decision.
 */
#include "http/framing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct text {
    const char *text;
    enum fault fault; /* what this value alone is refused for; FAULT_NONE: legal */
    uint64_t length;
};

static const struct text lengths[] = {
    {"0", FAULT_NONE, 0},
    {"5", FAULT_NONE, 5},
    {"9223372036854775807", FAULT_NONE, INT64_MAX},
    {"9223372036854775808", FAULT_BAD_CL, 0},
    {"18446744073709551621", FAULT_BAD_CL, 0},
    {"", FAULT_BAD_CL, 0},
    {"05", FAULT_BAD_CL, 0},
    {"+5", FAULT_BAD_CL, 0},
    {"-5", FAULT_BAD_CL, 0},
    {"0x5", FAULT_BAD_CL, 0},
    {"5 5", FAULT_BAD_CL, 0},
    {"5a", FAULT_BAD_CL, 0},
    {"1e1", FAULT_BAD_CL, 0},
    {"\"5\"", FAULT_BAD_CL, 0},
    {"5,5", FAULT_DUP_CL, 0},
    {"5, 6", FAULT_DUP_CL, 0},
};

static const struct text codings[] = {
    {"chunked", FAULT_NONE, 0},
    {"CHUNKED", FAULT_NONE, 0},
    {"", FAULT_BAD_TE, 0},
    {"gzip", FAULT_UNKNOWN_TE, 0},
    {"identity", FAULT_UNKNOWN_TE, 0},
    {"xchunked", FAULT_UNKNOWN_TE, 0},
    {"gzip, chunked", FAULT_UNKNOWN_TE, 0},
    {"chunked, gzip", FAULT_BAD_TE, 0},
    {"chunked, chunked", FAULT_DUP_TE, 0},
    {"chunked,CHUNKED", FAULT_DUP_TE, 0},
    {",chunked", FAULT_BAD_TE, 0},
    {"chunked,", FAULT_BAD_TE, 0},
    {"\"chunked\"", FAULT_BAD_TE, 0},
    {"chunked;q=1", FAULT_BAD_TE, 0},
    {"chun ked", FAULT_BAD_TE, 0},
    {"\x0b"
     "chunked",
     FAULT_BAD_TE, 0},
    {"\xa0"
     "chunked",
     FAULT_BAD_TE, 0},
    {"\xe2\x84\xaa"
     "chunked",
     FAULT_BAD_TE, 0},
};

struct combination {
    struct framing_in in;
    const struct text *cl, *te;
};

/* The first of these that holds is the refusal. */
static enum fault refusal(const struct combination *c) {
    const struct framing_in *in = &c->in;
    if (in->te_count && in->cl_count)
        return FAULT_CL_AND_TE;
    if (in->te_count > 1)
        return FAULT_DUP_TE;
    if (in->te_count && in->http10)
        return FAULT_BAD_TE;
    if (in->cl_count > 1)
        return FAULT_DUP_CL;
    if (in->te_count && c->te->fault != FAULT_NONE)
        return c->te->fault;
    if (in->cl_count && c->cl->fault != FAULT_NONE)
        return c->cl->fault;
    if (in->response && in->status == 101 && !in->tunnel)
        return FAULT_UPSTREAM_UNASKED_UPGRADE;
    return FAULT_NONE;
}

static bool no_body(const struct framing_in *in) {
    return in->response && (in->method == METHOD_HEAD || in->status / 100 == 1 ||
                            in->status == 204 || in->status == 205 || in->status == 304);
}

static bool tunnels(const struct framing_in *in) {
    return in->response && in->tunnel &&
           (in->status == 101 || (in->method == METHOD_CONNECT && in->status / 100 == 2));
}

static void check_accepted(const struct combination *c, const struct framing_out *out) {
    const struct framing_in *in = &c->in;
    if (tunnels(in)) {
        assert_int_equal(out->framing, FRAMING_TUNNEL);
        return;
    }
    if (no_body(in)) {
        assert_int_equal(out->framing, FRAMING_NONE);
        assert_int_equal(out->excess_possible, in->te_count || (in->cl_count && c->cl->length));
        return;
    }
    assert_false(out->excess_possible);
    if (in->te_count) {
        assert_int_equal(out->framing, FRAMING_CHUNKED);
    } else if (in->cl_count) {
        assert_int_equal(out->framing, FRAMING_LENGTH);
        assert_true(out->length == c->cl->length);
    } else {
        /* Only an answer may end by the end of the connection. */
        assert_int_equal(out->framing, in->response ? FRAMING_CLOSE : FRAMING_NONE);
    }
}

static void check(const struct combination *c) {
    struct framing_out out = {.framing = FRAMING_TUNNEL, .length = 77, .excess_possible = true};
    enum fault want = refusal(c), got = framing_decide(&c->in, &out);
    if (got != want)
        fail_msg("%s, want %s: cl %ux \"%s\", te %ux \"%s\", status %d", fault_table[got].code,
                 fault_table[want].code, c->in.cl_count, c->cl->text, c->in.te_count, c->te->text,
                 c->in.status);
    if (got == FAULT_NONE)
        check_accepted(c, &out);
}

/* Both texts, each absent, once and twice. */
static unsigned each_field(struct combination *c) {
    unsigned count = 0;
    for (size_t i = 0; i < array_len(lengths) * array_len(codings) * 9; i++) {
        c->cl = &lengths[i % array_len(lengths)];
        c->te = &codings[i / array_len(lengths) % array_len(codings)];
        c->in.cl = span_z(c->cl->text);
        c->in.te = span_z(c->te->text);
        c->in.cl_count = (unsigned)(i / array_len(lengths) / array_len(codings) % 3);
        c->in.te_count = (unsigned)(i / array_len(lengths) / array_len(codings) / 3);
        check(c);
        count++;
    }
    return count;
}

static void test_requests(void **state) {
    (void)state;
    unsigned count = 0;
    for (unsigned m = 0; m < METHOD_COUNT; m++)
        for (unsigned http10 = 0; http10 < 2; http10++) {
            struct combination c = {.in = {.method = (enum method)m, .http10 = http10}};
            count += each_field(&c);
        }
    assert_int_equal(count, METHOD_COUNT * 2 * 16 * 18 * 9);
}

static void test_responses(void **state) {
    (void)state;
    static const int statuses[] = {100, 101, 103, 199, 200, 201, 204, 205, 206,
                                   299, 301, 304, 400, 404, 426, 500, 503, 599};
    unsigned count = 0;
    for (unsigned i = 0; i < array_len(statuses) * METHOD_COUNT * 4; i++) {
        struct combination c = {.in = {.response = true,
                                       .http10 = i & 1,
                                       .tunnel = i >> 1 & 1,
                                       .method = (enum method)(i / 4 % METHOD_COUNT),
                                       .status = statuses[i / 4 / METHOD_COUNT]}};
        count += each_field(&c);
    }
    assert_int_equal(count, 18 * METHOD_COUNT * 4 * 16 * 18 * 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
