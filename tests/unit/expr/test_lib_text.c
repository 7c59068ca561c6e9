/* Texts: looked into and made; format. */
#include "lib_play.h"

static const struct row looking[] = {
    {"size('')", "0"},
    {"size('πέντε')", "5"},
    {"'fiance\\u0301'.size()", "7"},
    {"size(b'\\xF0\\x9F\\xA4\\xAA')", "4"},
    {"[1, 2].size() + size({1: 2})", "3"},
    {"'hello world'.contains('o w')", "true"},
    {"'hello'.contains('')", "true"},
    {"''.contains('a')", "false"},
    {"'hello'.startsWith('hello!')", "false"},
    {"'hello'.endsWith('llo')", "true"},
    {"'llo'.endsWith('hello')", "false"},
    {"'hello'.charAt(4)", "\"o\""},
    {"'hello'.charAt(5)", "\"\""},
    {"'hello'.charAt(6)", "! index out of range: 6"},
    {"'hello'.charAt(-1)", "! index out of range: -1"},
    {"'a😬b'.charAt(1)", "\"😬\""},
    {"'a😬b'.charAt(2)", "\"b\""},
    {"'hello'.charAt(-9223372036854775808)", "! index out of range: -9223372036854775808"},
    {"'hello'.charAt(9223372036854775807)", "! index out of range: 9223372036854775807"},
    {"'tacocat'.substring(4)", "\"cat\""},
    {"'tacocat'.substring(7)", "\"\""},
    {"'tacocat'.substring(8)", "! index out of range: 8"},
    {"'tacocat'.substring(-1)", "! index out of range: -1"},
    {"'ta©o©αT'.substring(2, 6)", "\"©o©α\""},
    {"'tacocat'.substring(2, 1)", "! invalid substring range. start: 2, end: 1"},
    {"'tacocat'.substring(2, 9)", "! index out of range: 9"},
    {"'hello mellow'.indexOf('')", "0"},
    {"'hello mellow'.indexOf('ello')", "1"},
    {"'hello mellow'.indexOf('jello')", "-1"},
    {"'hello mellow'.indexOf('', 2)", "2"},
    {"'hello mellow'.indexOf('ello', 2)", "7"},
    {"'hello mellow'.indexOf('ello', 20)", "-1"},
    {"'hello mellow'.indexOf('', 20)", "12"},
    {"'hello mellow'.indexOf('ello', -1)", "! index out of range: -1"},
    {"'ta©o©αT'.indexOf('α', 3)", "5"},
    {"'hello mellow'.lastIndexOf('')", "12"},
    {"'hello mellow'.lastIndexOf('ello')", "7"},
    {"'hello mellow'.lastIndexOf('jello')", "-1"},
    {"'hello mellow'.lastIndexOf('ello', 6)", "1"},
    {"'hello mellow'.lastIndexOf('ello', 7)", "7"},
    {"'hello mellow'.lastIndexOf('ello', 20)", "-1"},
    {"'hello mellow'.lastIndexOf('', 3)", "3"},
    {"'hello mellow'.lastIndexOf('', 20)", "12"},
    {"'hello mellow'.lastIndexOf('ello', -1)", "! index out of range: -1"},
    {"'ta©o©αT'.lastIndexOf('©', 3)", "2"},
    {"'a'.lastIndexOf('aa')", "-1"},
};

