/*
 * actors - a front, a back and a filter that do as they are told, around a real thread with a
 * virtual clock; and a stage manager who lets things happen one by one, and can step in before any
 * of them. All counts must balance when a play is over.
 */
#pragma once
#include "world.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no play needs all of them */

enum { FILTERS = 4 };

/* ---- one thing after the other ---- */

static void (*step_in)(void); /* called before every dispatch; may abort somebody */
static uint64_t dispatches;

/* A task, or an output, or the end of the drain, or the next timer. False: all is quiet. */
static bool dispatch(void) {
    struct loop *l = &thread->loop;
    if (list_linked(&l->tasks) || list_linked(&l->outputs)) {
        dispatches++;
        if (step_in)
            step_in();
        struct list *n = list_shift(&l->tasks);
        if (n) {
            struct task *t = container_of(n, struct task, node);
            t->run(t);
        } else if ((n = list_shift(&l->outputs))) {
            struct output *o = container_of(n, struct output, node);
            o->flush(o);
        }
        return true;
    }
    loop_drain(l); /* settles, poisons the scratch, frees what has ended */
    int64_t wait = timers_wait(&l->timers, clock_ns / MS, -1);
    if (wait < 0)
        return false;
    clock_ns += (uint64_t)wait * MS;
    l->now = clock_ns;
    timers_turn(&l->timers, clock_ns / MS);
    for (struct timer *t; (t = timers_next_due(&l->timers));) {
        if (t->at > clock_ns / MS)
            timer_start(&l->timers, t, t->at - 1, 0);
        else
            t->fire(t);
    }
    return true;
}

static void quiet(void) {
    for (unsigned i = 0; dispatch(); i++)
        assert_true(i < 2000000); /* a play that never ends */
}

/* ---- the front: somebody who asks ---- */

struct asker {
    struct exchange *x;
    struct output output;
    const char *body; /* of the request; what fits goes with the head, the rest as there is room */
    size_t body_len, sent, with_head;
    size_t sip; /* takes at most so many bytes at a time; 0: all */
    bool unknown_length, never_ends;
    /* what came of it */
    int status;
    unsigned heads, interims, rooms, fails;
    bool done, links_only;
    char got[512];
    size_t got_len;
    uint64_t total; /* of the answer's body */
    bool trailers;
};

/* Lent from the scratch, as a door does it: so whoever keeps the bytes must keep the slice. */
static void asker_send(struct asker *a, size_t room) {
    struct body *b = &a->x->up_half.source;
    struct loop *l = &thread->loop;
    size_t n = a->body_len - a->sent;
    n = n < room ? n : room;
    n = n < SCRATCH_MAX - l->scratch_used ? n : SCRATCH_MAX - l->scratch_used;
    if (n) {
        memcpy(l->scratch + l->scratch_used, a->body + a->sent, n);
        assert_true(body_push_lent(b, l->scratch + l->scratch_used, n));
        l->scratch_used += n;
        a->sent += n;
    }
    if (a->sent == a->body_len && !a->never_ends)
        body_end(b, NULL);
}

static void asker_head(struct exchange *x) {
    struct asker *a = x->front_data;
    if (x->interim) {
        a->interims++;
        a->links_only = x->interim->count == 1 && x->interim->field[0].id == HDR_LINK;
        return;
    }
    assert_int_equal(a->heads++, 0); /* one final head */
    a->status = x->resp.status;
    body_want(x->down_half.sink);
    loop_output(&thread->loop, &a->output);
}
static void asker_readable(struct exchange *x) {
    struct asker *a = x->front_data;
    assert_int_equal(a->heads, 1);
    loop_output(&thread->loop, &a->output);
}
static void asker_room(struct exchange *x) {
    struct asker *a = x->front_data;
    size_t room = body_read_size(&x->up_half.source);
    a->rooms++;
    if (room && !x->up_half.source.stopped)
        asker_send(a, room);
}
static void asker_failed(struct exchange *x) {
    struct asker *a = x->front_data;
    assert_int_equal(a->heads, 1); /* before the head an error answer is made instead */
    a->fails++;
    a->x = NULL;
}
static const struct front_ops asker_ops = {"asker",    asker_head,   asker_readable,
                                           asker_room, asker_failed, false};

static void asker_take(struct output *o) {
    struct asker *a = container_of(o, struct asker, output);
    if (!a->x)
        return;
    struct body *b = a->x->down_half.sink;
    struct iovec iov[3];
    int n = body_get(b, iov, 3, a->sip ? a->sip : SIZE_MAX);
    size_t took = 0;
    for (int i = 0; i < n; took += iov[i++].iov_len) {
        size_t room = sizeof a->got - a->got_len;
        room = iov[i].iov_len < room ? iov[i].iov_len : room;
        memcpy(a->got + a->got_len, iov[i].iov_base, room);
        a->got_len += room;
    }
    body_pop(b, took);
    body_pace(b, !a->sip);
    a->total += took;
    if (body_done(b)) {
        struct exchange *x = a->x;
        a->trailers = b->trailers != NULL;
        a->x = NULL;
        a->done = true;
        exchange_finish(x);
    } else if (b->size) {
        loop_output(&thread->loop, o);
    }
}

