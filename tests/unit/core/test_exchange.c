/*
 * core/exchange and chain: an exchange with a front, filters and a back that do as they are told.
 * Every verdict at every place, every way to end; then a busy play with an abort before each
 * dispatch.
 */
#include "actors.h"

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    return 0;
}
static int finish(void **state) {
    (void)state;
    world_end();
    return 0;
}

static char long_body[300000];

static void an_answer(void **state) {
    (void)state;
    struct house h = {.origin = {.text = "hello", .head_ms = 3}};
    struct asker a = {0};
    ask(&a, house_plan(&h, 0));
    quiet();
    assert_answer(&a, 200, "hello");
    assert_int_equal(last.end, X_END_COMPLETED);
    assert_int_equal(last.status, 200);
    assert_int_equal(last.fault, FAULT_NONE);
    assert_int_equal(last.response_body, 5);
    assert_true(last.total_ns >= 3 * MS && last.total_ns < 10 * MS);
    house_balanced(&h);
}

/* There in order, back in the other. */
static void filters_pass(void **state) {
    (void)state;
    static const enum act acts[][2] = {
        {PASS, PASS},
        {PAUSE, PASS},
        {PASS, PAUSE},
        {PAUSE, PAUSE},
        {COLLECT, PASS},
        {PASS, COLLECT},
        {COLLECT_PAUSE, COLLECT_PAUSE},
    };
    for (size_t first = 0; first < array_len(acts); first++)
        for (size_t second = 0; second < array_len(acts); second++) {
            struct house h = {.origin = {.head_ms = 2}}; /* echo */
            struct asker a = {.body = "some text", .body_len = 9, .with_head = second};
            h.policy[0].request = acts[first][0];
            h.policy[0].response = acts[first][1];
            h.policy[1].request = acts[second][0];
            h.policy[1].response = acts[second][1];
            h.policy[2].louder_down = true;
            h.policy[0].request_body = PAUSE;
            ask(&a, house_plan(&h, 3));
            quiet();
            assert_answer(&a, 200, "SOME TEXT");
            for (int i = 0; i < 3; i++)
                assert_true(h.policy[i].requests == 1 && h.policy[i].responses == 1);
            house_balanced(&h);
        }
}

/* Filter k answers: those before it see the answer, it does not, those behind see nothing. */
static void a_filter_answers(void **state) {
    (void)state;
    static struct answerer reply = {.text = "mine", .status = 403};
    for (unsigned k = 0; k < 3; k++)
        for (int how = 0; how < 4; how++) {
            struct house h = {.origin = {.text = "hello"}};
            struct asker a = {.body = "body", .body_len = 4};
            h.policy[k].reply = &reply;
            h.policy[k].request = how == 0   ? REPLY
                                  : how == 1 ? PAUSE_ANSWER
                                  : how == 2 ? COLLECT
                                             : DENY;
            h.policy[k].request_body = REPLY;
            ask(&a, house_plan(&h, 3));
            quiet();
            if (how < 3)
                assert_answer(&a, 403, "mine");
            else
                assert_true(a.done && a.status == 500 && last.fault == FAULT_HEADER_REFUSED);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(h.policy[i].requests, i <= k);
                assert_int_equal(h.policy[i].responses, i < k);
                assert_int_equal(h.policy[i].dones, i <= k); /* never of who was not asked */
            }
            assert_int_equal(h.origin.starts, 0);
            house_balanced(&h);
        }
}

