#include "identity/message_signature.h"
#include "base/hash.h"
#include "http/uri.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The keys and examples of RFC 9421: appendix B.1, B.2 and section 4.3. */

#define PUBLIC(text) "-----BEGIN PUBLIC KEY-----\n" text "\n-----END PUBLIC KEY-----\n"
static const char rsa_pss[] =
    PUBLIC("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\n"
           "+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\n"
           "oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\n"
           "gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\n"
           "Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\n"
           "aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\n"
           "2wIDAQAB");
static const char ecc_p256[] =
    PUBLIC("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n"
           "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==");
static const char ed25519[] =
    PUBLIC("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=");
static const char rsa[] = "-----BEGIN RSA PUBLIC KEY-----\n"
                          "MIIBCgKCAQEAhAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrw\n"
                          "WEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFq\n"
                          "MGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd/QBwVW9OwNFhekro3RtlinV0a75jfZg\n"
                          "kne/YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0P\n"
                          "uKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dSFFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQ\n"
                          "PSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ10wIDAQAB\n"
                          "-----END RSA PUBLIC KEY-----\n";
static const unsigned char secret[] = {
    0xbb, 0x3b, 0xc9, 0x7c, 0x1e, 0x2e, 0xdc, 0xdd, 0x09, 0xcb, 0x84, 0xfb, 0x35, 0x9e, 0xf9, 0x30,
    0x35, 0x5c, 0xaf, 0xcc, 0xd2, 0x4c, 0x89, 0xde, 0x74, 0x9b, 0x64, 0x81, 0xcb, 0xb8, 0xe9, 0x85,
    0xb8, 0x5c, 0x1c, 0xb3, 0x34, 0x98, 0xf1, 0x05, 0xdb, 0x63, 0x52, 0x47, 0x49, 0x3c, 0x1b, 0x5b,
    0x98, 0x78, 0x48, 0x0e, 0x2e, 0xa9, 0x72, 0x5f, 0x23, 0xb1, 0xab, 0x23, 0x95, 0x33, 0x2d, 0x0d};

#define DIGEST                                                                                     \
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+"                                      \
    "AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"

struct request {
    const char *target, *host, *field[8][2];
};

