/*
 * oidc_desk - a desk with one oidc authenticator's configuration: the clock is ours, and the
 * issuer's key is a shared one, which only tests can have.
 */
#pragma once
#include "../core/desk.h"
#include "identity/keys_in.h"
#include "identity/oidc_in.h"
#include "jose.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1000000

static int64_t wall_s;
static inline int64_t wall(void) {
    return wall_s * 1000000000;
}

static struct outbound discovery = {.url = SPAN("https://id.test"), .host = SPAN("id.test")};
static struct oidc_conf conf;
static struct auth auth;
static struct oidc_work work;
static struct key_source source;

static inline const char *configured(struct oidc_conf *c) {
    return oidc_kind.finish(&desk.snapshot->arena, c);
}

static inline struct oidc_conf shipped(void) {
    return (struct oidc_conf){.discovery = &discovery,
                              .client_id = SPAN("shop"),
                              .client_secret = SPAN(SECRET),
                              .callback = SPAN("/oauth2/callback"),
                              .logout = SPAN("/oauth2/logout"),
                              .cookie = SPAN("sluice-session"),
                              .session_ms = 8 * 3600 * 1000};
}

/* A request with one Cookie field (or none) under the configuration. */
static inline struct oidc_work *request(const char *cookie) {
    struct exchange *x = cookie ? desk_exchange("GET", "a.test", "/", "cookie", cookie, NULL)
                                : desk_exchange("GET", "a.test", "/", NULL);
    auth = (struct auth){.x = x};
    work = (struct oidc_work){.a = &auth, .c = &conf, .keys = &source};
    return &work;
}

static inline void done(void) {
    desk_drop(auth.x);
    auth.x = NULL;
}

static inline int begin(void **state) {
    const char *why;
    (void)state;
    wall_s = NOW;
    env.wall_ns = wall;
    desk_open();
    conf = shipped();
    why = configured(&conf);
    if (why)
        fail_msg("%s", why);
    source = (struct key_source){.fixed = key_set_read_local(SPAN(SECRET), 0xffff, &why)};
    assert_non_null(source.fixed);
    return 0;
}

static inline int end(void **state) {
    (void)state;
    if (auth.x) /* a test that failed */
        done();
    key_set_unref(source.fixed);
    desk_close();
    env = env_os;
    return 0;
}

#define OIDC_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