/* The same on the way back: what was under way is dropped, with the back that sent it. */
static void a_filter_answers_instead(void **state) {
    (void)state;
    static struct answerer reply = {.text = "instead", .status = 502};
    for (unsigned k = 0; k < 3; k++)
        for (int how = 0; how < 4; how++)
            for (int late = 0; late < 2; late++) {
                struct house h = {.origin = {.size = 200000, .head_ms = late ? 4 : 0}};
                struct asker a = {0};
                h.policy[k].reply = &reply;
                h.policy[k].response = how == 0   ? REPLY
                                       : how == 1 ? PAUSE_ANSWER
                                       : how == 2 ? COLLECT
                                                  : DENY;
                h.policy[k].response_body = REPLY;
                if (how == 2)
                    h.origin.size = 50000;
                ask(&a, house_plan(&h, 3));
                quiet();
                if (how < 3)
                    assert_answer(&a, 502, "instead");
                else
                    assert_true(a.done && a.status == 500);
                for (unsigned i = 0; i < 3; i++) {
                    assert_int_equal(h.policy[i].requests, 1);
                    assert_int_equal(h.policy[i].responses, 1); /* once: this answer or the other */
                }
                if (how != 2)
                    assert_int_equal(h.origin.cancels, 1);
                house_balanced(&h);
            }
}

/* WAIT_BODY: exactly the limit is not too long, however the end comes; one more byte is. */
static void collecting(void **state) {
    (void)state;
    static const size_t limit[] = {1, 10, 4000, 65536, 200000};
    for (size_t i = 0; i < array_len(limit); i++)
        for (int over = -1; over <= 1; over++)
            for (int stage = 0; stage < 2; stage++)
                for (int patient = 0; patient < 2; patient++) {
                    struct house h = {.origin = {.text = "ok", .reads = true}};
                    size_t n = limit[i] + (size_t)over;
                    struct asker a = {.body = long_body,
                                      .body_len = n,
                                      .unknown_length = true,
                                      .with_head = n / 2};
                    h.policy[0].louder_up = stage;
                    h.policy[1].request = COLLECT;
                    h.policy[1].collect = limit[i];
                    h.filter[1].ops = patient ? &patient_ops : NULL;
                    ask(&a, house_plan(&h, 2));
                    quiet();
                    bool refused = over > 0 && !patient;
                    assert_true(a.done);
                    assert_int_equal(a.status, refused ? 413 : 200);
                    assert_int_equal(h.policy[1].bodies, !refused);
                    if (!refused)
                        assert_int_equal(h.origin.read, n);
                    if (over <= 0)
                        assert_int_equal(h.policy[1].collected, n);
                    house_balanced(&h);
                }
}

static void collecting_an_answer(void **state) {
    (void)state;
    for (int over = -1; over <= 1; over++)
        for (int patient = 0; patient < 2; patient++) {
            struct house h = {.origin = {.size = (size_t)(150000 + over), .unknown_length = true}};
            struct asker a = {0};
            h.policy[0].response = COLLECT;
            h.policy[0].collect = 150000;
            h.filter[0].ops = patient ? &patient_ops : NULL;
            ask(&a, house_plan(&h, 1));
            quiet();
            if (over > 0 && !patient) {
                assert_true(a.done && a.status == 502 && last.fault == FAULT_UPSTREAM_TOO_LARGE);
            } else {
                assert_true(a.done && a.status == 200 && a.total == h.origin.size);
            }
            house_balanced(&h);
        }
}

/* ---- failures ---- */

