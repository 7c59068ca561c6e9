/*
 * JSON, read and written. The shared cases decide what JSON is; tables here say what comes out.
 * Documents are read from memory of exactly their size, so that a byte too many is seen.
 */
#include "base/env.h"
#include "data/json.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROOM = 1 << 20 };

struct doc {
    struct arena a;
    char *copy;
    struct value v;
    struct json_error err;
};

static bool doc_read(struct doc *d, struct span text, const struct json_limits *limits) {
    arena_init(&d->a, NULL);
    d->copy = malloc(text.n ? text.n : 1);
    memcpy(d->copy, text.p ? text.p : "", text.n);
    d->err = (struct json_error){.text = NULL};
    return json_read(&d->a, span_of(d->copy, text.n), limits, &d->v, &d->err);
}

static void doc_finish(struct doc *d) {
    arena_finish(&d->a);
    free(d->copy);
}

static const struct {
    const char *doc, *out;
} same[] = {
    {"null", "null"},
    {" true ", "true"},
    {"\tfalse\r\n", "false"},
    {"-0", "-0"},
    {"1.50E+02", "1.50E+02"}, /* as it was written */
    {"9007199254740993", "9007199254740993"},
    {"1e999999999999", "1e999999999999"},
    {"0.10000000000000000000000000000000000001", "0.10000000000000000000000000000000000001"},
    {"\"\"", "\"\""},
    {"\"a\\u0041\\n\\/\\\"\"", "\"aA\\n/\\\"\""},
    {"\"\\u00e9\\u20ac\\ud83d\\ude00\\u0000\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\\u0000\""},
    {"\"\xc2\x85\"", "\"\\u0085\""}, /* a control character of terminals */
    {"\"0123456789abcdefg\xc3\xa9hijklmnopqrstuvwxyz\\\\\"",
     "\"0123456789abcdefg\xc3\xa9hijklmnopqrstuvwxyz\\\\\""},
    {"[]", "[]"},
    {"[ ]", "[]"},
    {"{ }", "{}"},
    {"[1, [2, [ ] , {\"a\" : {}}]\n]", "[1,[2,[],{\"a\":{}}]]"},
    {"{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}"},
    {"{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":2}"}, /* the last one counts */
    {"{\"b\":1,\"\\u0062\":3}", "{\"b\":3}"},
    {"{\"\":1}", "{\"\":1}"},
};

static void test_same(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(same); i++) {
        struct doc d;
        struct span out;
        if (!doc_read(&d, span_z(same[i].doc), NULL))
            fail_msg("%s: byte %zu: %s", same[i].doc, d.err.at, d.err.text);
        assert_true(json_write(&d.a, &d.v, 0, ROOM, &out));
        if (!span_eq(out, span_z(same[i].out)))
            fail_msg("%s: %.*s", same[i].doc, SPAN_ARG(out));
        doc_finish(&d);
    }
}

static const struct {
    const char *doc;
    size_t at;
    const char *text; /* part of the message */
} bad[] = {
    {"", 0, "ends where a value"},
    {"  ", 2, "ends where a value"},
    {"\xef\xbb\xbf{}", 0, "byte order mark"},
    {"[1", 2, "ends before"},
    {"[1,]", 3, "a value is expected"},
    {"[1 2]", 3, "a comma or \"]\""},
    {"[1}", 2, "a comma or \"]\""},
    {"{\"a\" 1}", 5, "colon"},
    {"{\"a\":1,}", 7, "name in quotes"},
    {"{\"a\":1", 6, "ends before"},
    {"{\"a\":1]", 6, "a comma or \"}\""},
    {"{a:1}", 1, "name in quotes"},
    {"{", 1, "ends inside an object"},
    {"01", 0, "zeros in front"},
    {"-", 1, "a digit"},
    {"1.", 2, "behind the point"},
    {"1e+", 3, "exponent"},
    {"+1", 0, "a value is expected"},
    {"1 1", 2, "behind the document"},
    {"tru", 0, "words are"},
    {"nulL", 0, "words are"},
    {"truex", 4, "behind the document"},
    {"\"a", 2, "inside a string"},
    {"\"a\\", 3, "inside a string"},
    {"\"0123456789abcdef\n\"", 17, "must be escaped"},
    {"\"\\x\"", 1, "no such escape"},
    {"\"ab\\u12g4\"", 3, "four hexadecimal"},
    {"\"\\u12\"", 1, "four hexadecimal"},
    {"\"\\ud800\"", 1, "surrogate"},
    {"\"\\ud800\\u0041\"", 1, "surrogate"},
    {"\"\\udc00\\ud800\"", 1, "surrogate"},
    {"\"\xff\"", 1, "UTF-8"},
    {"\"\xed\xa0\x80\"", 1, "UTF-8"},
    {"\"\xc0\xaf\"", 1, "UTF-8"},
    {"\"\xe2\x82", 1, "UTF-8"},
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(bad); i++) {
        struct doc d;
        if (doc_read(&d, span_z(bad[i].doc), NULL))
            fail_msg("%s was read", bad[i].doc);
        if (d.err.at != bad[i].at || !strstr(d.err.text, bad[i].text) || d.err.memory)
            fail_msg("%s: byte %zu: %s", bad[i].doc, d.err.at, d.err.text);
        doc_finish(&d);
    }
}

