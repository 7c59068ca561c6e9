#include "back/proxy.h"
#include "back/client.h"
#include "core/targets.h"

/* ---- the gate --------------------------------------------------------------------------------
 */

static void opened(struct attempt *a) {
    struct exchange *x = a->x;
    const struct forward_conf *conf = x->back_conf;
    uint64_t ms = conf->timeout_ms ? conf->timeout_ms : a->service->timeout_ms;
    if (ms)
        a->deadline_at = x->thread->loop.now + ms * 1000000;
    attempt_again(a);
}

static void shut(struct attempt *a) {
    struct gate_pass *p = &a->pass;
    op_end(&a->op);
    p->service->gate.ops->leave(p, GATE_FAILED);
    p->service = NULL;
    exchange_fail(a->x, p->fault, p->detail);
}

/* What it waited is not the service's time. */
static void passed(struct gate_pass *p, enum gate_result r) {
    struct attempt *a = container_of(p, struct attempt, pass);
    a->x->t.back_start = a->x->thread->loop.now;
    if (r == GATE_OPEN)
        opened(a);
    else
        shut(a);
}

static void enter(struct attempt *a) {
    const struct gate_ops *gate = a->service->gate.ops;
    if (unlikely(!gate)) {
        opened(a);
        return;
    }
    a->pass = (struct gate_pass){
        .x = a->x, .service = a->service, .ops = &a->x->back_ops_list, .ready = passed};
    switch (gate->enter(&a->pass)) {
    case GATE_OPEN:
        opened(a);
        break;
    case GATE_SHUT:
        shut(a);
        break;
    case GATE_WAIT:
        break;
    }
}

/* ---- credentials ------------------------------------------------------------------------------
 */

/* The client's own field of that name goes, and so does its token where it is not wanted. */
static void go_shown(struct attempt *a) {
    const struct credentials_conf *c = &a->service->credentials;
    if (c->caller == CALLER_DROP)
        hdr_remove(&a->x->req, HDR_AUTHORIZATION);
    if (c->field.n)
        hdr_remove_name(&a->x->req, c->field);
    enter(a);
}

static void not_shown(struct attempt *a) {
    op_end(&a->op);
    exchange_fail(a->x, a->need->fault, a->need->detail);
}

static void ready(struct credentials_need *n, bool ok) {
    struct attempt *a = n->x->back_data;
    if (ok)
        go_shown(a);
    else
        not_shown(a);
}

/* Before a connection is asked for: it would wait in vain. */
static void show(struct attempt *a) {
    struct credentials_need *n = arena_zero(&a->x->arena, sizeof *n);
    *n = (struct credentials_need){
        .ops = &a->x->back_ops_list, .x = a->x, .conf = &a->service->credentials, .ready = ready};
    a->need = n;
    switch (n->conf->ops->get(n)) {
    case CREDENTIALS_READY:
        go_shown(a);
        break;
    case CREDENTIALS_FAILED:
        not_shown(a);
        break;
    case CREDENTIALS_WAIT:
        break;
    }
}

static void start(struct exchange *x) {
    const struct forward_conf *conf = x->back_conf;
    struct attempt *a = arena_zero(&x->arena, sizeof *a);
    const struct target *t = targets_choose(x, conf);
    x->service = a->service = t->service;
    x->back_data = a;
    a->x = x;
    op_start(&x->back_ops_list, &a->op, attempt_cancel);
    if (unlikely(a->service->credentials.ops))
        show(a);
    else
        enter(a);
}

static void readable(struct exchange *x) {
    struct attempt *a = x->back_data;
    if (a->conn)
        a->conn->ops->more(a->conn, a);
}

static void room(struct exchange *x) {
    struct attempt *a = x->back_data;
    if (!a->conn)
        return;
    if (x->down_half.source.stopped && a->head_read) {
        /* Nobody wants the rest: reading it to keep the connection would cost more. */
        a->conn->ops->abandon(a->conn, a);
        attempt_done(a);
        return;
    }
    a->conn->ops->room(a->conn, a);
}

const struct back_ops proxy_back = {"proxy", start, readable, room};
