/*
 * core/streams, and tunnels through the chain: what lasts is bound by silence and by its longest
 * duration, not by the deadline; each direction of a tunnel ends by itself.
 */
#include "actors.h"

enum { SECOND = 1000 };

/* ---- a service and a client of a tunnel, or of an answer that goes on ---- */

static struct {
    struct exchange *x; /* NULL: over */
    struct op op;
    const char *type;
    bool tunnel, refuses;
    unsigned heads, fails, collected;
    size_t up, down; /* bytes that arrived */
    bool up_ended;
} talk;

static void talk_gone(struct op *op) {
    (void)op;
}

static void talk_start(struct exchange *x) {
    op_start(&x->back_ops_list, &talk.op, talk_gone);
}
static void talk_answer(void) {
    struct exchange *x = talk.x;
    x->tunnel = talk.tunnel && !talk.refuses;
    x->resp.status = talk.refuses ? 403 : 200;
    x->down_half.length = -1;
    if (talk.type)
        hdr_add(&x->resp, HDR_CONTENT_TYPE, span_z(talk.type));
    exchange_respond(x);
    if (x->tunnel)
        body_want(x->up_half.sink);
}
static void talk_reads(struct exchange *x) {
    struct body *b = x->up_half.sink;
    talk.up += b->size;
    body_pop(b, b->size);
    talk.up_ended = body_done(b);
}
static const struct back_ops talk_ops = {"talk", talk_start, talk_reads, NULL};

/* As the doors do: a tunnel is over when both directions are. */
static void maybe_over(struct exchange *x) {
    struct body *up = x->up_half.sink;
    if (!x->head_told || !body_done(x->down_half.sink))
        return;
    if (!x->tunnel || up->stopped || body_done(up)) {
        talk.x = NULL;
        exchange_finish(x);
    }
}
static void client_head(struct exchange *x) {
    talk.heads++;
    body_want(x->down_half.sink);
}
static void client_readable(struct exchange *x) {
    struct body *b = x->down_half.sink;
    talk.down += b->size;
    body_pop(b, b->size);
    maybe_over(x);
}
static void client_room(struct exchange *x) {
    maybe_over(x);
}
static void client_failed(struct exchange *x) {
    (void)x;
    talk.fails++;
    talk.x = NULL;
}
static const struct front_ops client_ops = {"client",    client_head,   client_readable,
                                            client_room, client_failed, false};

static struct route route;

static void turns(void) {
    while (list_linked(&thread->loop.tasks) || list_linked(&thread->loop.outputs))
        dispatch();
    loop_drain(&thread->loop);
}
static void pass(uint64_t ms) {
    for (uint64_t end = clock_ns + ms * MS; clock_ns < end;) {
        clock_ns += MS;
        thread->loop.now = clock_ns;
        timers_turn(&thread->loop.timers, clock_ns / MS);
        for (struct timer *t; (t = timers_next_due(&thread->loop.timers));)
            if (t->at > clock_ns / MS)
                timer_start(&thread->loop.timers, t, t->at - 1, 0);
            else
                t->fire(t);
        turns();
    }
}

static const struct plan talk_plan = {.back = &talk_ops};

static void talk_begin(const struct plan *plan) {
    struct exchange *x = exchange_create(thread, &client_ops, NULL);
    assert_non_null(x);
    talk.x = x;
    x->plan = plan ? plan : &talk_plan;
    x->route = &route;
    x->req.method = talk.tunnel ? METHOD_CONNECT : METHOD_GET;
    x->req.method_text = talk.tunnel ? SPAN("CONNECT") : SPAN("GET");
    x->req.protocol = talk.tunnel ? SPAN("websocket") : SPAN_NONE;
    x->req.scheme = SPAN("http");
    x->req.authority = x->req.host = SPAN("a.example");
    x->req.path = x->req.target = SPAN("/");
    x->up_half.length = talk.tunnel ? -1 : 0;
    if (!talk.tunnel)
        body_end(&x->up_half.source, NULL);
    exchange_start(x);
    x->deadline_at = x->t.start + 10ull * SECOND * MS; /* as routing would */
    timer_start(&thread->loop.timers, &x->deadline, clock_ns / MS, 10 * SECOND);
    turns();
}
static void talk_on(const struct plan *plan) {
    talk_begin(plan);
    talk_answer();
    turns();
}

static void says(struct half *h, const char *text) {
    assert_true(body_push_copy(&h->source, text, strlen(text)));
    turns();
}
static void ends(struct half *h) {
    body_end(&h->source, NULL);
    turns();
}