/* {"k0":0,"k1":1,...} with a name of `again` at the end. */
static struct span object(char *buf, unsigned members, int again) {
    struct str s = str_on(buf, ROOM);
    str_char(&s, '{');
    for (unsigned i = 0; i < members; i++)
        str_fmt(&s, "%s\"k%u\":%u", i ? "," : "", i, i);
    if (again >= 0)
        str_fmt(&s, ",\"k%d\":-1", again);
    str_char(&s, '}');
    assert_false(s.full);
    return str_span(&s);
}

static void test_twice(void **state) {
    static const unsigned sizes[] = {1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 1000, 60000};
    static const struct json_limits unique = {.unique = true};
    char *buf = malloc(ROOM);
    (void)state;
    for (size_t i = 0; i < array_len(sizes); i++) {
        struct doc d;
        unsigned n = sizes[i];
        assert_true(doc_read(&d, object(buf, n, -1), &unique));
        assert_int_equal(d.v.n, n);
        doc_finish(&d);
        for (unsigned again = 0; again < n; again += n / 5 + 1) {
            struct span text = object(buf, n, (int)again);
            assert_false(doc_read(&d, text, &unique));
            assert_non_null(strstr(d.err.text, "twice"));
            assert_int_equal(d.err.at, strrchr(buf, ',') + 1 - buf);
            assert_false(d.err.memory);
            doc_finish(&d);
            assert_true(doc_read(&d, text, NULL));
            assert_int_equal(d.v.n, n);
            assert_true(span_eq(value_span(&d.v.member[again].value), SPAN("-1")));
            doc_finish(&d);
        }
    }
    free(buf);
    struct doc d;
    assert_false(doc_read(&d, SPAN("[{\"a\":1,\"\\u0061\":2}]"), &unique));
    assert_int_equal(d.err.at, 18); /* of a name with escapes: where its object ends */
    doc_finish(&d);
    assert_true(doc_read(&d, SPAN("{\"a\":{\"a\":1},\"b\":{\"a\":2}}"), &unique));
    doc_finish(&d);
}

static struct span nested(char *buf, unsigned depth, bool map) {
    struct str s = str_on(buf, ROOM);
    for (unsigned i = 0; i < depth; i++)
        str_add(&s, map ? SPAN("{\"a\":") : SPAN("["));
    if (map)
        str_char(&s, '1');
    for (unsigned i = 0; i < depth; i++)
        str_char(&s, map ? '}' : ']');
    return str_span(&s);
}

