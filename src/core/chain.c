#include "core/chain.h"
#include "core/facts.h"
#include "core/forward.h"
#include "core/streams.h"
#include "core/thread.h"

static void respond_go(struct exchange *x, enum verdict v);
static void request_go(struct exchange *x, enum verdict v);

static enum verdict call(struct exchange *x, enum verdict (*fn)(struct step *), struct step *s) {
    if (!fn)
        return NEXT;
    x->calling = true;
    enum verdict v = fn(s);
    x->calling = false;
    return v;
}

/* R3: who says WAIT holds an op of that very step. */
static void hold(struct exchange *x, struct step *s) {
    must(list_linked(&s->ops));
    x->waiting = true;
}

/* A tunnel has no body that could be waited for: it counts as empty. */
static void collect(struct exchange *x, struct half *h) {
    x->collecting = true;
    if (half_tunnels(h))
        exchange_wake(x);
    else
        body_collect(h->sink, x->collect_max ? x->collect_max : COLLECT_MAX);
}

static struct step *step_make(struct exchange *x, unsigned i, char *at) {
    struct step *s = (struct step *)(void *)at;
    *s = (struct step){.x = x, .filter = &x->plan->filter[i], .at = (unsigned char)i};
    list_init(&s->ops);
    return s;
}

/* All steps in one block. */
static void steps_make(struct exchange *x) {
    if (!x->plan->count)
        return;
    char *at = arena_zero(&x->arena, x->plan->steps_size);
    x->step = arena_alloc(&x->arena, x->plan->count * sizeof(struct step *));
    for (unsigned i = 0; i < x->plan->count; i++) {
        x->step[i] = step_make(x, i, at);
        at += (x->plan->filter[i].ops->step_size + 15) & ~(size_t)15;
    }
}

static void back_start(struct exchange *x) {
    x->state = X_BACK;
    x->t.back_start = x->thread->loop.now;
    x->back->start(x);
}

/* `when`: a step that is skipped has not seen the exchange. */
static bool wanted(struct exchange *x, const struct filter *f) {
    enum expr_truth t = facts_test(x, f->when);
    return t == EXPR_FAILED ? f->when_fails : t == EXPR_TRUE;
}

/* Under overload: the caller has become known, and has had his share. */
static bool refused(struct exchange *x) {
    enum fault f = overload_refuses_caller(x);
    if (f)
        exchange_answer(x, f, x->fault_detail);
    return f;
}

static void request_go(struct exchange *x, enum verdict v) {
    while (v == NEXT && !(unlikely(x->thread->overload.on) && refused(x)) &&
           x->depth < x->plan->count) {
        struct step *s = x->step[x->depth++];
        if (unlikely(s->filter->when != NULL) && !wanted(x, s->filter))
            continue;
        s->called = true;
        v = call(x, s->filter->ops->request, s);
    }
    switch (v) {
    case WAIT:
        hold(x, x->step[x->depth - 1]);
        return;
    case WAIT_BODY:
        collect(x, &x->up_half);
        return;
    case ANSWER:
        x->depth--; /* the answering filter does not see its own answer */
        break;
    case NEXT:
        break;
    }
    back_start(x);
}

void chain_start(struct exchange *x) {
    x->state = X_REQUEST;
    steps_make(x);
    request_go(x, NEXT);
}

/* What every final answer carries, once all filters have had their say. */
static void sign(struct exchange *x) {
    struct head *h = &x->resp;
    const struct facts *f = &x->facts;
    if (!hdr_has(h, HDR_DATE))
        hdr_add(h, HDR_DATE, arena_span(&x->arena, thread_date(x->thread)));
    hdr_add(h, HDR_VIA, forward_via(x->resp_minor));
    if (hdr_has(h, HDR_X_REQUEST_ID))
        hdr_remove(h, HDR_X_REQUEST_ID);
    if (f->request_id_len)
        hdr_add(h, HDR_X_REQUEST_ID, span_of(f->request_id, f->request_id_len));
}

static void drop_answer(struct exchange *x) {
    ops_cancel(&x->back_ops_list);
    half_reset(&x->down_half);
    head_init(&x->resp, &x->arena);
    x->tunnel = false;
    x->resp_minor = 0;
}

static void respond_go(struct exchange *x, enum verdict v) {
    while (v == NEXT && x->up > 0) {
        struct step *s = x->step[--x->up];
        if (unlikely(!s->called))
            continue; /* skipped */
        v = call(x, s->filter->ops->response, s);
    }
    switch (v) {
    case WAIT:
        hold(x, x->step[x->up]);
        return;
    case WAIT_BODY:
        collect(x, &x->down_half);
        return;
    case ANSWER:
        drop_answer(x);
        x->depth = x->up;
        back_start(x);
        return;
    case NEXT:
        break;
    }
    sign(x);
    streams_head(x);
    x->state = X_STREAM;
    exchange_wake(x);
}

void exchange_respond(struct exchange *x) {
    must(x->magic == EXCHANGE_MAGIC && x->state == X_BACK);
    struct doing before = doing_begin(x);
    x->state = X_RESPONSE;
    x->t.head = x->thread->loop.now;
    x->up = x->depth;
    respond_go(x, NEXT);
    doing_end(x, before);
}

void exchange_resume(struct exchange *x, enum verdict v) {
    must(x->magic == EXCHANGE_MAGIC && x->waiting && !x->calling);
    x->waiting = false;
    struct doing before = doing_begin(x);
    if (x->state == X_REQUEST)
        request_go(x, v);
    else
        respond_go(x, v);
    doing_end(x, before);
}

static bool holder_takes_long(const struct step *s, bool request) {
    const struct filter_ops *o = s->filter->ops;
    return request ? o->long_request : o->long_response;
}

void chain_collect(struct exchange *x) {
    bool request = x->state == X_REQUEST;
    struct half *h = request ? &x->up_half : &x->down_half;
    half_pump(h);
    struct step *s = x->step[request ? x->depth - 1 : x->up];
    bool too_long = false;
    if (x->state == X_DONE || !x->collecting)
        return; /* a stage may have failed the exchange */
    if (!half_tunnels(h) && !body_collected(h->sink, &too_long))
        return;
    x->collecting = false;
    if (too_long && !holder_takes_long(s, request)) {
        exchange_fail(x, request ? FAULT_BODY_TOO_LARGE : FAULT_UPSTREAM_TOO_LARGE, NULL);
        return;
    }
    const struct filter_ops *o = s->filter->ops;
    enum verdict v = call(x, request ? o->request_body : o->response_body, s);
    if (request)
        request_go(x, v);
    else
        respond_go(x, v);
}

/* Which filters have seen what: those before the step that holds the chain see the new answer; a
 * filter that had let the old answer pass does not see another one. */
static void unwind(struct exchange *x) {
    bool held = x->waiting || x->collecting;
    x->waiting = x->collecting = false;
    if (x->state == X_REQUEST && held) {
        ops_cancel(&x->step[x->depth - 1]->ops);
        x->depth--;
    } else if (x->state == X_RESPONSE && held) {
        ops_cancel(&x->step[x->up]->ops);
        x->depth = x->up;
    } else if (x->state == X_STREAM) {
        x->depth = 0; /* every filter has seen an answer; the front has seen none */
    }
}

void chain_replace(struct exchange *x) {
    unwind(x);
    drop_answer(x);
    x->state = X_BACK;
    x->back->start(x);
}
