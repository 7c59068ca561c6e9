/* The only way into a head, and the readers of what stands in it. */
#include "cases.h"
#include "http/head.h"

static struct arena arena;

static void head_on_arena(struct head *h) {
    arena_finish(&arena);
    arena_init(&arena, NULL);
    head_init(h, &arena);
}

struct row {
    const char *name, *value;
    enum fault client, upstream, gateway; /* by origin; CONFIG is as GATEWAY */
};

static const struct row rows[] = {
    {"x-own", "v", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    {"x-own", "", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    {"x-own", "a\tb c\x80\xff", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    {"accept", "v", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    {"x-forwarded-for", "v", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    {"x-user-id", "v", FAULT_NONE, FAULT_NONE, FAULT_NONE},
    /* names */
    {"", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {"X-Own", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {"x own", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {"x:own", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {":path", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {"x\r\ny", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    {"x\x80", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME},
    /* values */
    {"x-own", "a\r\nSet-Cookie: x", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", "a\nb", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", "a\rb", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", "a\x01", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", "a\x7f", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", " a", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    {"x-own", "a\t", FAULT_CTL_IN_HEADER, FAULT_CTL_IN_HEADER, FAULT_HEADER_REFUSED},
    /* what only the doors write */
    {"host", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"content-length", "1", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"transfer-encoding", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"connection", "close", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"keep-alive", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"upgrade", "h2c", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    {"te", "v", FAULT_BAD_HEADER_NAME, FAULT_BAD_HEADER_NAME, FAULT_HEADER_REFUSED},
    /* twins */
    {"x_user_id", "v", FAULT_UNDERSCORE_TWIN, FAULT_NONE, FAULT_NONE},
    {"content_length", "1", FAULT_UNDERSCORE_TWIN, FAULT_NONE, FAULT_NONE},
    {"x_forwarded-for", "v", FAULT_UNDERSCORE_TWIN, FAULT_NONE, FAULT_NONE},
    {"x_own", "v", FAULT_NONE, FAULT_NONE, FAULT_NONE},
};

static void test_put(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct row *r = &rows[i];
        const enum fault want[] = {r->client, r->upstream, r->gateway, r->gateway};
        for (unsigned o = ORIGIN_CLIENT; o <= ORIGIN_CONFIG; o++) {
            struct head h;
            head_on_arena(&h);
            enum fault got = hdr_put(&h, span_z(r->name), span_z(r->value), (enum origin)o);
            if (got != want[o])
                fail_msg("%s: \"%s\", origin %u: %s, want %s", r->name, r->value, o,
                         fault_table[got].code, fault_table[want[o]].code);
            assert_int_equal(h.count, got == FAULT_NONE);
            assert_int_equal(h.bytes, got ? 0 : strlen(r->name) + strlen(r->value) + 4);
            assert_int_equal(hdr_set(&h, span_z(r->name), span_z(r->value), (enum origin)o), got);
            assert_int_equal(h.count, got == FAULT_NONE);
        }
    }
}

static void test_nul(void **state) {
    (void)state;
    struct head h;
    head_on_arena(&h);
    assert_int_equal(hdr_put(&h, SPAN("x"), span_of("a\0b", 3), ORIGIN_CLIENT),
                     FAULT_CTL_IN_HEADER);
    assert_int_equal(hdr_put(&h, span_of("x\0y", 3), SPAN("a"), ORIGIN_CLIENT),
                     FAULT_BAD_HEADER_NAME);
}

static void test_single(void **state) {
    (void)state;
    struct head h;
    head_on_arena(&h);
    assert_int_equal(hdr_put(&h, SPAN("authorization"), SPAN("a"), ORIGIN_CLIENT), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("authorization"), SPAN("b"), ORIGIN_CLIENT),
                     FAULT_DUPLICATE_HEADER);
    assert_int_equal(hdr_put(&h, SPAN("accept"), SPAN("a"), ORIGIN_CLIENT), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("accept"), SPAN("b"), ORIGIN_CLIENT), FAULT_NONE);
    /* A replacement is no second copy. */
    assert_int_equal(hdr_set(&h, SPAN("authorization"), SPAN("c"), ORIGIN_CLIENT), FAULT_NONE);
    assert_true(span_eq(hdr_get(&h, HDR_AUTHORIZATION), SPAN("c")));
    assert_int_equal(hdr_set(&h, SPAN("accept"), SPAN("x\n"), ORIGIN_CONFIG), FAULT_HEADER_REFUSED);
    assert_int_equal(h.count, 3); /* a refused one replaces nothing */
    assert_int_equal(hdr_set(&h, SPAN("accept"), SPAN("x"), ORIGIN_CONFIG), FAULT_NONE);
    assert_int_equal(h.count, 2);
}

static void test_budget(void **state) {
    (void)state;
    struct head h;
    head_on_arena(&h);
    for (unsigned i = 0; i < HEAD_COUNT_MAX; i++)
        assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("y"), ORIGIN_GATEWAY), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("y"), ORIGIN_GATEWAY), FAULT_TOO_MANY_HEADERS);
    head_on_arena(&h);
    h.count_max = 2;
    h.bytes_max = 20;
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("123456789012345"), ORIGIN_CLIENT), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN(""), ORIGIN_CLIENT), FAULT_HEADERS_TOO_LARGE);
    hdr_remove_name(&h, SPAN("x"));
    assert_int_equal(h.bytes, 0);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("1234567890123456"), ORIGIN_CLIENT),
                     FAULT_HEADERS_TOO_LARGE);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("1"), ORIGIN_CLIENT), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("1"), ORIGIN_CLIENT), FAULT_NONE);
    assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("1"), ORIGIN_CLIENT), FAULT_TOO_MANY_HEADERS);
}

