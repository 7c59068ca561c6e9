/* The token endpoint's answer to a login and to a renewal: what is taken, and for how long
 * (THREATS.md F26; OpenID Connect Core 3.1.3.7, 12.2). */
#include "oidc_desk.h"

/* ---- the token endpoint's answer --------------------------------------------------------------
 */

#define ID(more) "{\"iss\":\"https://id.test\",\"sub\":\"anna\",\"exp\":1000300" more "}"
#define AUD ",\"aud\":\"shop\""
#define NONCE ",\"nonce\":\"n-1\""

/* As the answer to a login (nonce n-1), or to a renewal of anna's session. NULL: a session. */
static const char *judged(const char *id, bool login, struct oidc_session *s) {
    static char why[256];
    char token[4096], text[8192];
    const char *detail = "";
    struct oidc_work *w = request(NULL);
    struct value_member m = {value_string(SPAN("sub")), value_string(SPAN("anna"))};
    if (!login)
        *s = (struct oidc_session){.claims = {.kind = VALUE_MAP, .n = 1, .member = &m}};
    struct span t = jose_hs256(token, sizeof token, "{\"alg\":\"HS256\"}", id, SECRET);
    snprintf(text, sizeof text, "{\"id_token\":\"%.*s\"}", SPAN_ARG(t));
    w->status = 200;
    w->answer = span_z(text);
    bool fine = oidc_token_read(w, login ? SPAN("n-1") : SPAN_NONE, s, &detail);
    snprintf(why, sizeof why, "%s", detail);
    done();
    return fine ? NULL : why;
}

static void id_tokens(void **state) {
    static const struct {
        const char *id, *login, *renewal; /* a part of what is wrong; NULL: it is taken */
    } rows[] = {
        {ID(AUD NONCE), NULL, NULL},
        {ID(AUD ",\"nonce\":\"n-2\""), "nonce", NULL},
        {ID(AUD ",\"nonce\":\"n-1x\""), "nonce", NULL},
        {ID(AUD ",\"nonce\":\"\""), "nonce", NULL},
        {ID(AUD ",\"nonce\":7"), "nonce", NULL},
        {ID(AUD), "nonce", NULL},
        {ID(NONCE), "aud", "aud"},
        {ID(NONCE ",\"aud\":\"other\""), "aud", "aud"},
        {ID(NONCE ",\"aud\":[\"shop\"]"), NULL, NULL},
        {ID(NONCE ",\"aud\":[\"shop\",\"other\"]"), "azp", "azp"},
        {ID(NONCE ",\"aud\":[\"shop\",\"other\"],\"azp\":\"shop\""), NULL, NULL},
        {ID(NONCE AUD ",\"azp\":\"other\""), "azp", "azp"},
        {ID(NONCE AUD ",\"nbf\":1000061"), "future", "future"},
        {"{\"iss\":\"https://id.test\",\"sub\":\"anna\",\"exp\":999940" AUD NONCE "}", "exp",
         "exp"},
        {"{\"iss\":\"https://id.test\",\"sub\":\"anna\"" AUD NONCE "}", "exp", "exp"},
        {"{\"iss\":\"https://id.test/\",\"sub\":\"anna\",\"exp\":1000300" AUD NONCE "}", "iss",
         "iss"},
        {"{\"iss\":\"https://id.test\",\"exp\":1000300" AUD NONCE "}", "sub", "sub"},
        {"{\"iss\":\"https://id.test\",\"sub\":\"\",\"exp\":1000300" AUD NONCE "}", "sub", "sub"},
        {"{\"iss\":\"https://id.test\",\"sub\":\"otto\",\"exp\":1000300" AUD NONCE "}", NULL,
         "somebody else"},
        {"[]", "malformed", "malformed"},
    };
    struct oidc_session s;
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++)
        for (int login = 0; login < 2; login++) {
            s = (struct oidc_session){0};
            const char *want = login ? rows[i].login : rows[i].renewal;
            const char *why = judged(rows[i].id, login, &s);
            if (!want != !why || (want && !strstr(why, want)))
                fail_msg("%s, login %d: %s", rows[i].id, login, why ? why : "taken");
        }
}

