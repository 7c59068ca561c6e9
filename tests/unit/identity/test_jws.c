/*
 * Signatures of tokens: the shared JOSE cases, the examples of RFC 7515 and RFC 8037, and what a
 * token's header may say of itself (THREATS.md F01 to F05, F07 to F10).
 */
#include "jose.h"

#define SECRET "0123456789abcdef0123456789abcdef"

/* ---- the shared cases -------------------------------------------------------------------------
 */

/* Where the data set calls valid what this gateway refuses by policy, or contradicts itself. */
static const struct {
    uint64_t id;
    enum fault fault;
} apart[] = {
    {346, FAULT_JWT_ALG}, /* PS384 by a key whose alg is PS256 */
    {350, FAULT_JWT_ALG},
    {372, FAULT_JWT_FORMAT},    /* a "?" inside the base64url of the header */
    {373, FAULT_JWT_SIGNATURE}, /* .. of the payload */
    {367, FAULT_NONE}, /* byte by byte the token of case 357, which is valid: the padding */
    {370, FAULT_NONE}, /* that these are about was lost */
};

static enum fault expected(uint64_t id, bool valid) {
    for (size_t i = 0; i < array_len(apart); i++)
        if (apart[i].id == id)
            return apart[i].fault;
    return valid ? FAULT_NONE : FAULT_INVALID_CREDENTIALS; /* any fault */
}

static bool run_case(const struct key_set *s, const struct value *test) {
    uint64_t id;
    assert_true(parse_dec(value_span(jose_at(test, "tcId")), 1000, &id));
    bool valid = span_eq(value_span(jose_at(test, "result")), SPAN("valid"));
    struct jose_verdict v = jose_judge(s, value_span(jose_at(test, "jws")));
    enum fault want = expected(id, valid);
    bool fine = want == FAULT_INVALID_CREDENTIALS ? v.fault != FAULT_NONE : v.fault == want;
    if (!fine)
        print_error("case %d: %s (%s), expected %s\n", (int)id, fault_table[v.fault].code,
                    v.why ? v.why : "", fault_table[want].code);
    return fine;
}

static unsigned run_group(struct arena *a, const struct value *group, unsigned *failed) {
    const struct value *key = value_find(group, SPAN("public"));
    const struct value *tests = jose_at(group, "tests");
    struct span text;
    const char *why = NULL;
    assert_true(json_write(a, key ? key : jose_at(group, "private"), 0, JWKS_BYTES_MAX, &text));
    struct key_set *s = key_set_read(text, JWA_ALL, &why);
    if (!s)
        fail_msg("%s", why);
    for (uint32_t i = 0; i < tests->n; i++)
        *failed += !run_case(s, &tests->item[i]);
    key_set_unref(s);
    return tests->n;
}

static void run_file(const char *name, unsigned count) {
    struct span text = jose_file(name);
    struct arena a;
    struct value doc;
    struct json_error err;
    unsigned done = 0, failed = 0;
    if (!text.p) {
        print_message("../shared/cases/jose is not there: skipped\n");
        skip();
    }
    arena_init(&a, NULL);
    assert_true(json_read(&a, text, NULL, &doc, &err));
    const struct value *groups = jose_at(&doc, "testGroups");
    for (uint32_t i = 0; i < groups->n; i++)
        done += run_group(&a, &groups->item[i], &failed);
    arena_finish(&a);
    free((void *)(uintptr_t)text.p);
    assert_int_equal(failed, 0);
    assert_int_equal(done, count);
}

static void cases_of_signatures(void **state) {
    (void)state;
    run_file("json_web_signature_test.json", 401);
}

static void cases_of_keys(void **state) {
    (void)state;
    run_file("json_web_key_test.json", 26);
}

/* ---- the examples of the RFCs -----------------------------------------------------------------
 */

