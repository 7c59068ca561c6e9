#include "filter/websocket.h"
#include "core/thread.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define W(member) FIELD(struct websocket_conf, member)

static const struct schema_type size = {.kind = SCHEMA_SIZE};
static const struct schema_type count = {.kind = SCHEMA_INT, .max = UINT32_MAX};
static const struct schema_type rate = {.kind = SCHEMA_PER_SECOND};
static const struct schema_type boolean = {.kind = SCHEMA_BOOL};

static const struct schema_field fields[] = {
    {.key = "max_frame",
     .type = &size,
     W(limits.frame_max),
     .shipped = "16MiB",
     .doc = "Payload of one frame; more ends the WebSocket with 1009; 0B: any."},
    {.key = "max_message",
     .type = &size,
     W(limits.message_max),
     .shipped = "16MiB",
     .doc = "Payload of one message, its fragments together; 0B: any."},
    {.key = "max_fragments",
     .type = &count,
     W(limits.fragments_max),
     .shipped = "131072",
     .doc = "Fragments of one message; 0: any number."},
    {.key = "ping_rate",
     .type = &rate,
     W(ping_rate),
     .shipped = "10/s",
     .doc = "Pings of a client; more end the WebSocket with 1008; 0/s: any number."},
    {.key = "utf8",
     .type = &boolean,
     W(limits.utf8),
     .shipped = "false",
     .doc = "Texts are checked to be UTF-8 (costs time for every byte)."},
};
static const struct schema_object form = {.name = "websocket",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc =
                                              "Limits on WebSockets; false: upgrades are refused."};

static void on_route(void *conf, const struct forward_conf *to) {
    struct websocket_conf *c = conf;
    c->off |= to == NULL;
}

const struct policy websocket_policy = {.name = "websocket",
                                        .form = &form,
                                        .ops = &websocket_ops,
                                        .size = sizeof(struct websocket_conf),
                                        .on_route = on_route};

/* ---- what it does -----------------------------------------------------------------------------
 */

enum { GRACE_MS = 2000, TOO_MANY_PINGS = 1008 };

struct way { /* one direction */
    struct stage stage;
    struct ws_scan scan;
    bool said;   /* our close frame stands here, or cannot: nothing of the sender's may follow */
    bool answer; /* the sender's own close frame, or its end, has come */
};

struct tunnel { /* in the exchange's arena: most exchanges are none */
    struct way up, down;
    struct drain_op drain;
    struct op op; /* of grace */
    struct timer grace;
    struct step *step;
    uint64_t pings_paid; /* ns: until then the pings so far use up what the rate allows */
    uint32_t pings;
    uint16_t code; /* that we say goodbye with; 0: all is well */
    bool accepted, at_once, late;
};

struct websocket_step {
    struct step step;
    struct tunnel *tunnel;
};

static struct tunnel *tunnel_of(struct step *s) {
    return container_of(s, struct websocket_step, step)->tunnel;
}

static void both_again(struct tunnel *t) {
    t->up.stage.again = t->down.stage.again = true;
    exchange_wake(t->step->x);
}

static void grace_cancel(struct op *op) {
    timer_stop(&container_of(op, struct tunnel, op)->grace);
}

static void grace_start(struct tunnel *t) {
    struct loop *l = &t->step->x->thread->loop;
    timer_start(&l->timers, &t->grace, l->now / 1000000, GRACE_MS);
}

/* They have not answered: then without. And those who don't even listen are cut off. */
static void grace_over(struct timer *timer) {
    struct tunnel *t = container_of(timer, struct tunnel, grace);
    struct exchange *x = t->step->x;
    if (!x->tunnel)
        return; /* another answer has taken its place */
    if (t->late) {
        exchange_fail(x, x->fault ? x->fault : FAULT_SHUTTING_DOWN, x->fault_detail);
        return;
    }
    t->late = true;
    grace_start(t);
    both_again(t);
}

