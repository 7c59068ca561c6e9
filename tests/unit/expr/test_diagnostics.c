/*
 * Refusals: where they point, what they say was expected, what they guess was meant. `at` and `len`
 * are the bytes pointed at, marked with ^ under the source; every word given must be in the message
 * or its help.
 */
#include "play.h"

static const struct expr_name request_fields[] = {
    {"method", &expr_string, 1}, {"path", &expr_string, 2}, {NULL, NULL, 0}};
static const struct expr_type request_type = {.kind = EXPR_OBJECT, .field = request_fields};
static const struct expr_name names[] = {{"request", &request_type, 0},
                                         {"claim", &expr_dyn, 3},
                                         {"count", &expr_int, 4},
                                         {"names", &expr_list_string, 5},
                                         {"name", &expr_string, 6}};
static const struct expr_scope scope = {.name = names, .count = array_len(names)};

struct refusal {
    const char *source, *mark; /* mark: the first ^ is where it points */
    const char *words[3];
};
static const struct refusal refusals[] = {
    {"1 +", "   ^", {"ends"}},
    {"(1", "  ^", {")"}},
    {"1)", " ^", {}},
    {"[1, 2", "     ^", {"]"}},
    {"{'a' 1}", "     ^", {}},
    {"true ? 1", "        ^", {":"}},
    {"name == 'abc", "        ^", {"closed"}},
    {"count = 1", "      ^", {"=="}},
    {"count == 1 & true", "           ^", {"&&"}},
    {"count == 1 | true", "           ^", {"||"}},
    {"nam == 'a'", "^", {"nam", "name"}},
    {"1 + reqest.method", "    ^", {"reqest", "request"}},
    {"request.methd == 'GET'", "       ^", {"methd", "method"}},
    {"name.startWith('a')", "     ^", {"startWith", "startsWith"}},
    {"siz(names)", "^", {"siz", "size"}},
    {"true && name.startsWith(1)", "             ^", {"startsWith", "string", "int"}},
    {"count + name", "      ^", {"+", "int", "string"}},
    {"count == name", "      ^", {"==", "int", "string"}},
    {"name && true", "^", {"string", "bool"}},
    {"true || count", "        ^", {"int", "bool"}},
    {"!count", "^", {"int"}},
    {"count ? 1 : 2", "^", {"int", "bool"}},
    {"count in names", "      ^", {"in", "int", "list"}},
    {"names['a']", "     ^", {"string"}},
    {"count.x", "     ^", {"int"}},
    {"names.all(1, true)", "          ^", {"name"}},
    {"names.all(n, n > 1)", "               ^", {"string", "int"}},
    {"count.all(n, true)", "^", {"int"}},
    {"has(count)", "    ^", {"has"}},
    {"99999999999999999999", "^", {"64"}},
    {"name == 'a\\q'", "        ^", {}},
    {"for", "^", {"reserved"}},
    {"request", "^", {"request"}},
};

static bool mentions(const struct expr_error *e, const char *word) {
    return strstr(e->text, word) || (e->help && strstr(e->help, word));
}

static void test_refusals(void **state) {
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < array_len(refusals); i++) {
        const struct refusal *r = &refusals[i];
        struct play p;
        play_compile(&p, r->source, &scope);
        if (p.e)
            fail_msg("%s compiles", r->source);
        assert_non_null(p.err.text);
        size_t at = strlen(r->mark) - 1;
        bool fine = p.err.at == at && p.err.len > 0;
        for (size_t w = 0; w < array_len(r->words) && r->words[w]; w++)
            fine &= mentions(&p.err, r->words[w]);
        size_t n = strlen(p.err.text);
        fine &= n > 0 && p.err.text[n - 1] != '.';
        if (!fine) {
            print_message("# %s\n# %s\n#    at %zu: %s; %s\n", r->source, r->mark, p.err.at,
                          p.err.text, p.err.help ? p.err.help : "");
            wrong++;
        }
        play_finish(&p);
    }
    assert_int_equal(wrong, 0);
}

/* Failures while it runs point into the source as well. */
static const struct refusal failures[] = {
    {"1 + 2 / (count - 5)", "      ^", {"zero"}},
    {"claim.nobody == 1", "     ^", {"nobody"}},
    {"claim['nobody']", "     ^", {"nobody"}},
    {"names[7]", "     ^", {"7"}},
    {"dyn(count) + name", "           ^", {"+", "int", "string"}},
    {"count * 9223372036854775807", "      ^", {"overflow"}},
    {"names.map(n, int(n))", "             ^", {"int"}},
};

static void test_failures(void **state) {
    (void)state;
    static struct value v[7], item[1];
    item[0] = value_string(SPAN("a"));
    v[3] = (struct value){.kind = VALUE_MAP};
    v[4] = value_int(5);
    v[5] = (struct value){.kind = VALUE_LIST, .n = 1, .item = item};
    v[6] = value_string(SPAN("n"));
    size_t wrong = 0;
    for (size_t i = 0; i < array_len(failures); i++) {
        const struct refusal *r = &failures[i];
        struct play p;
        play_with(&p, r->source, &(struct expr_scope){.name = names, .count = array_len(names)}, v);
        if (!p.e || p.fine)
            fail_msg("%s: %s", r->source, play_text(&p));
        const struct expr_error *e = &p.run.error;
        bool fine = e->at == strlen(r->mark) - 1 && e->len > 0 && e->text;
        for (size_t w = 0; w < array_len(r->words) && r->words[w]; w++)
            fine &= mentions(e, r->words[w]);
        if (!fine) {
            print_message("# %s\n# %s\n#    at %zu: %s\n", r->source, r->mark, e->at, e->text);
            wrong++;
        }
        play_finish(&p);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
