/*
 * Logins with a browser, what needs no token endpoint: sessions as text and as cookies, what the
 * service gets to see of them, the way to the issuer and states that come back (THREATS.md F26).
 */
#include "filter/authenticate.h"
#include "oidc_desk.h"

/* ---- sessions as text -------------------------------------------------------------------------
 */

static void as_text(void **state) {
    static const char *const rows[] = {
        "{\"c\":{},\"e\":1,\"r\":0,\"g\":0,\"t\":\"\"}",
        "{\"c\":{\"sub\":\"anna\"},\"e\":1000001,\"r\":17,\"g\":18,\"t\":\"a refresh token\"}",
        ("{\"c\":{\"sub\":\"\\u0000\\\"\",\"n\":1.50,\"big\":123456789012345678901234567890,"
         "\"l\":[1,[null,true],{}]},\"e\":9,\"r\":8,\"g\":7,\"t\":\"\"}"),
    };
    struct arena *a = &request(NULL)->a->x->arena;
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct oidc_session s = {0};
        struct span out;
        assert_true(oidc_session_parse(a, span_z(rows[i]), &s));
        assert_true(oidc_session_json(a, &s, &out));
        assert_string_equal(arena_fmt(a, "%.*s", SPAN_ARG(out)), rows[i]);
        for (size_t n = 0; n < strlen(rows[i]); n++)
            assert_false(oidc_session_parse(a, span_of(rows[i], n), &s));
    }
    done();
}

static void no_sessions(void **state) {
    static const char *const rows[] = {"",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"c\"",
                                       "{\"c\":[]}",
                                       "{\"c\":null,\"e\":1}",
                                       "{\"e\":1,\"r\":0,\"g\":0,\"t\":\"\"}",
                                       "{\"c\":{},\"c\":{},\"e\":1}",
                                       "{\"c\":{\"a\":1,\"a\":2},\"e\":1}",
                                       "{\"c\":{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]},\"e\":1}"};
    struct arena *a = &request(NULL)->a->x->arena;
    struct oidc_session s;
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++)
        if (oidc_session_parse(a, span_z(rows[i]), &s))
            fail_msg("%s", rows[i]);
    assert_true(oidc_session_parse(a, SPAN("{\"c\":{},\"e\":1.5,\"r\":\"7\",\"t\":3}"), &s));
    assert_int_equal(s.ends, 0); /* and so it has ended */
    assert_int_equal(s.renew_at, 0);
    assert_int_equal(s.refresh_token.n, 0);
    done();
}

/* ---- sessions as cookies ----------------------------------------------------------------------
 */

/* What a browser keeps of Set-Cookie fields, as it sends them back. */
static unsigned to_browser(const struct own_field *list, char *out, size_t max) {
    const struct own_field *all[16];
    unsigned n = 0, kept = 0;
    struct str s = str_on(out, max - 1);
    for (; list; list = list->next)
        all[n++] = list;
    while (n-- > 0) { /* the first that was made stands last */
        struct span rest = all[n]->value, pair = span_split(&rest, ';');
        assert_true(span_eq(all[n]->name, SPAN("set-cookie")));
        if (memmem(rest.p, rest.n, "Max-Age=0;", 10))
            continue;
        assert_true(pair.n <= OIDC_COOKIE_MAX);
        str_add(&s, kept++ ? SPAN("; ") : SPAN(""));
        str_add(&s, pair);
    }
    assert_false(s.full);
    out[s.n] = 0;
    return kept;
}

/* A session whose claim is n bytes, into a Cookie field; 0: too large. */
static unsigned cookies_of(size_t n, char *out, size_t max) {
    static char text[16384];
    struct oidc_work *w = request(NULL);
    struct value_member m = {value_string(SPAN("x")), value_string(span_of(text, n))};
    struct oidc_session s = {.claims = {.kind = VALUE_MAP, .n = 1, .member = &m},
                             .ends = NOW + 100};
    const struct own_field *list = NULL;
    assert_true(n <= sizeof text);
    memset(text, 'x', sizeof text);
    unsigned count = oidc_session_write(w, &s, &list) ? to_browser(list, out, max) : 0;
    done();
    return count;
}

/* The length of the claim in what comes back, or -1. */
static long read_back(const char *cookie) {
    struct oidc_work *w = request(cookie);
    struct oidc_session s;
    long n = -1;
    if (oidc_session_read(w, &s)) {
        const struct value *x = value_find(&s.claims, SPAN("x"));
        n = x ? (long)x->n : -1;
    }
    done();
    return n;
}

static char one[16384], two[16384 + 32];

