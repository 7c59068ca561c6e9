/* core/state: the URLs of the store that gateways share. */
#include "core/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* "kind user password database master tls node,node" */
static void describe(const struct state_conf *c, struct str *o) {
    static const char *const kinds[] = {"memory", "redis", "sentinel", "cluster"};
    str_fmt(o, "%s %.*s %.*s %u %.*s %s ", kinds[c->kind], SPAN_ARG(c->user), SPAN_ARG(c->password),
            c->database, SPAN_ARG(c->master), c->wants_tls ? "tls" : "clear");
    for (uint32_t i = 0; i < c->nodes; i++) {
        str_add(o, i ? SPAN(",") : SPAN_NONE);
        str_add(o, c->node[i].text);
        str_add(o, c->node[i].address.len ? SPAN("!") : SPAN_NONE); /* needs no look-up */
    }
}

static const struct {
    const char *url, *is, *shown; /* shown NULL: as written */
} good[] = {
    {"memory", "memory   0  clear ", NULL},
    {"redis://cache", "redis   0  clear cache:6379", NULL},
    {"redis://10.0.0.1", "redis   0  clear 10.0.0.1:6379!", NULL},
    {"redis://10.0.0.1:7000/3", "redis   3  clear 10.0.0.1:7000!", NULL},
    {"redis://[::1]", "redis   0  clear [::1]:6379!", NULL},
    {"redis://[::1]:7/", "redis   0  clear [::1]:7!", NULL},
    {"rediss://cache.test:6380", "redis   0  tls cache.test:6380", NULL},
    {"redis://:pw@cache", "redis  pw 0  clear cache:6379", "redis://cache"},
    {"redis://ann:pw@cache/1", "redis ann pw 1  clear cache:6379", "redis://ann@cache/1"},
    {"redis://ann:p%40%3a%25@cache", "redis ann p@:% 0  clear cache:6379", "redis://ann@cache"},
    {"redis://ann:p@w@cache", "redis ann p@w 0  clear cache:6379", "redis://ann@cache"},
    {"unix:///run/redis.sock", "redis   0  clear unix:/run/redis.sock!", NULL},
    {"redis+sentinel://a,b:1,10.0.0.3/main", "sentinel   0 main clear a:26379,b:1,10.0.0.3:26379!",
     NULL},
    {"rediss+sentinel://a/m-1.x/4", "sentinel   4 m-1.x tls a:26379", NULL},
    {"redis+sentinel://u:p@a/m", "sentinel u p 0 m clear a:26379", "redis+sentinel://u@a/m"},
    {"redis+cluster://a,b:7001", "cluster   0  clear a:6379,b:7001", NULL},
    {"rediss+cluster://:x@a/0", "cluster  x 0  tls a:6379", "rediss+cluster://a/0"},
};

static const struct {
    const char *url, *says;
} wrong[] = {
    {"cache:6379", "begins with redis://"},
    {"http://cache", "begins with redis://"},
    {"redis:/cache", "begins with redis://"},
    {"REDIS://cache", "begins with redis://"},
    {"redis://", "has no host"},
    {"redis://:pw@", "has no host"},
    {"redis:///3", "has no host"},
    {"redis://a b", "has no host"},
    {"redis://[::1", "has no host"},
    {"redis://[::1]x", "has no host"},
    {"redis://[a.test]", "has no host"},
    {"redis://a,b", "several are redis+sentinel://"},
    {"redis://a:0", "1 to 65535"},
    {"redis://a:65536", "1 to 65535"},
    {"redis://a:x", "1 to 65535"},
    {"redis://a:", "1 to 65535"},
    {"redis://::1", "1 to 65535"},
    {"redis://a/x", "number of a database"},
    {"redis://a/-1", "number of a database"},
    {"redis://a/65536", "number of a database"},
    {"redis://a/1/2", "number of a database"},
    {"redis://a/0?timeout=1", "takes no parameters"},
    {"redis://ann@a", "needs a password"},
    {"redis://ann:%4@a", "% is written %25"},
    {"unix://run/redis.sock", "unix:///path"},
    {"unix:///", "unix:///path"},
    {"redis+sentinel://a", "name of the master"},
    {"redis+sentinel://a/", "name of the master"},
    {"redis+sentinel://a/m n", "name of the master"},
    {"redis+sentinel://a/m/x", "number of a database"},
    {"redis+sentinel://a,/m", "has no host"},
    {"redis+cluster://a/1", "only database 0"},
    {"redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 hosts"},
};