static const struct request b2 = {"/foo?param=Value&Pet=dog",
                                  "example.com",
                                  {{"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
                                   {"content-type", "application/json"},
                                   {"content-digest", DIGEST}}};
static const struct request origin = {
    "/foo?param=Value&Pet=dog",
    "origin.host.internal.example",
    {{"date", "Tue, 20 Apr 2021 02:07:56 GMT"},
     {"content-type", "application/json"},
     {"forwarded", "for=192.0.2.123;host=example.com;proto=https"},
     {"content-digest", DIGEST}}};
static const struct request fields = {"/path?param=value&foo=bar&baz=batman&qux=&two=1&two=2",
                                      "www.example.com",
                                      {{"x-list", "a"},
                                       {"x-list", "  b,  c "},
                                       {"x-empty", ""},
                                       {"x-dict", "a=1,  b=2;x=1;y=2, c=(a   b   c), d"}}};
static const struct request encoded = {
    "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&"
    "fa%C3%A7ade%22%3A%20=something",
    "example.com",
    {{NULL, NULL}}};

static struct arena arena;

static struct head *head_of(const struct request *m) {
    static const struct uri_limits lim = {.query_params_max = 1000};
    struct head *h = arena_zero(&arena, sizeof *h);
    head_init(h, &arena);
    h->method = METHOD_POST;
    h->method_text = SPAN("POST");
    h->scheme = SPAN("https");
    assert_int_equal(uri_target(h, span_z(m->target), &lim), FAULT_NONE);
    assert_int_equal(uri_authority(h, span_z(m->host)), FAULT_NONE);
    for (size_t i = 0; i < 8 && m->field[i][0]; i++)
        assert_int_equal(
            hdr_put(h, span_z(m->field[i][0]), span_trim(span_z(m->field[i][1])), ORIGIN_GATEWAY),
            FAULT_NONE);
    return h;
}

static void sign(struct head *h, const char *input, const char *signature) {
    assert_int_equal(hdr_put(h, SPAN("signature-input"), span_z(input), ORIGIN_GATEWAY),
                     FAULT_NONE);
    assert_int_equal(hdr_put(h, SPAN("signature"), span_z(signature), ORIGIN_GATEWAY), FAULT_NONE);
}

#define HMAC ((struct span){(const char *)secret, sizeof secret})
#define CREATED ";created=1618884473;keyid="

static const struct {
    const char *what;
    const struct request *message;
    const char *input, *signature;
    enum signing_algorithm algorithm;
    const char *key; /* NULL: the secret */
    const char *base;
} examples[] = {
    {"B.2.1", &b2, "sig-b21=()" CREATED "\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
     "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/"
     "lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+"
     "oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+"
     "O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++"
     "v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
     SIGN_RSA_PSS_SHA512, rsa_pss,
     "\"@signature-params\": ()" CREATED "\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\""},
    {"B.2.2", &b2,
     "sig-b22=(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\")" CREATED
     "\"test-key-rsa-pss\";tag=\"header-example\"",
     "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtj"
     "vuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/"
     "2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+"
     "4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/"
     "lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//"
     "0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
     SIGN_RSA_PSS_SHA512, rsa_pss,
     "\"@authority\": example.com\n\"content-digest\": " DIGEST
     "\n\"@query-param\";name=\"Pet\": dog\n\"@signature-params\": (\"@authority\" "
     "\"content-digest\" \"@query-param\";name=\"Pet\")" CREATED
     "\"test-key-rsa-pss\";tag=\"header-example\""},
    {"B.2.3", &b2,
     "sig-b23=(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" "
     "\"content-digest\" \"content-length\")" CREATED "\"test-key-rsa-pss\"",
     "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/"
     "5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl"
     "+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/"
     "CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+"
     "QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
     SIGN_RSA_PSS_SHA512, rsa_pss,
     "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@query\": "
     "?param=Value&Pet=dog\n\"@authority\": example.com\n\"content-type\": "
     "application/json\n\"content-digest\": " DIGEST
     "\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@query\" "
     "\"@authority\" \"content-type\" \"content-digest\" \"content-length\")" CREATED
     "\"test-key-rsa-pss\""},
    {"B.2.5", &b2,
     "sig-b25=(\"date\" \"@authority\" \"content-type\")" CREATED "\"test-shared-secret\"",
     "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:", SIGN_HMAC_SHA256, NULL,
     "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": "
     "application/json\n\"@signature-params\": (\"date\" \"@authority\" \"content-type\")" CREATED
     "\"test-shared-secret\""},
    {"B.2.6", &b2,
     "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
     "\"content-length\")" CREATED "\"test-key-ed25519\"",
     "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBK"
     "RCw==:",
     SIGN_ED25519, ed25519,
     "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": "
     "example.com\n\"content-type\": application/json\n\"content-length\": "
     "18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
     "\"content-length\")" CREATED "\"test-key-ed25519\""},
    {"4.3, the client", &b2,
     "sig1=(\"@method\" \"@authority\" \"@path\" \"content-digest\" \"content-type\" "
     "\"content-length\");created=1618884475;keyid=\"test-key-ecc-p256\"",
     "sig1=:X5spyd6CFnAG5QnDyHfqoSNICd+BUP4LYMz2Q0JXlb//4Ijpzp+"
     "kve2w4NIyqeAuM7jTDX+sNalzA8ESSaHD3A==:",
     SIGN_ECDSA_P256_SHA256, ecc_p256, NULL},
    {"4.3, the proxy", &origin,
     "proxy_sig=(\"@method\" \"@authority\" \"@path\" \"content-digest\" \"content-type\" "
     "\"content-length\" \"forwarded\");created=1618884480;keyid=\"test-key-rsa\";"
     "alg=\"rsa-v1_5-sha256\";expires=1618884540",
     "proxy_sig=:S6ZzPXSdAMOPjN/6KXfXWNO/f7V6cHm7BXYUh3YD/fRad4BCaRZxP+JH+8XY1I6+8Cy+"
     "CM5g92iHgxtRPz+MjniOaYmdkDcnL9cCpXJleXsOckpURl49GwiyUpZ10KHgOEe11sx3G2gxI8S0jnxQB+"
     "Pu68U9vVcasqOWAEObtNKKZd8tSFu7LB5YAv0RAGhB8tmpv7sFnIm9y+"
     "7X5kXQfi8NMaZaA8i2ZHwpBdg7a6CMfwnnrtflzvZdXAsD3LH2TwevU+/PBPv0B6NMNk93wUs/vfJvye+"
     "YuI87HU38lZHowtznbLVdp770I6VHR6WfgS9ddzirrswsE1w5o0LV/g==:",
     SIGN_RSA_V1_5_SHA256, rsa, NULL},
};

static EVP_PKEY *key_of(enum signing_algorithm algorithm, const char *pem,
                        struct consumer_signing *out) {
    const char *why;
    *out = (struct consumer_signing){.algorithm = algorithm, .key = pem ? span_z(pem) : HMAC};
    EVP_PKEY *key = signature_key(algorithm, out->key, &why);
    if (why)
        fail_msg("%s", why);
    return key;
}

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(examples); i++) {
        struct head *h = head_of(examples[i].message);
        struct signature_input in;
        struct consumer_signing key;
        struct span base;
        const char *why;
        sign(h, examples[i].input, examples[i].signature);
        EVP_PKEY *pkey = key_of(examples[i].algorithm, examples[i].key, &key);
        assert_int_equal(signature_read(h, &arena, 0, &in, &why), SIGNATURE_ONE);
        if (!signature_base(&in, h, 18, &arena, &base, &why))
            fail_msg("%s: %s", examples[i].what, why);
        if (examples[i].base && !span_eq(base, span_z(examples[i].base)))
            fail_msg("%s: got\n%.*s", examples[i].what, SPAN_ARG(base));
        if (!signature_verify(&key, pkey, base, in.signature))
            fail_msg("%s does not verify", examples[i].what);
        char *changed = arena_text(&arena, base);
        changed[base.n - 1] ^= 1;
        assert_false(signature_verify(&key, pkey, span_of(changed, base.n), in.signature));
        changed = arena_text(&arena, in.signature);
        changed[in.signature.n / 2] ^= 1;
        assert_false(signature_verify(&key, pkey, base, span_of(changed, in.signature.n)));
        assert_false(signature_verify(&key, pkey, base, span_cut(in.signature, 0, 31)));
        assert_false(signature_verify(&key, pkey, base, SPAN("")));
        EVP_PKEY_free(pkey);
    }
}