static void in_pieces(void **state) {
    size_t n;
    unsigned last = 0, count;
    (void)state;
    for (n = 0; (count = cookies_of(n, one, sizeof one)); n += n % 100 ? 1 : 37) {
        assert_true(count == last || count == last + 1);
        assert_int_equal(read_back(one), n);
        last = count;
    }
    assert_int_equal(last, OIDC_COOKIES_MAX);
    /* To the byte: 29 bytes of seal, 3 bytes as 4 characters, and what stands around the claim. */
    while (cookies_of(n, one, sizeof one) == 0)
        n--;
    size_t room = OIDC_COOKIES_MAX * (OIDC_COOKIE_MAX - strlen("sluice-session") - 4);
    size_t around = strlen("{\"c\":{\"x\":\"\"},\"e\":1000100,\"r\":0,\"g\":0,\"t\":\"\"}");
    assert_int_equal(n, room / 4 * 3 - 29 - around);
    assert_int_equal(cookies_of(n, one, sizeof one), OIDC_COOKIES_MAX);
    assert_int_equal(read_back(one), n);
    assert_int_equal(cookies_of(n + 1, one, sizeof one), 0);
    assert_int_equal(cookies_of(16000, one, sizeof one), 0);
}

static void pieces_that_do_not_fit(void **state) {
    char cookie[40000], *p[4], *q[4];
    (void)state;
    assert_int_equal(cookies_of(10000, one, sizeof one), 4);
    assert_int_equal(cookies_of(10000, two, sizeof two), 4);
    p[0] = strtok(one, ";");
    for (int i = 1; i < 4; i++)
        p[i] = strtok(NULL, ";") + 1;
    q[0] = strtok(two, ";");
    for (int i = 1; i < 4; i++)
        q[i] = strtok(NULL, ";") + 1;
#define TRY(expected, ...)                                                                         \
    do {                                                                                           \
        snprintf(cookie, sizeof cookie, __VA_ARGS__);                                              \
        assert_int_equal(read_back(cookie), expected);                                             \
    } while (0)
    TRY(10000, "%s; %s; %s; %s", p[0], p[1], p[2], p[3]);
    TRY(10000, "%s;%s ;a=b; %s; %s", p[3], p[1], p[0], p[2]); /* any order */
    TRY(-1, "%s; %s; %s", p[0], p[1], p[2]);
    TRY(-1, "%s; %s; %s", p[1], p[2], p[3]);
    TRY(-1, "%s; %s; %s; %s", p[0], p[1], q[2], p[3]); /* of another session */
    TRY(-1, "%s; sluice-session-1=%s; sluice-session-2=%s; %s", p[0], strchr(p[2], '=') + 1,
        strchr(p[1], '=') + 1, p[3]);
    TRY(-1, "%s; %s; %s; %sA", p[0], p[1], p[2], p[3]);
    TRY(-1, "sluice-session=3%s; %s; %s; %s", strchr(p[0], '.'), p[1], p[2], p[3]);
    TRY(-1, "sluice-session=5%s; %s; %s; %s", strchr(p[0], '.'), p[1], p[2], p[3]);
    TRY(-1, "sluice-session=0%s; %s; %s; %s", strchr(p[0], '.'), p[1], p[2], p[3]);
    TRY(-1, "%s; %s; %s; %s%s", p[0], p[1], p[2], p[3], strchr(p[1], '=') + 1); /* no room */
    TRY(-1, "xs%s; %s; %s; %s", p[0] + 1, p[1], p[2], p[3]);
}

static void when_it_ends(void **state) {
    (void)state;
    assert_int_equal(cookies_of(5, one, sizeof one), 1);
    wall_s = NOW + 99;
    assert_int_equal(read_back(one), 5);
    wall_s = NOW + 100;
    assert_int_equal(read_back(one), -1);
}

/* A session is good for one issuer and client of it, also where two have one secret and one name.
 */
static void of_somebody_else(void **state) {
    static struct outbound other = {.url = SPAN("https://id.test/staff"), .host = SPAN("id.test")};
    struct oidc_conf before = conf;
    (void)state;
    assert_int_equal(cookies_of(5, one, sizeof one), 1);
    conf = shipped();
    assert_null(configured(&conf));
    assert_int_equal(read_back(one), 5); /* another gateway of the same configuration */
    for (int i = 0; i < 4; i++) {
        conf = shipped();
        if (i == 0)
            conf.discovery = &other;
        if (i == 1)
            conf.client_id = SPAN("shop2");
        if (i == 2)
            conf.session_secret = SPAN("another secret, also long");
        if (i == 3)
            conf.cookie = SPAN("another");
        assert_null(configured(&conf));
        assert_memory_not_equal(&conf.session_key, &conf.login_key, sizeof conf.login_key);
        if (i != 3)
            assert_memory_not_equal(&conf.login_key, &before.login_key, sizeof conf.login_key);
        if (i == 3)
            memcpy(strstr(one, "sluice-session="), "a=bcd; another=", 15);
        assert_int_equal(read_back(one), -1);
    }
}