static void failures(void **state) {
    (void)state;
    static const struct {
        int head_ms, end_ms;
        enum fault fault;
        int status;
        bool broken; /* after the head */
        enum x_end end;
    } cases[] = {
        {0, 0, FAULT_CONNECT_FAILED, 502, false, X_END_COMPLETED},
        {3, 0, FAULT_UPSTREAM_TIMEOUT, 504, false, X_END_COMPLETED},
        {3, 0, FAULT_BODY_TIMEOUT, 408, false, X_END_REJECTED},
        {0, 2, FAULT_UPSTREAM_TRUNCATED, 200, true, X_END_ABORTED},
        {3, 2, FAULT_UPSTREAM_IDLE, 200, true, X_END_ABORTED},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        for (int filters = 0; filters < 3; filters++) {
            struct house h = {.origin = {.text = "part",
                                         .head_ms = cases[i].head_ms,
                                         .end_ms = cases[i].end_ms,
                                         .fails = cases[i].fault}};
            struct asker a = {0};
            ask(&a, house_plan(&h, (unsigned)filters));
            quiet();
            assert_int_equal(a.status, cases[i].status);
            assert_int_equal(a.fails, cases[i].broken);
            assert_int_equal(a.done, !cases[i].broken);
            assert_int_equal(last.fault, cases[i].fault);
            assert_int_equal(last.end, cases[i].end);
            for (int k = 0; k < filters; k++)
                assert_int_equal(h.policy[k].responses, 1);
            house_balanced(&h);
        }
}

/* exchange_fail from outside in every state in which an exchange can be found. */
static struct asker *target;
static uint64_t fail_at;
static void fail_target(void) {
    if (dispatches == fail_at && target->x)
        exchange_fail(target->x, FAULT_REQUEST_TIMEOUT, NULL);
}

static void busy_house(struct house *h, struct answerer *reply) {
    *h = (struct house){.origin = {.head_ms = 3, .interims = 1}}; /* echo */
    h->policy[0].request = PAUSE;
    h->policy[0].response = COLLECT;
    h->policy[0].response_body = PAUSE;
    h->policy[1].request = COLLECT_PAUSE;
    h->policy[1].louder_down = true;
    h->policy[2].louder_up = true;
    h->policy[2].response = reply ? PAUSE_ANSWER : PAUSE;
    h->policy[2].reply = reply;
}

static void failing_in_every_state(void **state) {
    (void)state;
    unsigned answered = 0, ended = 0;
    for (fail_at = 1; !ended; fail_at++) {
        struct house h;
        struct asker a = {.body = "some text", .body_len = 9, .with_head = 4, .sip = 2};
        busy_house(&h, NULL);
        target = &a;
        dispatches = 0;
        step_in = fail_target;
        ask(&a, house_plan(&h, 3));
        quiet();
        step_in = NULL;
        ended = dispatches < fail_at;
        if (ended) {
            assert_answer(&a, 200, "SOME TEXT");
        } else if (a.fails) {
            assert_true(!a.done && last.end == X_END_ABORTED && last.status == 200);
        } else if (a.status == 504) {
            assert_true(a.done && last.fault == FAULT_REQUEST_TIMEOUT);
            answered++;
        }
        for (int i = 0; i < 3; i++)
            assert_true(h.policy[i].responses <= h.policy[i].requests);
        house_balanced(&h);
    }
    assert_true(answered > 5);
}

/* The torture of the play: the asker leaves before dispatch n, for every n; his neighbour is
 * served. */
static void leave_target(void) {
    if (dispatches == fail_at)
        asker_leaves(target);
}

static unsigned leave_everywhere(struct answerer *reply, const char *answer, size_t sip) {
    unsigned points = 0;
    bool over = false;
    for (fail_at = 1; !over; fail_at++, points++) {
        struct house h;
        struct asker a = {.body = "some text", .body_len = 9, .with_head = 4, .sip = sip}, b = a;
        busy_house(&h, reply);
        const struct plan *plan = house_plan(&h, 3);
        target = &a;
        dispatches = 0;
        step_in = leave_target;
        ask(&a, plan);
        ask(&b, plan);
        quiet();
        step_in = NULL;
        over = a.done; /* the point lies behind the end */
        assert_answer(&b, 200, answer);
        assert_true(a.fails == 0);
        house_balanced(&h);
        assert_int_equal(thread->exchange_count, 0);
        assert_null(thread->loop.pond.lent);
    }
    return points;
}

static void leaving_before_every_dispatch(void **state) {
    (void)state;
    static struct answerer reply = {.text = "other", .head_ms = 1};
    assert_true(leave_everywhere(NULL, "SOME TEXT", 0) > 10);
    assert_true(leave_everywhere(NULL, "SOME TEXT", 1) > 20);
    assert_true(leave_everywhere(&reply, "OTHER", 0) > 10);
}

/* A stage fails the exchange in the middle of being pumped. */
static void a_stage_fails(void **state) {
    (void)state;
    for (int up = 0; up < 2; up++)
        for (int sip = 0; sip < 2; sip++) {
            struct house h = {
                .origin = {.reads = true, .text = up ? "ok" : long_body, .head_ms = up * 9}};
            struct asker a = {.body = long_body, .body_len = 250000, .sip = sip ? 1000 : 0};
            h.policy[0].louder_up = up;
            h.policy[0].louder_down = !up;
            h.policy[1].louder_up = up;
            h.policy[1].louder_down = !up;
            h.policy[1].stage_fails_at = 100000;
            ask(&a, house_plan(&h, 2));
            quiet();
            assert_int_equal(a.done, up);
            assert_int_equal(a.status, up ? 500 : 200);
            assert_int_equal(a.fails, !up);
            assert_int_equal(last.fault, FAULT_INTERNAL);
            house_balanced(&h);
        }
}

/* ---- bodies ---- */

/* However long and however slowly it is read: bounded queues, all bytes, trailers. */
static uint64_t peak;
static void watch_peak(void) {
    const struct exchange *x = target->x;
    if (!x)
        return;
    uint64_t n = x->down_half.source.size + x->up_half.source.size;
    for (const struct stage *g = x->down_half.first; g; g = g->next)
        n += g->out.size;
    peak = n > peak ? n : peak;
}

static void long_answers(void **state) {
    (void)state;
    for (unsigned stages = 0; stages < 3; stages++)
        for (int slow = 0; slow < 2; slow++) {
            struct house h = {
                .origin = {
                    .size = 3 << 20, .head_ms = 1, .unknown_length = true, .trailers = true}};
            struct asker a = {.sip = slow ? 5000 : 0};
            for (unsigned i = 0; i < stages; i++)
                h.policy[i].louder_down = true;
            target = &a;
            peak = 0;
            step_in = watch_peak;
            ask(&a, house_plan(&h, stages));
            quiet();
            step_in = NULL;
            assert_true(a.done && a.total == 3 << 20 && a.trailers);
            assert_true(peak <=
                        (stages + 1) * (slow ? 2 * BODY_LIMIT : BODY_LIMIT_MAX + BODY_LIMIT));
            assert_int_equal(a.got[22], stages ? 'W' : 'w');
            house_balanced(&h);
        }
}

static void long_requests(void **state) {
    (void)state;
    for (unsigned stages = 0; stages < 3; stages++) {
        struct house h = {.origin = {.text = "ok", .head_ms = 50, .reads = true}};
        struct asker a = {.body = long_body, .body_len = sizeof long_body, .with_head = 1000};
        for (unsigned i = 0; i < stages; i++)
            h.policy[i].louder_up = true;
        ask(&a, house_plan(&h, stages));
        quiet();
        assert_answer(&a, 200, "ok");
        assert_true(h.origin.read_all && h.origin.read == sizeof long_body);
        assert_true(a.rooms > 2);
        house_balanced(&h);
    }
}

/* A body that nobody wants is not read: what came with the head is all there is. */
static void unwanted(void **state) {
    (void)state;
    static struct answerer reply = {.text = "no", .status = 401, .head_ms = 3};
    struct house h = {.origin = {.text = "ok"}};
    struct asker a = {.body = long_body, .body_len = 200000, .with_head = 700};
    h.policy[0].request = REPLY;
    h.policy[0].reply = &reply;
    ask(&a, house_plan(&h, 1));
    quiet();
    assert_answer(&a, 401, "no");
    assert_int_equal(a.sent, 700);
    assert_int_equal(last.request_body, 700);
}

static void too_large(void **state) {
    (void)state;
    static const struct {
        size_t n;
        bool unknown, early; /* early: the answer's head goes before the body has come */
        int status;
    } cases[] = {
        {200000, false, false, 200}, {200001, false, false, 413}, {200000, true, false, 200},
        {200001, true, false, 413},  {200001, true, true, 200},
    };
    thread->snap->snapshot->limits.max_body = 200000;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct house h = {.origin = {.text = cases[i].early ? NULL : "ok",
                                     .reads = !cases[i].early,
                                     .head_ms = cases[i].early ? 0 : 99}};
        struct asker a = {
            .body = long_body, .body_len = cases[i].n, .unknown_length = cases[i].unknown};
        ask(&a, house_plan(&h, 1));
        quiet();
        assert_int_equal(a.status, cases[i].status);
        assert_int_equal(a.fails, cases[i].early); /* the limit holds after the head, too */
        if (cases[i].status == 413)
            assert_true(last.end == X_END_REJECTED && last.fault == FAULT_BODY_TOO_LARGE);
        if (cases[i].status == 413 && !cases[i].unknown)
            assert_true(h.origin.starts == 0 && a.sent == 0);
        house_balanced(&h);
    }
}