static const struct {
    const struct request *message;
    const char *covered; /* the inner list */
    const char *base;    /* without the last line; NULL: it cannot be had */
} bases[] = {
    {&fields, "\"x-list\" \"x-empty\"", "\"x-list\": a, b,  c\n\"x-empty\": \n"},
    {&fields, "\"x-dict\";key=\"a\" \"x-dict\";key=\"d\" \"x-dict\";key=\"b\" \"x-dict\";key=\"c\"",
     "\"x-dict\";key=\"a\": 1\n\"x-dict\";key=\"d\": ?1\n\"x-dict\";key=\"b\": 2;x=1;y=2\n"
     "\"x-dict\";key=\"c\": (a b c)\n"},
    {&fields, "\"@method\" \"@target-uri\" \"@authority\" \"@scheme\" \"@path\"",
     "\"@method\": POST\n\"@target-uri\": https://www.example.com/"
     "path?param=value&foo=bar&baz=batman&qux=&two=1&two=2\n\"@authority\": "
     "www.example.com\n\"@scheme\": https\n\"@path\": /path\n"},
    {&fields, "\"@request-target\" \"@query\"",
     "\"@request-target\": /path?param=value&foo=bar&baz=batman&qux=&two=1&two=2\n\"@query\": "
     "?param=value&foo=bar&baz=batman&qux=&two=1&two=2\n"},
    {&fields, "\"@query-param\";name=\"baz\" \"@query-param\";name=\"qux\"",
     "\"@query-param\";name=\"baz\": batman\n\"@query-param\";name=\"qux\": \n"},
    {&encoded,
     "\"@query-param\";name=\"var\" \"@query-param\";name=\"bar\" "
     "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"",
     "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value\n"
     "\"@query-param\";name=\"bar\": with%20plus%20whitespace\n"
     "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something\n"},
    {&b2, "\"host\" \"content-length\"", "\"host\": example.com\n\"content-length\": 18\n"},
    /* what must not be covered, or is not there */
    {&fields, "\"@query-param\";name=\"two\"", NULL},
    {&fields, "\"@query-param\";name=\"none\"", NULL},
    {&fields, "\"@query-param\"", NULL},
    {&fields, "\"x-none\"", NULL},
    {&fields, "\"X-List\"", NULL},
    {&fields, "\"x-list\" \"x-list\"", NULL},
    {&fields, "\"x-list\";bs", NULL},
    {&fields, "\"x-list\";sf", NULL},
    {&fields, "\"x-list\";req", NULL},
    {&fields, "\"x-dict\";key=\"z\"", NULL},
    {&fields, "\"x-dict\";key=\"a\";sf", NULL},
    {&fields, "\"@status\"", NULL},
    {&fields, "\"@method\";req", NULL},
    {&fields, "\"@signature-params\"", NULL},
    {&fields, "\"signature\"", NULL},
    {&fields, "\"signature-input\"", NULL},
    {&fields, "x-list", NULL},
    {&fields, "\"\"", NULL},
};

