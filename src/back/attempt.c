/* The life of an attempt, and what every client prints and judges by. */
#include "back/client.h"
#include "back/pool.h"
#include "core/forward.h"

static void endpoint_left(struct attempt *a) {
    if (!a->endpoint)
        return;
    endpoint_end(a->endpoint);
    endpoint_unref(a->endpoint);
    a->endpoint = NULL;
}

static void gate_left(struct attempt *a, enum gate_outcome how) {
    struct gate_pass *p = &a->pass;
    if (likely(p->service != NULL))
        p->service->gate.ops->leave(p, how);
    p->service = NULL;
}

/* The service's own failures come quickly, and gRPC has its own pace: they tell nothing of it. */
void attempt_answered(struct attempt *a) {
    struct exchange *x = a->x;
    a->head_read = true;
    if (likely(a->pass.service != NULL))
        a->pass.service->gate.ops->answered(&a->pass,
                                            !x->req.protocol.n && !x->grpc && x->resp.status < 500);
}

void attempt_cancel(struct op *op) {
    struct attempt *a = container_of(op, struct attempt, op);
    if (a->endpoint)
        pool_leave_queue(a);
    if (a->conn)
        a->conn->ops->abandon(a->conn, a);
    gate_left(a, GATE_FAILED);
    endpoint_left(a);
}

void attempt_done(struct attempt *a) {
    op_end(&a->op);
    if (!a->x->up_half.sink->ended || a->x->up_half.sink->size)
        body_stop(a->x->up_half.sink); /* answered before all was sent */
    gate_left(a, GATE_ENDED);
    endpoint_left(a);
}

struct span attempt_authority(const struct attempt *a) {
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

size_t attempt_fields(struct attempt *a, struct field out[ATTEMPT_FIELDS]) {
    size_t n = forward_fields(a->x, out, ATTEMPT_FIELDS);
    const struct credentials_need *c = a->need;
    if (unlikely(c && c->value.n) && n < ATTEMPT_FIELDS)
        out[n++] = (struct field){.name = c->conf->field.p,
                                  .value = c->value.p,
                                  .value_len = (uint32_t)c->value.n,
                                  .name_len = (uint16_t)c->conf->field.n,
                                  .id = c->conf->field_id};
    return n;
}

const struct limits_conf *attempt_limits(const struct attempt *a) {
    const struct exchange *x = a->x;
    return x->route && x->route->limits ? x->route->limits : &x->snap->snapshot->limits;
}

enum fault fault_of_upstream(enum fault f) {
    switch (fault_table[f].status) {
    case 431:
        return FAULT_UPSTREAM_HEADER_TOO_LARGE;
    case 503:
        return f; /* our own memory */
    default:
        return fault_table[f].who == FAULT_WHO_UPSTREAM ? f : FAULT_UPSTREAM_BAD_FRAMING;
    }
}

void attempt_send(struct attempt *a) {
    a->sent_on = a->conn;
    a->conn->ops->send(a->conn, a);
}

static void give_up(struct attempt *a, enum fault why, const char *detail) {
    struct exchange *x = a->x;
    op_end(&a->op);
    gate_left(a, fault_table[why].status == 504 ? GATE_TIMED_OUT : GATE_FAILED);
    endpoint_left(a);
    exchange_fail(x, why, detail);
}

/* Nothing of the request's body is gone. */
static bool body_whole(const struct exchange *x) {
    const struct body *b = x->up_half.sink;
    return x->up_half.length == 0 || (!b->stopped && b->in == b->size);
}

/* May it be tried once more, elsewhere? Where no byte of an answer came and nothing of the body is
 * gone: if a kept connection was closed by the service at the same moment (nobody's fault) and the
 * method allows it, or if the service has refused the stream unseen (RFC 9113 8.7). */
static bool may_repeat(const struct attempt *a, enum fault why) {
    if (a->fresh_only || a->got_byte || !body_whole(a->x))
        return false;
    if (why == FAULT_UPSTREAM_REFUSED_STREAM)
        return true;
    bool closed = why == FAULT_UPSTREAM_CLOSED || why == FAULT_UPSTREAM_RESET;
    const struct head *req = &a->x->req; /* the CONNECT of a tunnel: not a byte of it is gone */
    bool harmless = !a->sent_byte || method_idempotent(req->method) || req->protocol.n;
    return closed && a->reused && harmless;
}

/* The service chose HTTP/2 (ALPN), which carries no WebSockets there; HTTP/1.1 may, as browsers do
 * it. */
static bool may_unshare(const struct attempt *a, enum fault why) {
    return why == FAULT_UPGRADE_NOT_ACCEPTED && !a->sent_byte && !a->unshared &&
           client_may_choose(a->service) && span_eq(a->x->req.protocol, SPAN("websocket"));
}

void attempt_failed(struct attempt *a, enum fault why, const char *detail) {
    if (may_unshare(a, why)) {
        a->unshared = true;
    } else if (may_repeat(a, why)) {
        a->fresh_only = true;
    } else {
        give_up(a, why, detail);
        return;
    }
    endpoint_left(a);
    a->sent_byte = false;
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
        a->reused = client_kept(a->conn);
        attempt_send(a);
        break;
    case POOL_QUEUED:
        break;
    case POOL_REFUSED:
        give_up(a, why, NULL);
        break;
    }
}
