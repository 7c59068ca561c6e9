#include "house.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct address ip(const char *text) {
    struct address a;
    assert_true(address_parse(span_z(text), &a));
    return a;
}

static struct address now(struct endpoint *e) {
    struct address a = {.len = 0};
    uint32_t epoch;
    assert_true(endpoint_address(e, &a, &epoch));
    return a;
}

static void one_object_for_one_name(void **state) {
    (void)state;
    struct endpoint *a = endpoint_get(SPAN("s"), SPAN("10.0.0.1:80"));
    struct endpoint *b = endpoint_get(SPAN("s"), SPAN("10.0.0.1:80"));
    struct endpoint *other = endpoint_get(SPAN("t"), SPAN("10.0.0.1:80"));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_true(span_eq(a->service, SPAN("s")) && span_eq(a->text, SPAN("10.0.0.1:80")));
    endpoint_unref(a);
    endpoint_ref(b);
    endpoint_unref(b);
    assert_ptr_equal(endpoint_get(SPAN("s"), SPAN("10.0.0.1:80")), b);
    endpoint_unref(b);
    endpoint_unref(b);
    endpoint_unref(other);
}

static void a_failing_address_makes_way(void **state) {
    (void)state;
    struct endpoint *e = endpoint_get(SPAN("s"), SPAN("n.test:80"));
    struct address got, one = ip("10.0.0.1:80"), two = ip("10.0.0.2:80");
    uint32_t epoch;
    assert_false(endpoint_address(e, &got, &epoch));
    endpoint_set_addresses(e, (struct address[]){one, two}, 2);
    got = now(e);
    assert_true(address_eq(&got, &one));
    assert_true(endpoint_connect_failed(e, &one));
    got = now(e);
    assert_true(address_eq(&got, &two));
    assert_true(endpoint_connect_failed(e, &one)); /* late news of another thread moves nothing */
    got = now(e);
    assert_true(address_eq(&got, &two));
    assert_true(endpoint_connect_failed(e, &two)); /* round again */
    got = now(e);
    assert_true(address_eq(&got, &one));
    endpoint_set_addresses(e, &one, 1);
    assert_false(endpoint_connect_failed(e, &one)); /* there is no other */
    endpoint_unref(e);
}

static void the_epoch_follows_addresses_in_use(void **state) {
    (void)state;
    struct endpoint *e = endpoint_get(SPAN("s"), SPAN("n.test:80"));
    struct address one = ip("10.0.0.1:80"), two = ip("10.0.0.2:80"), three = ip("10.0.0.3:80");
    endpoint_set_addresses(e, (struct address[]){one, two}, 2);
    now(e);
    uint32_t epoch = endpoint_epoch(e);
    assert_false(endpoint_set_addresses(e, (struct address[]){two, one}, 2)); /* order is nothing */
    struct address got = now(e);
    assert_true(address_eq(&got, &one)); /* the one in use stays */
    assert_false(
        endpoint_set_addresses(e, (struct address[]){three, one}, 2)); /* two: not in use */
    assert_int_equal(endpoint_epoch(e), epoch);
    assert_true(endpoint_set_addresses(e, &three, 1));
    assert_int_equal(endpoint_epoch(e), epoch + 1);
    assert_false(endpoint_set_addresses(e, &two, 1)); /* nobody was told three since */
    endpoint_unref(e);
}

static void addresses_are_bounded(void **state) {
    struct address many[ENDPOINT_ADDRESSES_MAX + 20];
    (void)state;
    for (unsigned i = 0; i < array_len(many); i++) {
        many[i] = ip("10.0.0.1:80");
        address_set_port(&many[i], i + 1);
    }
    struct endpoint *e = endpoint_get(SPAN("s"), SPAN("n.test:80"));
    endpoint_set_addresses(e, many, array_len(many));
    assert_int_equal(e->address_count, ENDPOINT_ADDRESSES_MAX);
    endpoint_unref(e);
}

static void limits_are_exact(void **state) {
    (void)state;
    struct endpoint *e = endpoint_get(SPAN("s"), SPAN("10.0.0.1:80"));
    for (int i = 0; i < 3; i++)
        assert_true(endpoint_connection_take(e, 3));
    assert_false(endpoint_connection_take(e, 3));
    assert_true(endpoint_connection_take(e, 4)); /* a reload raised it */
    assert_true(endpoint_connection_take(e, 0)); /* or took it away */
    assert_int_equal(atomic_load(&e->connections), 5);
    for (int i = 0; i < 5; i++)
        endpoint_connection_give(e);
    assert_int_equal(atomic_load(&e->connections), 0);
    endpoint_unref(e);
}

/* Several threads at one limit: each takes, keeps idle or gives, and waits for its hook when there
 * is none. A lost wake-up would be a test that never ends. */

enum { CREW = 4, LIMIT = 2, ROUNDS = 3000 };

struct worker {
    struct thread *thread;
    struct endpoint *endpoint;
    unsigned idle, rounds, waits;
    bool told;
};
static struct worker crew[CREW];
static atomic_int open_now, open_most;
static atomic_uint finished;

