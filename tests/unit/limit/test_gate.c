#include "../core/desk.h"
#include "limit/gate.h"
#include "limit/latencies.h"

/* ---- latencies ----------------------------------------------------------------------------------
 */

static const struct {
    uint64_t ns;
} took[] = {{0},       {1},         {1000},      {16384},        {20000},
            {1000000}, {123456789}, {999999999}, {299000000000u}};

static void a_percentile_is_within_an_eighth(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(took); i++) {
        struct latencies l = {.count = 0};
        for (int k = 0; k < 100; k++)
            latencies_note(&l, took[i].ns);
        uint64_t got = latencies_below(&l, 50), ns = took[i].ns, slack = ns / 8 + 2048;
        assert_true(got + slack >= ns && got <= ns + slack);
    }
}

static void windows_are_differences(void **state) {
    struct latencies l = {.count = 0}, then, window, none = {.count = 0};
    (void)state;
    assert_int_equal(latencies_below(&none, 50), 0);
    for (int i = 0; i < 1000; i++)
        latencies_note(&l, 1000000);
    then = l;
    for (int i = 0; i < 90; i++)
        latencies_note(&l, 50000000);
    for (int i = 0; i < 10; i++)
        latencies_note(&l, 2000000);
    latencies_since(&window, &l, &then);
    assert_int_equal(latencies_count(&window), 100);
    assert_true(latencies_below(&window, 5) < 3000000);
    assert_true(latencies_below(&window, 50) > 45000000 && latencies_below(&window, 50) < 56000000);
    then = none;
    latencies_add(&then, &l);
    latencies_add(&then, &window);
    assert_int_equal(latencies_count(&then), 1200);
}

/* ---- the gate
 * -------------------------------------------------------------------------------------
 */

#define MS 1000000ull

static struct service_conf service;
static struct exchange *x;

static void begin(const char *name, struct gate_conf conf) {
    desk_open();
    service = (struct service_conf){.name = span_z(name), .gate = conf};
    service.gate.ops = &gate_ops;
    assert_null(gate_ops.finish(&desk.snapshot->arena, &service.gate));
    desk.snapshot->service = &service;
    desk.snapshot->service_count = 1;
    gate_attach(desk.snapshot);
    x = desk_exchange("GET", "a.test", "/", NULL);
    me->now = 1000000 * MS;
}

static void end(void) {
    desk_drop(x);
    gate_detach(desk.snapshot);
    desk_close();
}

static struct gate_state state_now(void) {
    struct gate_state s;
    gate_look(&service, &s);
    return s;
}

static enum gate_result enter(struct gate_pass *p) {
    *p = (struct gate_pass){.x = x, .service = &service, .ops = &x->back_ops_list};
    return gate_ops.enter(p);
}

static void counts_come_back(void **state) {
    struct gate_pass p[3];
    (void)state;
    begin("a", (struct gate_conf){.limit = 2});
    assert_int_equal(enter(&p[0]), GATE_OPEN);
    assert_int_equal(enter(&p[1]), GATE_OPEN);
    assert_int_equal(enter(&p[2]), GATE_SHUT);
    assert_int_equal(p[2].fault, FAULT_SERVICE_BUSY);
    assert_true(x->own && span_eq(x->own->name, SPAN("retry-after")));
    assert_int_equal(state_now().in_flight, 2);
    assert_int_equal(state_now().asked, 2);
    gate_ops.leave(&p[2], GATE_FAILED);
    gate_ops.answered(&p[0], true);
    assert_int_equal(state_now().asked, 1); /* answered, and still under way */
    assert_int_equal(state_now().in_flight, 2);
    gate_ops.leave(&p[0], GATE_ENDED);
    gate_ops.leave(&p[1], GATE_FAILED);
    assert_int_equal(state_now().in_flight, 0);
    assert_int_equal(state_now().asked, 0);
    assert_int_equal(state_now().refused_limit, 1);
    end();
}

static void turned_off_counts_nothing(void **state) {
    struct gate_pass p;
    (void)state;
    begin("b", (struct gate_conf){.adaptive.off = true});
    assert_int_equal(enter(&p), GATE_OPEN);
    assert_int_equal(state_now().asked, 0);
    gate_ops.answered(&p, true);
    gate_ops.leave(&p, GATE_ENDED);
    end();
}