static const struct row making[] = {
    {"'TacoCÆt Xii'.lowerAscii()", "\"tacocÆt xii\""},
    {"'TacoCÆt Xii'.upperAscii()", "\"TACOCÆT XII\""},
    {"'abc'.lowerAscii()", "\"abc\""},
    {"'@[`{'.upperAscii() + '@[`{'.lowerAscii()", "\"@[`{@[`{\""},
    {"'hello hello'.replace('he', 'we')", "\"wello wello\""},
    {"'hello hello'.replace('he', 'we', -1)", "\"wello wello\""},
    {"'hello hello'.replace('he', 'we', 1)", "\"wello hello\""},
    {"'hello hello'.replace('he', 'we', 0)", "\"hello hello\""},
    {"'hello'.replace('', '_')", "\"_h_e_l_l_o_\""},
    {"'©α'.replace('', '_')", "\"_©_α_\""},
    {"'hello'.replace('', '_', 2)", "\"_h_ello\""},
    {"'hello hello'.replace('h', '')", "\"ello ello\""},
    {"''.replace('', 'x')", "\"x\""},
    {"''.replace('a', 'x')", "\"\""},
    {"'aaa'.replace('aa', 'b')", "\"ba\""},
    {"'hello hello hello'.split(' ')", "[\"hello\", \"hello\", \"hello\"]"},
    {"'hello hello hello'.split(' ', 0)", "[]"},
    {"'hello hello hello'.split(' ', 1)", "[\"hello hello hello\"]"},
    {"'hello hello hello'.split(' ', 2)", "[\"hello\", \"hello hello\"]"},
    {"'hello hello hello'.split(' ', -1)", "[\"hello\", \"hello\", \"hello\"]"},
    {"'a,,b,'.split(',')", "[\"a\", \"\", \"b\", \"\"]"},
    {"'a©b'.split('')", "[\"a\", \"©\", \"b\"]"},
    {"'a©b'.split('', 2)", "[\"a\", \"©b\"]"},
    {"''.split(',')", "[\"\"]"},
    {"''.split('')", "[]"},
    {"['hello', 'mellow'].join()", "\"hellomellow\""},
    {"['hello', 'mellow'].join(', ')", "\"hello, mellow\""},
    {"[].join('/')", "\"\""},
    {"['a', dyn(1)].join('/')", "! no such overload"},
    {"'  \\ttrim\\n    '.trim()", "\"trim\""},
    {"'\\u0085\\u00a0\\u1680\\u2000\\u200a\\u3000a b\\u2028\\u2029\\u202f\\u205f'.trim()",
     "\"a b\""},
    {"'\\u200btext\\u200b'.trim().size()", "6"},
    {"' \\t'.trim()", "\"\""},
    {"'gums'.reverse()", "\"smug\""},
    {"'a😬©'.reverse()", "\"©😬a\""},
    {"strings.quote('a \"b\" \\\\ \\a\\b\\f\\n\\r\\t\\v')",
     "\"\\\"a \\\\\\\"b\\\\\\\" \\\\\\\\ \\\\a\\\\b\\\\f\\\\n\\\\r\\\\t\\\\v\\\"\""},
    {"strings.quote('')", "\"\\\"\\\"\""},
};

static const struct row formats[] = {
    {"'%s and %d'.format(['str', 42])", "\"str and 42\""},
    {"'%%'.format([])", "\"%\""},
    {"'%s'.format([64.2])", "\"64.2\""},
    {"'%s'.format([1.0])", "\"1\""},
    {"'%s'.format([1e21])", "\"1000000000000000000000\""},
    {"'%s'.format([-1.5e-7])", "\"-0.00000015\""},
    {"'%s'.format([1e-7])", "\"0.0000001\""},
    {"'%s'.format([123456789012345680000.0])", "\"123456789012345680000\""},
    {"'%s'.format([duration('1h45m47s')])", "\"6347s\""},
    {"'%s'.format([timestamp('2023-02-03T23:31:20.5+00:00')])", "\"2023-02-03T23:31:20.5Z\""},
    {"'%s'.format([type(string)])", "\"type\""},
    {"'%s'.format([b'a\\xff\\xfeb'])", "\"a\uFFFDb\""},
    {"'%s'.format([[1, 'a', [null], {}, []]])", "\"[1, a, [null], {}, []]\""},
    {"'%s'.format([{'b': 1, 'a': [2u], 'c': {true: 1.5}}])", "\"{a: [2], b: 1, c: {true: 1.5}}\""},
    {"'%s'.format([ip('::1')])", "\"::1\""},
    {"'%s'.format([optional.of(1)])", "! error during formatting: string clause"},
    {"'%d %d'.format([-9223372036854775808, 18446744073709551615u])",
     "\"-9223372036854775808 18446744073709551615\""},
    {"'%d'.format([3.14])", "\"3.14\""},
    {"'%d'.format(['1'])", "! error during formatting: decimal clause"},
    {"'%d'.format([true])", "! error during formatting: decimal clause"},
    {"'%f %f %f'.format([1, 1u, 3.14])", "\"1.000000 1.000000 3.140000\""},
    {"'%.1f'.format([3.14])", "\"3.1\""},
    {"'%.3f'.format([123.4999])", "\"123.500\""},
    {"'%.0f'.format([3.5])", "\"4\""},
    {"'%f'.format([double('-Infinity')])", "\"-Infinity\""},
    {"'%e %.1e'.format([1, -3.14])", "\"1.000000e+00 -3.1e+00\""},
    {"'%e'.format([double('NaN')])", "\"NaN\""},
    {"'%e'.format(['a'])", "! error during formatting: scientific clause"},
    {"size('%.100f'.format([1.7976931348623157e308]))", "410"},
    {"'%.101f'.format([1.0])", "! could not parse formatting clause: a precision is 0 to 100"},
    {"'%.99999999999999999999f'.format([1.0])", "! could not parse formatting clause"},
    {"'%.f'.format([1.0])", "! could not parse formatting clause"},
    {"'%x %X %x'.format([26, 26, -26])", "\"1a 1A -1a\""},
    {"'%x'.format([-9223372036854775808])", "\"-8000000000000000\""},
    {"'%x %X'.format(['hello', b'\\xab'])", "\"68656c6c6f AB\""},
    {"'%o %b %b %b'.format([-8, 5, true, -5])", "\"-10 101 1 -101\""},
    {"'%b'.format([18446744073709551615u]).size()", "64"},
    {"'%o'.format([1.5])", "! error during formatting: octal clause"},
    {"'%s %s'.format(['a'])", "! index 1 out of range"},
    {"'%'.format(['a'])", "! could not parse formatting clause: unexpected end"},
    {"'%a'.format(['a'])", "! could not parse formatting clause: unrecognized"},
    {"'%5d'.format([1])", "! could not parse formatting clause: unrecognized"},
    {"'a'.format([1, 2])", "\"a\""},
};