static void on_free(struct thread *t, struct endpoint *e) {
    (void)e;
    crew[t->index].told = true;
}

static void close_one(struct worker *w) {
    w->idle--;
    atomic_fetch_sub(&open_now, 1);
    endpoint_connection_give(w->endpoint);
}

static void on_wanted(struct thread *t, struct endpoint *e) {
    (void)e;
    if (crew[t->index].idle)
        close_one(&crew[t->index]);
}

static void on_drain(struct thread *t, struct endpoint *e) {
    (void)e;
    while (crew[t->index].idle)
        close_one(&crew[t->index]);
}

static const struct endpoint_hooks hooks = {on_free, on_wanted, on_drain};

/* One use of a connection; false: none to be had. */
static bool use(struct worker *w) {
    if (!w->idle) {
        if (!endpoint_connection_take(w->endpoint, LIMIT))
            return false;
        int open = atomic_fetch_add(&open_now, 1) + 1, most = atomic_load(&open_most);
        while (open > most && !atomic_compare_exchange_weak(&open_most, &most, open))
            ;
        w->idle++;
    }
    if (!endpoint_may_idle(w->endpoint) || w->rounds % 7 == 0)
        close_one(w);
    return true;
}

static void *work(void *arg) {
    struct worker *w = arg;
    me = &w->thread->loop;
    while (w->rounds < ROUNDS) {
        w->told = false;
        if (use(w)) {
            w->rounds++;
            loop_turn(&w->thread->loop, 0);
            continue;
        }
        w->waits++;
        while (!w->told)
            loop_turn(&w->thread->loop, -1);
    }
    /* Others may still want what this one keeps. */
    atomic_fetch_add(&finished, 1);
    while (atomic_load(&finished) < CREW)
        loop_turn(&w->thread->loop, 1);
    return NULL;
}

static void threads_share_a_limit(void **state) {
    pthread_t id[CREW];
    struct thread *mine = *state;
    (void)mine;
    struct endpoint *e = endpoint_get(SPAN("s"), SPAN("10.0.0.1:80"));
    for (unsigned i = 0; i < CREW; i++)
        crew[i] =
            (struct worker){.endpoint = e, .thread = i ? house_thread(i, false) : thread_me()};
    for (unsigned i = 0; i < CREW; i++)
        assert_int_equal(pthread_create(&id[i], NULL, work, &crew[i]), 0);
    for (unsigned i = 0; i < CREW; i++)
        assert_int_equal(pthread_join(id[i], NULL), 0);
    struct loop *home = me;
    for (unsigned i = 0; i < CREW; i++) {
        me = &crew[i].thread->loop;
        on_drain(crew[i].thread, e);
    }
    me = home;
    assert_int_equal(atomic_load(&open_most), LIMIT);
    assert_int_equal(atomic_load(&open_now), 0);
    assert_int_equal(atomic_load(&e->connections), 0);
    for (unsigned i = 1; i < CREW; i++)
        house_thread_end(crew[i].thread);
    while (atomic_load(&me->inbox))
        loop_turn(me, 0);
    assert_int_equal(atomic_load(&e->refs), 1);
    endpoint_unref(e);
}

static void *get_and_unref(void *arg) {
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        struct endpoint *e = endpoint_get(SPAN("s"), SPAN("10.0.0.9:80"));
        endpoint_ref(e);
        endpoint_unref(e);
        endpoint_unref(e);
    }
    return NULL;
}

static unsigned alive;
static void count(void *obj, void *ctx) {
    (void)obj, (void)ctx;
    alive++;
}

static void references_end_at_nothing(void **state) {
    pthread_t id[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&id[i], NULL, get_and_unref, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(id[i], NULL), 0);
    lasting_each(&endpoint_kind, count, NULL);
    assert_int_equal(alive, 0);
}

/* Reloads */

static uint32_t drained;
static void count_drain(struct thread *t, struct endpoint *e) {
    (void)t;
    assert_true(span_eq(e->text, SPAN("10.0.0.1:80")));
    drained++;
}
static const struct endpoint_hooks counting = {.drain = count_drain};

