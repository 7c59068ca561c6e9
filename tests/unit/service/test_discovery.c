#include "dns_server.h"
#include "base/log.h"
#include "service/discovery.h"
#include "service/upstream.h"

/* The loop's clock, moved on by hand. */
static uint64_t moved;
static uint64_t moved_now(void) {
    return env_os.now_ns() + moved;
}

static void no_log(const char *line, size_t n) {
    (void)line, (void)n;
}

static struct thread *t;
static struct dns_server server;
static struct services *s;
static struct service_conf *conf;

/* What the service has now, as "10.9.0.1:80 10.9.0.2:80". */
static const char *now(void) {
    static char out[8192];
    struct str o = str_on(out, sizeof out - 1);
    const struct endpoint_set *set = service_local(t, conf)->set;
    for (uint32_t i = 0; i < set->count; i++) {
        struct address a;
        char text[ADDRESS_TEXT_MAX];
        uint32_t epoch;
        assert_true(endpoint_address(set->entry[i].endpoint, &a, &epoch));
        if (i)
            str_char(&o, ' ');
        str_add(&o, address_text(&a, text, true));
    }
    out[o.n] = 0;
    return out;
}

static void until_now_is(const char *want) {
    for (int i = 0; i < 3000 && strcmp(now(), want) != 0; i++)
        loop_turn(&t->loop, 2);
    assert_string_equal(now(), want);
}

static void until_asked(const struct zone *z, unsigned n) {
    for (int i = 0; i < 3000 && z->asked < n; i++)
        loop_turn(&t->loop, 2);
    assert_int_equal(z->asked, n);
}

static void quiet(void) { /* what is on its way arrives */
    for (int i = 0; i < 20; i++)
        loop_turn(&t->loop, 2);
}

static void wait_s(uint64_t seconds) {
    moved += seconds * 1000000000u;
    loop_turn(&t->loop, 0);
}

static void begin(struct zone *z, unsigned zones, const char *endpoint, bool discover) {
    server.zone = z;
    server.zones = zones;
    server.over_tcp = 0;
    s = services_new();
    s->snapshot.dns_server = &server.at;
    s->snapshot.dns_server_count = 1;
    conf = services_add_service(s, "a");
    conf->discover = discover;
    services_add(s, conf, endpoint, 1);
    service_attach(&s->snapshot);
}

static void end(void) {
    services_free(s);
    quiet();
}

