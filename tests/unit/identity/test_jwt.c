/*
 * Tokens as credentials, through the filter: where they stand, what they must say, and what is
 * remembered of them (THREATS.md F01, F05 to F08, F13, F14, F17, F27). The clock is ours.
 */
#include "../core/desk.h"
#include "filter/authenticate.h"
#include "identity/jwt.h"
#include "jose.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define H "{\"alg\":\"HS256\"}"

static int64_t wall_s;
static int64_t wall(void) {
    return wall_s * 1000000000;
}

/* ---- a route with one or two authenticators ---------------------------------------------------
 */

enum { KINDS = 2 };
static struct jwt_conf conf[KINDS];
static struct authenticator authenticator[KINDS];
static const struct authenticator *asked[KINDS];
static struct authenticate_conf policy;
static struct outbound issuer[KINDS];
static const struct outbound *issuers[KINDS];
static const struct span us = {"us", 2};
static char seen[64]; /* the subject that the service was told; "-": nobody */

static void service_start(struct exchange *x) {
    const struct value *sub = x->caller ? value_find(&x->caller->claims, SPAN("sub")) : NULL;
    snprintf(seen, sizeof seen, "%.*s", SPAN_ARG(sub ? value_span(sub) : SPAN("-")));
    x->resp.status = 200;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static void made(unsigned i, const char *iss, const char *key) {
    issuer[i] = (struct outbound){.url = span_z(iss)};
    issuers[i] = &issuer[i];
    conf[i] = (struct jwt_conf){.issuer = &issuers[i],
                                .issuer_count = *iss != 0,
                                .audience = &us,
                                .audience_count = 1,
                                .key = span_z(key),
                                .leeway_ms = 60000,
                                .token.max_size = 8192,
                                .require_exp = true};
    const char *why = jwt_kind.finish(&desk.snapshot->arena, &conf[i]);
    if (why)
        fail_msg("%s", why);
    authenticator[i] = (struct authenticator){
        .name = i ? SPAN("b") : SPAN("a"), .kind = &jwt_kind, .conf = &conf[i], .forward = true};
    asked[i] = &authenticator[i];
    jwt_kind.attach(desk.snapshot, &authenticator[i]);
}

static void begin(const char *iss) {
    wall_s = 1000000;
    env.wall_ns = wall;
    desk_open();
    made(0, iss, SECRET);
    policy = (struct authenticate_conf){.by = asked, .count = 1};
}

static void end(void) {
    loop_drain(&desk.thread.loop);
    jwt_kind.thread_finish(&desk.thread);
    for (unsigned i = 0; i < KINDS; i++)
        if (authenticator[i].lasting)
            jwt_kind.detach(desk.snapshot, &authenticator[i]);
    memset(authenticator, 0, sizeof authenticator);
    desk_close();
    env = env_os;
}

static void clock_is(int64_t s) {
    wall_s = s;
    desk.thread.date_until = 0; /* looked at anew */
}

/* The status of the answer to a request with these fields; the query may be NULL. */
static int status_of(const char *target, const char *name, const char *value) {
    desk_run(desk_exchange("GET", "a.test", target, name, value, NULL), &service, NULL,
             authenticate_policy.ops, &policy);
    return atoi(desk.head);
}

static int with_token(struct span token) {
    static char value[40000];
    snprintf(value, sizeof value, "Bearer %.*s", SPAN_ARG(token));
    return status_of("/", "authorization", value);
}

static struct span token_of(const char *header, const char *claims) {
    static char buf[40000];
    return jose_hs256(buf, sizeof buf, header, claims, SECRET);
}

static uint64_t verified(void) {
    return desk.thread.counters.tokens_verified;
}

/* ---- what it must say -------------------------------------------------------------------------
 */

#define C(rest) "{\"sub\":\"bob\",\"iss\":\"me\",\"aud\":\"us\"" rest "}"
#define FINE C(",\"exp\":1000100")

static const struct {
    const char *header, *claims, *code; /* code NULL: it passes */
} rows[] = {
    {H, FINE, NULL},
    {"{\"alg\":\"none\"}", FINE, "jwt_alg"},
    {"{\"alg\":\"HS384\"}", FINE, "jwt_key"},
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", FINE, "jwt_crit"},
    {"{\"alg\":\"HS256\",\"alg\":\"none\"}", FINE, "jwt_format"},
    {H, "{\"sub\":\"a\",\"sub\":\"b\",\"aud\":\"us\",\"exp\":1000100}", "jwt_format"},
    {H, "[]", "jwt_format"},
    {H, "\"bob\"", "jwt_format"},
    {H, "", "jwt_format"},
    {H, "{\"sub\":\"a\"", "jwt_format"},
    {H, C(",\"exp\":\"1000100\""), "jwt_claims"},
    {H, C(",\"exp\":1000100.0"), "jwt_claims"},
    {H, C(",\"exp\":1e400"), "jwt_claims"},
    {H, C(",\"exp\":-1"), "jwt_claims"},
    {H, C(",\"exp\":9223372036854775808"), "jwt_claims"},
    {H, C(""), "jwt_claims"},
    {H, C(",\"exp\":999940"), "jwt_expired"},
    {H, C(",\"exp\":1000100,\"nbf\":1000061"), "jwt_not_yet_valid"},
    {H, C(",\"exp\":1000100,\"iat\":1000061"), "jwt_not_yet_valid"},
    {H, "{\"sub\":\"bob\",\"iss\":\"me\",\"exp\":1000100}", "jwt_audience"},
    {H, "{\"sub\":\"bob\",\"iss\":\"me\",\"aud\":[\"usa\"],\"exp\":1000100}", "jwt_audience"},
    {H, "{\"sub\":\"bob\",\"iss\":\"me/\",\"aud\":\"us\",\"exp\":1000100}", "jwt_issuer"},
    {H, "{\"sub\":\"bob\",\"aud\":\"us\",\"exp\":1000100}", "jwt_issuer"},
    {H, C(",\"exp\":1000100,\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]"), "jwt_format"},
};

static void what_tokens_say(void **state) {
    (void)state;
    char code[64];
    begin("me");
    for (size_t i = 0; i < array_len(rows); i++) {
        int status = with_token(token_of(rows[i].header, rows[i].claims));
        snprintf(code, sizeof code, "\"code\":\"%s\"", rows[i].code ? rows[i].code : "");
        if (status != (rows[i].code ? 401 : 200) || (rows[i].code && !strstr(desk.body, code)))
            fail_msg("%s %s: %s%s", rows[i].header, rows[i].claims, desk.head, desk.body);
        if (!rows[i].code)
            assert_string_equal(seen, "bob");
        else
            assert_non_null(strstr(desk_field("www-authenticate"),
                                   "Bearer realm=\"a\", error=\"invalid_token\", "
                                   "error_description=\""));
    }
    end();
}

/* Nothing of the token or its claims comes back in an answer (F30). */
static void nothing_is_reflected(void **state) {
    (void)state;
    begin("me");
    with_token(token_of(H, "{\"sub\":\"SECRETWORD\",\"iss\":\"SECRETWORD\",\"exp\":1}"));
    assert_null(strstr(desk.body, "SECRETWORD"));
    assert_null(strstr(desk.head, "SECRETWORD"));
    end();
}

static void sizes(void **state) {
    (void)state;
    char *claims = malloc(20000);
    begin("me");
    for (int pad = 0; pad < 12000; pad += 500) {
        snprintf(claims, 20000,
                 "{\"sub\":\"bob\",\"iss\":\"me\",\"aud\":\"us\",\"exp\":1000100,"
                 "\"x\":\"%0*d\"}",
                 pad + 1, 0);
        struct span token = token_of(H, claims);
        assert_int_equal(with_token(token), token.n <= 8192 ? 200 : 401);
        if (token.n > 8192)
            assert_non_null(strstr(desk.body, "\"jwt_format\""));
    }
    free(claims);
    end();
}

static void types(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int status;
    } heads[] = {{"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", 200},
                 {"{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", 200},
                 {"{\"alg\":\"HS256\",\"typ\":\"AT+JWT\"}", 200},
                 {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", 401},
                 {"{\"alg\":\"HS256\",\"typ\":1}", 401},
                 {"{\"alg\":\"HS256\",\"typ\":\"application/\"}", 401},
                 {H, 401}};
    begin("me");
    conf[0].type = SPAN("at+jwt");
    for (size_t i = 0; i < array_len(heads); i++)
        if (with_token(token_of(heads[i].header, FINE)) != heads[i].status)
            fail_msg("%s: %s", heads[i].header, desk.head);
    end();
}

/* ---- F14: where it stands ---------------------------------------------------------------------
 */

static const struct {
    int in;
    const char *name;                   /* as configured */
    const char *target, *field, *value; /* "%s": the token */
    int status;
    const char *code;
} places[] = {
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer %s", 200, NULL},
    {CREDENTIAL_HEADER, "", "/", "authorization", "bearer %s", 200, NULL},
    {CREDENTIAL_HEADER, "", "/", "authorization", "BEARER   %s", 200, NULL},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer\t%s", 401, "credentials_missing"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer", 401, "credentials_malformed"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer %s,", 401, "jwt_format"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer %s x", 401, "jwt_format"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer Bearer %s", 401, "jwt_format"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer \"%s\"", 401, "jwt_format"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "%s", 401, "credentials_missing"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Basic %s", 401, "credentials_missing"},
    {CREDENTIAL_HEADER, "", "/", "authorization", "Bearer opaque", 401, "jwt_format"},
    {CREDENTIAL_HEADER, "", "/", "x-token", "%s", 401, "credentials_missing"},
    {CREDENTIAL_HEADER, "", "/?access_token=1", "x", "y", 401, "credentials_missing"},
    {CREDENTIAL_HEADER, "", "/?access_token=1", "authorization", "Bearer %s", 401,
     "ambiguous_credentials"},
    {CREDENTIAL_HEADER, "", "/?%61ccess_token=1", "authorization", "Bearer %s", 401,
     "ambiguous_credentials"},
    {CREDENTIAL_HEADER, "", "/?b=access_token", "authorization", "Bearer %s", 200, NULL},
    {CREDENTIAL_HEADER, "X-Token", "/", "x-token", "%s", 200, NULL},
    {CREDENTIAL_HEADER, "X-Token", "/", "x-token", "Bearer %s", 200, NULL},
    {CREDENTIAL_HEADER, "X-Token", "/", "authorization", "Bearer %s", 401, "credentials_missing"},
    {CREDENTIAL_QUERY, "", "/?access_token=%s", "x", "y", 200, NULL},
    {CREDENTIAL_QUERY, "", "/?a=1&access_token=%s&b", "x", "y", 200, NULL},
    {CREDENTIAL_QUERY, "", "/?access_token=%s&access_token=x", "x", "y", 401,
     "ambiguous_credentials"},
    {CREDENTIAL_QUERY, "", "/?access_token=%s", "authorization", "Bearer x", 401,
     "ambiguous_credentials"},
    {CREDENTIAL_QUERY, "", "/?access_token=%s", "authorization", "Basic x", 200, NULL},
    {CREDENTIAL_QUERY, "", "/?access_token=", "x", "y", 401, "credentials_malformed"},
    {CREDENTIAL_QUERY, "t", "/?t=%s", "x", "y", 200, NULL},
    {CREDENTIAL_QUERY, "t", "/?t=%s&access_token=x", "x", "y", 401, "ambiguous_credentials"},
    {CREDENTIAL_COOKIE, "t", "/", "cookie", "a=b; t=%s", 200, NULL},
    {CREDENTIAL_COOKIE, "t", "/", "cookie", "a=b; T=%s", 401, "credentials_missing"},
    {CREDENTIAL_COOKIE, "t", "/", "cookie", "t=%s; t=x", 401, "ambiguous_credentials"},
    {CREDENTIAL_COOKIE, "t", "/", "cookie", "t=\"%s\"", 401, "jwt_format"},
    {CREDENTIAL_COOKIE, "t", "/?access_token=x", "cookie", "t=%s", 401, "ambiguous_credentials"},
};

static void put_token(char *to, size_t max, const char *form, struct span token) {
    const char *at = strstr(form, "%s");
    if (at)
        snprintf(to, max, "%.*s%.*s%s", (int)(at - form), form, SPAN_ARG(token), at + 2);
    else
        snprintf(to, max, "%s", form);
}

static void where_it_stands(void **state) {
    (void)state;
    char target[1024], value[1024];
    for (size_t i = 0; i < array_len(places); i++) {
        begin("me");
        conf[0].token.in = places[i].in;
        conf[0].token.name = span_z(places[i].name);
        assert_null(jwt_kind.finish(&desk.snapshot->arena, &conf[0]));
        struct span token = token_of(H, FINE);
        put_token(target, sizeof target, places[i].target, token);
        put_token(value, sizeof value, places[i].value, token);
        int status = status_of(target, places[i].field, value);
        if (status != places[i].status || (places[i].code && !strstr(desk.body, places[i].code)))
            fail_msg("%s %s: %s%s", places[i].target, places[i].value, desk.head, desk.body);
        end();
    }
}

/* Two fields of one name: the door lets no second Authorization in, but others. */
static void twice_in_a_header(void **state) {
    (void)state;
    char token[1024];
    begin("me");
    conf[0].token.name = SPAN("X-Token");
    assert_null(jwt_kind.finish(&desk.snapshot->arena, &conf[0]));
    put_token(token, sizeof token, "%s", token_of(H, FINE));
    desk_run(desk_exchange("GET", "a.test", "/", "x-token", token, "x-token", token, NULL),
             &service, NULL, authenticate_policy.ops, &policy);
    assert_int_equal(atoi(desk.head), 401);
    assert_non_null(strstr(desk.body, "ambiguous_credentials"));
    end();
}

static void taken_out(void **state) {
    (void)state;
    char token[1024], target[2048];
    put_token(token, sizeof token, "%s", token_of(H, FINE));
    for (int in = CREDENTIAL_HEADER; in <= CREDENTIAL_COOKIE; in++) {
        begin("me");
        conf[0].token.in = in;
        conf[0].token.name = in ? SPAN("t") : SPAN_NONE;
        assert_null(jwt_kind.finish(&desk.snapshot->arena, &conf[0]));
        snprintf(target, sizeof target, "/?a=1&t=%s&%%74=2&b=2", token);
        struct exchange *x = desk_exchange("GET", "a.test", target, "authorization", "Bearer x",
                                           "cookie", "a=1; t=2; b=3", "cookie", "t=4", NULL);
        jwt_kind.conceal(&authenticator[0], x);
        assert_int_equal(hdr_has(&x->req, HDR_AUTHORIZATION), in != CREDENTIAL_HEADER);
        assert_true(span_eq(x->req.query, SPAN("a=1&b=2")) == (in == CREDENTIAL_QUERY));
        assert_true(span_eq(hdr_get(&x->req, HDR_COOKIE), SPAN("a=1; b=3")) ==
                    (in == CREDENTIAL_COOKIE));
        desk_drop(x);
        end();
    }
}

/* ---- what is remembered -----------------------------------------------------------------------
 */

static void verified_once(void **state) {
    (void)state;
    begin("me");
    struct span token = token_of(H, FINE);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(with_token(token), 200);
        assert_string_equal(seen, "bob");
    }
    assert_int_equal(verified(), 1);
    assert_int_equal(desk.thread.counters.tokens_remembered, 4);
    assert_int_equal(with_token(token_of(H, C(",\"exp\":1000101"))), 200);
    assert_int_equal(verified(), 2);
    end();
}