/* The answer is complete while the request's body still comes: finished, nothing hangs. */
static void early_answers(void **state) {
    (void)state;
    struct house h = {.origin = {.text = "enough", .reads = true}};
    struct asker a = {.body = "abc", .body_len = 3, .never_ends = true, .unknown_length = true};
    ask(&a, house_plan(&h, 2));
    quiet();
    assert_answer(&a, 200, "enough");
    assert_false(h.origin.read_all);
    house_balanced(&h);
}

/* ---- interim answers, refusals, time ---- */

static void interim(void **state) {
    (void)state;
    for (unsigned n = 1; n < 4; n++) {
        struct house h = {.origin = {.text = "x", .head_ms = 2, .interims = n}};
        struct asker a = {0};
        ask(&a, house_plan(&h, 2));
        quiet();
        assert_answer(&a, 200, "x");
        assert_int_equal(a.interims, 1); /* one at a time; a second before it has left is dropped */
        assert_true(a.links_only);
        for (int i = 0; i < 2; i++)
            assert_int_equal(h.policy[i].responses, 1); /* past the filters */
    }
    struct house h = {.origin = {.text = "x", .head_ms = 0, .interims = 1}};
    struct asker a = {0};
    h.policy[0].response = PAUSE;
    ask(&a, house_plan(&h, 1));
    quiet();
    assert_true(a.done && a.interims == 1); /* before the final head, which waits */
}