static void asker_begin(struct asker *a, const struct plan *plan) {
    a->output.flush = asker_take;
    a->x = exchange_create(thread, &asker_ops, a);
    assert_non_null(a->x);
    struct exchange *x = a->x;
    x->plan = plan;
    x->req.method = a->body_len ? METHOD_POST : METHOD_GET;
    x->req.method_text = a->body_len ? SPAN("POST") : SPAN("GET");
    x->req.scheme = SPAN("http");
    x->req.authority = x->req.host = SPAN("a.example");
    x->req.path = x->req.target = SPAN("/");
    x->up_half.length = a->unknown_length ? -1 : (int64_t)a->body_len;
    asker_send(a, a->with_head);
}
static void ask(struct asker *a, const struct plan *plan) {
    asker_begin(a, plan);
    exchange_start(a->x);
}
static void asker_leaves(struct asker *a) {
    struct exchange *x = a->x;
    a->x = NULL;
    if (x)
        exchange_abort(x, FAULT_CLIENT_CLOSED);
}

#define assert_answer(a, code, text)                                                               \
    do {                                                                                           \
        assert_true((a)->done && !(a)->fails);                                                     \
        assert_int_equal((a)->status, (code));                                                     \
        assert_int_equal((a)->got_len, strlen(text));                                              \
        assert_memory_equal((a)->got, (text), strlen(text));                                       \
    } while (0)

/* ---- the back: somebody who answers ---- */

enum { NEVER = -1 };
struct answerer {
    const char *text; /* of the answer; NULL: sends the request's body back */
    size_t size;      /* of the answer, when it is only long */
    int status;
    int head_ms, end_ms; /* after the start, the head; NEVER */
    enum fault fails;    /* at head_ms, or at end_ms if that is not 0 */
    bool reads;          /* the request's body, and counts it */
    bool unknown_length, trailers;
    unsigned interims; /* before the head */
    /* what came of it */
    unsigned starts, cancels, rooms, live;
    uint64_t read;
    bool read_all;
};
struct origin_run {
    struct op op;
    struct timer timer;
    struct exchange *x;
    const struct answerer *conf;
    size_t sent;
    bool headed;
};

static struct answerer *origin_of(struct origin_run *r) {
    return (struct answerer *)(uintptr_t)r->conf;
}

static void origin_cancel(struct op *op) {
    struct origin_run *r = container_of(op, struct origin_run, op);
    timer_stop(&r->timer);
    origin_of(r)->cancels++;
    origin_of(r)->live--;
}
static void origin_over(struct origin_run *r) {
    op_end(&r->op);
    timer_stop(&r->timer);
    origin_of(r)->live--;
}

static unsigned char origin_byte(const struct answerer *o, size_t at) {
    return (unsigned char)(o->text ? o->text[at] : (char)('a' + (int)(at % 23)));
}

static void origin_send(struct origin_run *r) {
    struct body *b = &r->x->down_half.source;
    struct loop *l = &thread->loop;
    size_t all = r->conf->text ? strlen(r->conf->text) : r->conf->size, n;
    while (r->sent < all && (n = body_read_size(b)) > 0) {
        n = n < all - r->sent ? n : all - r->sent;
        n = n < 16384 ? n : 16384;
        if (SCRATCH_MAX - l->scratch_used < n) { /* as a connection does: on in the next turn */
            timer_start(&l->timers, &r->timer, clock_ns / MS, 0);
            return;
        }
        unsigned char *p = l->scratch + l->scratch_used;
        for (size_t i = 0; i < n; i++)
            p[i] = origin_byte(r->conf, r->sent + i);
        l->scratch_used += n;
        r->sent += n;
        assert_true(body_push_lent(b, p, n));
    }
    if (r->sent < all || r->conf->end_ms)
        return;
    struct head *t = NULL;
    if (r->conf->trailers) {
        t = arena_alloc(&r->x->arena, sizeof *t);
        head_init(t, &r->x->arena);
    }
    body_end(b, t);
    origin_over(r);
}

static void origin_echo(struct origin_run *r) {
    struct body *in = r->x->up_half.sink, *out = &r->x->down_half.source;
    struct iovec iov;
    while (body_read_size(out) && body_get(in, &iov, 1, body_read_size(out)) == 1) {
        assert_true(body_push_copy(out, iov.iov_base, iov.iov_len));
        body_pop(in, iov.iov_len);
    }
    if (body_done(in) && !out->ended) {
        body_end(out, in->trailers);
        origin_over(r);
    }
}