/* One that was refused is judged anew each time: it takes no place. */
static void refused_ones_are_not(void **state) {
    (void)state;
    begin("me");
    for (int i = 0; i < 3; i++)
        assert_int_equal(with_token(token_of(H, C(",\"exp\":999000"))), 401);
    assert_int_equal(verified(), 3);
    assert_int_equal(desk.thread.counters.tokens_remembered, 0);
    end();
}

/* F17: only the wall clock says whether it holds, and it may jump. */
static void clocks_jump(void **state) {
    (void)state;
    begin("me");
    struct span token = token_of(H, C(",\"exp\":1000100,\"nbf\":1000000"));
    static const struct {
        int64_t at;
        const char *code;
    } jumps[] = {{1000000, NULL},
                 {1000159, NULL},
                 {1000160, "jwt_expired"},
                 {1000000, NULL},
                 {1000000 - 3600, "jwt_not_yet_valid"},
                 {999940, NULL},
                 {999939, "jwt_not_yet_valid"},
                 {1000000 + 3600, "jwt_expired"},
                 {1000000, NULL}};
    for (size_t i = 0; i < array_len(jumps); i++) {
        clock_is(jumps[i].at);
        int status = with_token(token);
        if (status != (jumps[i].code ? 401 : 200) ||
            (jumps[i].code && !strstr(desk.body, jumps[i].code)))
            fail_msg("jump %zu: %s%s", i, desk.head, desk.body);
    }
    end();
}