static struct span written(struct oidc_work *w, const struct oidc_session *s) {
    const struct own_field *list = NULL;
    struct str out = str_on(two, sizeof two);
    assert_true(oidc_session_write(w, s, &list));
    for (; list; list = list->next)
        str_add(&out, list->value), str_char(&out, '\n');
    return str_span(&out);
}

static void attributes(void **state) {
    struct oidc_session s = {.claims = {.kind = VALUE_MAP}, .ends = NOW + 100};
    struct oidc_work *w = request("sluice-session=old; sluice-session-1=x; sluice-session-3=; b=c");
    struct span text = written(w, &s);
    (void)state;
#define ATTRIBUTES "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure\n"
    /* What the browser still has of a longer session goes. */
    assert_true(span_starts(text, SPAN("sluice-session-3=" ATTRIBUTES "sluice-session-1=" ATTRIBUTES
                                       "sluice-session=1.")));
    assert_true(span_ends(text, SPAN("; Path=/; Max-Age=100; HttpOnly; SameSite=Lax; Secure\n")));
    text = written(w, NULL);
    assert_true(span_eq(text, SPAN("sluice-session-3=" ATTRIBUTES "sluice-session-1=" ATTRIBUTES
                                   "sluice-session=" ATTRIBUTES)));
    conf.cookie_plain = true;
    text = written(w, NULL);
    assert_null(memmem(text.p, text.n, "Secure", 6));
    done();
}

/* ---- what the service gets --------------------------------------------------------------------
 */

static void taken_out(void **state) {
    static const struct {
        const char *came, *goes; /* NULL: no field at all */
    } rows[] = {
        {"a=b", "a=b"},
        {"sluice-session=1.x", NULL},
        {"sluice-session=1.x; sluice-session-1=y; sluice-session-2=z", NULL},
        {"a=b; sluice-session=1.x; c=d", "a=b; c=d"},
        {"a=b;sluice-session=1.x;c=d", "a=b; c=d"},
        {"sluice-session=1.x; sluice-session=2.y; a=b", "a=b"},
        {"a=b; sluice-session-login-abcdefghijkl=x", "a=b"},
        {"a=b; sluice-session", "a=b"},
        {"sluice-session =1; \tsluice-session\t= 2;a=b", "a=b"},
        {"sluice-sessionx=1", "sluice-sessionx=1"},
        {"sluice-sessionx=1; sluice-session=2", "sluice-sessionx=1"},
        {"xsluice-session=1; sluice-session=2", "xsluice-session=1"},
        {"sluice-sessio=1; sluice-session=2", "sluice-sessio=1"},
        {"Sluice-Session=1; sluice-session=2", "Sluice-Session=1"},
        {"a=sluice-session=3; sluice-session=2", "a=sluice-session=3"},
        {"a=\"x; sluice-session=2; y\"", "a=\"x; y\""},
        {"sluice-session.1=1; sluice-session_1=1; sluice-session=",
         "sluice-session.1=1; sluice-session_1=1"},
        {"a=b;; ;sluice-session=x;", "a=b"},
        {"sluice-session=;a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u;v;w;x;y;z",
         "a; b; c; d; e; f; g; h; i; j; k; l; m; n; o; p; q; r; s; t; u; v; w; x; y; z"},
        {"a=b;; ;", "a=b;; ;"}, /* nothing of ours: as it came */
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct head *h = &request(rows[i].came)->a->x->req;
        oidc_cookies_strip(&conf, h);
        struct span out = hdr_find(h, SPAN("cookie"));
        if (!rows[i].goes != !out.p || (out.p && !span_eq(out, span_z(rows[i].goes))))
            fail_msg("%s: %.*s", rows[i].came, SPAN_ARG(out));
        done();
    }
}

/* HTTP/2 sends a field for each cookie. */
static void several_fields(void **state) {
    struct exchange *x =
        desk_exchange("GET", "a.test", "/", "cookie", "a=b", "cookie", "sluice-session=1.x",
                      "cookie", "sluice-session-1=y; c=d", "x-other", "sluice-session=1", NULL);
    size_t at = 0;
    (void)state;
    oidc_cookies_strip(&conf, &x->req);
    const struct field *f = hdr_next(&x->req, SPAN("cookie"), &at);
    assert_non_null(f);
    assert_true(span_eq(field_value(f), SPAN("a=b; c=d")));
    assert_null(hdr_next(&x->req, SPAN("cookie"), &at));
    assert_true(span_eq(hdr_find(&x->req, SPAN("x-other")), SPAN("sluice-session=1")));
    desk_drop(x);
}

/* ---- callbacks --------------------------------------------------------------------------------
 */