static int begin(void **state) {
    (void)state;
    world_begin();
    memset(&talk, 0, sizeof talk);
    route = (struct route){.name = SPAN("r"), .max_body = 100, .idle_timeout_ms = 60 * SECOND};
    return 0;
}
static int finish(void **state) {
    (void)state;
    if (talk.x)
        exchange_abort(talk.x, FAULT_CLIENT_CLOSED);
    world_end();
    return 0;
}

/* ---- which answers last ---- */

static void which(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool tunnel, refuses, lasts;
    } cases[] = {
        {"text/event-stream", false, false, true},
        {"text/event-stream;charset=utf-8", false, false, true},
        {"Text/Event-Stream ; x", false, false, true},
        {"text/event-streams", false, false, false},
        {"text/event", false, false, false},
        {"application/json", false, false, false},
        {NULL, false, false, false},
        {NULL, true, false, true},
        {NULL, true, true, false},
        {"text/plain", true, true, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        memset(&talk, 0, sizeof talk);
        talk.type = cases[i].type;
        talk.tunnel = cases[i].tunnel;
        talk.refuses = cases[i].refuses;
        talk_on(NULL);
        assert_int_equal(talk.x->streams, cases[i].lasts);
        pass(9 * SECOND);
        assert_true(talk.x && talk.heads == 1);
        pass(2 * SECOND);
        assert_int_equal(talk.fails, !cases[i].lasts);
        if (cases[i].lasts)
            exchange_abort(talk.x, FAULT_CLIENT_CLOSED);
        else
            assert_int_equal(last.fault, FAULT_REQUEST_TIMEOUT);
        talk.x = NULL;
    }
}

/* Until the head the deadline holds, whatever is asked for. */
static void before_the_head(void **state) {
    (void)state;
    talk.tunnel = true;
    talk_begin(NULL);
    pass(11 * SECOND);
    assert_int_equal(last.fault, FAULT_REQUEST_TIMEOUT);
    assert_int_equal(last.status, 504);
}

/* ---- silence, and the end of time ---- */

static void silence(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        memset(&talk, 0, sizeof talk);
        talk.tunnel = true;
        talk_on(NULL);
        for (int i = 0; i < 5; i++) { /* a byte either way is enough */
            pass(59 * SECOND);
            assert_non_null(talk.x);
            says(way ? &talk.x->up_half : &talk.x->down_half, "x");
        }
        pass(59 * SECOND);
        assert_non_null(talk.x);
        pass(2 * SECOND);
        assert_null(talk.x);
        assert_int_equal(talk.fails, 1);
        assert_int_equal(last.fault, FAULT_STREAM_IDLE);
        assert_int_equal(talk.up + talk.down, 5);
    }
}

/* However lively it is. Without limits it goes on for ever. */
static void longest(void **state) {
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        route.max_duration_ms = limited ? 100 * SECOND : 0;
        route.idle_timeout_ms = limited ? 60 * SECOND : 0;
        memset(&talk, 0, sizeof talk);
        talk.type = "text/event-stream";
        talk_on(NULL);
        for (int i = 0; i < 33; i++) {
            pass(3 * SECOND);
            says(&talk.x->down_half, "data: x\n\n");
        }
        assert_non_null(talk.x);
        pass(2 * SECOND);
        assert_int_equal(talk.x == NULL, limited);
        if (limited) {
            assert_int_equal(last.fault, FAULT_MAX_DURATION);
            continue;
        }
        assert_false(timer_running(&talk.x->deadline));
        pass(1000 * SECOND);
        exchange_abort(talk.x, FAULT_CLIENT_CLOSED);
        talk.x = NULL;
    }
}

/* Bytes move no timer: it stays where it was started, and moves when it fires. */
static void timer_is_lazy(void **state) {
    (void)state;
    talk.tunnel = true;
    talk_on(NULL);
    uint64_t at = talk.x->deadline.at;
    for (int i = 0; i < 50; i++) {
        pass(SECOND);
        says(&talk.x->down_half, "x");
        assert_int_equal(talk.x->deadline.at, at);
    }
    pass(11 * SECOND);
    assert_int_equal(talk.x->deadline.at, at + 50 * SECOND);
}

/* ---- tunnels ---- */

/* max_body is for bodies. */
static void no_body_limit(void **state) {
    (void)state;
    char big[300];
    memset(big, 'x', sizeof big);
    talk.tunnel = true;
    talk_begin(NULL);
    talk.x->max_body = UINT64_MAX; /* as routing does */
    talk_answer();
    assert_true(body_push_copy(&talk.x->up_half.source, big, sizeof big));
    turns();
    assert_int_equal(talk.up, 300);
    assert_int_equal(talk.fails, 0);
}