/* A token that one authenticator takes says nothing to another. */
static void of_one_authenticator(void **state) {
    (void)state;
    begin("me");
    made(1, "me", SECRET);
    conf[1].rules.audience = &(struct span){"others", 6};
    struct span token = token_of(H, FINE);
    assert_int_equal(with_token(token), 200);
    policy.by = asked + 1;
    assert_int_equal(with_token(token), 401);
    policy.by = asked;
    assert_int_equal(with_token(token), 200);
    assert_int_equal(verified(), 2);
    end();
}

/* A new configuration begins with nothing. */
static void of_one_configuration(void **state) {
    (void)state;
    begin("me");
    struct span token = token_of(H, FINE);
    assert_int_equal(with_token(token), 200);
    jwt_kind.detach(desk.snapshot, &authenticator[0]);
    made(0, "me", "another secret, which is as long as it needs to be");
    assert_int_equal(with_token(token), 401);
    assert_non_null(strstr(desk.body, "jwt_signature"));
    end();
}

/* An exchange uses its claims to the end, whatever becomes of the thread's memory. */
static struct exchange *late;
static void late_start(struct exchange *x) {
    late = x;
}
static const struct back_ops late_service = {"late", late_start, NULL, NULL};

static void held_to_the_end(void **state) {
    (void)state;
    char value[1024];
    begin("me");
    struct span token = token_of(H, FINE);
    put_token(value, sizeof value, "Bearer %s", token);
    desk_run(desk_exchange("GET", "a.test", "/", "authorization", value, NULL), &late_service, NULL,
             authenticate_policy.ops, &policy);
    assert_non_null(late);
    struct exchange *x = late;
    clock_is(1000000 + 3600);
    assert_int_equal(with_token(token), 401); /* forgotten */
    struct value claims = x->caller->claims;
    assert_true(span_eq(value_span(value_find(&claims, SPAN("sub"))), SPAN("bob")));
    assert_int_equal(x->caller->not_after, 1000100);
    service_start(x);
    assert_string_equal(seen, "bob");
    end();
}

