#include "cases.h"
#include "http/uri.h"

static struct arena arena;

static void head_on_arena(struct head *h) {
    arena_finish(&arena);
    arena_init(&arena, NULL);
    head_init(h, &arena);
}

static void show_fault(struct str *got, enum fault f) {
    str_fmt(got, "%s", fault_table[f].code);
}

static void run_target(struct span input, struct str *got) {
    struct head h;
    head_on_arena(&h);
    struct span rest = input;
    h.method = method_lookup(span_split(&rest, ' '));
    struct span scheme = span_split(&rest, ' ');
    struct uri_limits lim = {.keep_encoded_slash = span_eq(scheme, SPAN("keep")),
                             .query_params_max = 1000};
    h.scheme = lim.keep_encoded_slash ? SPAN("http") : scheme;
    /* In a block of its own size, so that the sanitizer sees reads beyond it. */
    char *target = malloc(rest.n + !rest.n);
    assert_non_null(target);
    memcpy(target, rest.p, rest.n);
    enum fault f = uri_target(&h, span_of(target, rest.n), &lim);
    if (f != FAULT_NONE) {
        show_fault(got, f);
    } else {
        str_add(got, h.path);
        if (h.has_query)
            str_lit(got, " ?");
        str_add(got, h.query);
        if (h.authority.p)
            str_lit(got, " host ");
        str_add(got, h.authority);
    }
    free(target);
}

static void run_authority(struct span input, struct str *got) {
    struct head h;
    head_on_arena(&h);
    struct span rest = input;
    h.scheme = span_split(&rest, ' ');
    enum fault f = uri_authority(&h, rest);
    if (f != FAULT_NONE) {
        show_fault(got, f);
        return;
    }
    str_add(got, h.host);
    str_char(got, ' ');
    str_add(got, h.authority);
}

static void test_targets(void **state) {
    (void)state;
    assert_true(cases_run("uri.txt", run_target) > 100);
}

static void test_authorities(void **state) {
    (void)state;
    assert_true(cases_run("authority.txt", run_authority) > 40);
}

/* What is canonical stays as it is: nothing that is read twice changes its meaning. */
static void again(struct span input, struct str *got) {
    struct head h, g;
    struct uri_limits lim = {.keep_encoded_slash = true};
    run_target(input, got);
    head_on_arena(&h);
    struct span first = str_span(got);
    ptrdiff_t blank = span_find(first, ' ');
    first = blank < 0 ? first : span_cut(first, 0, (size_t)blank);
    if (first.n == 0 || first.p[0] != '/')
        return;
    assert_int_equal(uri_target(&h, first, &lim), FAULT_NONE);
    assert_true(span_eq(h.path, first));
    head_init(&g, &arena);
    assert_int_equal(uri_rewrite(&g, first), FAULT_NONE);
    assert_true(span_eq(g.path, first));
}

static void test_canonical_is_stable(void **state) {
    (void)state;
    assert_true(cases_run("uri.txt", again) > 100);
}

static void test_authority_must_agree(void **state) {
    (void)state;
    struct head h;
    head_on_arena(&h);
    h.scheme = SPAN("http");
    assert_int_equal(uri_authority(&h, SPAN("GW.test:80")), FAULT_NONE);
    assert_int_equal(uri_authority(&h, SPAN("gw.test.")), FAULT_NONE);
    assert_int_equal(uri_authority(&h, SPAN("gw.test:81")), FAULT_AUTHORITY_MISMATCH);
    assert_int_equal(uri_authority(&h, SPAN("evil.test")), FAULT_AUTHORITY_MISMATCH);
    assert_int_equal(uri_authority(&h, SPAN("gw test")), FAULT_BAD_HOST);
    assert_true(span_eq(h.authority, SPAN("gw.test")));
}

struct rewrite {
    const char *to;
    enum fault fault;
    const char *path, *query;
};

static void test_rewrite(void **state) {
    (void)state;
    static const struct rewrite rows[] = {
        {"/a//b/../c", FAULT_NONE, "/a/c", "old"},
        {"/a?x=1", FAULT_NONE, "/a", "x=1"},
        {"/a?", FAULT_NONE, "/a", ""},
        {"/50%25/a%2Fb", FAULT_NONE, "/50%25/a%2Fb", "old"},
        {"/foo/../admin/..", FAULT_NONE, "/", "old"},
        {"/..", FAULT_DOT_ESCAPE, "/was", "old"},
        {"/a/%2e%2e/../b", FAULT_DOT_ESCAPE, "/was", "old"},
        {"/a/..%2Fadmin", FAULT_ENCODED_SEPARATOR, "/was", "old"},
        {"/a%0d%0ab", FAULT_ENCODED_SEPARATOR, "/was", "old"},
        {"/a b", FAULT_BAD_TARGET_BYTE, "/was", "old"},
        {"/a\r\nX: y", FAULT_BAD_TARGET_BYTE, "/was", "old"},
        {"/a?b\r\nX: y", FAULT_BAD_TARGET_BYTE, "/was", "old"},
        {"/a#b", FAULT_FRAGMENT, "/was", "old"},
        {"a", FAULT_BAD_TARGET, "/was", "old"},
        {"", FAULT_BAD_TARGET, "/was", "old"},
        {"*", FAULT_BAD_TARGET, "/was", "old"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct head h;
        head_on_arena(&h);
        h.path = SPAN("/was");
        h.query = SPAN("old");
        h.has_query = true;
        assert_int_equal(uri_rewrite(&h, span_z(rows[i].to)), rows[i].fault);
        assert_true(span_eq(h.path, span_z(rows[i].path)));
        assert_true(span_eq(h.query, span_z(rows[i].query)));
        assert_true(h.has_query);
    }
}

static void test_code(void **state) {
    (void)state;
    static const struct {
        enum uri_place place;
        const char *raw, *enc;
    } rows[] = {
        {URI_SEGMENT, "a/b c", "a%2Fb%20c"},     {URI_PATH, "a/b c", "a/b%20c"},
        {URI_QUERY, "a&b=c+d", "a%26b%3Dc%2Bd"}, {URI_SEGMENT, "\xff%\n", "%FF%25%0A"},
        {URI_SEGMENT, "-._~Az09", "-._~Az09"},   {URI_PATH, "..;?#", "..%3B%3F%23"},
    };
    char a[64], b[64];
    for (size_t i = 0; i < array_len(rows); i++) {
        struct str enc = str_on(a, uri_encode_max(strlen(rows[i].raw))), dec = str_on(b, sizeof b);
        uri_encode(&enc, span_z(rows[i].raw), rows[i].place);
        assert_true(!enc.full && span_eq(str_span(&enc), span_z(rows[i].enc)));
        uri_decode(&dec, str_span(&enc), rows[i].place);
        assert_true(span_eq(str_span(&dec), span_z(rows[i].raw)));
    }
    struct str plus = str_on(a, sizeof a), path = str_on(b, sizeof b);
    uri_decode(&plus, SPAN("a+b%2bc%"), URI_QUERY);
    assert_true(span_eq(str_span(&plus), SPAN("a b+c%")));
    uri_decode(&path, SPAN("a+b%zz%4"), URI_PATH);
    assert_true(span_eq(str_span(&path), SPAN("a+b%zz%4")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_authorities),
        cmocka_unit_test(test_canonical_is_stable),
        cmocka_unit_test(test_authority_must_agree),
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_code),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
