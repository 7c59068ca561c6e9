/*
 * core/call: the gateway's own requests. Every outcome, what goes along, and a client that leaves
 * before each dispatch while a filter of its exchange waits for a call.
 */
#include "actors.h"
#include "core/call.h"
#include "core/forward.h"

static struct service_conf service = {.name = {"id", 2}};
static struct answerer origin;
static struct outbound to;

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    return 0;
}

static int finish(void **state) {
    (void)state;
    uint64_t over = thread->counters.calls_answered + thread->counters.calls_failed +
                    thread->counters.calls_cancelled;
    assert_int_equal(thread->counters.calls_started, over);
    assert_int_equal(origin.live, 0);
    world_end();
    return 0;
}

static void aim(struct answerer as) {
    origin = as;
    to = (struct outbound){.host = SPAN("id.test"),
                           .path = SPAN("/keys?v=1"),
                           .service = &service,
                           .plan = {.back = &origin_ops, .back_conf = &origin}};
}

struct asked { /* what a call came to */
    struct list ops;
    struct call *call;
    unsigned told;
    bool inside; /* call_start has not returned yet */
    uint64_t at; /* ns */
    enum fault fault;
    int status;
    char body[256];
    size_t len;
};

static void told(void *ctx, const struct call_answer *answer) {
    struct asked *a = ctx;
    assert_false(a->inside);
    assert_false(list_linked(&a->ops));
    assert_int_equal(answer->head != NULL, !answer->fault);
    a->told++;
    a->at = clock_ns;
    a->call = NULL;
    a->fault = answer->fault;
    a->status = answer->head ? answer->head->status : 0;
    a->len = answer->body.n;
    if (a->len)
        memcpy(a->body, answer->body.p, a->len < sizeof a->body ? a->len : sizeof a->body);
}

static void start(struct asked *a, struct call_ask ask) {
    list_init(&a->ops);
    ask.to = &to;
    a->inside = true;
    a->call = call_start(thread, &a->ops, &ask, told, a);
    a->inside = false;
}