/* What a callback makes the browser set: a state that was not made here is in no field. */
static void states(void **state) {
    static const struct {
        const char *state;
        bool clears;
    } rows[] = {
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true},  /* 43: 32 bytes */
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", false}, /* not canonical */
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
        {"%3Dx%3B+Path%3D%2F%3B", false},
        {"AA%3BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
        {"AA%0d%0aAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
        {"", false},
    };
    struct authenticator by = {.conf = &conf, .lasting = &source};
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        char target[256];
        snprintf(target, sizeof target, "/oauth2/callback?code=x&state=%s", rows[i].state);
        auth = (struct auth){.x = desk_exchange("GET", "a.test", target, NULL), .by = &by};
        assert_int_equal(oidc_kind.check(&auth), AUTH_REFUSED);
        assert_int_equal(auth.fault, FAULT_LOGIN_FAILED);
        if (!auth.x->own != !rows[i].clears)
            fail_msg("%s", rows[i].state);
        done();
    }
}

/* ---- through the filter -----------------------------------------------------------------------
 */

static char seen[64];

static void service_start(struct exchange *x) {
    snprintf(seen, sizeof seen, "%.*s", SPAN_ARG(hdr_find(&x->req, SPAN("cookie"))));
    x->resp.status = 200;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static int status_of(const char *cookie, bool optional) {
    static struct authenticator by;
    static const struct authenticator *const asked[] = {&by};
    static struct authenticate_conf policy;
    by = (struct authenticator){
        .name = SPAN("site"), .kind = &oidc_kind, .conf = &conf, .lasting = &source};
    policy = (struct authenticate_conf){.by = asked, .count = 1, .optional = optional};
    seen[0] = 0;
    desk_run(desk_exchange("GET", "a.test", "/page", "cookie", cookie, "accept", "text/html", NULL),
             &service, NULL, authenticate_policy.ops, &policy);
    return atoi(desk.head);
}

static void the_service_never_gets_them(void **state) {
    (void)state;
    assert_int_equal(cookies_of(5, one, sizeof one), 1);
    snprintf(two, sizeof two, "a=b; %s; c=d", one);
    assert_int_equal(status_of(two, false), 200);
    assert_string_equal(seen, "a=b; c=d");
    wall_s = NOW + 100; /* it has ended */
    assert_int_equal(status_of(two, true), 200);
    assert_string_equal(seen, "a=b; c=d");
}

static void to_the_issuer(void **state) {
    static const char *const paths[][2] = {{"sluice-session", "/oauth2/callback;"},
                                           {"__Host-s", "/;"}};
    struct json_error e;
    (void)state;
    assert_true(json_read(&desk.snapshot->arena,
                          SPAN("{\"authorization_endpoint\":\"https://id.test/auth?x=1\"}"), NULL,
                          &source.fixed->discovery, &e));
    for (size_t i = 0; i < array_len(paths); i++) {
        char begins[64];
        conf.cookie = span_z(paths[i][0]);
        assert_int_equal(status_of("a=b", false), 303);
        assert_non_null(strstr(desk_field("location"), "https://id.test/auth?x=1&response_type=code"
                                                       "&client_id=shop&redirect_uri=http%3A%2F%2F"
                                                       "a.test%2Foauth2%2Fcallback&"));
        snprintf(begins, sizeof begins, "%s-login-", paths[i][0]);
        assert_ptr_equal(strstr(desk_field("set-cookie"), begins), desk_field("set-cookie"));
        const char *path = strstr(desk_field("set-cookie"), "; Path=");
        assert_ptr_equal(strstr(path, paths[i][1]), path + 7);
    }
}

/* ---- the configuration ------------------------------------------------------------------------
 */

static void configurations(void **state) {
    static const struct {
        const char *cookie;
        bool plain, fine;
    } rows[] = {{"s", false, true},        {"s", true, true},           {"__Host-s", false, true},
                {"__Host-s", true, false}, {"__secure-s", false, true}, {"__secure-s", true, false},
                {"s;x", false, false},     {"", false, false}};
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct oidc_conf c = shipped();
        c.cookie = span_z(rows[i].cookie);
        c.cookie_plain = rows[i].plain;
        if (!configured(&c) != rows[i].fine)
            fail_msg("%s", rows[i].cookie);
    }
    struct oidc_conf c = shipped();
    c.client_secret = SPAN("fifteen letters");
    assert_non_null(configured(&c));
}

#define T OIDC_TEST

int main(void) {
    const struct CMUnitTest tests[] = {
        T(as_text),
        T(no_sessions),
        T(in_pieces),
        T(pieces_that_do_not_fit),
        T(when_it_ends),
        T(of_somebody_else),
        T(attributes),
        T(taken_out),
        T(several_fields),
        T(states),
        T(the_service_never_gets_them),
        T(to_the_issuer),
        T(configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