static void a_name_is_one_endpoint(void **state) {
    struct zone z = {"a.test", LIE_NONE, 60, 3, 1, true, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:80", false);
    until_now_is("10.9.0.1:80");
    struct endpoint *e = service_local(t, conf)->set->entry[0].endpoint;
    struct address first;
    uint32_t epoch;
    assert_int_equal(e->address_count, 6); /* three of each family, IPv4 first */
    assert_true(span_eq(e->text, SPAN("a.test:80")));
    assert_true(endpoint_address(e, &first, &epoch));
    assert_true(endpoint_connect_failed(e, &first));
    assert_string_equal(now(), "10.9.0.2:80");
    end();
}

static void discovery_is_one_endpoint_per_address(void **state) {
    struct zone z = {"a.test", LIE_NONE, 60, 2, 1, true, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:8080", true);
    until_now_is("10.9.0.1:8080 10.9.0.2:8080 [fd00::1]:8080 [fd00::2]:8080");
    end();
}

static void sets_grow_and_shrink(void **state) {
    struct zone z = {"a.test", LIE_NONE, 60, 2, 1, false, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:80", true);
    until_now_is("10.9.0.1:80 10.9.0.2:80");
    struct endpoint *first = service_local(t, conf)->set->entry[0].endpoint;
    struct endpoint *second = service_local(t, conf)->set->entry[1].endpoint;
    endpoint_ref(first);
    endpoint_ref(second);
    endpoint_begin(second);
    uint32_t one = endpoint_epoch(first), two = endpoint_epoch(second);
    z.first = 2;
    z.count = 3;
    wait_s(60);
    until_now_is("10.9.0.2:80 10.9.0.3:80 10.9.0.4:80");
    assert_ptr_equal(service_local(t, conf)->set->entry[0].endpoint, second);
    assert_int_equal(endpoint_epoch(first), one + 1); /* drains */
    assert_int_equal(endpoint_epoch(second), two);
    assert_int_equal(atomic_load(&second->in_flight), 1);
    z.count = 1;
    wait_s(60);
    until_now_is("10.9.0.2:80");
    endpoint_end(second);
    endpoint_unref(first);
    endpoint_unref(second);
    end();
}

static void the_ttl_is_clamped(void **state) {
    static const struct {
        uint32_t ttl, not_after_s, after_s;
    } cases[] = {{0, 4, 5}, {1, 4, 5}, {60, 53, 60}, {100000, 269, 300}, {0x80000000u, 4, 5}};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct zone z = {"a.test", LIE_NONE, cases[i].ttl, 1, 1, false, NULL, 0};
        begin(&z, 1, "a.test:80", true);
        until_now_is("10.9.0.1:80");
        quiet();
        assert_int_equal(z.asked, 1);
        wait_s(cases[i].not_after_s);
        quiet();
        assert_int_equal(z.asked, 1);
        wait_s(cases[i].after_s - cases[i].not_after_s);
        until_asked(&z, 2);
        quiet();
        end();
    }
}

static void an_alias_may_expire_first(void **state) {
    struct zone z = {"a.test", LIE_NONE, 200, 1, 1, false, "b.test", 0};
    (void)state;
    begin(&z, 1, "a.test:80", true);
    until_now_is("10.9.0.1:80");
    quiet();
    wait_s(7);
    until_asked(&z, 2);
    end();
}

/* Nothing, then an answer, then a lie: the good answer stays. */
static void lies_change_nothing(void **state) {
    static const enum lie lies[] = {LIE_NXDOMAIN, LIE_EMPTY, LIE_SERVFAIL,
                                    LIE_GARBAGE,  LIE_SHORT, LIE_LOOP};
    (void)state;
    for (size_t i = 0; i < array_len(lies); i++) {
        struct zone z = {"a.test", lies[i], 10, 2, 1, false, NULL, 0};
        enum fault why = FAULT_NONE;
        begin(&z, 1, "a.test:80", true);
        for (int k = 0; k < 3000 && !z.asked; k++)
            loop_turn(&t->loop, 2);
        quiet();
        assert_null(balance_pick(t, conf, NULL, &why));
        assert_int_equal(why, FAULT_DNS_FAILED);
        z.lie = LIE_NONE;
        if (lies[i] ==
            LIE_SHORT) { /* c-ares asks twice, 2 s each, on its own clock: ask anew instead */
            end();
            begin(&z, 1, "a.test:80", true);
        }
        wait_s(1);
        until_now_is("10.9.0.1:80 10.9.0.2:80");
        quiet();
        unsigned asked = z.asked;
        z.lie = lies[i];
        wait_s(10);
        for (int k = 0; k < 3000 && z.asked == asked; k++)
            loop_turn(&t->loop, 2);
        quiet();
        assert_string_equal(now(), "10.9.0.1:80 10.9.0.2:80");
        end();
    }
}

static void a_wrong_id_is_not_an_answer(void **state) {
    struct zone z = {"a.test", LIE_WRONG_ID, 60, 1, 1, false, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:80", true);
    until_now_is("10.9.0.1:80");
    end();
}

static void failures_back_off(void **state) {
    static const unsigned seconds[] = {1, 2, 4, 8, 16, 30, 30};
    struct zone z = {"a.test", LIE_NXDOMAIN, 60, 1, 1, false, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:80", true);
    until_asked(&z, 1);
    for (unsigned i = 0; i < array_len(seconds); i++) {
        quiet();
        moved += seconds[i] * 1000000000ull * 8 / 10;
        quiet();
        assert_int_equal(z.asked, i + 1);
        moved += seconds[i] * 1000000000ull * 2 / 10;
        until_asked(&z, i + 2);
    }
    end();
}

static void long_answers_come_over_tcp(void **state) {
    struct zone z = {"a.test", LIE_TRUNCATED, 60, 4000, 1, false, NULL, 0};
    (void)state;
    begin(&z, 1, "a.test:80", true);
    for (int i = 0; i < 3000 && count_endpoints(conf) == 0; i++)
        loop_turn(&t->loop, 2);
    assert_int_equal(count_endpoints(conf), ENDPOINT_ADDRESSES_MAX);
    assert_true(server.over_tcp > 0);
    end();
}

static void localhost_needs_no_server(void **state) {
    (void)state;
    begin(NULL, 0, "localhost:80", false);
    until_now_is("127.0.0.1:80");
    end();
}

static void a_reload_keeps_what_was_found(void **state) {
    struct zone z[] = {{"a.test", LIE_NONE, 60, 2, 1, false, NULL, 0},
                       {"b.test", LIE_NONE, 60, 1, 9, false, NULL, 0}};
    (void)state;
    begin(z, 2, "a.test:80", true);
    until_now_is("10.9.0.1:80 10.9.0.2:80");
    struct services *old = s;
    begin(z, 2, "a.test:80", true);
    loop_turn(&t->loop, 0);
    assert_string_equal(now(), "10.9.0.1:80 10.9.0.2:80"); /* at once, no question asked */
    assert_int_equal(z[0].asked, 1);
    services_free(old);
    old = s;
    begin(z, 2, "b.test:80", true);
    services_free(old);
    until_now_is("10.9.0.9:80");
    quiet();
    wait_s(300);
    until_asked(&z[1], 2);
    quiet();
    assert_int_equal(z[0].asked, 1); /* nobody wants to know any more */
    end();
}

static unsigned alive;
static void count(void *obj, void *ctx) {
    (void)obj, (void)ctx;
    alive++;
}

static void nothing_is_left(void **state) {
    (void)state;
    lasting_each(&endpoint_kind, count, NULL);
    assert_int_equal(alive, 0);
}

static int set_up(void **state) {
    (void)state;
    log_event_output(no_log);
    env.now_ns = moved_now;
    t = house_thread(0, true);
    dns_server_start(&server, &t->loop);
    discovery_start(t);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    discovery_stop();
    dns_server_stop(&server);
    discovery_servers(NULL, 0);
    house_thread_end(t);
    env.now_ns = env_os.now_ns;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_endpoint),
        cmocka_unit_test(discovery_is_one_endpoint_per_address),
        cmocka_unit_test(sets_grow_and_shrink),
        cmocka_unit_test(the_ttl_is_clamped),
        cmocka_unit_test(an_alias_may_expire_first),
        cmocka_unit_test(lies_change_nothing),
        cmocka_unit_test(a_wrong_id_is_not_an_answer),
        cmocka_unit_test(failures_back_off),
        cmocka_unit_test(long_answers_come_over_tcp),
        cmocka_unit_test(localhost_needs_no_server),
        cmocka_unit_test(a_reload_keeps_what_was_found),
        cmocka_unit_test(nothing_is_left),
    };
    return cmocka_run_group_tests_name("discovery", tests, set_up, tear_down);
}
