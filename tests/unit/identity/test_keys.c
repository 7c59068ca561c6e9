/*
 * identity/keys: when a source is asked, how often, and what its answers are worth (THREATS.md F15,
 * F16). One thread is worker and control at once; the service is scripted; the clock is virtual.
 */
#include "../core/actors.h"
#include "core/publish.h"
#include "identity/keys.h"

#define SECOND (1000 * (uint64_t)MS)
#define KEY(kid) "{\"kty\":\"oct\",\"kid\":\"" kid "\",\"alg\":\"HS256\",\"k\":\"" K32 "\"}"
#define K32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define KEYS_A "{\"keys\":[" KEY("a") "]}"
#define KEYS_B "{\"keys\":[" KEY("b") "]}"
enum { HS = 1 << JWA_HS256 };

/* ---- the service ------------------------------------------------------------------------------
 */

struct line {
    const char *body;
    int status; /* 0: 200 */
    enum fault fails;
    int after_ms;
    const char *cache_control, *etag;
};

static struct line keys_line, discovery_line;
static unsigned keys_asked, discovery_asked;
static char if_none_match[64], keys_path[64];

struct run {
    struct op op;
    struct timer timer;
    struct exchange *x;
    struct line line;
};

static void run_cancel(struct op *op) {
    timer_stop(&container_of(op, struct run, op)->timer);
}

static void run_put(struct exchange *x, struct span name, const char *value) {
    if (value)
        assert_int_equal(hdr_put(&x->resp, name, span_z(value), ORIGIN_UPSTREAM), FAULT_NONE);
}

static void run_go(struct timer *t) {
    struct run *r = container_of(t, struct run, timer);
    struct exchange *x = r->x;
    op_end(&r->op);
    if (r->line.fails) {
        exchange_fail(x, r->line.fails, NULL);
        return;
    }
    x->resp.status = r->line.status ? r->line.status : 200;
    run_put(x, SPAN("cache-control"), r->line.cache_control);
    run_put(x, SPAN("etag"), r->line.etag);
    const char *body = r->line.body ? r->line.body : "";
    x->down_half.length = (int64_t)strlen(body);
    assert_true(body_push_static(&x->down_half.source, body, strlen(body)));
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}

static void run_start(struct exchange *x) {
    struct run *r = arena_zero(&x->arena, sizeof *r);
    bool discovery = span_ends(x->req.path, SPAN("/openid-configuration"));
    *r = (struct run){.x = x, .timer.fire = run_go, .line = discovery ? discovery_line : keys_line};
    if (discovery) {
        discovery_asked++;
    } else {
        struct span tag = hdr_find(&x->req, SPAN("if-none-match"));
        keys_asked++;
        snprintf(if_none_match, sizeof if_none_match, "%.*s", SPAN_ARG(tag));
        snprintf(keys_path, sizeof keys_path, "%.*s%.*s", SPAN_ARG(x->req.authority),
                 SPAN_ARG(x->req.path));
    }
    op_start(&x->back_ops_list, &r->op, run_cancel);
    timer_start(&thread->loop.timers, &r->timer, clock_ns / MS, (uint64_t)r->line.after_ms);
}
static const struct back_ops idp = {"idp", run_start, NULL, NULL};

/* ---- the house --------------------------------------------------------------------------------
 */

static struct service_conf service = {.name = {"https://id.test", 15}};
static struct outbound to;
static struct key_source *source;
static unsigned attached;

static void attach(struct service_conf *s) {
    (void)s;
    attached++;
}
static void detach(struct service_conf *s) {
    (void)s;
    attached--;
}
static const struct outbound_hooks own_hooks = {attach, detach};

/* Until nothing happens for `ms`. */
static void pass(uint64_t ms) {
    uint64_t until = clock_ns + ms * MS;
    struct loop *l = &thread->loop;
    for (;;) {
        l->now = clock_ns;
        loop_turn(l, 0);
        int wait = loop_wait_ms(l, clock_ns, -1);
        uint64_t left = until - clock_ns, step = wait < 0 ? left : (uint64_t)wait * MS;
        if (!left && wait != 0)
            return;
        clock_ns += step < left ? step : left;
    }
}

static void start(const char *url, const char *path, bool issuer) {
    to = (struct outbound){.url = span_z(url),
                           .host = SPAN("id.test"),
                           .path = span_z(path),
                           .service = &service,
                           .plan = {.back = &idp}};
    source = key_source_fetched(thread->snap->snapshot, &to, issuer, HS);
}

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    mem_kept = SIZE_MAX; /* the registry of what lasts may be empty and there */
    thread->control = true;
    publish_join(thread);
    outbound_set_hooks(&own_hooks);
    keys_line = (struct line){.body = KEYS_A};
    discovery_line = (struct line){0};
    keys_asked = discovery_asked = attached = 0;
    return 0;
}

