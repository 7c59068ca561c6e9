/*
 * The language, line by line: what is written and what comes of it. Expected values are in the form
 * of play.h; "!" is a failure while it runs, "?" a refusal when it is read, of any wording (that is
 * test_diagnostics).
 */
#include "play.h"

struct line {
    const char *source, *out;
};

enum { X, L, M, J, B, U, NAMES };
static const struct expr_name names[] = {
    [X] = {"x", &expr_dyn, X}, [L] = {"l", &expr_list_dyn, L}, [M] = {"m", &expr_map_dyn, M},
    [J] = {"j", &expr_dyn, J}, [B] = {"b", &expr_bool, B},     [U] = {"u", &expr_uint, U},
};
static struct value values[NAMES];
static struct value list_of_three[3];
static struct value_member map_of_two[2], json_members[3];

static void fill(void) {
    for (int i = 0; i < 3; i++)
        list_of_three[i] = value_int(i + 1);
    map_of_two[0] = (struct value_member){value_string(SPAN("a")), value_int(1)};
    map_of_two[1] = (struct value_member){value_string(SPAN("b")), value_int(2)};
    json_members[0] =
        (struct value_member){value_string(SPAN("whole")), value_text(VALUE_NUMBER, SPAN("42"))};
    json_members[1] =
        (struct value_member){value_string(SPAN("part")), value_text(VALUE_NUMBER, SPAN("1.5"))};
    json_members[2] = (struct value_member){value_string(SPAN("huge")),
                                            value_text(VALUE_NUMBER, SPAN("9223372036854775808"))};
    values[X] = value_int(5);
    values[L] = (struct value){.kind = VALUE_LIST, .n = 3, .item = list_of_three};
    values[M] = (struct value){.kind = VALUE_MAP, .n = 2, .member = map_of_two};
    values[J] = (struct value){.kind = VALUE_MAP, .n = 3, .member = json_members};
    values[B] = value_bool(true);
    values[U] = value_uint(7);
}

/* "!" and "?" stand for any failure of their kind, everything else for itself. */
static bool as_expected(const char *want, const char *got) {
    return (want[0] == '!' || want[0] == '?') && !want[1] ? want[0] == got[0]
                                                          : strcmp(want, got) == 0;
}

static void each(const struct line *line, size_t n, struct expr_scope scope) {
    size_t wrong = 0;
    fill();
    if (!scope.name) {
        scope.name = names;
        scope.count = NAMES;
    }
    for (size_t i = 0; i < n; i++) {
        struct play p;
        play_with(&p, line[i].source, &scope, values);
        const char *got = play_text(&p);
        if (!as_expected(line[i].out, got)) {
            print_message("# %s\n#    is %s, not %s\n", line[i].source, got, line[i].out);
            wrong++;
        }
        play_finish(&p);
    }
    assert_int_equal(wrong, 0);
}