/* ---- beside others ----------------------------------------------------------------------------
 */

/* F27: a wrong token is no missing one. */
static void optional(void **state) {
    (void)state;
    begin("me");
    policy.optional = true;
    assert_int_equal(status_of("/", "x", "y"), 200);
    assert_string_equal(seen, "-");
    static const char *const wrong[] = {"Bearer", "Bearer x", "Bearer a.b.c", "Bearer ..",
                                        "bearer eyJhbGciOiJub25lIn0.e30."};
    for (size_t i = 0; i < array_len(wrong); i++)
        assert_int_equal(status_of("/", "authorization", wrong[i]), 401);
    assert_int_equal(with_token(token_of(H, FINE)), 200);
    assert_string_equal(seen, "bob");
    assert_int_equal(with_token(token_of(H, "{\"iss\":\"other\",\"aud\":\"us\",\"exp\":1000100}")),
                     401);
    end();
}

/* Of two issuers each knows his own; what neither knows is refused. */
static void two_issuers(void **state) {
    (void)state;
    char buf[1024];
    begin("me");
    made(1, "them", "another secret, which is as long as it needs to be");
    policy.count = 2;
    static const struct {
        const char *secret, *claims;
        int status;
        const char *code;
    } both[] = {
        {SECRET, "{\"sub\":\"a\",\"iss\":\"me\",\"aud\":\"us\",\"exp\":1000100}", 200, NULL},
        {"another secret, which is as long as it needs to be",
         "{\"sub\":\"b\",\"iss\":\"them\",\"aud\":\"us\",\"exp\":1000100}", 200, NULL},
        {"another secret, which is as long as it needs to be",
         "{\"sub\":\"c\",\"iss\":\"me\",\"aud\":\"us\",\"exp\":1000100}", 401, "jwt_signature"},
        {SECRET, "{\"sub\":\"d\",\"iss\":\"them\",\"aud\":\"us\",\"exp\":1000100}", 401,
         "jwt_signature"},
        {SECRET, "{\"sub\":\"e\",\"iss\":\"nobody\",\"aud\":\"us\",\"exp\":1000100}", 401,
         "jwt_issuer"},
    };
    for (size_t i = 0; i < array_len(both); i++) {
        int status = with_token(jose_hs256(buf, sizeof buf, H, both[i].claims, both[i].secret));
        if (status != both[i].status || (both[i].code && !strstr(desk.body, both[i].code)))
            fail_msg("row %zu: %s%s", i, desk.head, desk.body);
    }
    end();
}