static void each_direction_ends(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        memset(&talk, 0, sizeof talk);
        talk.tunnel = true;
        talk_on(NULL);
        struct half *one = first ? &talk.x->up_half : &talk.x->down_half;
        struct half *other = first ? &talk.x->down_half : &talk.x->up_half;
        says(one, "a");
        ends(one);
        assert_non_null(talk.x);
        assert_int_equal(talk.up_ended, first);
        says(other, "bc");
        says(other, "d");
        ends(other);
        assert_null(talk.x);
        assert_int_equal(last.end, X_END_COMPLETED);
        assert_int_equal(talk.up + talk.down, 4);
        assert_int_equal(last.request_body, first ? 1 : 3);
        assert_int_equal(last.response_body, first ? 3 : 1);
    }
}

/* The service breaks: whatever the other direction does, it is over. */
static void one_breaks(void **state) {
    (void)state;
    talk.tunnel = true;
    talk_on(NULL);
    ends(&talk.x->up_half);
    exchange_fail(talk.x, FAULT_UPSTREAM_RESET, NULL);
    assert_int_equal(talk.fails, 1);
    assert_int_equal(last.end, X_END_ABORTED);
}

/* ---- filters in tunnels ---- */

/* Stages of a filter that does not know tunnels are left out, where it is one; bodies to collect
 * count as empty; the filter's say comes before the service's. */
static void filters_in_tunnels(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++)
        for (int refuses = 0; refuses < 2; refuses++) {
            struct house h = {.origin = {.text = "unused"}};
            struct filter_ops knows = {POLICY_OPS, .tunnels = true};
            struct plan plan;
            h.filter[0].ops = kind ? &knows : &policy_ops;
            h.policy[0].louder_up = h.policy[0].louder_down = true;
            h.policy[1].request = COLLECT;
            h.policy[1].response = COLLECT_PAUSE;
            h.policy[2].request = PAUSE;
            plan = *house_plan(&h, 3);
            plan.back = &talk_ops;
            memset(&talk, 0, sizeof talk);
            talk.tunnel = true;
            talk.refuses = refuses;
            talk_begin(&plan);
            assert_int_equal(talk.x->state, X_REQUEST); /* the pause */
            pass(6);
            assert_int_equal(talk.x->state, X_BACK);
            assert_int_equal(h.policy[1].bodies, 1);
            assert_int_equal(talk.x->up_half.first != NULL, kind);
            talk_answer();
            if (refuses)
                body_end(&talk.x->down_half.source, NULL);
            pass(6);
            assert_int_equal(talk.heads, 1);
            assert_int_equal(h.policy[1].bodies, 2);
            if (!refuses) {
                assert_int_equal(talk.x->down_half.first != NULL, kind);
                says(&talk.x->up_half, "x");
                assert_int_equal(talk.up, 1);
                exchange_abort(talk.x, FAULT_CLIENT_CLOSED);
            }
            talk.x = NULL;
            house_balanced(&h);
        }
}

/* A filter puts its own answer in the place of an accepted tunnel: that is none. */
static void replaced(void **state) {
    (void)state;
    static struct answerer reply = {.text = "no", .status = 403};
    struct house h = {0};
    struct plan plan;
    h.policy[0].response = REPLY;
    h.policy[0].reply = &reply;
    plan = *house_plan(&h, 1);
    plan.back = &talk_ops;
    talk.tunnel = true;
    talk_begin(&plan);
    talk_answer();
    assert_false(talk.x->tunnel || talk.x->streams);
    turns();
    assert_int_equal(last.status, 403);
    assert_int_equal(talk.down, 2);
    assert_null(talk.x);
}

/* CONNECT without a protocol asks for a forward proxy. */
static void plain_connect(void **state) {
    (void)state;
    struct house h = {.origin = {.text = "never"}};
    struct asker a = {0};
    asker_begin(&a, house_plan(&h, 1));
    a.x->req.method = METHOD_CONNECT;
    a.x->req.method_text = SPAN("CONNECT");
    exchange_start(a.x);
    quiet();
    assert_int_equal(a.status, 405);
    assert_int_equal(h.origin.starts + h.policy[0].requests, 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(which),
        T(before_the_head),
        T(silence),
        T(longest),
        T(timer_is_lazy),
        T(no_body_limit),
        T(each_direction_ends),
        T(one_breaks),
        T(filters_in_tunnels),
        T(replaced),
        T(plain_connect),
    };
    return cmocka_run_group_tests_name("core/streams", tests, NULL, NULL);
}