static void origin_go(struct timer *t) {
    struct origin_run *r = container_of(t, struct origin_run, timer);
    const struct answerer *o = r->conf;
    struct exchange *x = r->x;
    if (r->headed && !o->end_ms) { /* goes on */
        origin_send(r);
        return;
    }
    if (o->fails && (r->headed || !o->end_ms)) {
        origin_over(r);
        exchange_fail(x, o->fails, NULL);
        return;
    }
    r->headed = true;
    if (o->end_ms)
        timer_start(&thread->loop.timers, &r->timer, clock_ns / MS, (uint64_t)o->end_ms);
    x->resp.status = o->status ? o->status : 200;
    x->down_half.length = o->unknown_length || !(o->text || o->size) ? -1
                          : o->text                                  ? (int64_t)strlen(o->text)
                                                                     : (int64_t)o->size;
    exchange_respond(x);
    if (!op_pending(&r->op))
        return; /* a filter has answered instead */
    if (o->text || o->size)
        origin_send(r);
    else
        body_want(x->up_half.sink), origin_echo(r);
}

static void origin_interims(struct exchange *x, unsigned n) {
    while (n--) {
        struct head *h = arena_alloc(&x->arena, sizeof *h);
        head_init(h, &x->arena);
        h->status = 103;
        assert_int_equal(hdr_put(h, SPAN("x-secret"), SPAN("1"), ORIGIN_UPSTREAM), FAULT_NONE);
        assert_int_equal(hdr_put(h, SPAN("link"), SPAN("</a.css>"), ORIGIN_UPSTREAM), FAULT_NONE);
        assert_int_equal(hdr_put(h, SPAN("server"), SPAN("x"), ORIGIN_UPSTREAM), FAULT_NONE);
        exchange_interim(x, h);
    }
}

static void origin_start(struct exchange *x) {
    struct origin_run *r = arena_zero(&x->arena, sizeof *r);
    *r = (struct origin_run){.x = x, .conf = x->back_conf, .timer.fire = origin_go};
    x->back_data = r;
    origin_of(r)->starts++;
    origin_of(r)->live++;
    op_start(&x->back_ops_list, &r->op, origin_cancel);
    origin_interims(x, r->conf->interims);
    if (r->conf->reads)
        body_want(x->up_half.sink);
    if (r->conf->head_ms == 0)
        origin_go(&r->timer);
    else if (r->conf->head_ms > 0)
        timer_start(&thread->loop.timers, &r->timer, clock_ns / MS, (uint64_t)r->conf->head_ms);
}
static void origin_readable(struct exchange *x) {
    struct origin_run *r = x->back_data;
    struct body *b = x->up_half.sink;
    assert_true(b->wanted);
    if (op_pending(&r->op) && r->headed && !r->conf->text && !r->conf->size) {
        origin_echo(r);
    } else if (r->conf->reads) {
        origin_of(r)->read += b->size;
        body_pop(b, b->size);
        origin_of(r)->read_all |= body_done(b);
    }
}
static void origin_room(struct exchange *x) {
    struct origin_run *r = x->back_data;
    origin_of(r)->rooms++;
    if (!op_pending(&r->op) || !r->headed)
        return;
    if (r->conf->text || r->conf->size)
        origin_send(r);
    else
        origin_echo(r);
}
static const struct back_ops origin_ops = {"origin", origin_start, origin_readable, origin_room};

/* ---- the filter ---- */

enum act { PASS, PAUSE, PAUSE_ANSWER, COLLECT, COLLECT_PAUSE, REPLY, DENY, FORGET };
struct policy {
    enum act request, response;
    enum act request_body, response_body; /* after COLLECT */
    size_t collect;
    bool louder_up, louder_down; /* adds a stage */
    int stage_fails_at;          /* bytes after which the stage fails the exchange; 0: never */
    struct answerer *reply;
    /* what came of it */
    unsigned requests, responses, dones, cancels, bodies, live;
    size_t collected;
};
struct policy_step {
    struct step step;
    struct op op;
    struct timer timer;
    enum verdict then;
    struct stage up, down;
    size_t moved;
};

static struct policy *policy_of(struct step *s) {
    return (struct policy *)(uintptr_t)s->filter->conf;
}

static void policy_cancel(struct op *op) {
    struct policy_step *s = container_of(op, struct policy_step, op);
    timer_stop(&s->timer);
    policy_of(&s->step)->cancels++;
    policy_of(&s->step)->live--;
}
static void policy_reply(struct step *s) {
    exchange_back(s->x, &origin_ops, policy_of(s)->reply);
}
static void policy_resume(struct timer *t) {
    struct policy_step *s = container_of(t, struct policy_step, timer);
    op_end(&s->op);
    policy_of(&s->step)->live--;
    if (s->then == ANSWER)
        policy_reply(&s->step);
    exchange_resume(s->step.x, s->then);
}