static void outcomes(void **state) {
    (void)state;
    static const struct {
        struct answerer origin;
        uint64_t timeout_ms;
        size_t max;
        enum fault fault;
        int status;
        size_t len;
        const char *method;
    } rows[] = {
        {{.text = "hello"}, 0, 100, FAULT_NONE, 200, 5, "GET"},
        {{.text = "hello", .head_ms = 3, .status = 404}, 0, 5, FAULT_NONE, 404, 5, "GET"},
        {{.text = "", .unknown_length = true}, 0, 0, FAULT_NONE, 200, 0, "GET"},
        {{.text = "hello", .interims = 2}, 0, 5, FAULT_NONE, 200, 5, "GET"},
        {{.size = 200000}, 0, 200000, FAULT_NONE, 200, 200000, "GET"},
        {{.size = 200000}, 0, 199999, FAULT_UPSTREAM_TOO_LARGE, 0, 0, "GET"},
        {{.size = 200000, .unknown_length = true},
         0,
         199999,
         FAULT_UPSTREAM_TOO_LARGE,
         0,
         0,
         "GET"},
        {{.text = "hello", .head_ms = NEVER}, 0, 5, FAULT_UPSTREAM_TIMEOUT, 0, 0, "GET"},
        {{.text = "hello", .head_ms = 30}, 20, 5, FAULT_UPSTREAM_TIMEOUT, 0, 0, "GET"},
        {{.text = "hello", .end_ms = 30}, 20, 5, FAULT_UPSTREAM_TIMEOUT, 0, 0, "GET"},
        {{.text = "x", .fails = FAULT_CONNECT_FAILED}, 0, 5, FAULT_CONNECT_FAILED, 0, 0, "GET"},
        {{.text = "x", .fails = FAULT_UPSTREAM_RESET, .end_ms = 5},
         0,
         5,
         FAULT_UPSTREAM_RESET,
         0,
         0,
         "GET"},
        {{.text = "x"}, 0, 5, FAULT_METHOD_REFUSED, 0, 0, "CONNECT"},
        {{.text = "x"}, 0, 5, FAULT_BAD_METHOD, 0, 0, "get"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct asked a = {0};
        uint64_t from = clock_ns;
        aim(rows[i].origin);
        start(&a, (struct call_ask){.method = span_z(rows[i].method),
                                    .timeout_ms = rows[i].timeout_ms,
                                    .max_body = rows[i].max});
        assert_non_null(a.call);
        quiet();
        if (a.told != 1 || a.fault != rows[i].fault || a.status != rows[i].status ||
            a.len != rows[i].len)
            fail_msg("row %zu: told %u, %s, %d, %zu bytes", i, a.told, fault_table[a.fault].code,
                     a.status, a.len);
        uint64_t limit = rows[i].timeout_ms ? rows[i].timeout_ms : 5000;
        uint64_t took = (a.at - from) / MS; /* the wheel turns in milliseconds */
        if (rows[i].fault == FAULT_UPSTREAM_TIMEOUT)
            assert_in_range(took, limit, limit + 1);
        for (size_t k = 0; k < a.len && k < sizeof a.body; k++)
            assert_int_equal(a.body[k], origin_byte(&origin, k));
    }
    assert_int_equal(thread->counters.exchanges_accepted, 0);
}

/* What the service sees of it. */
static struct head shown;
static struct arena shown_arena;
static struct span shown_id;
static char shown_id_text[64];
static int64_t shown_length;

static void look(struct exchange *x) {
    struct field f[FORWARD_FIELDS_MAX];
    size_t n = forward_fields(x, f, FORWARD_FIELDS_MAX);
    arena_init(&shown_arena, NULL);
    head_init(&shown, &shown_arena);
    shown.method = x->req.method;
    shown.path = arena_span(&shown_arena, x->req.path);
    shown.query = arena_span(&shown_arena, x->req.query);
    shown.authority = arena_span(&shown_arena, x->req.authority);
    shown_length = x->up_half.length;
    for (size_t i = 0; i < x->req.count; i++)
        assert_int_equal(hdr_put(&shown, arena_span(&shown_arena, field_name(&x->req.field[i])),
                                 arena_span(&shown_arena, field_value(&x->req.field[i])),
                                 ORIGIN_GATEWAY),
                         FAULT_NONE);
    for (size_t i = 0; i < n; i++) {
        char *name = arena_text(&shown_arena, field_name(&f[i]));
        for (char *c = name; *c; c++)
            *c = lower(*c);
        assert_int_equal(hdr_put(&shown, span_z(name), arena_span(&shown_arena, field_value(&f[i])),
                                 ORIGIN_GATEWAY),
                         FAULT_NONE);
    }
    memcpy(shown_id_text, x->facts.request_id, x->facts.request_id_len);
    shown_id = span_of(shown_id_text, x->facts.request_id_len);
    origin_start(x);
}
static const struct back_ops looking = {"look", look, origin_readable, origin_room};

#define assert_field(name, text)                                                                   \
    do {                                                                                           \
        if (!span_eq(hdr_find(&shown, SPAN(name)), SPAN(text)))                                    \
            fail_msg(name " is \"%.*s\"", SPAN_ARG(hdr_find(&shown, SPAN(name))));                 \
    } while (0)

static void a_request(void **state) {
    (void)state;
    struct own_field second = {.name = SPAN("authorization"), .value = SPAN("Basic eDp5")};
    struct own_field first = {
        .name = SPAN("x-forwarded-uri"), .value = SPAN("/a"), .next = &second};
    struct asked a = {0};
    aim((struct answerer){.size = 0}); /* echo */
    to.plan.back = &looking;
    start(&a,
          (struct call_ask){
              .method = SPAN("POST"), .field = &first, .body = SPAN("token=abc"), .max_body = 100});
    quiet();
    assert_int_equal(a.told, 1);
    assert_int_equal(a.fault, FAULT_NONE);
    assert_int_equal(a.len, 9);
    assert_memory_equal(a.body, "token=abc", 9);
    assert_int_equal(shown.method, METHOD_POST);
    assert_int_equal(shown_length, 9);
    assert_true(span_eq(shown.path, SPAN("/keys")) && span_eq(shown.query, SPAN("v=1")));
    assert_true(span_eq(shown.authority, SPAN("id.test")));
    assert_field("x-forwarded-uri", "/a");
    assert_field("authorization", "Basic eDp5");
    assert_field("via", "1.1 sluice");
    assert_null(hdr_find(&shown, SPAN("x-forwarded-for")).p);
    assert_null(hdr_find(&shown, SPAN("forwarded")).p);
    assert_true(shown_id.n > 0);
    assert_true(span_eq(hdr_find(&shown, SPAN("x-request-id")), shown_id));
    arena_finish(&shown_arena);
}

/* A field that no hop may see, a body that is no form: nothing is asked. */
static void refused(void **state) {
    (void)state;
    static char large[CALL_REQUEST_MAX + 1];
    static const struct own_field rows[] = {
        {.name = {"x-a", 3}, .value = {"a\r\nb", 4}},
        {.name = {"X-A", 3}, .value = {"a", 1}},
        {.name = {"content-length", 14}, .value = {"1", 1}},
        {.name = {"connection", 10}, .value = {"close", 5}},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct asked a = {0};
        aim((struct answerer){.text = "x"});
        start(&a, (struct call_ask){.field = &rows[i], .max_body = 9});
        quiet();
        assert_int_equal(a.told, 1);
        assert_int_equal(a.fault, FAULT_HEADER_REFUSED);
        assert_int_equal(origin.starts, 0);
    }
    struct asked a = {0};
    aim((struct answerer){.text = "x"});
    start(&a, (struct call_ask){.body = span_of(large, sizeof large), .max_body = 9});
    assert_null(a.call);
    struct snapshot *other = snapshot_create(); /* of another thread, or not published yet */
    start(&a, (struct call_ask){.snapshot = other, .max_body = 9});
    assert_null(a.call);
    snapshot_unref_atomic(other);
    quiet();
    assert_int_equal(a.told, 0);
}

static void cancelled(void **state) {
    (void)state;
    static const struct answerer rows[] = {
        {.text = "hello", .head_ms = 3},
        {.size = 200000, .head_ms = 1},
        {.text = "x", .fails = FAULT_CONNECT_FAILED},
    };
    for (size_t i = 0; i < array_len(rows); i++)
        for (unsigned after = 0;; after++) {
            struct asked a = {0};
            aim(rows[i]);
            start(&a, (struct call_ask){.max_body = 1000000});
            unsigned n = 0;
            while (n < after && a.call && dispatch())
                n++;
            bool over = !a.call;
            if (a.call)
                call_cancel(a.call);
            quiet();
            assert_int_equal(a.told, over);
            assert_int_equal(origin.live, 0);
            if (over)
                break;
        }
}

/* ---- a filter that asks ---- */

struct asking_step {
    struct step step;
    unsigned told;
};

static uint64_t answers;
static enum fault last_answer;

static void asking_done(void *ctx, const struct call_answer *answer) {
    struct asking_step *s = ctx;
    assert_int_equal(++s->told, 1);
    answers++;
    last_answer = answer->fault;
    if (answer->fault)
        exchange_resume(s->step.x,
                        exchange_answer(s->step.x, FAULT_AUTH_UNAVAILABLE, answer->detail));
    else
        exchange_resume(s->step.x, NEXT);
}

static enum verdict asking_request(struct step *st) {
    struct asking_step *s = container_of(st, struct asking_step, step);
    const struct call_ask ask = {.to = &to, .max_body = 100, .timeout_ms = 50, .parent = st->x};
    return call_start(thread, &st->ops, &ask, asking_done, s)
               ? WAIT
               : exchange_answer(st->x, FAULT_OUT_OF_MEMORY, NULL);
}
static const struct filter_ops asking_ops = {.name = "asking",
                                             .phase = PHASE_IDENTIFY,
                                             .step_size = sizeof(struct asking_step),
                                             .request = asking_request};
static const struct filter asking = {.ops = &asking_ops};
static struct answerer shop;
static const struct plan asking_plan = {.filter = &asking,
                                        .count = 1,
                                        .steps_size = sizeof(struct asking_step),
                                        .back = &origin_ops,
                                        .back_conf = &shop};

static struct asker client;
static uint64_t leave_at;
static void leave(void) {
    if (dispatches == leave_at)
        asker_leaves(&client);
}

static void beside_a_client(void **state) {
    (void)state;
    static const struct {
        struct answerer id;
        int status;
        enum fault fault;
    } rows[] = {
        {{.text = "yes", .head_ms = 2}, 200, FAULT_NONE},
        {{.text = "yes"}, 200, FAULT_NONE},
        {{.text = "yes", .head_ms = NEVER}, 503, FAULT_UPSTREAM_TIMEOUT},
        {{.text = "x", .fails = FAULT_CONNECT_FAILED}, 503, FAULT_CONNECT_FAILED},
        {{.size = 101}, 503, FAULT_UPSTREAM_TOO_LARGE},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        leave_at = UINT64_MAX;
        for (uint64_t n = 0;;
             n++) { /* the client leaves before dispatch n; the first time it stays */
            aim(rows[i].id);
            shop = (struct answerer){.text = "goods"};
            client = (struct asker){0};
            answers = 0;
            dispatches = 0;
            leave_at = n ? n : UINT64_MAX;
            step_in = leave;
            ask(&client, &asking_plan);
            quiet();
            step_in = NULL;
            assert_int_equal(origin.live + shop.live, 0);
            if (n == 0) {
                assert_true(client.done);
                assert_int_equal(client.status, rows[i].status);
                assert_int_equal(last_answer, rows[i].fault);
                assert_int_equal(answers, 1);
            } else if (dispatches < n) {
                break;
            }
        }
    }
    uint64_t calls = thread->counters.calls_started;
    assert_int_equal(thread->counters.exchanges_accepted, calls); /* one each, and apart */
    assert_true(thread->counters.calls_cancelled > 0);
}

/* Its deadline is what is left of the parent's. */
static void a_deadline(void **state) {
    (void)state;
    struct asked a = {0};
    struct asker parent = {0};
    aim((struct answerer){.text = "x", .head_ms = NEVER});
    shop = (struct answerer){.text = "goods", .head_ms = 500};
    static const struct plan plan = {.back = &origin_ops, .back_conf = &shop};
    asker_begin(&parent, &plan);
    assert_int_equal(hdr_put(&parent.x->req, SPAN("traceparent"), SPAN("00-1-2-01"), ORIGIN_CLIENT),
                     FAULT_NONE);
    assert_int_equal(hdr_put(&parent.x->req, SPAN("via"), SPAN("1.0 other"), ORIGIN_CLIENT),
                     FAULT_NONE);
    exchange_start(parent.x);
    parent.x->deadline_at = clock_ns + 30 * (uint64_t)MS;
    uint64_t from = clock_ns;
    to.plan.back = &looking;
    start(&a, (struct call_ask){.parent = parent.x, .max_body = 9});
    assert_true(
        span_eq(shown_id, span_of(parent.x->facts.request_id, parent.x->facts.request_id_len)));
    assert_field("traceparent", "00-1-2-01");
    size_t at = 0;
    assert_true(span_eq(field_value(hdr_next(&shown, SPAN("via"), &at)), SPAN("1.0 other")));
    assert_true(span_eq(field_value(hdr_next(&shown, SPAN("via"), &at)), SPAN("1.1 sluice")));
    arena_finish(&shown_arena);
    while (!a.told && dispatch())
        ;
    assert_int_equal(a.fault, FAULT_UPSTREAM_TIMEOUT);
    assert_in_range((a.at - from) / MS, 30, 31);
    quiet();
}

/* ---- calls that call ---- */

static unsigned deepest;
static struct asked nested[CALL_LEVELS + 2];

static void call_again(struct exchange *x) {
    struct asked *a = &nested[++deepest];
    assert_true(deepest <= CALL_LEVELS);
    list_init(&a->ops);
    start(a, (struct call_ask){.parent = x, .max_body = 9});
    exchange_fail(x, FAULT_UPSTREAM_CLOSED, NULL);
}
static const struct back_ops calling_back = {"again", call_again, NULL, NULL};

static void levels(void **state) {
    (void)state;
    aim((struct answerer){.text = "x"});
    to.plan.back = &calling_back;
    deepest = 0;
    memset(nested, 0, sizeof nested);
    start(&nested[0], (struct call_ask){.max_body = 9});
    quiet();
    assert_int_equal(deepest, CALL_LEVELS);
    for (unsigned i = 0; i < CALL_LEVELS; i++)
        assert_int_equal(nested[i].fault, FAULT_UPSTREAM_CLOSED);
    assert_int_equal(nested[CALL_LEVELS].fault, FAULT_LOOP_DETECTED);
}

static unsigned allocs, fail_alloc;
static void *failing(size_t n) {
    return ++allocs == fail_alloc ? NULL : mem_counted(n);
}

/* Each allocation fails in turn: told or not begun, and nothing is left. */
static void no_memory(void **state) {
    (void)state;
    struct asked warm = {0};
    aim((struct answerer){.size = 100000});
    start(&warm, (struct call_ask){.body = SPAN("abc"), .max_body = 100000});
    quiet();
    for (fail_alloc = 1;; fail_alloc++) {
        struct asked a = {0};
        aim((struct answerer){.size = 100000});
        allocs = 0;
        env.alloc = failing;
        start(&a, (struct call_ask){.body = SPAN("abc"), .max_body = 100000});
        bool started = a.call != NULL;
        quiet();
        env.alloc = mem_counted;
        assert_int_equal(a.told, started);
        if (allocs < fail_alloc) {
            assert_int_equal(a.fault, FAULT_NONE);
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outcomes, begin, finish),
        cmocka_unit_test_setup_teardown(a_request, begin, finish),
        cmocka_unit_test_setup_teardown(refused, begin, finish),
        cmocka_unit_test_setup_teardown(cancelled, begin, finish),
        cmocka_unit_test_setup_teardown(beside_a_client, begin, finish),
        cmocka_unit_test_setup_teardown(a_deadline, begin, finish),
        cmocka_unit_test_setup_teardown(levels, begin, finish),
        cmocka_unit_test_setup_teardown(no_memory, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