static const char *finish(struct arena *a, struct state_conf *c, const char *url) {
    *c = (struct state_conf){0};
    c->shared.url = span_z(url);
    c->shared.prefix = SPAN("sluice:");
    c->shared.timeout_ms = 20;
    return state_finish(a, c);
}

static void urls(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(good); i++) {
        struct arena a;
        struct state_conf c;
        char text[512];
        struct str o = str_on(text, sizeof text - 1);
        arena_init(&a, NULL);
        const char *says = finish(&a, &c, good[i].url);
        if (says)
            print_message("%s: %s\n", good[i].url, says);
        assert_null(says);
        describe(&c, &o);
        text[o.n] = 0;
        assert_string_equal(text, good[i].is);
        assert_true(span_eq(c.shown, span_z(good[i].shown ? good[i].shown : good[i].url)));
        arena_finish(&a);
    }
}

static void wrong_urls_are_told(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(wrong); i++) {
        struct arena a;
        struct state_conf c;
        arena_init(&a, NULL);
        const char *says = finish(&a, &c, wrong[i].url);
        if (!says || !strstr(says, wrong[i].says))
            print_message("%s: %s\n", wrong[i].url, says ? says : "taken");
        assert_non_null(says);
        assert_non_null(strstr(says, wrong[i].says));
        arena_finish(&a);
    }
}

static const char *with(struct state_shared *s) {
    struct arena a;
    struct state_conf c = {.shared = *s};
    c.shared.timeout_ms = 20;
    arena_init(&a, NULL);
    const char *says = state_finish(&a, &c);
    arena_finish(&a); /* sentences are literals */
    return says;
}

static void what_belongs_together(void **state) {
    (void)state;
    const struct {
        struct state_shared s;
        const char *says; /* NULL: fine */
    } row[] = {
        {{.url = SPAN("redis://a"), .password = SPAN("x"), .user = SPAN("u")}, NULL},
        {{.url = SPAN("redis://:y@a"), .password = SPAN("x")}, "not twice"},
        {{.url = SPAN("redis://u:y@a"), .user = SPAN("u")}, "not twice"},
        {{.url = SPAN("redis://a"), .user = SPAN("u")}, "needs a password"},
        {{.url = SPAN("redis://a"), .sentinel_password = SPAN("x")}, "redis+sentinel:// alone"},
        {{.url = SPAN("redis+sentinel://a/m"), .sentinel_password = SPAN("x")}, NULL},
        {{.url = SPAN("redis://a"), .tls = {.ca = SPAN("ca.pem")}}, "write rediss://"},
        {{.url = SPAN("rediss://a"), .tls = {.ca = SPAN("ca.pem")}}, NULL},
        {{.url = SPAN("rediss://a"), .tls = {.certificate = SPAN("c.pem")}}, "belong together"},
        {{.url = SPAN("redis://a"), .prefix = SPAN("a b")}, "braces"},
        {{.url = SPAN("redis://a"), .prefix = SPAN("{a}")}, "braces"},
        {{.url = SPAN("redis://a"), .prefix = SPAN("")}, NULL},
    };
    for (size_t i = 0; i < array_len(row); i++) {
        struct state_shared s = row[i].s;
        const char *says = with(&s);
        if (!row[i].says)
            assert_null(says);
        else
            assert_true(says && strstr(says, row[i].says));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(wrong_urls_are_told),
        cmocka_unit_test(what_belongs_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