static enum verdict policy_do(struct step *st, enum act a) {
    struct policy_step *s = container_of(st, struct policy_step, step);
    switch (a) {
    case PASS:
        return NEXT;
    case PAUSE:
    case PAUSE_ANSWER:
    case COLLECT_PAUSE:
        s->then = a == PAUSE ? NEXT : a == PAUSE_ANSWER ? ANSWER : WAIT_BODY;
        s->timer.fire = policy_resume;
        op_start(&st->ops, &s->op, policy_cancel);
        policy_of(st)->live++;
        timer_start(&thread->loop.timers, &s->timer, clock_ns / MS, 5);
        st->x->collect_max = policy_of(st)->collect;
        return WAIT;
    case COLLECT:
        st->x->collect_max = policy_of(st)->collect;
        return WAIT_BODY;
    case REPLY:
        policy_reply(st);
        return ANSWER;
    case DENY:
        return exchange_answer(st->x, FAULT_HEADER_REFUSED, "denied");
    case FORGET: /* waits for nothing */
        return WAIT;
    }
    return NEXT;
}

static void louder(struct step *st, struct body *in, struct body *out) {
    struct policy_step *s = container_of(st, struct policy_step, step);
    struct iovec iov;
    char text[100];
    size_t room;
    while ((room = body_room(out)) > 0 &&
           body_get(in, &iov, 1, room < sizeof text ? room : sizeof text) == 1) {
        for (size_t i = 0; i < iov.iov_len; i++) {
            char c = ((const char *)iov.iov_base)[i];
            text[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        assert_true(body_push_copy(out, text, iov.iov_len));
        body_pop(in, iov.iov_len);
        s->moved += iov.iov_len;
        int fails = policy_of(st)->stage_fails_at;
        if (fails && s->moved >= (size_t)fails) {
            exchange_fail(st->x, FAULT_INTERNAL, "stage");
            return;
        }
    }
    if (body_done(in))
        body_end(out, in->trailers);
}

static enum verdict policy_request(struct step *s) {
    struct policy_step *ps = container_of(s, struct policy_step, step);
    policy_of(s)->requests++;
    if (policy_of(s)->louder_up)
        half_add(&s->x->up_half, &ps->up, s, louder);
    return policy_do(s, policy_of(s)->request);
}
static enum verdict policy_response(struct step *s) {
    struct policy_step *ps = container_of(s, struct policy_step, step);
    policy_of(s)->responses++;
    if (policy_of(s)->louder_down)
        half_add(&s->x->down_half, &ps->down, s, louder);
    return policy_do(s, policy_of(s)->response);
}
static enum verdict policy_request_body(struct step *s) {
    policy_of(s)->bodies++;
    policy_of(s)->collected = s->x->up_half.sink->size;
    return policy_do(s, policy_of(s)->request_body);
}
static enum verdict policy_response_body(struct step *s) {
    policy_of(s)->bodies++;
    policy_of(s)->collected = s->x->down_half.sink->size;
    return policy_do(s, policy_of(s)->response_body);
}
static void policy_done(struct step *s) {
    assert_false(list_linked(&s->ops));
    policy_of(s)->dones++;
}

#define POLICY_OPS                                                                                 \
    .name = "policy", .step_size = sizeof(struct policy_step), .request = policy_request,          \
    .request_body = policy_request_body, .response = policy_response,                              \
    .response_body = policy_response_body, .done = policy_done
static const struct filter_ops policy_ops = {POLICY_OPS};
static const struct filter_ops patient_ops = {POLICY_OPS, .long_request = true,
                                              .long_response = true};

/* ---- a plan of them ---- */

struct house {
    struct policy policy[FILTERS];
    struct answerer origin;
    struct filter filter[FILTERS];
    struct plan plan;
};

static const struct plan *house_plan(struct house *h, unsigned filters) {
    for (unsigned i = 0; i < filters; i++) {
        if (!h->filter[i].ops)
            h->filter[i].ops = &policy_ops;
        h->filter[i].conf = &h->policy[i];
    }
    size_t step = (sizeof(struct policy_step) + 15) & ~(size_t)15;
    h->plan = (struct plan){.filter = h->filter,
                            .count = filters,
                            .steps_size = filters * step,
                            .back = &origin_ops,
                            .back_conf = &h->origin};
    return &h->plan;
}

/* After all: whoever was asked is done, nothing is pending. */
static void house_balanced(const struct house *h) {
    for (unsigned i = 0; i < h->plan.count; i++) {
        assert_int_equal(h->policy[i].requests, h->policy[i].dones);
        assert_int_equal(h->policy[i].live, 0);
    }
    assert_int_equal(h->origin.live, 0);
}