static void say_goodbye(struct tunnel *t, uint16_t code, bool at_once) {
    if (t->code)
        return;
    t->code = code;
    t->at_once = at_once;
    op_start(&t->step->ops, &t->op, grace_cancel);
    t->grace.fire = grace_over;
    grace_start(t);
    both_again(t);
}

static void draining(struct drain_op *d) {
    say_goodbye(container_of(d, struct tunnel, drain), WS_GOING_AWAY, false);
}

static const char *why_text(uint16_t code) {
    switch (code) {
    case WS_GOING_AWAY:
        return "going away";
    case WS_MALFORMED:
        return "malformed frame";
    case WS_NOT_UTF8:
        return "not UTF-8";
    case WS_TOO_BIG:
        return "too big";
    default:
        return "too many pings";
    }
}

static void refuse(struct tunnel *t, const struct way *w, uint16_t code) {
    struct exchange *x = t->step->x;
    if (t->code)
        return;
    x->fault = FAULT_BAD_WEBSOCKET_FRAME;
    x->fault_detail = arena_fmt(&x->arena, "of the %s: %s (%u)", w == &t->up ? "client" : "service",
                                why_text(code), code);
    say_goodbye(t, code, true);
}

/* ---- frames as they pass ---- */

/* Shows the scanner what it has not seen, at most to `room` bytes of the queue. Returns how many
 * may pass. */
static size_t show(struct ws_scan *s, const struct body *in, size_t room) {
    struct iovec iov[BODY_IOV] unzeroed;
    size_t passes = 0, at = s->held;
    for (int n = 1; n > 0 && at < room && !s->close;) {
        n = body_get_from(in, at, iov, BODY_IOV, room - at);
        for (int i = 0; i < n; i++) {
            passes += ws_scan(s, span_of(iov[i].iov_base, iov[i].iov_len));
            at += iov[i].iov_len;
        }
    }
    return passes;
}

/* Pings are paid for with time: as many as the rate says at once, then one after the other. */
static bool pings_bearable(struct tunnel *t) {
    const struct websocket_conf *c = t->step->filter->conf;
    uint64_t now = t->step->x->thread->loop.now, second = 1000000000;
    uint32_t more = t->up.scan.pings - t->pings;
    t->pings += more;
    if (!more || !c->ping_rate)
        return true;
    if (t->pings_paid < now)
        t->pings_paid = now;
    t->pings_paid += more * (second / c->ping_rate);
    return t->pings_paid <= now + second;
}

static void no_memory(struct tunnel *t) {
    exchange_fail(t->step->x, FAULT_OUT_OF_MEMORY, "websocket");
}

static void end(struct body *in, struct body *out) {
    body_pop(in, in->size);
    body_end(out, NULL);
}

/* RFC 6455 7.1.1: both have said goodbye, and the service has closed: nobody waits for the client.
 */
static void closed(struct tunnel *t) {
    if (t->up.scan.closed && t->down.scan.closed && t->down.stage.out.ended)
        say_goodbye(t, WS_GOING_AWAY, true);
}

static void pass(struct tunnel *t, struct way *w, struct body *in, struct body *out) {
    size_t n = show(&w->scan, in, body_room(out));
    if (n && !body_move(in, out, n)) {
        no_memory(t);
        return;
    }
    if (w->scan.close)
        refuse(t, w, w->scan.close);
    else if (w == &t->up && !pings_bearable(t))
        refuse(t, w, TOO_MANY_PINGS);
    else if (in->ended && in->size == w->scan.held)
        end(in, out);
    closed(t);
}

/* ---- goodbye ---- */

/* To the end of the frame that is under way, and no byte further. */
static bool pass_frame(struct tunnel *t, struct way *w, struct body *in, struct body *out) {
    struct ws_scan *s = &w->scan;
    while (!ws_scan_between(s) && !s->close) {
        size_t room = body_room(out), n = show(s, in, s->left < room ? (size_t)s->left : room);
        if (n && !body_move(in, out, n)) {
            no_memory(t);
            return false;
        }
        if (!n)
            break; /* no more has come, or there is no room */
    }
    return true;
}

