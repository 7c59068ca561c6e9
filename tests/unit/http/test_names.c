/* The tables of names, methods and faults. */
#include "cases.h"
#include "http/fault.h"
#include "http/names.h"
#include <ctype.h>

static void test_table(void **state) {
    (void)state;
    for (unsigned id = 1; id < HDR_COUNT; id++) {
        const struct hdr_info *i = &hdr_table[id];
        /* Printers count with the length of one and print the other. */
        assert_true(span_eq_nocase(i->name, i->title));
        for (size_t k = 0; k < i->name.n; k++)
            assert_true(i->name.p[k] == '-' || isdigit((unsigned char)i->name.p[k]) ||
                        islower((unsigned char)i->name.p[k]));
        assert_int_equal(hdr_lookup(i->name), id);
        assert_int_equal(hdr_lookup(i->title), id);
    }
}

/* What the id of a name means must hold for every spelling of it and for nothing else. */
static void test_lookup(void **state) {
    (void)state;
    char text[64];
    for (unsigned id = 1; id < HDR_COUNT; id++) {
        struct span n = hdr_table[id].name;
        for (size_t k = 0; k < n.n; k++)
            text[k] = (char)toupper((unsigned char)n.p[k]);
        assert_int_equal(hdr_lookup(span_of(text, n.n)), id);
        text[n.n] = 'x';
        assert_int_equal(hdr_lookup(span_of(text, n.n + 1)), HDR_OTHER);
        for (size_t k = 0; k < n.n; k++) {
            memcpy(text, n.p, n.n);
            text[k] = '~';
            assert_int_equal(hdr_lookup(span_of(text, n.n)), HDR_OTHER);
        }
    }
    assert_int_equal(hdr_lookup(SPAN("")), HDR_OTHER);
    assert_int_equal(hdr_lookup(SPAN("x")), HDR_OTHER);
    assert_int_equal(hdr_lookup(SPAN("content_length")), HDR_OTHER);
}

static void test_twins(void **state) {
    (void)state;
    char text[64];
    for (unsigned id = 1; id < HDR_COUNT; id++) {
        struct span n = hdr_table[id].name;
        bool dash = false;
        for (size_t k = 0; k < n.n; k++) {
            text[k] = n.p[k] == '-' ? '_' : n.p[k];
            dash |= n.p[k] == '-';
        }
        assert_int_equal(hdr_twin(span_of(text, n.n)), id);
        if (dash && hdr_table[id].flags & (HF_FRAMING | HF_IDENTITY | HF_FORWARDED | HF_OVERRIDE))
            assert_true(hdr_imitates(span_of(text, n.n)));
    }
    assert_true(hdr_imitates(SPAN("x-user_id")));
    assert_true(hdr_imitates(SPAN("proxy_authorization")));
    assert_false(hdr_imitates(SPAN("user_agent")));
    assert_false(hdr_imitates(SPAN("x_own")));
    assert_false(hdr_imitates(SPAN("x_user_id_and_much_more_than_any_known_name")));
}

static void test_tokens(void **state) {
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool want = c && c < 128 && (isalnum((int)c) || strchr("!#$%&'*+-.^_`|~", (int)c));
        assert_int_equal(token_char[c], want);
    }
}

static void test_methods(void **state) {
    (void)state;
    for (unsigned m = 1; m < METHOD_COUNT; m++)
        assert_int_equal(method_lookup(method_name((enum method)m)), m);
    assert_int_equal(method_lookup(SPAN("get")), METHOD_OTHER);
    assert_int_equal(method_lookup(SPAN("GETS")), METHOD_OTHER);
    assert_int_equal(method_lookup(SPAN("")), METHOD_OTHER);
    assert_int_equal(method_name(METHOD_OTHER).n, 0);
    assert_true(method_idempotent(METHOD_PUT) && method_idempotent(METHOD_DELETE));
    assert_false(method_idempotent(METHOD_POST) || method_idempotent(METHOD_PATCH));
    assert_false(method_idempotent(METHOD_OTHER) || method_idempotent(METHOD_CONNECT));
}

static void test_faults(void **state) {
    (void)state;
    for (unsigned f = 1; f < FAULT_COUNT; f++) {
        const struct fault_info *i = &fault_table[f];
        assert_true(i->status >= 400 && i->status < 600 && strlen(i->text) > 10);
        assert_true(i->status == 499 || *status_reason(i->status));
        assert_string_not_equal(fault_who_name(i->who), "");
        assert_int_equal(strspn(i->code, "abcdefghijklmnopqrstuvwxyz_2"), strlen(i->code));
        for (unsigned g = 1; g < f; g++)
            assert_string_not_equal(i->code, fault_table[g].code);
    }
    assert_string_equal(status_reason(200), "OK");
    assert_string_equal(status_reason(299), "");
    assert_string_equal(status_reason(-1), "");
    assert_string_equal(status_reason(100000), "");
}

/* docs/http.md lists the refusals: each in a row of its own, with this status and this sentence. */
static void test_documented(void **state) {
    (void)state;
    static char text[CASE_MAX];
    char path[4096], row[512];
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/docs/http.md", root ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file), rows = 0;
    fclose(file);
    text[n] = 0;
    for (unsigned f = 1; f < FAULT_COUNT; f++) {
        const struct fault_info *i = &fault_table[f];
        snprintf(row, sizeof row, "\n| `%s` | %d | %s | %s | %s |\n", i->code, i->status,
                 fault_who_name(i->who), i->close ? "yes" : "no", i->text);
        if (!strstr(text, row))
            fail_msg("docs/http.md lacks this row:%s", row);
    }
    const char *at = strstr(text, "## Every refusal");
    assert_non_null(at);
    for (; (at = strstr(at, "\n| `")); at++)
        rows++;
    assert_int_equal(rows, FAULT_COUNT - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_twins),      cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_methods),    cmocka_unit_test(test_faults),
        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