static void test_depth(void **state) {
    char *buf = malloc(ROOM);
    (void)state;
    for (unsigned map = 0; map < 2; map++) {
        static const struct {
            unsigned limit, depth;
            bool fine;
        } t[] = {{0, 64, true}, {0, 65, false}, {16, 16, true}, {16, 17, false}, {1000, 65, false}};
        for (size_t i = 0; i < array_len(t); i++) {
            struct json_limits l = {.depth = t[i].limit};
            struct doc d;
            struct span text = nested(buf, t[i].depth, map), out;
            assert_int_equal(doc_read(&d, text, &l), t[i].fine);
            assert_int_equal(d.err.memory, !t[i].fine);
            if (t[i].fine) {
                assert_true(json_write(&d.a, &d.v, 0, ROOM, &out));
                assert_true(span_eq(out, text));
            }
            doc_finish(&d);
        }
    }
    free(buf);
}

static void test_nodes(void **state) {
    (void)state;
    for (uint32_t most = 1; most < 8; most++) {
        struct json_limits l = {.nodes = most};
        struct doc d;
        bool fine = doc_read(&d, SPAN("[1,{\"a\":2,\"b\":[]},null]"), &l);
        assert_int_equal(fine, most >= 6);
        assert_int_equal(d.err.memory, !fine);
        doc_finish(&d);
    }
}

/* Every list that outgrows the stack, and what stands around it. */
static void test_long(void **state) {
    char *buf = malloc(ROOM);
    (void)state;
    for (unsigned n = 100; n < 3000; n += 121) {
        struct str s = str_on(buf, ROOM);
        struct doc d;
        struct span out;
        str_lit(&s, "[\"before\",[");
        for (unsigned i = 0; i < n; i++)
            str_fmt(&s, "%s{\"id\":%u}", i ? "," : "", i);
        str_lit(&s, "],\"behind\"]");
        assert_true(doc_read(&d, str_span(&s), NULL));
        assert_true(json_write(&d.a, &d.v, 0, ROOM, &out));
        assert_true(span_eq(out, str_span(&s)));
        assert_false(json_write(&d.a, &d.v, 0, s.n - 1, &out));
        assert_true(json_write(&d.a, &d.v, 0, s.n, &out));
        doc_finish(&d);
    }
    free(buf);
}

static void test_pretty(void **state) {
    static const char want[] = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}";
    struct doc d;
    struct span out;
    (void)state;
    assert_true(doc_read(&d, SPAN("{\"a\":[1,{}],\"b\":[]}"), NULL));
    assert_true(json_write(&d.a, &d.v, 2, ROOM, &out));
    assert_true(span_eq(out, span_z(want)));
    struct doc again;
    assert_true(doc_read(&again, out, NULL));
    doc_finish(&again);
    doc_finish(&d);
}

static const struct value seven = {.kind = VALUE_INT, .i = 7};
static const struct value_member odd_keys[] = {
    {{.kind = VALUE_INT, .i = -1}, {.kind = VALUE_BOOL, .b = true}},
    {{.kind = VALUE_BOOL, .b = true}, {.kind = VALUE_NULL}},
    {{.kind = VALUE_UINT, .u = UINT64_MAX}, {.kind = VALUE_INT, .i = INT64_MIN}},
};