static void a_reload_keeps_what_stays(void **state) {
    struct thread *t = *state;
    enum fault why;
    struct services *old = services_new(), *new = services_new();
    struct service_conf *a = services_add_service(old, "a"), *b = services_add_service(new, "a");
    services_add(old, a, "10.0.0.1:80", 1);
    services_add(old, a, "10.0.0.2:80", 1);
    services_add(new, b, "10.0.0.2:80", 1);
    services_add(new, b, "10.0.0.3:80", 1);
    endpoint_set_hooks(&counting);
    service_attach(&old->snapshot);
    assert_int_equal(count_endpoints(a), 2);
    const struct endpoint_set *set = service_local(t, a)->set;
    struct endpoint *goes = set->entry[0].endpoint, *stays = set->entry[1].endpoint;
    endpoint_ref(goes);
    assert_true(endpoint_connection_take(goes, 0));
    endpoint_begin(stays);
    uint32_t goes_epoch = endpoint_epoch(goes), stays_epoch = endpoint_epoch(stays);

    service_attach(&new->snapshot);
    services_free(old);
    loop_turn(&t->loop, 0);
    set = service_local(t, b)->set;
    assert_int_equal(set->count, 2);
    assert_ptr_equal(set->entry[0].endpoint, stays);
    assert_int_equal(atomic_load(&stays->in_flight), 1);
    assert_int_equal(endpoint_epoch(stays), stays_epoch);
    assert_int_equal(endpoint_epoch(goes), goes_epoch + 1);
    assert_int_equal(drained, 1);
    for (int i = 0; i < 10; i++) {
        struct endpoint *e = balance_pick(t, b, NULL, &why);
        assert_ptr_not_equal(e, goes);
        endpoint_unref(e);
    }
    endpoint_connection_give(goes);
    endpoint_unref(goes);
    endpoint_end(stays);
    endpoint_set_hooks(NULL);
    services_free(new);
    while (atomic_load(&t->loop.inbox))
        loop_turn(&t->loop, 0);
    alive = 0;
    lasting_each(&endpoint_kind, count, NULL);
    assert_int_equal(alive, 0);
}

/* Connections of before a reload are of use as long as the service is spoken to in the same way. */
static void another_way_to_speak_drains(void **state) {
    static const struct {
        enum protocol protocol;
        unsigned char proxy_protocol;
        uint32_t drained; /* in all */
    } rows[] = {{PROTOCOL_HTTP1, 0, 0}, {PROTOCOL_HTTP1, 0, 0}, {PROTOCOL_H2, 0, 1},
                {PROTOCOL_H2, 0, 1},    {PROTOCOL_H2, 2, 2},    {PROTOCOL_HTTP1, 0, 3}};
    struct thread *t = *state;
    struct services *old = NULL;
    drained = 0;
    endpoint_set_hooks(&counting);
    for (size_t i = 0; i < array_len(rows); i++) {
        struct services *s = services_new();
        struct service_conf *c = services_add_service(s, "a");
        services_add(s, c, "10.0.0.1:80", 1);
        c->protocol = rows[i].protocol;
        c->proxy_protocol = rows[i].proxy_protocol;
        service_attach(&s->snapshot);
        if (old)
            services_free(old);
        old = s;
        loop_turn(&t->loop, 0);
        assert_int_equal(drained, rows[i].drained);
    }
    endpoint_set_hooks(NULL);
    services_free(old);
    while (atomic_load(&t->loop.inbox))
        loop_turn(&t->loop, 0);
}

struct seen {
    unsigned services, endpoints;
    char text[200];
};

static void see_service(void *ctx, const struct service_state *s) {
    struct seen *seen = ctx;
    seen->services++;
    assert_int_equal(s->endpoints, 1);
    assert_true(s->unresolved);
}

static void see_endpoint(void *ctx, const struct endpoint_state *e) {
    struct seen *seen = ctx;
    char text[ADDRESS_TEXT_MAX];
    struct span at = address_text(&e->address, text, true);
    seen->endpoints++;
    snprintf(seen->text, sizeof seen->text, "%.*s %.*s %.*s w%u f%u r%u", SPAN_ARG(e->service),
             SPAN_ARG(e->text), SPAN_ARG(at), e->weight, e->in_flight, (unsigned)e->requests);
}

static void state_can_be_seen(void **state) {
    struct seen seen = {0};
    enum fault why;
    struct services *s = services_new();
    struct service_conf *c = services_add_service(s, "shop");
    services_add(s, c, "10.0.0.1:80", 3);
    services_add(s, c, "not-yet.test:80", 1);
    service_attach(&s->snapshot);
    struct endpoint *e = balance_pick(*state, c, NULL, &why);
    endpoint_begin(e);
    service_walk(c, &(struct service_walk){see_service, see_endpoint, &seen});
    assert_int_equal(seen.services, 1);
    assert_int_equal(seen.endpoints, 1);
    assert_string_equal(seen.text, "shop 10.0.0.1:80 10.0.0.1:80 w3 f1 r1");
    endpoint_end(e);
    endpoint_unref(e);
    services_free(s);
}

static int set_up(void **state) {
    *state = house_thread(0, false);
    return 0;
}

static int tear_down(void **state) {
    house_thread_end(*state);
    return 0;
}

static int with_hooks(void **state) {
    (void)state;
    endpoint_set_hooks(&hooks);
    return 0;
}

static int without_hooks(void **state) {
    (void)state;
    endpoint_set_hooks(NULL);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_for_one_name),
        cmocka_unit_test(a_failing_address_makes_way),
        cmocka_unit_test(the_epoch_follows_addresses_in_use),
        cmocka_unit_test(addresses_are_bounded),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test_setup_teardown(threads_share_a_limit, with_hooks, without_hooks),
        cmocka_unit_test(references_end_at_nothing),
        cmocka_unit_test(a_reload_keeps_what_stays),
        cmocka_unit_test(another_way_to_speak_drains),
        cmocka_unit_test(state_can_be_seen),
    };
    return cmocka_run_group_tests_name("endpoint", tests, set_up, tear_down);
}
