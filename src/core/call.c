#include "core/call.h"
#include "core/thread.h"
#include "http/request.h"

struct call {
    struct op op; /* of the asker */
    struct thread *thread;
    struct exchange *x;
    call_done done;
    void *ctx;
    struct task tell;
    struct timer limit;
    struct call_answer answer;
    char *bytes;
    size_t len, cap, max;
    unsigned char level; /* 1: asked for by a client's exchange, or by nobody's */
    bool ended;          /* the exchange has: nothing but telling is left */
};

/* ---- the end ----------------------------------------------------------------------------------
 */

static void call_free(struct call *c) {
    timer_stop(&c->limit);
    list_remove(&c->tell.node);
    mem_free(c->bytes);
    mem_free(c);
}

/* Told by a task of its own: what ends the exchange may be deep inside the service's connection,
 * which the asker might use again at once. Head and body live until the drain is over. */
static void tell(struct task *t) {
    struct call *c = container_of(t, struct call, tell);
    op_end(&c->op);
    if (c->answer.fault)
        count_up(c->thread, calls_failed);
    else
        count_up(c->thread, calls_answered);
    c->done(c->ctx, &c->answer);
    call_free(c);
}

static void over(struct call *c, enum fault why, const char *detail) {
    c->ended = true;
    c->answer.fault = why;
    c->answer.detail = detail;
    timer_stop(&c->limit);
    if (!why) {
        c->answer.head = &c->x->resp;
        c->answer.body = span_of(c->bytes, c->len);
    }
    loop_post(&c->thread->loop, &c->tell);
}

static void fail(struct call *c, enum fault why, const char *detail) {
    exchange_abort(c->x, why);
    over(c, why, detail);
}

static void cancel(struct op *op) {
    struct call *c = container_of(op, struct call, op);
    count_up(c->thread, calls_cancelled);
    if (!c->ended)
        exchange_abort(c->x, FAULT_CLIENT_CLOSED);
    call_free(c);
}

void call_cancel(struct call *c) {
    op_end(&c->op);
    cancel(&c->op);
}

static void out_of_time(struct timer *t) {
    fail(container_of(t, struct call, limit), FAULT_UPSTREAM_TIMEOUT, "the call took too long");
}

/* ---- the front --------------------------------------------------------------------------------
 */

static void front_head(struct exchange *x) {
    struct call *c = x->front_data;
    if (x->interim)
        return;
    if (x->fault)
        fail(c, x->fault, x->fault_detail);
    else if (x->down_half.length > 0 && (uint64_t)x->down_half.length > c->max)
        fail(c, FAULT_UPSTREAM_TOO_LARGE, NULL);
    else
        body_want(x->down_half.sink);
}

static enum fault take(struct call *c, const struct iovec *v) {
    if (v->iov_len > c->max - c->len)
        return FAULT_UPSTREAM_TOO_LARGE;
    if (v->iov_len > c->cap - c->len) {
        size_t cap = c->cap ? c->cap * 2 : 1024;
        while (cap - c->len < v->iov_len)
            cap *= 2;
        char *more = mem_try(cap);
        if (!more)
            return FAULT_OUT_OF_MEMORY;
        if (c->len)
            memcpy(more, c->bytes, c->len);
        mem_free(c->bytes);
        c->bytes = more;
        c->cap = cap;
    }
    memcpy(c->bytes + c->len, v->iov_base, v->iov_len);
    c->len += v->iov_len;
    return FAULT_NONE;
}

static void front_readable(struct exchange *x) {
    struct call *c = x->front_data;
    struct body *b = x->down_half.sink;
    struct iovec iov[BODY_IOV];
    for (int n; (n = body_get(b, iov, BODY_IOV, SIZE_MAX)) > 0;) {
        size_t taken = 0;
        for (int i = 0; i < n; i++) {
            enum fault f = take(c, &iov[i]);
            if (f) {
                fail(c, f, NULL);
                return;
            }
            taken += iov[i].iov_len;
        }
        body_pop(b, taken);
    }
    if (!body_done(b))
        return;
    exchange_finish(x);
    over(c, FAULT_NONE, NULL);
}

/* The request's body was pushed whole. */
static void front_room(struct exchange *x) {
    (void)x;
}

static void front_failed(struct exchange *x) {
    over(x->front_data, x->fault, x->fault_detail);
}

static const struct front_ops call_front = {.name = "call",
                                            .head = front_head,
                                            .readable = front_readable,
                                            .room = front_room,
                                            .failed = front_failed,
                                            .inner = true};

/* ---- the start --------------------------------------------------------------------------------
 */

/* The thread's hold on this snapshot. */
static struct snapshot_ref *held(struct thread *t, const struct call_ask *ask) {
    const struct snapshot *s = ask->snapshot;
    struct snapshot_ref *r = t->snap;
    if (!s && ask->parent)
        return ask->parent->snap;
    while (s && r && r->snapshot != s)
        r = r->next;
    return r;
}

