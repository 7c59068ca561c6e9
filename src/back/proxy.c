#include "back/proxy.h"
#include "back/client.h"
#include "core/targets.h"

static void start(struct exchange *x) {
    const struct forward_conf *conf = x->back_conf;
    struct attempt *a = arena_zero(&x->arena, sizeof *a);
    const struct target *t = targets_choose(x, conf);
    x->service = a->service = t->service;
    x->back_data = a;
    a->x = x;
    op_start(&x->back_ops_list, &a->op, attempt_cancel);
    uint64_t ms = conf->timeout_ms ? conf->timeout_ms : a->service->timeout_ms;
    if (ms)
        a->deadline_at = x->thread->loop.now + ms * 1000000;
    attempt_again(a);
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