static void fill(struct head *h) {
    static const char *const fields[][2] = {
        {"accept", "1"}, {"x-a", "2"},  {"x-forwarded-for", "3"},
        {"accept", "4"}, {"x-b", "5"},  {"x-user-id", "6"},
        {"x-a", "7"},    {"vary", "8"},
    };
    head_on_arena(h);
    for (size_t i = 0; i < array_len(fields); i++)
        assert_int_equal(hdr_put(h, span_z(fields[i][0]), span_z(fields[i][1]), ORIGIN_GATEWAY),
                         FAULT_NONE);
}

/* All values in their order. */
static void expect(const struct head *h, const char *want) {
    char text[64];
    struct str s = str_on(text, sizeof text);
    uint32_t bytes = 0;
    uint64_t present[2] = {0, 0};
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        str_add(&s, field_value(f));
        bytes += (uint32_t)(f->name_len + f->value_len + 4);
        present[f->id >> 6] |= (uint64_t)1 << (f->id & 63);
    }
    assert_true(span_eq(str_span(&s), span_z(want)));
    assert_int_equal(h->bytes, bytes);
    assert_true(h->present[0] == present[0] && h->present[1] == present[1]);
}

static void test_remove(void **state) {
    (void)state;
    struct head h;
    fill(&h);
    expect(&h, "12345678");
    hdr_remove(&h, HDR_ACCEPT);
    expect(&h, "235678");
    hdr_remove(&h, HDR_ACCEPT);
    hdr_remove_name(&h, SPAN("x-a"));
    expect(&h, "3568");
    hdr_remove_name(&h, SPAN("x-none"));
    hdr_remove_name(&h, SPAN("vary"));
    expect(&h, "356");
    hdr_remove_flags(&h, HF_FORWARDED | HF_IDENTITY);
    expect(&h, "5");
    hdr_remove_name(&h, SPAN("x-b"));
    expect(&h, "");
    assert_false(hdr_has(&h, HDR_OTHER));
    fill(&h);
    hdr_add(&h, HDR_VIA, SPAN("9"));
    expect(&h, "123456789");
}

static void test_read(void **state) {
    (void)state;
    struct head h;
    size_t at = 0;
    fill(&h);
    assert_true(span_eq(hdr_get(&h, HDR_ACCEPT), SPAN("1")));
    assert_null(hdr_get(&h, HDR_VIA).p);
    assert_true(span_eq(hdr_find(&h, SPAN("accept")), SPAN("1")));
    assert_true(span_eq(hdr_find(&h, SPAN("x-b")), SPAN("5")));
    assert_null(hdr_find(&h, SPAN("x-c")).p);
    assert_null(hdr_find(&h, SPAN("")).p);
    assert_true(span_eq(field_value(hdr_next(&h, SPAN("x-a"), &at)), SPAN("2")));
    assert_true(span_eq(field_value(hdr_next(&h, SPAN("x-a"), &at)), SPAN("7")));
    assert_null(hdr_next(&h, SPAN("x-a"), &at));
}