static void use_snapshot(struct exchange *x, struct snapshot_ref *r) {
    if (x->snap == r)
        return;
    r->refs++;
    thread_release(x->thread, x->snap);
    x->snap = r;
}

/* What goes along from the parent: its id, its trace, and where it has been (loops of gateways). */
static enum fault take_along(struct exchange *x, const struct exchange *parent) {
    static const struct span names[] = {{"traceparent", 11}, {"tracestate", 10}, {"via", 3}};
    enum fault f = FAULT_NONE;
    memcpy(x->facts.request_id, parent->facts.request_id, parent->facts.request_id_len);
    x->facts.request_id_len = parent->facts.request_id_len;
    for (size_t i = 0; i < array_len(names); i++) {
        const struct field *p;
        for (size_t at = 0; !f && (p = hdr_next(&parent->req, names[i], &at));)
            f = hdr_put(&x->req, names[i], arena_span(&x->arena, field_value(p)), ORIGIN_GATEWAY);
    }
    return f;
}

static enum fault fill_fields(struct exchange *x, const struct call_ask *ask) {
    enum fault f = ask->parent ? take_along(x, ask->parent) : FAULT_NONE;
    for (const struct own_field *o = ask->field; o && !f; o = o->next)
        f = hdr_put(&x->req, arena_span(&x->arena, o->name), arena_span(&x->arena, o->value),
                    ORIGIN_GATEWAY);
    return f ? FAULT_HEADER_REFUSED : FAULT_NONE;
}

static enum fault fill(struct exchange *x, const struct call_ask *ask) {
    struct head *h = &x->req;
    const struct outbound *to = ask->to;
    struct span path = arena_span(&x->arena, ask->path.n ? ask->path : to->path);
    ptrdiff_t query = span_find(path, '?');
    enum fault f = request_method(h, ask->method.n ? arena_span(&x->arena, ask->method)
                                                   : method_name(METHOD_GET));
    h->scheme = to->service->tls ? SPAN("https") : SPAN("http");
    h->authority = h->host = arena_span(&x->arena, to->host);
    h->path = query < 0 ? path : span_cut(path, 0, (size_t)query);
    h->query = query < 0 ? SPAN("") : span_from(path, (size_t)query + 1);
    h->has_query = query >= 0;
    h->target = path;
    x->facts.own = true;
    x->facts.http_minor = 11;
    x->facts.protocol = "HTTP/1.1";
    x->facts.listener = ask->parent ? ask->parent->facts.listener : NULL;
    x->plan = &to->plan;
    return f ? f : fill_fields(x, ask);
}

static bool fill_body(struct exchange *x, struct span body) {
    x->up_half.length = (int64_t)body.n;
    if (body.n && !body_push_copy(&x->up_half.source, body.p, body.n))
        return false;
    body_end(&x->up_half.source, NULL);
    return true;
}

static void set_limit(struct call *c, const struct call_ask *ask) {
    struct loop *l = &c->thread->loop;
    uint64_t ms = ask->timeout_ms ? ask->timeout_ms : CALL_TIMEOUT_MS;
    if (ask->parent)
        ms = exchange_time_left_ms(ask->parent, ms);
    c->x->deadline_at = l->now + ms * 1000000; /* attempts draw from it */
    c->limit.fire = out_of_time;
    timer_start(&l->timers, &c->limit, l->now / 1000000, ms);
}

static unsigned char level_of(const struct exchange *parent) {
    if (!parent || parent->front != &call_front)
        return 1;
    return (unsigned char)(((const struct call *)parent->front_data)->level + 1);
}

static void begin(struct call *c, const struct call_ask *ask) {
    enum fault f = fill(c->x, ask);
    if (!f && c->level > CALL_LEVELS)
        f = FAULT_LOOP_DETECTED;
    if (!f && !fill_body(c->x, ask->body))
        f = FAULT_OUT_OF_MEMORY;
    if (f || c->x->arena.failed)
        fail(c, f ? f : FAULT_OUT_OF_MEMORY, NULL);
    else
        exchange_start(c->x);
}

struct call *call_start(struct thread *t, struct list *ops, const struct call_ask *ask,
                        call_done done, void *ctx) {
    struct snapshot_ref *r = held(t, ask);
    struct call *c = r && ask->body.n <= CALL_REQUEST_MAX ? mem_try(sizeof *c) : NULL;
    struct exchange *x = c ? exchange_create(t, &call_front, c) : NULL;
    if (!x) {
        mem_free(c);
        return NULL;
    }
    must(ask->to->plan.back);
    *c = (struct call){.thread = t,
                       .x = x,
                       .done = done,
                       .ctx = ctx,
                       .tell.run = tell,
                       .max = ask->max_body,
                       .level = level_of(ask->parent)};
    use_snapshot(x, r);
    op_start(ops, &c->op, cancel);
    count_up(t, calls_started);
    set_limit(c, ask);
    begin(c, ask);
    return c;
}