static const struct line literals[] = {
    {"0", "0"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775808", "?"},
    {"-9223372036854775809", "?"},
    {"0x7fffffffffffffff", "9223372036854775807"},
    {"-0x8000000000000000", "-9223372036854775808"},
    {"0X1f", "31"},
    {"0x", "?"},
    {"18446744073709551615u", "18446744073709551615u"},
    {"0xFFFFFFFFFFFFFFFFU", "18446744073709551615u"},
    {"18446744073709551616u", "?"},
    {"1.5", "1.5"},
    {".5", "0.5"},
    {"1e3", "1000.0"},
    {"1E-3", "0.001"},
    {"-2.5e+1", "-25.0"},
    {"1e", "?"},
    {"1abc", "?"},
    {"true", "true"},
    {"null", "null"},
    {"''", "\"\""},
    {"'\\x41\\u00e9\\U0001f431\\101'", "\"A\xc3\xa9\xf0\x9f\x90\xb1"
                                       "A\""},
    {"'\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\\"\\'\\`' == '\\x07\\x08\\x0c\\x0a\\x0d\\x09\\x0b\\x5c\\x3f"
     "\\x22\\x27\\x60'",
     "true"},
    {"b'\\xff\\377\\u0041'", "?"},
    {"b'\\xff\\377'", "b\"ffff\""},
    {"'\\xff' == '\\u00ff'", "true"},
    {"B'\xc3\xa9'", "b\"c3a9\""},
    {"r'\\n'", "\"\\n\""},
    {"R\"\\\\\"", "\"\\\\\""},
    {"br'\\x00'", "b\"5c783030\""},
    {"bR'a' + Br'b'", "b\"6162\""},
    {"'''a'b''c'''", "\"a'b''c\""},
    {"\"\"\"a\nb\"\"\"", "\"a\nb\""},
    {"r'''\\'''", "\"\\\""},
    {"b'''\n'''", "b\"0a\""},
    {"'''a\\'''b'''", "\"a'''b\""},
    {"'a\nb'", "?"},
    {"'a", "?"},
    {"'''a''", "?"},
    {"'\\", "?"},
    {"'\\8'", "?"},
    {"'\\400'", "?"},
    {"'\\z'", "?"},
    {"'\\x4'", "?"},
    {"'\\u12'", "?"},
    {"'\\ud800'", "?"},
    {"'\\U00110000'", "?"},
    {"'\xff'", "?"},
    {"[]", "[]"},
    {"[1, 'a', 2u, 1.0,]", "[1, \"a\", 2u, 1.0]"},
    {"{}", "{}"},
    {"{'a': 1, 2: true, 3u: [], false: null,}", "{\"a\": 1, 2: true, 3u: [], false: null}"},
    {"[,]", "?"},
    {"{,}", "?"},
    {"{'a'}", "?"},
    {"{'a': 1, 'a': 2}", "!"},
    {"{1: 1, 1u: 2}", "!"},
    {"{1.5: 1}", "!"},
    {"{dyn(1.5): 1}", "!"},
    {"{dyn([]): 1}", "!"},
    {"", "?"},
    {"  // nothing\n", "?"},
    {"1 // one\n + // two\n 2 // three", "3"},
    {"1 2", "?"},
    {"@", "?"},
    {"1 = 1", "?"},
    {"1 & 2", "?"},
};

static void test_literals(void **state) {
    (void)state;
    each(literals, array_len(literals), (struct expr_scope){0});
}

static const struct line operators[] = {
    {"1 + 2 * 3 - 4 / 2", "5"},
    {"(1 + 2) * 3", "9"},
    {"10 - 4 - 3", "3"},
    {"100 / 10 / 5", "2"},
    {"7 % 4 * 2", "6"},
    {"-7 / 2", "-3"},
    {"-7 % 3", "-1"},
    {"7 % -3", "1"},
    {"--5", "5"},
    {"-(-5)", "5"},
    {"!!true", "true"},
    {"!true == false", "true"},
    {"- x", "-5"},
    {"-x.y", "!"},
    {"1 - -1", "2"},
    {"1-1", "0"},
    {"x-1", "4"},
    {"-1 + 2", "1"},
    {"1 < 2 == true", "true"},
    {"1 + 1 == 2 && 2 * 2 > 3 || false", "true"},
    {"true || false && false", "true"},
    {"false ? 1 : true ? 2 : 3", "2"},
    {"true ? true ? 1 : 2 : 3", "1"},
    {"1 in [1] ? 'y' : 'n'", "\"y\""},
    {"9223372036854775807 + 1", "!"},
    {"-9223372036854775808 - 1", "!"},
    {"-9223372036854775807 - 1", "-9223372036854775808"},
    {"9223372036854775807 * 2", "!"},
    {"-9223372036854775808 * -1", "!"},
    {"-9223372036854775808 / -1", "!"},
    {"-9223372036854775808 % -1", "!"},
    {"-(-9223372036854775808)", "!"},
    {"1 / 0", "!"},
    {"1 % 0", "!"},
    {"1u / 0u", "!"},
    {"1u % 0u", "!"},
    {"1.0 / 0.0", "inf"},
    {"-1.0 / 0.0", "-inf"},
    {"0.0 / 0.0 == 0.0 / 0.0", "false"},
    {"0.0 / 0.0 != 0.0 / 0.0", "true"},
    {"1u - 2u", "!"},
    {"18446744073709551615u + 1u", "!"},
    {"18446744073709551615u * 2u", "!"},
    {"-1u", "?"},
    {"5u - 2u", "3u"},
    {"1 + 1u", "?"},
    {"1 + 1.0", "?"},
    {"1 % 1.0", "?"},
    {"1.0 % 1.0", "?"},
    {"dyn(1) + dyn(1u)", "!"},
    {"'a' + 'b' + 'c'", "\"abc\""},
    {"b'a' + b'\\xff'", "b\"61ff\""},
    {"'a' + b'b'", "?"},
    {"[1] + [2] + []", "[1, 2]"},
    {"[] + ['a']", "[\"a\"]"},
    {"'a' * 2", "?"},
    {"!1", "?"},
    {"!dyn(1)", "!"},
    {"-'a'", "?"},
    {"-true", "?"},
    {"1 == 1u", "true"},
    {"dyn(1) == 1u", "true"},
    {"dyn(1) == 1.0", "true"},
    {"dyn(1u) != 1.5", "true"},
    {"dyn(-1) == 18446744073709551615u", "false"},
    {"dyn(9223372036854775807) == 9223372036854775808.0", "true"} /* as doubles */,
    {"dyn(9007199254740993) == 9007199254740992.0", "true"},
    {"dyn(1) == '1'", "false"},
    {"dyn(null) == 0", "false"},
    {"null == null", "true"},
    {"[1, 2] == [1, 2]", "true"},
    {"[1, 2] == [2, 1]", "false"},
    {"[dyn(1)] == [1.0]", "true"},
    {"{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "true"},
    {"{'a': 1} == {'a': 1, 'b': 2}", "false"},
    {"{dyn(1): 'x'} == {dyn(1u): 'x'}", "true"},
    {"[[[1]]] != [[[2]]]", "true"},
    {"1 < 2u", "true"},
    {"-1 < 0u", "true"},
    {"1 < 1.5", "true"},
    {"2u >= 1.5", "true"},
    {"9223372036854775807 < 9223372036854775808.0", "false"},
    {"18446744073709551615u > 9223372036854775807", "true"},
    {"'a' < 'b'", "true"},
    {"'a' < 'B'", "false"},
    {"'\xc3\xa9' > 'z'", "true"},
    {"b'a' <= b'a'", "true"},
    {"false < true", "true"},
    {"'a' < 1", "?"},
    {"dyn('a') < 1", "!"},
    {"[1] < [2]", "?"},
    {"0.0 / 0.0 < 1.0", "false"},
    {"1.0 >= 0.0 / 0.0", "false"},
    {"-0.0 == 0.0", "true"},
    {"duration('1s') < duration('2s')", "true"},
    {"timestamp(0) + duration('90s') == timestamp(90)", "true"},
    {"timestamp(90) - timestamp(60)", "30s"},
    {"duration('1s') + timestamp(1)", "@2+0"},
    {"timestamp(5) - duration('1.5s')", "@3+500000000"},
    {"duration('1m') - duration('1s')", "59s"},
    {"-duration('1s')", "?"},
    {"timestamp('9999-12-31T23:59:59Z') + duration('1s')", "!"},
    {"1 in [1, 2]", "true"},
    {"1.0 in [dyn(1)]", "true"},
    {"dyn('1') in [1, 2]", "false"},
    {"'a' in {'a': 1}", "true"},
    {"dyn(1u) in {1: 1}", "true"},
    {"'a' in 'abc'", "?"},
    {"'a' in dyn('abc')", "!"},
    {"[1, 2, 3][0]", "1"},
    {"[1, 2, 3][dyn(1.0)]", "2"},
    {"[1, 2, 3][dyn(2u)]", "3"},
    {"[1][1]", "!"},
    {"[1][-1]", "!"},
    {"[1][dyn(0.5)]", "!"},
    {"[1]['a']", "?"},
    {"{'a': 1}['a']", "1"},
    {"{'a': 1}['b']", "!"},
    {"{1: 'x'}[dyn(1.0)]", "\"x\""},
    {"{'a': 1}[dyn(null)]", "!"},
    {"'abc'[0]", "?"},
    {"dyn('abc')[0]", "!"},
    {"{'a': {'b': [1]}}.a.b[0]", "1"},
    {"{'a': 1}.b", "!"},
    {"1 .a", "?"},
    {"dyn(1).a", "!"},
    {"{'in': 1, 'if': 2}.if", "2"},
    {"{'a-b': 3}.`a-b`", "3"},
    {"`a`", "?"},
    {"true ? 1 : 'a'", "1"},
    {"true ? dyn(1) : 'a'", "1"},
    {"1 ? 2 : 3", "?"},
    {"dyn(1) ? 2 : 3", "!"},
    {"(1 / 0 > 0) ? 2 : 3", "!"},
    {"true ? 1 : 1 / 0", "1"},
    {"true && 1", "?"},
    {"type(1)", "<int>"},
    {"type(1) == int", "true"},
    {"type(type(1))", "<type>"},
    {"type(null) == null_type", "true"},
    {"type([]) == list && type({}) == map && type(b'') == bytes", "true"},
    {"type(timestamp(0)) == google.protobuf.Timestamp", "true"},
    {"type(duration('1s')) == google.protobuf.Duration", "true"},
    {"type(optional.none()) == optional_type", "true"},
    {"type(1) == uint", "false"},
    {"bool", "<bool>"},
};

static void test_operators(void **state) {
    (void)state;
    each(operators, array_len(operators), (struct expr_scope){0});
}

/* Both sides of && and || may come first; an error is absorbed by what decides without it. */
static const struct line logic[] = {
    {"false && 1 / 0 > 0", "false"},
    {"1 / 0 > 0 && false", "false"},
    {"true || 1 / 0 > 0", "true"},
    {"1 / 0 > 0 || true", "true"},
    {"1 / 0 > 0 && true", "!"},
    {"1 / 0 > 0 || false", "!"},
    {"1 / 0 > 0 || 1 % 0 > 0", "! division by zero"},
    {"dyn(1) && false", "false"},
    {"false && dyn(1)", "false"},
    {"dyn('a') || true", "true"},
    {"dyn('a') && true", "!"},
    {"true && dyn('a')", "!"},
    {"false || dyn('a')", "!"},
    {"(1 / 0 > 0 && false) || (1 / 0 > 0 || true)", "true"},
    {"!(1 / 0 > 0 && false)", "true"},
    {"(true ? 1 / 0 > 0 : true) || true", "true"},
    {"[1 / 0 > 0][0] || true", "true"},
    {"[1, 2].map(i, i / 0)[0] > 0 || true", "true"},
    {"[1, 2].exists(i, i / 0 > 0 || i == 2)", "true"},
    {"[3, 2, 1, 0].all(i, 6 / i > 2)", "false"},
    {"[1, 0].all(i, 6 / i > 2)", "!"},
    {"[1, 0].exists(i, 6 / i > 2)", "true"},
    {"[0, 1].exists(i, 6 / i > 2)", "true"},
    {"[0, 1].exists(i, 6 / i > 20)", "!"},
    {"[1, dyn('a')].exists(i, i == 'a')", "true"},
    {"[1].all(i, dyn(i))", "!"},
    {"[1, 2].all(i, dyn(i) || i == 1)", "!"},
    {"b && x == 5 && u == 7u", "true"},
};

static void test_logic(void **state) {
    (void)state;
    each(logic, array_len(logic), (struct expr_scope){0});
}

static const struct line macros[] = {
    {"has(m.a)", "true"},
    {"has(m.c)", "false"},
    {"has(m.a.b)", "!"},
    {"has(x.y)", "!"},
    {"has(m)", "?"},
    {"has(m['a'])", "?"},
    {"has({'a': null}.a)", "true"},
    {"!has(m.c) && has(m.b)", "true"},
    {"l.all(i, i > 0)", "true"},
    {"l.exists(i, i == 3)", "true"},
    {"l.exists_one(i, i > 2)", "true"},
    {"l.existsOne(i, i > 1)", "false"},
    {"[].all(i, false)", "true"},
    {"[].exists(i, true)", "false"},
    {"l.map(i, i * i)", "[1, 4, 9]"},
    {"l.map(i, i != 2, i * i)", "[1, 9]"},
    {"l.filter(i, i % 2 == 1)", "[1, 3]"},
    {"m.map(k, k)", "[\"a\", \"b\"]"},
    {"m.filter(k, m[k] == 2)", "[\"b\"]"},
    {"m.all(k, k in m)", "true"},
    {"m.all(k, v, v > 0)", "true"},
    {"m.exists(k, v, k == 'b' && v == 2)", "true"},
    {"m.existsOne(k, v, v == 2)", "true"},
    {"m.exists_one(k, v, v == 2)", "true"},
    {"l.all(i, v, v == i + 1)", "true"},
    {"l.exists(i, v, i == 2 && v == 3)", "true"},
    {"l.transformList(i, v, i * v)", "[0, 2, 6]"},
    {"l.transformList(i, v, v > 1, i * v)", "[2, 6]"},
    {"m.transformList(k, v, k + string(v))", "[\"a1\", \"b2\"]"},
    {"l.transformMap(i, v, v * 10)", "{0: 10, 1: 20, 2: 30}"},
    {"m.transformMap(k, v, v > 1, v * 10)", "{\"b\": 20}"},
    {"m.transformMapEntry(k, v, {string(v): k})", "{\"1\": \"a\", \"2\": \"b\"}"},
    {"m.transformMapEntry(k, v, v == 1, {v: k})", "{1: \"a\"}"},
    {"l.transformMapEntry(i, v, {'same': v})", "!"},
    {"l.map(i, l.map(k, i * k))", "[[1, 2, 3], [2, 4, 6], [3, 6, 9]]"},
    {"l.map(i, l.filter(i, i > 2))", "[[3], [3], [3]]"},
    {"l.map(x, x + x)", "[2, 4, 6]"},
    {"l.map(x, x) == l && x == 5", "true"},
    {"l.map(i, i)[0] + l.map(i, i)[1]", "3"},
    {"l.filter(i, i > 1).map(i, i * 2).exists(i, i == 6)", "true"},
    {"l.exists(i, l.all(k, k <= i))", "true"},
    {"l.exists(i, i)", "!"},
    {"l.all(1, true)", "?"},
    {"l.all(a.b, true)", "?"},
    {"l.all(i)", "?"},
    {"l.map(i, j, k)", "?"},
    {"x.all(i, true)", "!"},
    {"'abc'.all(i, true)", "?"},
    {"1.all(i, true)", "?"},
    {"cel.bind(a, 3, a * a)", "9"},
    {"cel.bind(a, 1, cel.bind(a, a + 1, a * 10))", "20"},
    {"cel.bind(a, cel.bind(b, 2, b + 1), a + 1)", "4"},
    {"cel.bind(a, l, a.map(i, i + size(a)))", "[4, 5, 6]"},
    {"cel.bind(a, 1 / 0, true || a > 1)", "true"},
    {"cel.bind(x, 'y', x) + string(x)", "\"y5\""},
    {"cel.bind(1, 2, 3)", "?"},
    {"[1, 2].map(i, cel.bind(s, i * 2, s + i))", "[3, 6]"},
    {"cel.bind(f, [1, 2], f.exists(i, i == 2)) && true", "true"},
    {"j.whole + 1", "43"},
    {"j.part * 2.0", "3.0"},
    {"j.huge > 1.0", "true"},
    {"j.huge", "number 9223372036854775808"},
    {"type(j.whole) == int && type(j.part) == double && type(j.huge) == double", "true"},
    {"j.whole in [42]", "true"},
    {"[j.whole] == [42]", "true"},
    {"l[j.whole - 41]", "2"},
    {"{j.whole: 1}[42]", "1"},
    {"j.all(k, j[k] > 1)", "true"},
};

static void test_macros(void **state) {
    (void)state;
    each(macros, array_len(macros), (struct expr_scope){0});
}

static const struct line optionals[] = {
    {"optional.of(1)", "some(1)"},
    {"optional.none()", "none"},
    {"optional.of(1) == optional.of(dyn(1))", "true"},
    {"optional.of(optional.none()) == optional.none()", "false"},
    {"m.?a", "some(1)"},
    {"m.?c", "none"},
    {"m[?'a']", "some(1)"},
    {"m[?'c']", "none"},
    {"l[?0]", "some(1)"},
    {"l[?9]", "none"},
    {"l[?-1]", "none"},
    {"m.?a.b", "!"},
    {"m.?c.d.e", "none"},
    {"m.?c.?d[0]", "none"},
    {"{'a': {'b': [7]}}.?a.b[0]", "some(7)"},
    {"{'a': {'b': [7]}}.?a.b[1]", "none"},
    {"{'a': {}}.?a.b", "none"},
    {"x.?y", "!"},
    {"m.?c.orValue(9)", "9"},
    {"m.?a.orValue(1 / 0)", "1"},
    {"m.?c.or(m.?b).value()", "2"},
    {"m.?c.or(m.?d).hasValue()", "false"},
    {"m.?c.value()", "!"},
    {"m.?c.value() == 1 || true", "true"},
    {"m.?a.optMap(v, v + 1)", "some(2)"},
    {"m.?c.optMap(v, v + 1)", "none"},
    {"m.?a.optFlatMap(v, m.?b)", "some(2)"},
    {"m.?a.optFlatMap(v, m.?c)", "none"},
    {"m.?a.optMap(1, 2)", "?"},
    {"[?m.?a, ?m.?c, 3]", "[1, 3]"},
    {"{?'a': m.?a, ?'c': m.?c}", "{\"a\": 1}"},
    {"[?1]", "?"},
    {"[?dyn(1)]", "!"},
    {"{?'a': 1}", "?"},
    {"has(m.?a)", "?"},
    {"has(m.?a.b)", "!"},
    {"has({'a': {'b': 1}}.?a.b)", "true"},
    {"has({'a': {}}.?a.b)", "false"},
    {"optional.of([1])[0]", "some(1)"},
    {"optional.of([1])[5]", "none"},
    {"optional.ofNonZeroValue(0)", "none"},
    {"optional.ofNonZeroValue('a')", "some(\"a\")"},
};

static void test_optionals(void **state) {
    (void)state;
    each(optionals, array_len(optionals), (struct expr_scope){0});
}

/* cel.block and its indices as optimizers write them. */
static const struct line blocks[] = {
    {"cel.block([1, cel.index(0) + 1], cel.index(1) * 10)", "20"},
    {"cel.block([1 / 0], true)", "true"},
    {"cel.block([1 / 0], cel.index(0))", "!"},
    {"cel.block([[1, 2]], cel.index(0).map(cel.iterVar(0, 0), cel.iterVar(0, 0) + 1))", "[2, 3]"},
    {"cel.block([1], cel.index(1))", "?"},
    {"cel.block([cel.index(0)], 1)", "?"},
    {"[1, 2].exists(cel.iterVar(0, 0), cel.iterVar(0, 0) == 2)", "true"},
};

static void test_blocks(void **state) {
    (void)state;
    each(blocks, array_len(blocks), (struct expr_scope){0});
}

/* Names by the container's rules; rooted ones; locals before all others. */
static const struct expr_name spaces[] = {
    {"a.b.c", &expr_dyn, 0}, {"a.b", &expr_dyn, 1},   {"b.c", &expr_dyn, 2},
    {"c", &expr_dyn, 3},     {"a.b.x", &expr_dyn, 4}, {"x", &expr_dyn, 5},
};
static const struct line spaced[] = {
    {"a.b.c", "0"},
    {"b.c", "0"},
    {"c", "0"},
    {".c", "3"},
    {".b.c", "2"},
    {"x", "4"},
    {".x", "5"},
    {"[7].exists(x, x == 7)", "true"},
    {"[7].all(c, .c == 3 && c == 7)", "true"},
    {".a.b.c", "0"},
    {"d", "?"},
    {".int", "<int>"},
    {"Timestamp", "?"},
};

static void test_spaces(void **state) {
    (void)state;
    struct value v[6];
    struct expr_scope scope = {.name = spaces, .count = 6, .container = SPAN("a.b")};
    for (int i = 0; i < 6; i++)
        v[i] = value_int(i);
    size_t wrong = 0;
    for (size_t i = 0; i < array_len(spaced); i++)
        for (int unchecked = 0; unchecked < 2; unchecked++) {
            struct play p;
            scope.no_check = unchecked;
            play_with(&p, spaced[i].source, &scope, v);
            const char *got = play_text(&p), *want = spaced[i].out;
            if (!as_expected(want, got) && !(unchecked && want[0] == '?' && got[0] == '!')) {
                print_message("# %s is %s, not %s (check %d)\n", spaced[i].source, got, want,
                              !unchecked);
                wrong++;
            }
            play_finish(&p);
        }
    assert_int_equal(wrong, 0);
}

/* Protobuf's well-known messages are plain values. */
static const struct line messages[] = {
    {"google.protobuf.Int32Value{value: -5}", "-5"},
    {"google.protobuf.Int32Value{value: 2147483648}", "!"},
    {"google.protobuf.Int32Value{}", "0"},
    {"google.protobuf.Int32Value{value: 1}.value", "!"},
    {"google.protobuf.UInt32Value{value: 4294967296u}", "!"},
    {"google.protobuf.UInt64Value{}", "0u"},
    {"google.protobuf.FloatValue{value: 3.1416} == 3.1416", "false"},
    {"google.protobuf.FloatValue{value: 1.5}", "1.5"},
    {"google.protobuf.DoubleValue{value: 3.1416} == 3.1416", "true"},
    {"google.protobuf.BoolValue{value: true}", "true"},
    {"google.protobuf.BoolValue{value: 1}", "!"},
    {"google.protobuf.BoolValue{}", "false"},
    {"google.protobuf.StringValue{}", "\"\""},
    {"google.protobuf.StringValue{value: 'a'} + 'b'", "\"ab\""},
    {"google.protobuf.BytesValue{value: b'a'}", "b\"61\""},
    {"google.protobuf.Value{}", "null"},
    {"google.protobuf.Value{null_value: google.protobuf.NullValue.NULL_VALUE}", "null"},
    {"google.protobuf.Value{number_value: 12.5}", "12.5"},
    {"google.protobuf.Value{struct_value: {'a': 1.0}}", "{\"a\": 1.0}"},
    {"google.protobuf.ListValue{values: [google.protobuf.Value{bool_value: true}]}", "[true]"},
    {"google.protobuf.ListValue{}", "[]"},
    {"google.protobuf.Struct{fields: {'a': google.protobuf.Value{string_value: 'b'}}}.a", "\"b\""},
    {"google.protobuf.Struct{}", "{}"},
    {"google.protobuf.Timestamp{seconds: 5, nanos: 6}", "@5+6"},
    {"google.protobuf.Timestamp{nanos: 6, seconds: 5}", "@5+6"},
    {"google.protobuf.Timestamp{nanos: 6}", "@0+6"},
    {"google.protobuf.Timestamp{seconds: 253402300800}", "!"},
    {"google.protobuf.Timestamp{}", "@0+0"},
    {"google.protobuf.Duration{seconds: 1, nanos: 500000000}", "1.5s"},
    {"google.protobuf.Duration{}", "0s"},
    {"google.protobuf.Int32Value{valu: 1}", "?"},
    {"google.protobuf.Int32Value{value: 1, value: 2}", "?"},
    {"google.protobuf.Any{value: b''}", "?"},
    {"x{value: 1}", "?"},
};

static void test_messages(void **state) {
    (void)state;
    each(messages, array_len(messages), (struct expr_scope){0});
}

static const struct line contained[] = {
    {"Int32Value{value: 5}", "5"},
    {"type(duration('1s')) == Duration", "true"},
    {"Value{null_value: NullValue.NULL_VALUE}", "null"},
    {".size([1])", "1"},
    {"math.greatest(1, 2)", "2"},
    {".math.greatest(1, 2)", "2"},
};

static void test_contained(void **state) {
    (void)state;
    each(contained, array_len(contained),
         (struct expr_scope){.container = SPAN("google.protobuf")});
}

/* Without the check everything is found out while it runs. */
static const struct line unchecked[] = {
    {"1 + 'a'", "!"},
    {"[17, 'a']", "[17, \"a\"]"},
    {"true ? 1 : 'a'", "1"},
    {"'a' && false", "false"},
    {"nowhere || true", "true"},
    {"nowhere", "!"},
    {"f(1)", "!"},
    {"f(1) || true", "true"},
    {"{null: 1}", "!"},
    {"1 == '1'", "false"},
    {"1 == 1.0", "true"},
    {"x.startsWith('a')", "!"},
    {"1 < 'a'", "!"},
    {"has(nowhere.a) || true", "true"},
};

static void test_unchecked(void **state) {
    (void)state;
    each(unchecked, array_len(unchecked), (struct expr_scope){.no_check = true});
}

/* Macros are functions that nobody has. */
static const struct line without_macros[] = {
    {"has(m.a)", "?"},
    {"l.all(i, true)", "?"},
    {"l.size() == 3", "true"},
};

static void test_without_macros(void **state) {
    (void)state;
    each(without_macros, array_len(without_macros), (struct expr_scope){.no_macros = true});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),       cmocka_unit_test(test_operators),
        cmocka_unit_test(test_logic),          cmocka_unit_test(test_macros),
        cmocka_unit_test(test_optionals),      cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_spaces),         cmocka_unit_test(test_unchecked),
        cmocka_unit_test(test_without_macros), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_contained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