static void test_looking(void **state) {
    (void)state;
    lib_table(looking, array_len(looking));
}

static void test_making(void **state) {
    (void)state;
    lib_table(making, array_len(making));
}

static void test_format(void **state) {
    (void)state;
    lib_table(formats, array_len(formats));
}

/* A text that is no UTF-8: positions may be anything sensible, but nothing is read outside. */
static const struct row broken[] = {
    {"x.size() >= 0 && x.reverse().size() >= 0", "true"},
    {"x.split('').size() > 0 && x.trim() == x", "true"},
    {"x.substring(0) == x && x.charAt(x.size()) == ''", "true"},
    {"x.indexOf('b') == x.lastIndexOf('b')", "true"},
    {"strings.quote(x).size()", "6"},
    {"'%s'.format([bytes(x)])", "\"\uFFFDab\uFFFD\""},
};

static void test_no_utf8(void **state) {
    (void)state;
    char *p = malloc(4);
    memcpy(p,
           "\xbf"
           "ab"
           "\xe2",
           4);
    lib_text_table(broken, array_len(broken), span_of(p, 4));
    free(p);
}

/* A megabyte: everything either works within the budget or says that it does not. */
static const struct row long_ones[] = {
    {"x.size()", "1048576"},
    {"x.contains('ab')", "false"},
    {"x.indexOf('ab')", "-1"},
    {"x.lastIndexOf('ba')", "-1"},
    {"x.lastIndexOf('aab')", "! the expression takes too many steps"},
    {"x.endsWith('aa') && x.startsWith('aa')", "true"},
    {"x.trim() == x && x.lowerAscii() == x", "! the expression takes too many steps"},
    {"x.upperAscii().charAt(5)", "! the expression takes too many steps"},
    {"x.split('')", "! the expression takes too many steps"},
    {"x.split('', 3).size()", "3"},
    {"x.replace('a', 'bbbbbbbb')", "! the expression"},
    {"x.replace('b', 'c') == x", "true"},
    {"[x, x, x, x, x].join()", "! the expression"},
    {"'%x'.format([x])", "! the expression"},
    {"x.format([])", "! the expression"},
};

static void test_long(void **state) {
    (void)state;
    size_t n = 1 << 20;
    char *p = malloc(n);
    memset(p, 'a', n);
    lib_text_table(long_ones, array_len(long_ones), span_of(p, n));
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looking), cmocka_unit_test(test_making),
        cmocka_unit_test(test_format),  cmocka_unit_test(test_no_utf8),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