static void answers_without(void **state) {
    static const struct {
        int status;
        const char *answer, *why;
    } rows[] = {
        {200, "{}", "gave no id_token"},
        {200, "{\"id_token\":7}", "gave no id_token"},
        {200, "{\"id_token\":\"a.b.c\"}", ""},
        {200, "", "no JSON object"},
        {200, "[]", "no JSON object"},
        {200, "{\"id_token\":\"x\",\"id_token\":\"x\"}", "no JSON object"},
        {400, "{\"error\":\"invalid_grant\"}", "says: invalid_grant"},
        {201, "{\"id_token\":\"x\"}", "says: "},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct oidc_work *w = request(NULL);
        struct oidc_session s = {0};
        const char *detail = "";
        w->status = rows[i].status;
        w->answer = span_z(rows[i].answer);
        assert_false(oidc_token_read(w, SPAN("n-1"), &s, &detail));
        if (!strstr(detail, rows[i].why))
            fail_msg("%s: %s", rows[i].answer, detail);
        done();
    }
}

static void claims_that_are_kept(void **state) {
    struct oidc_session s = {0};
    (void)state;
    assert_null(
        judged(ID(AUD NONCE ",\"iat\":1,\"nbf\":1,\"at_hash\":\"x\",\"tenant\":\"t\""), true, &s));
    assert_int_equal(s.claims.n, 4); /* iss, sub, aud, tenant */
}

/* ---- and its times ----------------------------------------------------------------------------
 */

static void times(void **state) {
    static const struct {
        const char *before, *answer; /* the refresh token that was there */
        int64_t renew_at, good_until;
        const char *token;
    } rows[] = {
        {"old", "{\"expires_in\":1000}", 800, 1000, "old"},
        {"old", "{\"expires_in\":1000,\"refresh_token\":\"new\"}", 800, 1000, "new"},
        {"", "{\"expires_in\":1000,\"refresh_token\":\"new\"}", 800, 1000, "new"},
        {"", "{\"expires_in\":1000}", 0, 0, ""},
        {"old", "{\"expires_in\":50}", 40, 50, "old"},
        {"old", "{\"expires_in\":49}", 39, 49, "old"}, /* ten seconds before, at least */
        {"old", "{\"expires_in\":11}", 1, 11, "old"},
        {"old", "{\"expires_in\":10}", 10, 10, "old"}, /* there are none: when it ends */
        {"old", "{\"expires_in\":1}", 1, 1, "old"},
        {"old", "{\"expires_in\":0}", 0, 0, ""},
        {"old", "{\"expires_in\":-1}", 0, 0, ""},
        {"old", "{}", 0, 0, ""},
        {"old", "{\"expires_in\":1.5}", 0, 0, ""},
        {"old", "{\"expires_in\":31622400}", 25297920, 31622400, "old"},
        {"old", "{\"expires_in\":31622401}", 0, 0, ""},
        {"old", "{\"expires_in\":99999999999999999999}", 0, 0, ""},
        {"old", "{\"expires_in\":1000,\"refresh_token\":7}", 800, 1000, "old"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct oidc_work *w = request(NULL);
        struct oidc_session s = {
            .claims = {.kind = VALUE_MAP}, .ends = 77, .refresh_token = span_z(rows[i].before)};
        const char *detail = "";
        int64_t base = rows[i].good_until ? NOW : 0;
        w->status = 200;
        w->answer = span_z(rows[i].answer);
        if (!oidc_token_read(w, SPAN_NONE, &s, &detail))
            fail_msg("%s: %s", rows[i].answer, detail);
        if (s.renew_at != base + rows[i].renew_at || s.good_until != base + rows[i].good_until ||
            !span_eq(s.refresh_token, span_z(rows[i].token)))
            fail_msg("%s: %ld %ld %.*s", rows[i].answer, (long)s.renew_at, (long)s.good_until,
                     SPAN_ARG(s.refresh_token));
        assert_int_equal(s.ends, 77); /* a renewal makes no session longer */
        done();
    }
    struct oidc_session s = {0};
    assert_null(judged(ID(AUD NONCE), true, &s));
    assert_int_equal(s.ends, NOW + 8 * 3600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OIDC_TEST(id_tokens),
        OIDC_TEST(answers_without),
        OIDC_TEST(claims_that_are_kept),
        OIDC_TEST(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