static void put_close(struct tunnel *t, struct way *w, struct body *out) {
    unsigned char frame[32], mask[4];
    env.random(mask, sizeof mask);
    size_t n = ws_close_frame(frame, t->code, why_text(t->code), w == &t->up ? mask : NULL);
    if (!body_push_copy(out, frame, n))
        no_memory(t);
}

/* Nothing passes any more; but the sender's answer is understood. */
static void swallow(struct way *w, struct body *in) {
    body_pop(in, show(&w->scan, in, SIZE_MAX));
    w->answer |= w->scan.closed || w->scan.close || in->ended;
    if (w->scan.close) /* from here on nothing is */
        body_pop(in, in->size);
}

static bool may_end(const struct tunnel *t) {
    return t->at_once || t->late || (t->up.answer && t->down.answer);
}

static void part(struct tunnel *t, struct way *w, struct body *in, struct body *out) {
    if (!w->said && !pass_frame(t, w, in, out))
        return;
    bool between = ws_scan_between(&w->scan), gone = w->scan.close || in->ended;
    if (!w->said && (between || gone || t->late)) {
        w->said = true;
        if (between && !w->scan.closed)
            put_close(t, w, out);
    }
    if (t->step->x->state == X_DONE || !w->said)
        return;
    bool both = may_end(t);
    swallow(w, in);
    if (may_end(t))
        end(in, out);
    if (!both && may_end(t))
        both_again(t);
}

static void move(struct step *s, struct way *w, struct body *in, struct body *out) {
    struct tunnel *t = tunnel_of(s);
    if (!t->accepted)
        return; /* nothing is the tunnel's yet */
    if (!t->code)
        pass(t, w, in, out);
    if (t->code && t->step->x->state != X_DONE)
        part(t, w, in, out);
}

static void move_up(struct step *s, struct body *in, struct body *out) {
    move(s, &tunnel_of(s)->up, in, out);
}
static void move_down(struct step *s, struct body *in, struct body *out) {
    move(s, &tunnel_of(s)->down, in, out);
}

/* ---- the filter ---- */

static enum verdict request(struct step *s) {
    const struct websocket_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    if (likely(!x->req.protocol.n))
        return NEXT;
    if (c->off)
        return exchange_answer(x, FAULT_WEBSOCKET_OFF, NULL);
    struct tunnel *t = arena_zero(&x->arena, sizeof *t);
    t->step = s;
    container_of(s, struct websocket_step, step)->tunnel = t;
    /* Here, for who reads the request's body may have got hold of its end when the answer comes. */
    half_add(&x->up_half, &t->up.stage, s, move_up);
    return NEXT;
}

static enum verdict response(struct step *s) {
    const struct websocket_conf *c = s->filter->conf;
    struct tunnel *t = tunnel_of(s);
    struct exchange *x = s->x;
    if (likely(!t || !x->tunnel))
        return NEXT;
    bool extensions = hdr_find(&x->resp, SPAN("sec-websocket-extensions")).n > 0;
    ws_scan_start(&t->up.scan, WS_FROM_CLIENT, &c->limits, extensions);
    ws_scan_start(&t->down.scan, WS_FROM_SERVICE, &c->limits, extensions);
    half_add(&x->down_half, &t->down.stage, s, move_down);
    t->accepted = true;
    t->drain.drain = draining;
    drain_watch(x->thread, &t->drain);
    if (x->thread->draining)
        draining(&t->drain);
    return NEXT;
}

static void done(struct step *s) {
    if (tunnel_of(s))
        list_remove(&tunnel_of(s)->drain.node);
}

const struct filter_ops websocket_ops = {.name = "websocket",
                                         .phase = PHASE_GUARD, /* next to the client */
                                         .step_size = sizeof(struct websocket_step),
                                         .request = request,
                                         .response = response,
                                         .done = done,
                                         .tunnels = true,
                                         .rare = true};
