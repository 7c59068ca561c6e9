#include "back/proxy.h"
#include "back/h1_client.h"
#include "back/pool.h"
#include "core/forward.h"
#include "core/targets.h"

enum { EXTRA_FIELDS = 16 };

static void endpoint_left(struct attempt *a) {
    if (!a->endpoint)
        return;
    endpoint_end(a->endpoint);
    endpoint_unref(a->endpoint);
    a->endpoint = NULL;
}

static void cancel(struct op *op) {
    struct attempt *a = container_of(op, struct attempt, op);
    if (a->endpoint)
        pool_leave_queue(a);
    if (a->conn)
        h1_client_abandon(a->conn);
    endpoint_left(a);
}

void attempt_done(struct attempt *a) {
    op_end(&a->op);
    if (!a->x->up_half.sink->ended || a->x->up_half.sink->size)
        body_stop(a->x->up_half.sink); /* answered before all was sent */
    endpoint_left(a);
}

static enum framing request_framing(const struct exchange *x, struct h1_print *how) {
    int64_t length = x->up_half.length;
    if (length < 0) {
        how->framing = FRAMING_CHUNKED;
    } else if (length > 0) {
        how->framing = FRAMING_LENGTH;
        how->length = (uint64_t)length;
    } else {
        enum method m = x->req.method;
        how->framing = FRAMING_NONE;
        how->no_length = m == METHOD_GET || m == METHOD_HEAD || m == METHOD_DELETE ||
                         m == METHOD_OPTIONS || m == METHOD_CONNECT;
    }
    return how->framing;
}

static struct span host_for(const struct attempt *a) {
    switch (a->service->host_mode) {
    case HOST_KEEP:
        return a->x->req.authority;
    case HOST_SERVICE:
        return a->x->endpoint;
    case HOST_NAME:
        return a->service->host_name;
    }
    return a->x->req.authority;
}

void attempt_send(struct attempt *a) {
    struct exchange *x = a->x;
    struct field extra[EXTRA_FIELDS] unzeroed;
    struct h1_print how = {.extra = extra, .authority = host_for(a)};
    how.extra_count = forward_fields(x, extra, EXTRA_FIELDS);
    enum framing framing = request_framing(x, &how);
    struct span text = h1_print_request(&x->req, &x->arena, &how);
    if (!text.p) {
        h1_client_abandon(a->conn);
        attempt_failed(a, FAULT_OUT_OF_MEMORY, NULL);
        return;
    }
    h1_writer_start(&a->w, text, framing, how.length, x->up_half.sink);
    if (framing != FRAMING_NONE)
        body_want(x->up_half.sink);
    h1_client_send(a->conn, a);
}

static void give_up(struct attempt *a, enum fault why, const char *detail) {
    struct exchange *x = a->x;
    op_end(&a->op);
    endpoint_left(a);
    exchange_fail(x, why, detail);
}

/* A kept connection that the service closed at the same moment: nobody's fault, and safe to repeat
 * where no byte of an answer came, nothing of a body is gone, and the method allows it. Once. */
static bool was_stale(const struct attempt *a, enum fault why) {
    const struct exchange *x = a->x;
    bool closed = why == FAULT_UPSTREAM_CLOSED || why == FAULT_UPSTREAM_RESET;
    bool harmless = !a->sent_byte || method_idempotent(x->req.method);
    bool whole = x->up_half.length == 0 || (!a->sent_byte && !x->up_half.sink->stopped);
    return closed && !a->fresh_only && a->reused && !a->got_byte && harmless && whole;
}

void attempt_failed(struct attempt *a, enum fault why, const char *detail) {
    if (!was_stale(a, why)) {
        give_up(a, why, detail);
        return;
    }
    endpoint_left(a);
    a->fresh_only = true;
    a->sent_byte = a->blocked = a->broken = false;
    attempt_again(a);
}

static void note_endpoint(struct attempt *a) {
    struct exchange *x = a->x;
    x->endpoint = arena_span(&x->arena, a->endpoint->text);
    x->attempts++;
    endpoint_begin(a->endpoint);
}

void attempt_again(struct attempt *a) {
    struct exchange *x = a->x;
    enum fault why = FAULT_NONE;
    a->endpoint = balance_pick(x->thread, a->service, &a->avoid, &why);
    if (!a->endpoint) {
        give_up(a, why, NULL);
        return;
    }
    note_endpoint(a);
    switch (pool_get(x->thread, a, &why)) {
    case POOL_READY:
        a->reused = h1_client_kept(a->conn);
        attempt_send(a);
        break;
    case POOL_QUEUED:
        break;
    case POOL_REFUSED:
        give_up(a, why, NULL);
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
    op_start(&x->back_ops_list, &a->op, cancel);
    uint64_t ms = conf->timeout_ms ? conf->timeout_ms : a->service->timeout_ms;
    if (ms)
        a->deadline_at = x->thread->loop.now + ms * 1000000;
    attempt_again(a);
}

static void readable(struct exchange *x) {
    struct attempt *a = x->back_data;
    if (a->conn)
        h1_client_more(a->conn);
}

static void room(struct exchange *x) {
    struct attempt *a = x->back_data;
    if (!a->conn)
        return;
    if (x->down_half.source.stopped && a->head_read && a->r.framing != FRAMING_NONE) {
        /* Nobody wants the rest: reading it to keep the connection would cost more. */
        h1_client_abandon(a->conn);
        attempt_done(a);
        return;
    }
    h1_client_room(a->conn);
}

const struct back_ops proxy_back = {"proxy", start, readable, room};