/* Who gets no answer for long waits for an event: it is no load. */
static void long_polls_are_no_load(void **state) {
    struct gate_pass poll[50], p;
    (void)state;
    begin("c", (struct gate_conf){.limit = 0});
    for (int i = 0; i < 50; i++)
        assert_int_equal(enter(&poll[i]), GATE_OPEN);
    assert_int_equal(state_now().asked, 50);
    me->now += 3000 * MS;
    assert_int_equal(enter(&p), GATE_OPEN);
    assert_int_equal(state_now().asked, 1);
    gate_ops.answered(&p, true);
    gate_ops.leave(&p, GATE_ENDED);
    for (int i = 0; i < 50; i++) {
        gate_ops.answered(&poll[i], true);
        gate_ops.leave(&poll[i], GATE_ENDED);
    }
    assert_int_equal(state_now().asked, 0);
    assert_int_equal(state_now().usual_ns, 0); /* and they tell nothing */
    end();
}

/* A service of so many servers, each 100 ms a request, one request every `every`: what a second
 * brings. */
enum { SERVERS = 20, UNDER_WAY = 4096 };
struct load {
    struct gate_pass pass[UNDER_WAY];
    uint64_t ends[UNDER_WAY], server[SERVERS];
    unsigned first, last, done, shed;
};

static void finish_until(struct load *l, uint64_t at) {
    for (; l->first < l->last && l->ends[l->first % UNDER_WAY] <= at; l->first++) {
        struct gate_pass *p = &l->pass[l->first % UNDER_WAY];
        me->now = l->ends[l->first % UNDER_WAY];
        gate_ops.answered(p, true);
        gate_ops.leave(p, GATE_ENDED);
        l->done++;
    }
    me->now = at;
}

static void offer(struct load *l) {
    struct gate_pass *p = &l->pass[l->last % UNDER_WAY];
    uint64_t *server = &l->server[l->last % SERVERS];
    assert_true(l->last - l->first < UNDER_WAY);
    if (enter(p) != GATE_OPEN) {
        gate_ops.leave(p, GATE_FAILED);
        l->shed++;
        return;
    }
    *server = (*server > me->now ? *server : me->now) + 100 * MS;
    l->ends[l->last++ % UNDER_WAY] = *server;
}

static void run(struct load *l, uint64_t every, unsigned seconds) {
    l->done = l->shed = 0;
    for (uint64_t until = me->now + seconds * 1000 * MS; me->now < until;) {
        finish_until(l, me->now + every);
        offer(l);
    }
}

static void a_crowd_is_held_at_what_can_be_done(void **state) {
    static struct load l;
    (void)state;
    begin("d", (struct gate_conf){.limit = 0});
    run(&l, 10 * MS, 10); /* half of what it can */
    assert_int_equal(l.shed, 0);
    run(&l, MS * 5 / 2, 20); /* twice */
    assert_true(state_now().limiting);
    run(&l, MS * 5 / 2, 20);
    assert_true(l.done >= 9 * 200 * 20 / 10);
    assert_true(state_now().adaptive >= SERVERS && state_now().adaptive <= 3 * SERVERS);
    assert_true(state_now().refused_adaptive > 0);
    run(&l, 10 * MS, 60);
    run(&l, 10 * MS, 10);
    assert_int_equal(l.shed, 0);
    assert_false(state_now().limiting);
    finish_until(&l, me->now + 1000 * MS);
    end();
}

/* A reload keeps what was learnt, and min and max hold from then on. */
static void a_reload_keeps_what_is_known(void **state) {
    static struct load l;
    struct service_conf other;
    struct snapshot *s = snapshot_create();
    (void)state;
    begin("e", (struct gate_conf){.limit = 0});
    run(&l, 10 * MS, 10);
    run(&l, MS * 5 / 2, 20);
    assert_true(state_now().limiting);
    uint32_t before = state_now().adaptive;
    other = service;
    other.gate.adaptive.max = before - 5;
    s->service = &other;
    s->service_count = 1;
    gate_attach(s);
    assert_ptr_equal(other.gate.lasting, service.gate.lasting);
    assert_true(state_now().limiting);
    assert_int_equal(state_now().adaptive, before - 5);
    gate_detach(s);
    snapshot_unref_atomic(s);
    finish_until(&l, me->now + 5000 * MS);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_percentile_is_within_an_eighth),
        cmocka_unit_test(windows_are_differences),
        cmocka_unit_test(counts_come_back),
        cmocka_unit_test(turned_off_counts_nothing),
        cmocka_unit_test(long_polls_are_no_load),
        cmocka_unit_test(a_crowd_is_held_at_what_can_be_done),
        cmocka_unit_test(a_reload_keeps_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