static void refusals(void **state) {
    (void)state;
    struct house h = {.origin = {.text = "ok"}};
    struct asker a = {.body = "abc", .body_len = 3, .with_head = 3};
    asker_begin(&a, house_plan(&h, 2));
    exchange_refuse(a.x, FAULT_BAD_CHUNK);
    quiet();
    assert_true(a.done && a.status == 400);
    assert_int_equal(last.end, X_END_REJECTED);
    assert_int_equal(h.policy[0].requests + h.origin.starts, 0);
    assert_int_equal(thread->counters.exchanges_rejected, 1);
    struct asker b = {0}; /* and leaving before it has started */
    asker_begin(&b, house_plan(&h, 2));
    asker_leaves(&b);
    quiet();
    assert_int_equal(last.end, X_END_ABORTED);
    house_balanced(&h);
}

static void the_deadline(void **state) {
    (void)state;
    static const struct {
        int head_ms, end_ms;
        enum act request, response;
        bool broken;
    } cases[] = {
        {NEVER, 0, PASS, PASS, false}, {200, 0, PASS, PASS, false}, {0, 0, FORGET, PASS, false},
        {0, 0, PASS, FORGET, false},   {10, 500, PASS, PASS, true},
    };
    struct route route = {.name = SPAN("r"), .request_timeout_ms = 100, .max_body = 100};
    for (size_t i = 0; i < array_len(cases); i++) {
        struct house h = {.origin = {.text = "late",
                                     .head_ms = cases[i].head_ms,
                                     .end_ms = cases[i].end_ms,
                                     .fails = FAULT_INTERNAL}};
        struct asker a = {0};
        if (!cases[i].end_ms)
            h.origin.fails = FAULT_NONE;
        /* FORGET here: a pause whose timer never fires. */
        h.policy[0].request = cases[i].request == FORGET ? PAUSE : PASS;
        h.policy[0].response = cases[i].response == FORGET ? PAUSE : PASS;
        asker_begin(&a, house_plan(&h, 1));
        struct exchange *x = a.x;
        exchange_start(x);
        if (cases[i].request == FORGET || cases[i].response == FORGET)
            timer_stop(&((struct policy_step *)(void *)x->step[0])->timer);
        x->route = &route; /* as routing would: */
        x->deadline_at = x->t.start + 100 * MS;
        timer_start(&thread->loop.timers, &x->deadline, clock_ns / MS, 100);
        assert_int_equal(exchange_time_left_ms(x, 1000), 100);
        assert_int_equal(exchange_time_left_ms(x, 7), 7);
        quiet();
        assert_int_equal(last.fault, FAULT_REQUEST_TIMEOUT);
        assert_int_equal(a.fails, cases[i].broken);
        assert_int_equal(a.status, cases[i].broken ? 200 : 504);
        assert_true(last.total_ns >= 100 * MS && last.total_ns <= 103 * MS);
        house_balanced(&h);
    }
}

