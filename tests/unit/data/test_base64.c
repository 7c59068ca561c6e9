#include "data/base64.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    enum base64_form form;
    const char *text, *bytes; /* NULL: refused */
} cases[] = {
    {BASE64, "", ""},
    {BASE64, "Zg==", "f"},
    {BASE64, "Zm8=", "fo"},
    {BASE64, "Zm9v", "foo"},
    {BASE64, "Zm9vYmE=", "fooba"},
    {BASE64, "+/+/", "\xfb\xff\xbf"},
    {BASE64, "Zg", NULL},
    {BASE64, "Zg=", NULL},
    {BASE64, "Zg===", NULL},
    {BASE64, "Zm9v=", NULL},
    {BASE64, "Zm9v==", NULL},
    {BASE64, "====", NULL},
    {BASE64, "=", NULL},
    {BASE64, "Zh==", NULL}, /* bits left over */
    {BASE64, "Zm9=", NULL},
    {BASE64, "Zg==Zg==", NULL},
    {BASE64, "Zm9v\n", NULL},
    {BASE64, " Zm9v", NULL},
    {BASE64, "-_-_", NULL},
    {BASE64_LENIENT, "Zg", "f"},
    {BASE64_LENIENT, "Zg==", "f"},
    {BASE64_LENIENT, "Zg=", NULL},
    {BASE64_LENIENT, "Z", NULL},
    {BASE64_URL, "", ""},
    {BASE64_URL, "Zg", "f"},
    {BASE64_URL, "Zm8", "fo"},
    {BASE64_URL, "Zm9v", "foo"},
    {BASE64_URL, "-_-_", "\xfb\xff\xbf"},
    {BASE64_URL, "A-z_4ME", "\x03\xec\xff\xe0\xc1"}, /* RFC 7515, appendix C */
    {BASE64_URL, "Zg==", NULL},
    {BASE64_URL, "Z", NULL},
    {BASE64_URL, "Zm9vZ", NULL},
    {BASE64_URL, "Zh", NULL},
    {BASE64_URL, "Zm9", NULL},
    {BASE64_URL, "+/+/", NULL},
    {BASE64_URL, "Zm 9v", NULL},
    {BASE64_URL, "Zm9v.", NULL},
    {BASE64_URL, "Zm\xffv", NULL},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        unsigned char out[64];
        char again[64];
        size_t n = 99;
        struct span text = span_z(cases[i].text), want = span_z(cases[i].bytes);
        bool fine = base64_decode(cases[i].form, text, out, &n);
        if (fine != (want.p != NULL))
            fail_msg("%s was %s", text.p, fine ? "accepted" : "refused");
        if (!fine)
            continue;
        if (!span_eq(span_of((char *)out, n), want))
            fail_msg("%s: wrong bytes", text.p);
        n = base64_encode(cases[i].form, want, again);
        if (cases[i].form != BASE64_LENIENT)
            assert_true(span_eq(span_of(again, n), text));
    }
}

/* Every byte value at every place of a group; in memory of its exact size, and in place. */
static void test_all_bytes(void **state) {
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (unsigned form = BASE64; form <= BASE64_URL; form++)
            for (unsigned from = 0; from < 256; from += 13) {
                char bytes[70], *text = malloc(base64_encode_max(n) + 1);
                size_t back = 0;
                for (size_t i = 0; i < n; i++)
                    bytes[i] = (char)(from + i * 7);
                size_t len = base64_encode((enum base64_form)form, span_of(bytes, n), text);
                assert_true(len <= base64_encode_max(n));
                assert_true(n <= base64_decode_max(len));
                unsigned char *out = malloc(base64_decode_max(len));
                assert_true(base64_decode((enum base64_form)form, span_of(text, len), out, &back));
                assert_true(span_eq(span_of((char *)out, back), span_of(bytes, n)));
                assert_true(base64_decode((enum base64_form)form, span_of(text, len),
                                          (unsigned char *)text, &back));
                assert_true(span_eq(span_of(text, back), span_of(bytes, n)));
                free(out);
                free(text);
            }
}

/* One meaning, one text: of all texts of three digits, those that are read are written the same. */
static void test_canonical(void **state) {
    unsigned fine = 0;
    (void)state;
    for (unsigned v = 0; v < 1u << 16; v++) {
        char text[3] = {'A', (char)(v >> 8), (char)v}, again[8];
        unsigned char out[8];
        size_t n = 0;
        if (!base64_decode(BASE64_URL, span_of(text, 3), out, &n))
            continue;
        fine++;
        size_t len = base64_encode(BASE64_URL, span_of((char *)out, n), again);
        assert_true(span_eq(span_of(again, len), span_of(text, 3)));
    }
    assert_int_equal(fine, 64 * 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