static void test_bases(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(bases); i++) {
        struct head *h = head_of(bases[i].message);
        struct signature_input in;
        struct span base;
        const char *why = NULL;
        sign(h, arena_fmt(&arena, "a=(%s);created=1", bases[i].covered), "a=:AAAA:");
        assert_int_equal(signature_read(h, &arena, 0, &in, &why), SIGNATURE_ONE);
        bool had = signature_base(&in, h, 18, &arena, &base, &why);
        if (had != (bases[i].base != NULL))
            fail_msg("(%s): %s", bases[i].covered, had ? "had" : why);
        const char *want = arena_fmt(&arena, "%s\"@signature-params\": (%s);created=1",
                                     bases[i].base ? bases[i].base : "", bases[i].covered);
        if (had && !span_eq(base, span_z(want)))
            fail_msg("(%s): got\n%.*s", bases[i].covered, SPAN_ARG(base));
    }
}

/* Many components, each once: at most COMPONENTS_MAX. */
static void test_too_many(void **state) {
    (void)state;
    struct head *h = head_of(&b2);
    struct signature_input in;
    struct span base;
    const char *why, *list = "";
    for (int i = 0; i <= COMPONENTS_MAX; i++) {
        const char *name = arena_fmt(&arena, "x-%d", i);
        assert_int_equal(hdr_put(h, span_z(name), SPAN("v"), ORIGIN_GATEWAY), FAULT_NONE);
        list = arena_fmt(&arena, "%s%s\"%s\"", list, i ? " " : "", name);
    }
    sign(h, arena_fmt(&arena, "a=(%s)", list), "a=:AAAA:");
    assert_int_equal(signature_read(h, &arena, 0, &in, &why), SIGNATURE_ONE);
    assert_false(signature_base(&in, h, 0, &arena, &base, &why));
}