static void nobody(void *ctx, const struct keys_state *s) {
    (void)s;
    (*(unsigned *)ctx)++;
}

static int finish(void **state) {
    unsigned left = 0;
    (void)state;
    key_source_drop(source);
    source = NULL;
    publish_leave(thread);
    me = &thread->loop;
    keys_thread_finish(thread);
    loop_turn(&thread->loop, 0);
    keys_walk(nobody, &left);
    assert_int_equal(left, 0);
    assert_int_equal(attached, 0);
    assert_int_equal(thread->counters.calls_started, thread->counters.calls_answered +
                                                         thread->counters.calls_failed +
                                                         thread->counters.calls_cancelled);
    world_end();
    return 0;
}

static bool has(const char *kid) {
    const struct key_set *s = keys_now(source, thread);
    for (uint32_t i = 0; s && i < s->count; i++)
        if (span_eq(s->key[i].kid, span_z(kid)))
            return true;
    return false;
}

struct waiter {
    struct keys_wait wait;
    struct list ops;
    unsigned told;
    bool newer;
    uint64_t turn;
};

static void ready(struct keys_wait *w, bool newer) {
    struct waiter *a = container_of(w, struct waiter, wait);
    a->told++;
    a->newer = newer;
    a->turn = thread->loop.turns;
    assert_false(op_pending(&w->op));
}

