/*
 * Claims of verified tokens (RFC 7519 4.1; THREATS.md F06, F13).
 */
#include "jose.h"
#include "identity/claims.h"

#define NOW 1000000 /* s */
#define FINE "\"iss\":\"me\",\"aud\":\"us\","

static const struct span issuers[] = {{"me", 2}, {"https://id.example", 18}};
static const struct span audiences[] = {{"us", 2}, {"shop-api", 8}};
static const struct span required[] = {{"sub", 3}};
static const struct claims_rules rules = {.issuer = issuers,
                                          .issuer_count = 2,
                                          .audience = audiences,
                                          .audience_count = 2,
                                          .leeway_s = 60};

static const struct {
    const char *claims;
    enum fault fault;
} rows[] = {
    {"{" FINE "\"exp\":1000001}", FAULT_NONE},
    {"{\"iss\":\"https://id.example\",\"aud\":\"shop-api\",\"exp\":1000001}", FAULT_NONE},
    /* F13: exact, and there */
    {"{\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_ISSUER},
    {"{\"iss\":\"https://id.example/\",\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_ISSUER},
    {"{\"iss\":\"Me\",\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_ISSUER},
    {"{\"iss\":\"\",\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_ISSUER},
    {"{\"iss\":\"me\\u0000\",\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_ISSUER},
    {"{\"iss\":[\"me\"],\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_CLAIMS},
    {"{\"iss\":null,\"aud\":\"us\",\"exp\":1000001}", FAULT_JWT_CLAIMS},
    {"{\"iss\":\"me\",\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":\"\",\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":\"usa\",\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":\"u\",\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":\"US\",\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":[],\"exp\":1000001}", FAULT_JWT_AUDIENCE},
    {"{\"iss\":\"me\",\"aud\":[\"a\",\"us\"],\"exp\":1000001}", FAULT_NONE},
    {"{\"iss\":\"me\",\"aud\":[\"a\",\"us\",1],\"exp\":1000001}", FAULT_JWT_CLAIMS},
    {"{\"iss\":\"me\",\"aud\":{\"us\":1},\"exp\":1000001}", FAULT_JWT_CLAIMS},
    {"{\"iss\":\"me\",\"aud\":1,\"exp\":1000001}", FAULT_JWT_CLAIMS},
    /* F06: whole numbers in range and nothing else */
    {"{" FINE "\"exp\":\"1000001\"}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1000001.0}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1000001.5}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1e7}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1e400}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1e999999999}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":-1}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":-0}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":9223372036854775808}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":18446744073709551617}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":253402300800}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":253402300799}", FAULT_NONE},
    {"{" FINE "\"exp\":null}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":true}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":[1000001]}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"sub\":\"a\"}", FAULT_JWT_CLAIMS}, /* no exp */
    {"{" FINE "\"exp\":0}", FAULT_JWT_EXPIRED},
    /* the last second, leeway included */
    {"{" FINE "\"exp\":999941}", FAULT_NONE},
    {"{" FINE "\"exp\":999940}", FAULT_JWT_EXPIRED},
    {"{" FINE "\"exp\":1000001,\"nbf\":1000060}", FAULT_NONE},
    {"{" FINE "\"exp\":1000001,\"nbf\":1000061}", FAULT_JWT_NOT_YET},
    {"{" FINE "\"exp\":1000001,\"nbf\":\"0\"}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1000001,\"iat\":1000060}", FAULT_NONE},
    {"{" FINE "\"exp\":1000001,\"iat\":1000061}", FAULT_JWT_NOT_YET},
    {"{" FINE "\"exp\":1000001,\"iat\":0.5}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1000001,\"sub\":1}", FAULT_JWT_CLAIMS},
    {"{" FINE "\"exp\":1000001,\"jti\":{}}", FAULT_JWT_CLAIMS},
};

static enum fault judge(const struct claims_rules *r, const char *text, int64_t now,
                        struct claims_time *time) {
    struct arena a;
    struct value v;
    struct json_error err;
    const char *why = NULL;
    arena_init(&a, NULL);
    assert_true(json_read(&a, span_z(text), NULL, &v, &err));
    enum fault f = claims_judge(r, &v, now, time, &why);
    assert_true(f == FAULT_NONE || why);
    arena_finish(&a);
    return f;
}

static void claims(void **state) {
    (void)state;
    struct claims_time t;
    for (size_t i = 0; i < array_len(rows); i++) {
        enum fault f = judge(&rules, rows[i].claims, NOW, &t);
        if (f != rows[i].fault)
            fail_msg("%s: %s", rows[i].claims, fault_table[f].code);
    }
}

/* What is told of the time holds exactly: one second beside it is judged otherwise. */
static void when_it_holds(void **state) {
    (void)state;
    static const char *const tokens[] = {"{\"exp\":1000100,\"nbf\":999990}",
                                         "{\"exp\":1000100,\"iat\":999980,\"nbf\":999970}",
                                         "{\"exp\":2000000,\"iat\":999000}"};
    static const struct claims_rules aged = {.leeway_s = 5, .max_age_s = 2000};
    struct claims_time t, ignored;
    for (size_t i = 0; i < array_len(tokens); i++) {
        const struct claims_rules *r = i == 2 ? &aged : &(struct claims_rules){.leeway_s = 5};
        assert_int_equal(judge(r, tokens[i], NOW, &t), FAULT_NONE);
        assert_int_equal(judge(r, tokens[i], t.until - 1, &ignored), FAULT_NONE);
        assert_int_equal(judge(r, tokens[i], t.until, &ignored), FAULT_JWT_EXPIRED);
        assert_int_equal(judge(r, tokens[i], t.from, &ignored), FAULT_NONE);
        assert_int_equal(judge(r, tokens[i], t.from - 1, &ignored), FAULT_JWT_NOT_YET);
    }
}

static void what_is_required(void **state) {
    (void)state;
    static const struct claims_rules lasts = {.may_last = true},
                                     named = {.may_last = true,
                                              .require = required,
                                              .require_count = 1},
                                     aged = {.may_last = true, .max_age_s = 100};
    struct claims_time t;
    assert_int_equal(judge(&lasts, "{}", NOW, &t), FAULT_NONE);
    assert_true(t.from == INT64_MIN && t.until == INT64_MAX);
    assert_int_equal(judge(&lasts, "{\"exp\":1}", NOW, &t), FAULT_JWT_EXPIRED);
    assert_int_equal(judge(&named, "{}", NOW, &t), FAULT_JWT_CLAIMS);
    assert_int_equal(judge(&named, "{\"sub\":\"\"}", NOW, &t), FAULT_NONE);
    assert_int_equal(judge(&named, "{\"SUB\":\"a\"}", NOW, &t), FAULT_JWT_CLAIMS);
    assert_int_equal(judge(&aged, "{}", NOW, &t), FAULT_JWT_CLAIMS);
    assert_int_equal(judge(&aged, "{\"iat\":999901}", NOW, &t), FAULT_NONE);
    assert_int_equal(judge(&aged, "{\"iat\":999900}", NOW, &t), FAULT_JWT_EXPIRED);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(claims), cmocka_unit_test(when_it_holds),
                                       cmocka_unit_test(what_is_required)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