static const struct {
    struct value v;
    const char *out;
} kinds[] = {
    {{.kind = VALUE_DOUBLE, .d = 0.1}, "0.1"},
    {{.kind = VALUE_DOUBLE, .d = 3}, "3"},
    {{.kind = VALUE_DOUBLE, .d = -0.0}, "-0"},
    {{.kind = VALUE_DOUBLE, .d = 1e300}, "1e+300"},
    {{.kind = VALUE_DOUBLE, .d = 5e-324}, "5e-324"},
    {{.kind = VALUE_DOUBLE, .d = 0.30000000000000004}, "0.30000000000000004"},
    {{.kind = VALUE_DOUBLE, .d = __builtin_inf()}, "null"},
    {{.kind = VALUE_DOUBLE, .d = __builtin_nan("")}, "null"},
    {{.kind = VALUE_BYTES, .n = 4, .p = "\0\xff\x10z"}, "\"AP8Qeg==\""},
    {{.kind = VALUE_BYTES, .n = 0, .p = ""}, "\"\""},
    {{.kind = VALUE_TYPE, .n = 3, .p = "int"}, "\"int\""},
    {{.kind = VALUE_ERROR, .n = 4, .p = "no\"\n"}, "\"no\\\"\\n\""},
    {{.kind = VALUE_STRING,
      .n = 3,
      .p = "a\xff"
           "b"},
     "\"a\\u00ffb\""},
    {{.kind = VALUE_DURATION, .i = 1, .nanos = 500000000}, "\"1.5s\""},
    {{.kind = VALUE_DURATION, .i = 0, .nanos = -1}, "\"-0.000000001s\""},
    {{.kind = VALUE_DURATION, .i = -3600, .nanos = 0}, "\"-3600s\""},
    {{.kind = VALUE_TIMESTAMP, .i = 1234567890, .nanos = 0}, "\"2009-02-13T23:31:30Z\""},
    {{.kind = VALUE_TIMESTAMP, .i = -62135596800, .nanos = 0}, "\"0001-01-01T00:00:00Z\""},
    {{.kind = VALUE_TIMESTAMP, .i = 253402300799, .nanos = 999999999},
     "\"9999-12-31T23:59:59.999999999Z\""},
    {{.kind = VALUE_TIMESTAMP, .i = 951782400, .nanos = 1000}, "\"2000-02-29T00:00:00.000001Z\""},
    {{.kind = VALUE_TIMESTAMP, .i = -1, .nanos = 0}, "\"1969-12-31T23:59:59Z\""},
    {{.kind = VALUE_OPTIONAL, .of = NULL}, "null"},
    {{.kind = VALUE_OPTIONAL, .of = &seven}, "7"},
    {{.kind = VALUE_IP, .n = 4, .ip = (const unsigned char *)"\x0a\x00\x00\x01"}, "\"10.0.0.1\""},
    {{.kind = VALUE_CIDR,
      .n = 16,
      .bits = 32,
      .ip = (const unsigned char *)"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0"},
     "\"2001:db8::/32\""},
    {{.kind = VALUE_MAP, .n = 3, .member = odd_keys},
     "{\"-1\":true,\"true\":null,\"18446744073709551615\":-9223372036854775808}"},
};

static void test_kinds(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(kinds); i++) {
        struct arena a;
        struct span out;
        arena_init(&a, NULL);
        assert_true(json_write(&a, &kinds[i].v, 0, ROOM, &out));
        if (!span_eq(out, span_z(kinds[i].out)))
            fail_msg("want %s, not %.*s", kinds[i].out, SPAN_ARG(out));
        arena_finish(&a);
    }
}

static const struct {
    struct value v;
    const char *out;
} notations[] = {
    {{.kind = VALUE_DOUBLE, .d = 3}, "3.0"},
    {{.kind = VALUE_DOUBLE, .d = 1e300}, "1e+300"},
    {{.kind = VALUE_DOUBLE, .d = __builtin_inf()}, "double(\"Infinity\")"},
    {{.kind = VALUE_BYTES, .n = 4, .p = "\0\xff\"z"}, "b\"\\x00\\xff\\x22z\""},
    {{.kind = VALUE_TYPE, .n = 3, .p = "int"}, "int"},
    {{.kind = VALUE_DURATION, .i = 1, .nanos = 500000000}, "duration(\"1.5s\")"},
    {{.kind = VALUE_OPTIONAL, .of = NULL}, "optional.none()"},
    {{.kind = VALUE_OPTIONAL, .of = &seven}, "optional.of(7)"},
    {{.kind = VALUE_IP, .n = 4, .ip = (const unsigned char *)"\x0a\x00\x00\x01"},
     "ip(\"10.0.0.1\")"},
    {{.kind = VALUE_LIST, .n = 1, .item = &seven}, "[7]"},
    {{.kind = VALUE_MAP, .n = 3, .member = odd_keys},
     "{-1: true, true: null, 18446744073709551615: -9223372036854775808}"},
};

static void test_notation(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(notations); i++) {
        struct arena a;
        struct span out;
        arena_init(&a, NULL);
        assert_true(json_notation(&a, &notations[i].v, 0, ROOM, &out));
        if (!span_eq(out, span_z(notations[i].out)))
            fail_msg("want %s, not %.*s", notations[i].out, SPAN_ARG(out));
        arena_finish(&a);
    }
}