static bool wants(struct waiter *w, const char *kid) {
    *w = (struct waiter){.wait = {.ready = ready, .kid = span_z(kid)}};
    list_init(&w->ops);
    thread->loop.now = clock_ns;
    return keys_refresh(source, thread, &w->ops, &w->wait);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void at_once_and_before_it_is_old(void **state) {
    (void)state;
    static const struct {
        const char *cache_control;
        uint64_t from, to; /* s, of the second fetch */
    } rows[] = {
        {NULL, 540, 600},
        {"max-age=300", 270, 300},
        {"public, MAX-AGE=300, must-revalidate", 270, 300},
        {"max-age=1", 54, 60},
        {"no-store", 540, 600},
        {"max-age=9999999", 3240, 3600},
        {"max-age=99999999999999999999", 540, 600},
        {"max-age=-1", 540, 600},
        {"max-age", 540, 600},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        keys_asked = 0;
        keys_line = (struct line){.body = KEYS_A, .cache_control = rows[i].cache_control};
        start("https://id.test/keys", "/keys", false);
        assert_null(keys_now(source, thread));
        pass(5);
        assert_int_equal(keys_asked, 1);
        assert_true(has("a"));
        keys_line.body = KEYS_B;
        pass((rows[i].from - 1) * 1000);
        assert_int_equal(keys_asked, 1);
        pass((rows[i].to - rows[i].from + 2) * 1000);
        assert_int_equal(keys_asked, 2);
        assert_true(has("b") && !has("a"));
        key_source_drop(source);
        source = NULL;
        pass(5);
    }
}

/* A known failure: the last good set stays, for a day. */
static void failures(void **state) {
    (void)state;
    static char large[JWKS_BYTES_MAX + 2];
    memset(large, ' ', JWKS_BYTES_MAX + 1);
    static const struct line rows[] = {
        {.fails = FAULT_CONNECT_FAILED},
        {.status = 500, .body = KEYS_B},
        {.status = 404},
        {.status = 302, .body = KEYS_B},
        {.status = 304},
        {.body = "<html>busy</html>"},
        {.body = large},
        {.body = "{}"},
        {.body = KEYS_B, .after_ms = 6000},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct waiter w;
        keys_line = (struct line){.body = KEYS_A};
        start("https://id.test/keys", "/keys", false);
        pass(5);
        assert_true(has("a"));
        assert_false(keys_failing(source, thread));
        keys_line = rows[i];
        keys_asked = 0;
        pass(11 * 1000);
        assert_true(wants(&w, "b"));
        pass(6000);
        assert_int_equal(keys_asked, 1);
        assert_int_equal(w.told, 1);
        assert_false(w.newer);
        assert_true(has("a") && !has("b"));
        assert_true(keys_failing(source, thread));
        pass(23ull * 3600 * 1000);
        assert_true(has("a"));
        assert_in_range(keys_asked, 1250, 1730); /* once a minute and a little */
        pass(3600 * 1000);
        assert_null(keys_now(source, thread)); /* 503 from now on */
        keys_line = (struct line){.body = KEYS_B};
        pass(61 * 1000);
        assert_true(has("b"));
        assert_false(keys_failing(source, thread));
        key_source_drop(source);
        source = NULL;
        pass(5);
    }
}

/* Nothing was ever had: tries come after 1, 2, 4 .. 60 s, and requests make none. */
static void never_had(void **state) {
    (void)state;
    struct waiter w;
    keys_line = (struct line){.fails = FAULT_CONNECT_FAILED};
    start("https://id.test/keys", "/keys", false);
    assert_true(wants(&w, "")); /* the first fetch is under way */
    pass(5);
    assert_int_equal(w.told, 1);
    assert_false(wants(&w, ""));
    unsigned asked = keys_asked;
    assert_int_equal(asked, 1);
    for (unsigned s = 0; s < 60; s++) {
        wants(&w, "");
        ops_cancel(&w.ops);
        pass(1000);
    }
    assert_in_range(keys_asked, 6, 9); /* at 0 1 3 7 15 31 and, early by a tenth each, 63 */
    keys_line = (struct line){.body = KEYS_A};
    pass(61 * 1000);
    assert_true(has("a"));
}

/* Ten thousand a second with random kids: one fetch every ten seconds. */
static void stampede(void **state) {
    (void)state;
    static struct waiter w[200];
    start("https://id.test/keys", "/keys", false);
    keys_line.after_ms = 30;
    pass(100);
    keys_asked = 0;
    unsigned waited = 0, told = 0, number = 0;
    for (unsigned tenth = 0; tenth < 600; tenth++) {
        for (unsigned i = 0; i < array_len(w); i++) {
            char kid[20];
            snprintf(kid, sizeof kid, "k%u", number++);
            waited += wants(&w[i], kid);
        }
        pass(100);
        for (unsigned i = 0; i < array_len(w); i++)
            told += w[i].told;
    }
    assert_int_equal(waited, told);
    assert_in_range(waited, array_len(w), 7 * array_len(w));
    assert_in_range(keys_asked, 5, 6);
}

/* One kid that nobody has: asked for once in 30 s, found once it is there. */
static void an_unknown_kid(void **state) {
    (void)state;
    struct waiter w;
    unsigned waits = 0;
    start("https://id.test/keys", "/keys", false);
    pass(11 * 1000);
    keys_asked = 0;
    for (unsigned s = 0; s < 60; s++) {
        waits += wants(&w, "b");
        pass(1000);
    }
    assert_int_equal(waits, 2);
    assert_int_equal(keys_asked, 2);
    keys_line.body = KEYS_B;
    pass(31 * 1000);
    assert_true(wants(&w, "b"));
    pass(100);
    assert_true(w.told == 1 && w.newer && has("b"));
    assert_false(wants(&w, "c")); /* ten seconds are not over */
}

/* Who waits is woken, 64 a turn; who has gone is not. */
static void waiters(void **state) {
    (void)state;
    static struct waiter w[200];
    keys_line.after_ms = 20;
    start("https://id.test/keys", "/keys", false);
    for (unsigned i = 0; i < array_len(w); i++)
        assert_true(wants(&w[i], ""));
    ops_cancel(&w[7].ops);
    pass(100);
    assert_int_equal(keys_asked, 1);
    unsigned in_first = 0;
    for (unsigned i = 0; i < array_len(w); i++) {
        assert_int_equal(w[i].told, i != 7);
        assert_true(i == 7 || w[i].newer);
        in_first += i != 7 && w[i].turn == w[0].turn;
    }
    assert_int_equal(in_first, KEYS_WAKES);
}

static void etags(void **state) {
    (void)state;
    keys_line.etag = "\"v1\"";
    start("https://id.test/keys", "/keys", false);
    pass(5);
    assert_string_equal(if_none_match, "");
    const struct key_set *set = keys_now(source, thread);
    keys_line = (struct line){.status = 304};
    pass(601 * 1000);
    assert_int_equal(keys_asked, 2);
    assert_string_equal(if_none_match, "\"v1\"");
    assert_ptr_equal(keys_now(source, thread), set);
    assert_false(keys_failing(source, thread));
    pass(25ull * 3600 * 1000); /* 304 keeps it fresh */
    assert_ptr_equal(keys_now(source, thread), set);
}

/* A reload keeps what is there, and the newest snapshot's place is asked. */
static void reloads(void **state) {
    (void)state;
    start("https://id.test/keys", "/keys", false);
    pass(5);
    struct key_source *old = source;
    struct outbound again = to;
    source = key_source_fetched(thread->snap->snapshot, &again, false, HS);
    assert_true(has("a"));
    key_source_drop(old);
    to.plan.back = NULL; /* nobody may look there any more */
    pass(601 * 1000);
    assert_int_equal(keys_asked, 2);
    assert_true(has("a"));
    struct outbound other = again; /* another algorithm: other keys */
    struct key_source *second = key_source_fetched(thread->snap->snapshot, &other, false, 0);
    assert_null(keys_now(second, thread));
    pass(5);
    assert_int_equal(keys_asked, 3);
    key_source_drop(second);
    pass(5);
    struct key_source *fixed;
    const char *why;
    fixed = key_source_fixed(key_set_read(SPAN(KEYS_B), HS, &why));
    struct waiter w = {.wait = {.ready = ready}};
    assert_int_equal(keys_now(fixed, thread)->count, 1);
    assert_false(keys_refresh(fixed, thread, &w.ops, &w.wait));
    key_source_drop(fixed);
}

static void discovery(void **state) {
    (void)state;
#define DOC(issuer, uri) "{\"issuer\":\"" issuer "\",\"jwks_uri\":\"" uri "\"}"
    static const struct {
        const char *doc, *path; /* NULL: no keys */
    } rows[] = {
        {DOC("https://id.test", "https://id.test/k"), "id.test/k"},
        {DOC("https://id.test", "https://keys.test:99/k"), "keys.test:99/k"},
        {DOC("https://id.test/", "https://id.test/k"), NULL},
        {DOC("https://ID.test", "https://id.test/k"), NULL},
        {DOC("https://evil.test", "https://id.test/k"), NULL},
        {DOC("https://id.test", "http://id.test/k"), NULL},
        {DOC("https://id.test", "https://u@id.test/k"), NULL},
        {DOC("https://id.test", "file:///etc/passwd"), NULL},
        {"{\"issuer\":\"https://id.test\"}", NULL},
        {"{\"issuer\":\"https://id.test\",\"jwks_uri\":7}", NULL},
        {"{\"jwks_uri\":\"https://id.test/k\"}", NULL},
        {"{\"issuer\":\"https://id.test\",\"issuer\":\"https://id.test\",\"jwks_uri\":"
         "\"https://id.test/k\"}",
         NULL},
        {"<html>", NULL},
        {"[]", NULL},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        keys_asked = discovery_asked = 0;
        keys_path[0] = 0;
        discovery_line = (struct line){.body = rows[i].doc};
        service.tls = (struct tls_client *)(void *)&service; /* it has TLS; nobody looks inside */
        start("https://id.test", "/.well-known/openid-configuration", true);
        pass(5);
        assert_int_equal(discovery_asked, 1);
        if (rows[i].path) {
            assert_int_equal(keys_asked, 1);
            assert_string_equal(keys_path, rows[i].path);
            assert_true(has("a"));
            pass(601 * 1000);
            assert_int_equal(discovery_asked, 1); /* the document is good for an hour */
            assert_int_equal(keys_asked, 2);
            pass(3600 * 1000);
            assert_int_equal(discovery_asked, 2);
        } else {
            if (keys_asked)
                fail_msg("%s was believed", rows[i].doc);
            assert_true(keys_failing(source, thread));
        }
        key_source_drop(source);
        source = NULL;
        pass(5);
        assert_int_equal(attached, 0);
    }
}

static void see(void *ctx, const struct keys_state *s) {
    *(struct keys_state *)ctx = *s;
    assert_true(span_eq(s->source, SPAN("https://id.test/keys")));
}

static void shown(void **state) {
    (void)state;
    struct keys_state s;
    start("https://id.test/keys?secret=1", "/keys?secret=1", false);
    keys_walk(see, &s);
    assert_true(!s.had && !s.failing && s.fetches == 0);
    pass(7500);
    keys_walk(see, &s);
    assert_true(s.had && s.keys == 1 && s.refused == 0 && s.fetches == 1 && s.age_s == 7);
    keys_line = (struct line){.status = 500};
    pass(600 * 1000);
    keys_walk(see, &s);
    assert_true(s.failing && s.failures >= 1 && s.fetches == s.failures + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_once_and_before_it_is_old, begin, finish),
        cmocka_unit_test_setup_teardown(failures, begin, finish),
        cmocka_unit_test_setup_teardown(never_had, begin, finish),
        cmocka_unit_test_setup_teardown(stampede, begin, finish),
        cmocka_unit_test_setup_teardown(an_unknown_kid, begin, finish),
        cmocka_unit_test_setup_teardown(waiters, begin, finish),
        cmocka_unit_test_setup_teardown(etags, begin, finish),
        cmocka_unit_test_setup_teardown(reloads, begin, finish),
        cmocka_unit_test_setup_teardown(discovery, begin, finish),
        cmocka_unit_test_setup_teardown(shown, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