static const struct {
    const char *name, *key, *token, *payload;
} examples[] = {
    {"RFC 7515 A.1",
     "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4"
     "hcgUuTwjAzZr1Z9CAow\"}",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
     "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
    {"RFC 7515 A.2",
     "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"
     "Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7O"
     "Mg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo"
     "5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpo"
     "Q\",\"e\":\"AQAB\"}",
     "eyJhbGciOiJSUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp"
     "5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl"
     "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
     "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
    {"RFC 7515 A.3",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
    {"RFC 7515 A.4",
     "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":"
     "\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EO"
     "nYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"
     "x3"
     "S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
     "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-"
     "mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrm"
     "xYbSW9ERBXukOXolLzeO_Jn",
     "Payload"},
    {"RFC 8037 A.4",
     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg"
     "3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     "Example of Ed25519 signing"},
};

static struct key_set *set_of(const char *text) {
    const char *why = NULL;
    struct key_set *s = key_set_read_local(span_z(text), JWA_ALL, &why);
    if (!s)
        fail_msg("%s", why);
    return s;
}

/* Each with its own key alone; and no byte of it may be another. */
static void examples_of_the_rfcs(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(examples); i++) {
        struct key_set *s = set_of(examples[i].key);
        struct jose_verdict v = jose_judge(s, span_z(examples[i].token));
        if (v.fault)
            print_error("%s: %s\n", examples[i].name, fault_table[v.fault].code);
        assert_int_equal(v.fault, FAULT_NONE);
        assert_string_equal(v.payload, examples[i].payload);
        for (size_t j = 0; j < array_len(examples); j++)
            if (j != i)
                assert_int_not_equal(jose_judge(s, span_z(examples[j].token)).fault, FAULT_NONE);
        key_set_unref(s);
    }
}

static void no_byte_may_change(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(examples); i++) {
        struct key_set *s = set_of(examples[i].key);
        char *copy = strdup(examples[i].token);
        for (size_t at = 0; copy[at]; at++) {
            char was = copy[at];
            copy[at] = was == 'A' ? 'B' : 'A';
            assert_int_not_equal(jose_judge(s, span_z(copy)).fault, FAULT_NONE);
            copy[at] = was;
        }
        free(copy);
        key_set_unref(s);
    }
}

/* ---- what a header may say --------------------------------------------------------------------
 */

/* Signed with the right secret, so that only the header decides. */
static const struct {
    const char *header;
    enum fault fault;
} headers[] = {
    {"{\"alg\":\"HS256\"}", FAULT_NONE},
    {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"cty\":\"x\"}", FAULT_NONE},
    {"{\"alg\":\"HS256\",\"kid\":\"anything\"}", FAULT_NONE}, /* the key has none */
    /* F01 */
    {"{\"alg\":\"none\"}", FAULT_JWT_ALG},
    {"{\"alg\":\"None\"}", FAULT_JWT_ALG},
    {"{\"alg\":\"nOnE\"}", FAULT_JWT_ALG},
    {"{\"alg\":\"hs256\"}", FAULT_JWT_ALG},
    {"{\"alg\":\"HS256 \"}", FAULT_JWT_ALG},
    {"{\"alg\":[\"HS256\"]}", FAULT_JWT_ALG},
    {"{\"alg\":null}", FAULT_JWT_ALG},
    {"{\"typ\":\"JWT\"}", FAULT_JWT_ALG},
    {"{\"alg\":\"HS384\"}", FAULT_JWT_KEY}, /* too short a secret for it */
    {"{\"alg\":\"RS256\"}", FAULT_JWT_KEY},
    /* F04 */
    {"{\"alg\":\"HS256\",\"jku\":\"http://evil/\"}", FAULT_NONE},
    /* F05 */
    {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"b64\":false}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"b64\":true}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"crit\":[\"x\"],\"x\":1}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"crit\":[]}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"crit\":\"x\"}", FAULT_JWT_CRIT},
    {"{\"alg\":\"HS256\",\"crit\":null}", FAULT_JWT_CRIT},
    /* F07 */
    {"{\"alg\":\"HS256\",\"alg\":\"none\"}", FAULT_JWT_FORMAT},
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\",\"x\":{\"a\":1,\"a\":1}}", FAULT_JWT_FORMAT},
    /* F08 */
    {"{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}", FAULT_NONE},
    {"{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", FAULT_JWT_FORMAT},
    /* F12, and what is no header at all */
    {"{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\",\"kid\":1}", FAULT_JWT_FORMAT},
    {"[\"alg\",\"HS256\"]", FAULT_JWT_FORMAT},
    {"\"HS256\"", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\"", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\"}x", FAULT_JWT_FORMAT},
    {"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", FAULT_JWT_FORMAT},
    {"\xef\xbb\xbf{\"alg\":\"HS256\"}", FAULT_JWT_FORMAT},
};

static void headers_of_tokens(void **state) {
    (void)state;
    char buf[2048];
    struct key_set *s = set_of(SECRET);
    for (size_t i = 0; i < array_len(headers); i++) {
        struct jose_verdict v =
            jose_judge(s, jose_hs256(buf, sizeof buf, headers[i].header, "{}", SECRET));
        if (v.fault != headers[i].fault)
            print_error("%s: %s\n", headers[i].header, fault_table[v.fault].code);
        assert_int_equal(v.fault, headers[i].fault);
        assert_int_equal(v.embeds, v.fault == FAULT_NONE && strstr(headers[i].header, "jku"));
    }
    key_set_unref(s);
}

/* F04: a key that the token brings along is not looked at. */
static void keys_inside_tokens(void **state) {
    (void)state;
    static const char *const names[] = {"jku", "x5u", "jwk", "x5c"};
    char buf[2048], header[256];
    struct key_set *s = set_of(SECRET);
    for (size_t i = 0; i < array_len(names); i++) {
        snprintf(
            header, sizeof header,
            "{\"alg\":\"HS256\",\"%s\":{\"kty\":\"oct\",\"k\":\"YXR0YWNrZXJhdHRhY2tlcmF0dGFja2Vy"
            "YXR0YWNrZXI\"}}",
            names[i]);
        struct jose_verdict v = jose_judge(
            s, jose_hs256(buf, sizeof buf, header, "{}", "attackerattackerattackerattacker"));
        assert_int_equal(v.fault, FAULT_JWT_SIGNATURE);
        assert_true(v.embeds);
    }
    key_set_unref(s);
}

/* ---- F10 --------------------------------------------------------------------------------------
 */

static void shapes_of_tokens(void **state) {
    (void)state;
    char buf[512], other[600];
    struct key_set *s = set_of(SECRET);
    struct span good = jose_hs256(buf, sizeof buf, "{\"alg\":\"HS256\"}", "{\"a\":1}", SECRET);
    assert_int_equal(jose_judge(s, good).fault, FAULT_NONE);
    static const char *const behind[] = {"=", "==",   ".",          "..", " ", "\n",
                                         "A", "AAAA", ".AAAA.AAAA", "+",  "/", "%3D"};
    for (size_t i = 0; i < array_len(behind); i++) {
        snprintf(other, sizeof other, "%.*s%s", SPAN_ARG(good), behind[i]);
        assert_int_not_equal(jose_judge(s, span_z(other)).fault, FAULT_NONE);
        snprintf(other, sizeof other, "%s%.*s", behind[i], SPAN_ARG(good));
        assert_int_not_equal(jose_judge(s, span_z(other)).fault, FAULT_NONE);
    }
    static const char *const none[] = {"",
                                       ".",
                                       "..",
                                       "...",
                                       "a.b",
                                       "a.b.c",
                                       "....",
                                       "eyJhbGciOiJIUzI1NiJ9.e30.",
                                       "eyJhbGciOiJIUzI1NiJ9..",
                                       "eyJhbGciOiJIUzI1NiJ9.e30",
                                       ".e30.AAAA"};
    for (size_t i = 0; i < array_len(none); i++)
        assert_int_equal(jose_judge(s, span_z(none[i])).fault, FAULT_JWT_FORMAT);
    /* The last digit of 32 bytes carries two bits that no byte takes. */
    snprintf(other, sizeof other, "%.*s", SPAN_ARG(good));
    for (char c = 'A'; c <= 'Z'; c++) {
        other[good.n - 1] = c;
        assert_int_equal(jose_judge(s, span_z(other)).fault == FAULT_NONE, c == good.p[good.n - 1]);
    }
    key_set_unref(s);
}

/* ---- F03: which key ---------------------------------------------------------------------------
 */

#define KEY(kid, last)                                                                             \
    "{\"kty\":\"oct\",\"kid\":\"" kid "\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZ" last  \
    "\"}"

static const struct {
    const char *header, *secret;
    enum fault fault;
    bool newer;
} kids[] = {
    {"{\"alg\":\"HS256\",\"kid\":\"one\"}", "0123456789abcdef0123456789abcdef", FAULT_NONE, false},
    {"{\"alg\":\"HS256\",\"kid\":\"two\"}", "0123456789abcdef0123456789abcdeg", FAULT_NONE, false},
    {"{\"alg\":\"HS256\",\"kid\":\"one\"}", "0123456789abcdef0123456789abcdeg", FAULT_JWT_SIGNATURE,
     false},
    {"{\"alg\":\"HS256\",\"kid\":\"six\"}", "0123456789abcdef0123456789abcdef", FAULT_JWT_KEY,
     true},
    {"{\"alg\":\"HS256\",\"kid\":\"\"}", "0123456789abcdef0123456789abcdef", FAULT_JWT_KEY, true},
    {"{\"alg\":\"HS256\",\"kid\":\"one\\u0000\"}", "0123456789abcdef0123456789abcdef",
     FAULT_JWT_KEY, true},
    {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", "0123456789abcdef0123456789abcdef",
     FAULT_JWT_KEY, true},
    {"{\"alg\":\"HS256\",\"kid\":\"'; drop table keys; --\"}", "0123456789abcdef0123456789abcdef",
     FAULT_JWT_KEY, true},
    {"{\"alg\":\"RS256\",\"kid\":\"one\"}", "0123456789abcdef0123456789abcdef", FAULT_JWT_ALG,
     false},
    /* without a kid: at most four are tried */
    {"{\"alg\":\"HS256\"}", "0123456789abcdef0123456789abcdeg", FAULT_NONE, true},
    {"{\"alg\":\"HS256\"}", "0123456789abcdef0123456789abcdei", FAULT_NONE, true},
    {"{\"alg\":\"HS256\"}", "0123456789abcdef0123456789abcdej", FAULT_JWT_SIGNATURE, true},
};

static void which_key(void **state) {
    (void)state;
    char buf[1024];
    struct key_set *s = set_of("{\"keys\":[" KEY("one", "WY") "," KEY("two", "Wc") "," KEY(
        "three", "Wg") "," KEY("four", "Wk") "," KEY("five", "Wo") "]}");
    assert_int_equal(s->count, 5);
    for (size_t i = 0; i < array_len(kids); i++) {
        struct jose_verdict v =
            jose_judge(s, jose_hs256(buf, sizeof buf, kids[i].header, "{}", kids[i].secret));
        if (v.fault != kids[i].fault || v.newer != kids[i].newer)
            print_error("%s, %s: %s\n", kids[i].header, kids[i].secret, fault_table[v.fault].code);
        assert_int_equal(v.fault, kids[i].fault);
        assert_int_equal(v.newer, kids[i].newer);
    }
    key_set_unref(s);
}

static void long_kids(void **state) {
    (void)state;
    char *header = malloc(10000), *buf = malloc(20000);
    snprintf(header, 10000, "{\"alg\":\"HS256\",\"kid\":\"%0*d\"}", 8192, 1);
    struct key_set *s = set_of("{\"keys\":[" KEY("one", "WY") "]}");
    assert_int_equal(jose_judge(s, jose_hs256(buf, 20000, header, "{}", SECRET)).fault,
                     FAULT_JWT_KEY);
    key_set_unref(s);
    free(header);
    free(buf);
}

/* ---- F09 --------------------------------------------------------------------------------------
 */

static void lengths_of_signatures(void **state) {
    (void)state;
    struct key_set *s = set_of(examples[2].key); /* P-256: 64 bytes and no others */
    char *token = malloc(40000);
    size_t head = strlen("eyJhbGciOiJFUzI1NiJ9.e30.");
    memcpy(token, "eyJhbGciOiJFUzI1NiJ9.e30.", head);
    memset(token + head, 'A', 30000);
    for (size_t n = 0; n < 300; n++)
        assert_int_not_equal(jose_judge(s, span_of(token, head + n)).fault, FAULT_NONE);
    assert_int_equal(jose_judge(s, span_of(token, head + 86)).fault, FAULT_JWT_SIGNATURE);
    assert_int_equal(jose_judge(s, span_of(token, head + 21830)).fault, FAULT_JWT_FORMAT);
    free(token);
    key_set_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_of_signatures),
        cmocka_unit_test(cases_of_keys),
        cmocka_unit_test(examples_of_the_rfcs),
        cmocka_unit_test(no_byte_may_change),
        cmocka_unit_test(headers_of_tokens),
        cmocka_unit_test(keys_inside_tokens),
        cmocka_unit_test(shapes_of_tokens),
        cmocka_unit_test(which_key),
        cmocka_unit_test(long_kids),
        cmocka_unit_test(lengths_of_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