static uint32_t three(const struct value_host *h) {
    (void)h;
    return 3;
}
static void key_and_square(const struct value_host *h, struct arena *a, uint32_t i,
                           struct value *key, struct value *out) {
    char *text = arena_fmt(a, "%s%u", (const char *)h->ctx, i);
    *key = value_string(span_z(text));
    *out = value_int((int64_t)i * i);
}

static void test_host(void **state) {
    static const struct value_host_ops ops = {.count = three, .at = key_and_square};
    struct value_host h = {&ops, (void *)(uintptr_t) "x-"};
    struct value v = {.kind = VALUE_MAP, .form = VALUE_HOST, .host = &h};
    struct arena a;
    struct span out;
    (void)state;
    arena_init(&a, NULL);
    assert_true(json_write(&a, &v, 0, ROOM, &out));
    assert_true(span_eq(out, SPAN("{\"x-0\":0,\"x-1\":1,\"x-2\":4}")));
    v.kind = VALUE_LIST;
    assert_true(json_write(&a, &v, 0, ROOM, &out));
    assert_true(span_eq(out, SPAN("[0,1,4]")));
    arena_finish(&a);
}

/* Every allocation failing in turn: refused as memory, nothing leaks, nothing breaks. */
static unsigned allocations, failing;
static void *alloc_or_fail(size_t n) {
    return ++allocations == failing ? NULL : env_os.alloc(n);
}

static void test_no_memory(void **state) {
    static const struct json_limits unique = {.unique = true};
    char *buf = malloc(ROOM);
    struct span text = object(buf, 2000, -1);
    (void)state;
    env.alloc = alloc_or_fail;
    bool fine = false;
    for (failing = 1; !fine; failing++) {
        struct doc d;
        struct span out;
        allocations = 0;
        fine = doc_read(&d, text, &unique);
        assert_true(fine || d.err.memory);
        fine = fine && json_write(&d.a, &d.v, 0, ROOM, &out);
        doc_finish(&d);
    }
    assert_true(failing > 6);
    env.alloc = env_os.alloc;
    free(buf);
}

/* What was written is read again, and written the same. */
static void write_again(struct doc *d, const char *name) {
    for (unsigned indent = 0; indent < 5; indent += 4) {
        struct doc again;
        struct span once, twice;
        assert_true(json_write(&d->a, &d->v, indent, ROOM, &once));
        if (!doc_read(&again, once, NULL))
            fail_msg("%s: what was written is refused: %s", name, again.err.text);
        assert_true(json_write(&again.a, &again.v, indent, ROOM, &twice));
        if (!span_eq(once, twice))
            fail_msg("%s: written differently the second time", name);
        doc_finish(&again);
    }
}

static size_t load(const char *path, char *buf) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(buf, 1, ROOM, f);
    fclose(f);
    return n;
}

static void test_shared(void **state) {
    static const char folder[] = "../shared/cases/json";
    unsigned accepted = 0, refused = 0, either = 0;
    DIR *dir = opendir(folder);
    (void)state;
    if (!dir) {
        print_message("# skipped: the shared cases are not there\n");
        skip();
    }
    char *buf = malloc(ROOM);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512];
        if (!strstr(e->d_name, ".json") || e->d_name[1] != '_')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        struct doc d;
        bool fine = doc_read(&d, span_of(buf, load(path, buf)), NULL);
        if (e->d_name[0] != 'i' && fine != (e->d_name[0] == 'y'))
            fail_msg("%s was %s", e->d_name, fine ? "accepted" : d.err.text);
        if (fine)
            write_again(&d, e->d_name);
        else
            assert_true(d.err.text && d.err.at <= ROOM);
        accepted += e->d_name[0] == 'y';
        refused += e->d_name[0] == 'n';
        either += e->d_name[0] == 'i';
        doc_finish(&d);
    }
    print_message("# %u accepted, %u refused, %u either\n", accepted, refused, either);
    assert_true(accepted >= 95 && refused >= 188 && either > 0);
    closedir(dir);
    free(buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_twice),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_nodes),     cmocka_unit_test(test_long),
        cmocka_unit_test(test_pretty),    cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_notation),  cmocka_unit_test(test_host),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