static void forgets(void *arg) {
    struct house h = {.origin = {.text = "x"}};
    struct asker a = {0};
    (void)arg;
    h.policy[0].request = FORGET;
    ask(&a, house_plan(&h, 1));
}
static void forgets_on_the_way_back(void *arg) {
    struct house h = {.origin = {.text = "x"}};
    struct asker a = {0};
    (void)arg;
    h.policy[0].response = FORGET;
    ask(&a, house_plan(&h, 1));
}
static void resumes_a_stranger(void *arg) {
    struct house h = {.origin = {.text = "x", .head_ms = NEVER}};
    struct asker a = {0};
    (void)arg;
    ask(&a, house_plan(&h, 1));
    exchange_resume(a.x, NEXT);
}
static void starts_twice(void *arg) {
    struct house h = {.origin = {.text = "x", .head_ms = NEVER}};
    struct asker a = {0};
    (void)arg;
    ask(&a, house_plan(&h, 1));
    exchange_start(a.x);
}
static void pushes_after_the_end(void *arg) {
    struct house h = {.origin = {.text = "x", .head_ms = NEVER}};
    struct asker a = {0};
    (void)arg;
    ask(&a, house_plan(&h, 0));
    body_end(&a.x->down_half.source, NULL);
    if (!body_push_copy(&a.x->down_half.source, "x", 1))
        _exit(0);
}

static void broken_rules(void **state) {
    (void)state;
    assert_true(ends_process(forgets, NULL)); /* WAIT without an op of the step */
    assert_true(ends_process(forgets_on_the_way_back, NULL));
    assert_true(ends_process(resumes_a_stranger, NULL));
    assert_true(ends_process(starts_twice, NULL));
    assert_true(ends_process(pushes_after_the_end, NULL));
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(an_answer),
        T(filters_pass),
        T(a_filter_answers),
        T(a_filter_answers_instead),
        T(collecting),
        T(collecting_an_answer),
        T(failures),
        T(failing_in_every_state),
        T(leaving_before_every_dispatch),
        T(a_stage_fails),
        T(long_answers),
        T(long_requests),
        T(unwanted),
        T(too_large),
        T(early_answers),
        T(interim),
        T(refusals),
        T(the_deadline),
        T(broken_rules),
    };
    for (size_t i = 0; i < sizeof long_body - 1; i++)
        long_body[i] = (char)('a' + i % 26);
    return cmocka_run_group_tests_name("core/exchange", tests, NULL, NULL);
}