static const struct {
    const char *input, *signature;
    enum signature_step first, second;
} fields_read[] = {
    {"a=()", "a=:AAAA:", SIGNATURE_ONE, SIGNATURE_NONE},
    {"a=(), b=(\"date\");created=1", "b=:AAAA:,a=:AAAA:", SIGNATURE_ONE, SIGNATURE_ONE},
    {"a=(), b=()", "a=:AAAA:", SIGNATURE_ONE, SIGNATURE_MALFORMED},
    {"", "a=:AAAA:", SIGNATURE_NONE, SIGNATURE_NONE},
    {"a=(),a=()", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
    {"a=()", "a=:AAAA:,a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=()", "a=AAAA", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=()", "a=\"AAAA\"", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=()", "a=:AA*A:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=()", "a=:AAB=:", SIGNATURE_MALFORMED, SIGNATURE_NONE}, /* bits left over */
    {"a=\"x\"", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=(\"date\"", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
    {"a=(\"date\"\"path\")", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
    {"a=();created=1;created=2", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();created=\"1\"", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();created=-1", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();created=1.5", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();created=1234567890123456", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
    {"a=();keyid=token", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();keyid=\"a\";keyid=\"b\"", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=();alg", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_NONE},
    {"a=() , b=()", "a=:AAAA:, b=:AAAA:", SIGNATURE_ONE, SIGNATURE_ONE},
    {"a=(),", "a=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
    {"A=()", "A=:AAAA:", SIGNATURE_MALFORMED, SIGNATURE_MALFORMED},
};

static void test_fields(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(fields_read); i++) {
        struct head *h = head_of(&b2);
        struct signature_input in;
        const char *why;
        sign(h, fields_read[i].input, fields_read[i].signature);
        enum signature_step first = signature_read(h, &arena, 0, &in, &why);
        enum signature_step second = signature_read(h, &arena, 1, &in, &why);
        if (first != fields_read[i].first || second != fields_read[i].second)
            fail_msg("%s / %s: %d %d", fields_read[i].input, fields_read[i].signature, first,
                     second);
    }
}

/* Values of parameters reach the verifier without their escapes; the base keeps them. */
static void test_parameters(void **state) {
    (void)state;
    struct head *h = head_of(&b2);
    struct signature_input in;
    struct span base;
    const char *why;
    sign(
        h,
        "a=(  \"date\"   \"@path\" ); keyid=\"a\\\"b\\\\\"; expires=7;tag=\"t\";nonce=\"n\";x;y=?1",
        "a=:AAAA:");
    assert_int_equal(signature_read(h, &arena, 0, &in, &why), SIGNATURE_ONE);
    assert_true(span_eq(in.keyid, SPAN("a\"b\\")) && span_eq(in.nonce, SPAN("n")) &&
                span_eq(in.tag, SPAN("t")));
    assert_int_equal(in.expires, 7);
    assert_int_equal(in.created, -1);
    assert_true(signature_covers(&in, SPAN("date")) && !signature_covers(&in, SPAN("@query")));
    assert_true(signature_base(&in, h, 0, &arena, &base, &why));
    assert_true(span_ends(base, SPAN("\"@signature-params\": (\"date\" \"@path\")"
                                     ";keyid=\"a\\\"b\\\\\";expires=7;tag=\"t\";nonce=\"n\";x;y")));
}

static const struct {
    enum signing_algorithm algorithm;
    const char *key;
} unfit[] = {
    {SIGN_ED25519, rsa_pss},
    {SIGN_ED25519, ecc_p256},
    {SIGN_ECDSA_P256_SHA256, ed25519},
    {SIGN_ECDSA_P384_SHA384, ecc_p256},
    {SIGN_RSA_PSS_SHA512, ecc_p256},
    {SIGN_RSA_V1_5_SHA256, ed25519},
    {SIGN_HMAC_SHA256, "short"},
    {SIGN_ED25519, "no PEM at all"},
    {SIGN_ED25519, ""},
};

static void test_keys(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(unfit); i++) {
        const char *why = NULL;
        assert_null(signature_key(unfit[i].algorithm, span_z(unfit[i].key), &why));
        assert_non_null(why);
    }
}

static const struct {
    const char *digest, *body;
    bool fits;
} digests[] = {
    {DIGEST, "{\"hello\": \"world\"}", true},
    {DIGEST, "{\"hello\": \"worle\"}", false},
    {"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "{\"hello\": \"world\"}", true},
    {"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, " DIGEST, "{\"hello\": \"world\"}",
     true},
    {"sha-256=:Y48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, " DIGEST, "{\"hello\": \"world\"}",
     false},
    {"md5=:AAAA:", "x", false},
    {"md5=:AAAA:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "{\"hello\": \"world\"}",
     true},
    {"sha-256=X48E", "x", false},
    {"sha-256=:AAAA:", "x", false},
    {"", "x", false},
    {NULL, "x", false},
};

static void test_digests(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(digests); i++) {
        struct head h;
        struct span b = span_z(digests[i].body);
        head_init(&h, &arena);
        if (digests[i].digest)
            assert_int_equal(
                hdr_put(&h, SPAN("content-digest"), span_z(digests[i].digest), ORIGIN_GATEWAY),
                FAULT_NONE);
        struct iovec iov[2] = {{(void *)(uintptr_t)b.p, b.n / 2},
                               {(void *)(uintptr_t)(b.p + b.n / 2), b.n - b.n / 2}};
        if (content_digest_fits(&h, &arena, iov, 2) != digests[i].fits)
            fail_msg("%s of %s", digests[i].digest, digests[i].body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),   cmocka_unit_test(test_bases),
        cmocka_unit_test(test_too_many),   cmocka_unit_test(test_fields),
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_digests),
    };
    hash_seed(1, 2);
    arena_init(&arena, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