static void missing(void **state) {
    (void)state;
    begin("me");
    assert_int_equal(status_of("/", "x", "y"), 401);
    assert_string_equal(desk_field("www-authenticate"), "Bearer realm=\"a\"");
    assert_non_null(strstr(desk.body, "credentials_missing"));
    assert_int_equal(status_of("/", "authorization", "Bearer"), 401);
    assert_non_null(strstr(desk_field("www-authenticate"), "error=\"invalid_request\""));
    end();
}

static void embedded_keys_are_counted(void **state) {
    (void)state;
    begin("me");
    assert_int_equal(with_token(token_of("{\"alg\":\"HS256\",\"jku\":\"http://evil/\"}", FINE)),
                     200);
    assert_int_equal(desk.thread.counters.tokens_with_keys, 1);
    assert_int_equal(with_token(token_of(H, FINE)), 200);
    assert_int_equal(desk.thread.counters.tokens_with_keys, 1);
    end();
}

/* ---- what is wrong with a configuration -------------------------------------------------------
 */

static void configurations(void **state) {
    (void)state;
    static const int hs[] = {JWA_HS256}, rs[] = {JWA_RS256};
    static const struct outbound name = {.url = {"me", 2}}, url = {.host = {"id", 2}};
    static const struct outbound *const names[] = {&name};
    const struct {
        struct jwt_conf c;
        const char *why; /* NULL: fine */
    } confs[] = {
        {{.key = SPAN(SECRET)}, NULL},
        {{.key = SPAN(SECRET), .token.in = CREDENTIAL_COOKIE}, "which cookie"},
        {{.key = SPAN(SECRET), .token.in = CREDENTIAL_COOKIE, .token.name = SPAN("a b")},
         "`name` is no name"},
        {{.key = SPAN("short")}, "`key` verifies nothing: a shared secret is shorter"},
        {{.key = SPAN(SECRET), .algorithm = rs, .algorithm_count = 1}, "`key` verifies nothing"},
        {{.key = SPAN("-----BEGIN PUBLIC KEY-----\n")}, "`key` verifies nothing: its PEM"},
        {{.key = SPAN("{\"keys\":[]}")}, "`key` verifies nothing: it holds no key"},
        {{.key = SPAN("{\"keys\":{}}")}, "`key` verifies nothing: \"keys\" is not a list"},
        {{.issuer_count = 0}, "it has no keys"},
        {{.issuer = names, .issuer_count = 1}, "it has no keys"},
        {{.jwks = &url, .algorithm = hs, .algorithm_count = 1}, "shared secrets are not fetched"},
        {{.jwks = &(struct outbound){.file = SPAN("/nowhere/keys.json")}},
         "/nowhere/keys.json: there is no such file"},
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < array_len(confs); i++) {
        struct jwt_conf c = confs[i].c;
        const char *why = jwt_kind.finish(&a, &c);
        if (!why != !confs[i].why || (why && !strstr(why, confs[i].why)))
            fail_msg("row %zu: %s", i, why ? why : "fine");
    }
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_tokens_say),
        cmocka_unit_test(nothing_is_reflected),
        cmocka_unit_test(sizes),
        cmocka_unit_test(types),
        cmocka_unit_test(where_it_stands),
        cmocka_unit_test(twice_in_a_header),
        cmocka_unit_test(taken_out),
        cmocka_unit_test(verified_once),
        cmocka_unit_test(refused_ones_are_not),
        cmocka_unit_test(clocks_jump),
        cmocka_unit_test(of_one_authenticator),
        cmocka_unit_test(of_one_configuration),
        cmocka_unit_test(held_to_the_end),
        cmocka_unit_test(optional),
        cmocka_unit_test(two_issuers),
        cmocka_unit_test(missing),
        cmocka_unit_test(embedded_keys_are_counted),
        cmocka_unit_test(configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