static void test_growth(void **state) {
    (void)state;
    struct head h;
    head_on_arena(&h);
    h.count_max = 2000;
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(hdr_put(&h, SPAN("x"), SPAN("y"), ORIGIN_GATEWAY), FAULT_NONE);
    assert_int_equal(h.count, 2000);
    assert_int_equal(h.bytes, 2000 * 6);
}

struct pair {
    const char *in, *key, *value; /* NULL: absent */
};

static void check_found(struct span got, const struct pair *r) {
    if (!r->value)
        assert_null(got.p);
    else if (!got.p || !span_eq(got, span_z(r->value)))
        fail_msg("%s in %s: %.*s", r->key, r->in, SPAN_ARG(got));
}

static void test_cookies(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"a=1", "a", "1"},
        {"a=1; b=2;c=3", "b", "2"},
        {"a=1; b=2;c=3", "c", "3"},
        {"a=1; a=2", "a", "1"},
        {"a=", "a", ""},
        {"a", "a", NULL},
        {"ab=1", "a", NULL},
        {"ab=1", "b", NULL},
        {"A=1", "a", NULL},
        {"a=b=c", "a", "b=c"},
        {"a=\"q\"", "a", "\"q\""},
        {";; a=1 ;", "a", "1"},
        {"", "a", NULL},
        {"b=a=1", "a", NULL},
        {"=1", "a", NULL},
    };
    for (size_t i = 0; i < array_len(pairs); i++) {
        struct head h;
        head_on_arena(&h);
        assert_int_equal(hdr_put(&h, SPAN("cookie"), span_z(pairs[i].in), ORIGIN_CLIENT),
                         FAULT_NONE);
        check_found(cookie_get(&h, span_z(pairs[i].key)), &pairs[i]);
        assert_int_equal(hdr_put(&h, SPAN("cookie"), SPAN("late=1"), ORIGIN_CLIENT), FAULT_NONE);
        assert_true(span_eq(cookie_get(&h, SPAN("late")), SPAN("1")));
    }
}

static void test_query(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"a=1&b=2", "a", "1"}, {"a=1&b=2", "b", "2"},     {"a=1&a=2", "a", "1"},
        {"a", "a", ""},        {"a=", "a", ""},           {"a=b=c", "a", "b=c"},
        {"ab=1", "a", NULL},   {"", "a", NULL},           {"&&a=1", "a", "1"},
        {"%61=1", "a", "1"},   {"a+b=%20", "a b", "%20"}, {"a%20b=1", "a b", "1"},
        {"%6=1", "%6", "1"},   {"%zz=1", "%zz", "1"},     {"A=1", "a", NULL},
        {"b=a=1", "a", NULL},  {"a%=1", "a%", "1"},       {"=1", "", "1"},
    };
    for (size_t i = 0; i < array_len(pairs); i++)
        check_found(query_get(span_z(pairs[i].in), span_z(pairs[i].key)), &pairs[i]);
    assert_null(query_get(SPAN_NONE, SPAN("a")).p);
}

static void test_lists(void **state) {
    (void)state;
    assert_true(list_has(SPAN("a, B ,c"), SPAN("b")));
    assert_true(list_has(SPAN("a"), SPAN("A")));
    assert_true(list_has(SPAN(",,a"), SPAN("a")));
    assert_false(list_has(SPAN("ab, c"), SPAN("a")));
    assert_false(list_has(SPAN("a b"), SPAN("a")));
    assert_false(list_has(SPAN(""), SPAN("a")));
    assert_false(list_has(SPAN_NONE, SPAN("a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),    cmocka_unit_test(test_nul),
        cmocka_unit_test(test_single), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_remove), cmocka_unit_test(test_read),
        cmocka_unit_test(test_growth), cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_query),  cmocka_unit_test(test_lists),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
