#include "filter/grpc.h"
#include "core/thread.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define G(member) FIELD(struct grpc_conf, member)

static const struct schema_type size = {.kind = SCHEMA_SIZE, .max = UINT32_MAX};
static const struct schema_word web_words[] = {{"auto", GRPC_WEB_AUTO, false},
                                               {"true", GRPC_WEB_ON, false},
                                               {"false", GRPC_WEB_OFF, false},
                                               {NULL, 0, false}};
static const struct schema_type web = {.kind = SCHEMA_ENUM, .words = web_words};

static const struct schema_field fields[] = {
    {.key = "max_message",
     .type = &size,
     G(max_message),
     .shipped = "4MiB",
     .doc = "The longest message, either way; more is RESOURCE_EXHAUSTED; 0B: any."},
    {.key = "web",
     .type = &web,
     G(web),
     .shipped = "auto",
     .doc = "gRPC-Web (of browsers) becomes gRPC; auto: where all services of the route speak "
            "HTTP/2."},
};
static const struct schema_object form = {
    .name = "grpc",
    SCHEMA_OBJECT_OF(fields),
    .doc = "What is done for gRPC calls; false: they pass as any other request."};

static bool all_speak_h2(const struct forward_conf *to) {
    for (uint32_t i = 0; i < to->target_count; i++)
        if (!to->target[i].service->multiplexes)
            return false;
    return to->target_count > 0;
}

static void on_route(void *conf, const struct forward_conf *to) {
    struct grpc_conf *c = conf;
    c->off |= to == NULL;
    if (to && c->web == GRPC_WEB_AUTO)
        c->web = all_speak_h2(to) ? GRPC_WEB_ON : GRPC_WEB_OFF;
}

const struct policy grpc_policy = {.name = "grpc",
                                   .form = &form,
                                   .ops = &grpc_ops,
                                   .size = sizeof(struct grpc_conf),
                                   .on_route = on_route};

/* ---- what it does -----------------------------------------------------------------------------
 */

struct call { /* in the exchange's arena: most exchanges are none */
    struct grpc_scan up, down;
    struct stage decode, check_up, check_down, web;
    struct base64_in from; /* of gRPC-Web text */
    struct base64_out to;
    struct head *status; /* of an answer that is its end already: it stood in the head */
    enum grpc_kind kind; /* as the client speaks */
    bool failed;
};

struct grpc_step {
    struct step step;
    struct call *call;
};

static struct call *call_of(struct step *s) {
    return container_of(s, struct grpc_step, step)->call;
}

static void fail(struct step *s, enum fault why, const char *detail) {
    call_of(s)->failed = true;
    exchange_fail(s->x, why, detail);
}

/* ---- messages are checked as they pass ---- */

/* Shows the scanner what it has not seen, at most to `room` bytes of the queue. Returns how many
 * may pass. */
static size_t show(struct grpc_scan *g, const struct body *in, size_t room) {
    struct iovec iov[BODY_IOV] unzeroed;
    size_t passes = 0, at = g->head_len;
    for (int n = 1; n > 0 && at < room && !g->fault;) {
        n = body_get_from(in, at, iov, BODY_IOV, room - at);
        for (int i = 0; i < n; i++) {
            passes += grpc_scan(g, span_of(iov[i].iov_base, iov[i].iov_len));
            at += iov[i].iov_len;
        }
    }
    return passes;
}

struct meaning { /* of what can be wrong with messages */
    enum fault too_long, malformed, cut;
};

static void check(struct step *s, struct grpc_scan *g, struct body *in, struct body *out,
                  const struct meaning *why) {
    if (call_of(s)->failed) { /* its own answer may be on its way */
        body_pop(in, in->size);
        return;
    }
    size_t n = show(g, in, body_room(out));
    if (n && !body_move(in, out, n))
        fail(s, FAULT_OUT_OF_MEMORY, "grpc");
    else if (g->fault == GRPC_RESOURCE_EXHAUSTED)
        fail(s, why->too_long, "longer than max_message");
    else if (g->fault)
        fail(s, why->malformed, "a gRPC message's head is malformed");
    else if (in->ended && in->size == g->head_len && !grpc_scan_between(g))
        fail(s, why->cut, "the body ends within a gRPC message");
    else
        body_move_end(in, out);
}

static const struct span status_name = SPAN("grpc-status");

/* A call that says nothing at its end: clients would have to guess. */
static void want_status(struct exchange *x, const struct call *c, struct body *in) {
    if (c->status || hdr_find(&x->resp, status_name).p ||
        (in->trailers && hdr_find(in->trailers, status_name).p))
        return;
    if (!in->trailers) {
        in->trailers = arena_alloc(&x->arena, sizeof *in->trailers);
        head_init(in->trailers, &x->arena);
    }
    (void)!hdr_put(in->trailers, status_name, SPAN("2"), ORIGIN_GATEWAY);
    (void)!hdr_put(in->trailers, SPAN("grpc-message"), SPAN("the service sent no grpc-status"),
                   ORIGIN_GATEWAY);
}

static void check_up(struct step *s, struct body *in, struct body *out) {
    static const struct meaning why = {FAULT_GRPC_MESSAGE_TOO_LARGE, FAULT_BAD_GRPC_FRAME,
                                       FAULT_BAD_GRPC_FRAME};
    check(s, &call_of(s)->up, in, out, &why);
}
static void check_down(struct step *s, struct body *in, struct body *out) {
    static const struct meaning why = {FAULT_UPSTREAM_TOO_LARGE, FAULT_UPSTREAM_BAD_FRAMING,
                                       FAULT_UPSTREAM_TRUNCATED};
    if (in->ended)
        want_status(s->x, call_of(s), in);
    check(s, &call_of(s)->down, in, out, &why);
}

/* ---- gRPC-Web: the request ---- */

/* The bytes are fewer than their text: what has room as text has it decoded. */
static void decode(struct step *s, struct body *in, struct body *out) {
    struct call *c = call_of(s);
    struct iovec iov;
    while (!c->failed && !c->from.bad && body_get(in, &iov, 1, body_room(out)) == 1) {
        struct slice *bytes = slice_own(&me->pond, iov.iov_len);
        if (!bytes) {
            fail(s, FAULT_OUT_OF_MEMORY, "grpc");
            return;
        }
        bytes->n = base64_decode_some(&c->from, span_of(iov.iov_base, iov.iov_len),
                                      (char *)slice_bytes(bytes));
        body_pop(in, iov.iov_len);
        body_push(out, bytes);
    }
    if (c->failed)
        body_pop(in, in->size);
    else if (c->from.bad || (body_done(in) && !base64_ended(&c->from)))
        fail(s, FAULT_BAD_GRPC_FRAME, "no base64");
    else if (body_done(in))
        body_end(out, NULL);
}

static bool set_type(struct head *h, enum grpc_kind kind) {
    struct span type = grpc_content_type(hdr_get(h, HDR_CONTENT_TYPE), kind, h->arena);
    return type.p && !hdr_set(h, SPAN("content-type"), type, ORIGIN_GATEWAY);
}

static bool encodes(const struct head *h) {
    struct span e = hdr_find(h, SPAN("grpc-encoding"));
    return e.n && !span_eq_nocase(e, SPAN("identity"));
}

/* A stage that changes no byte leaves the length as it was. */
static void add_check(struct half *h, struct stage *g, struct step *s,
                      void (*move)(struct step *, struct body *, struct body *)) {
    int64_t length = h->length;
    half_add(h, g, s, move);
    h->length = length;
}

static enum verdict request(struct step *s) {
    const struct grpc_conf *conf = s->filter->conf;
    struct exchange *x = s->x;
    if (likely(!x->grpc) || conf->off)
        return NEXT;
    if (x->grpc == GRPC_PLAIN ? !conf->max_message : conf->web != GRPC_WEB_ON)
        return NEXT;
    struct call *c = arena_zero(&x->arena, sizeof *c);
    container_of(s, struct grpc_step, step)->call = c;
    c->kind = (enum grpc_kind)x->grpc;
    if (c->kind != GRPC_PLAIN && !set_type(&x->req, GRPC_PLAIN))
        return exchange_answer(x, FAULT_OUT_OF_MEMORY, "grpc");
    if (c->kind == GRPC_WEB_TEXT)
        half_add(&x->up_half, &c->decode, s, decode);
    grpc_scan_start(&c->up, conf->max_message, encodes(&x->req));
    add_check(&x->up_half, &c->check_up, s, check_up);
    return NEXT;
}

/* ---- gRPC-Web: the answer ---- */

/* Trailers as the last frame of the body. */
static struct span end_frame(const struct step *s, const struct call *c, const struct body *in) {
    const struct head *h = in->trailers;
    if (!h || !hdr_find(h, status_name).p)
        h = c->status;
    return grpc_web_trailers(h, &s->x->arena);
}

static bool push_text(struct call *c, struct body *out, struct span bytes) {
    struct slice *text = slice_own(&me->pond, 4 * (bytes.n / 3 + 1));
    if (!text)
        return false;
    text->n = base64_encode_some(&c->to, bytes, (char *)slice_bytes(text));
    body_push(out, text);
    return true;
}

/* What is held of a group goes out padded: more may follow. */
static bool flush_text(struct call *c, struct body *out) {
    char group[4];
    size_t n = base64_encode_end(&c->to, group);
    return !n || body_push_copy(out, group, n);
}

/* Padding only where a message ends and nothing follows: a part of one is of no use to anybody. */
static bool text_down(struct call *c, struct body *in, struct body *out) {
    struct iovec iov;
    while (body_room(out) >= 4 && body_get(in, &iov, 1, body_room(out) / 4 * 3) == 1) {
        if (!push_text(c, out, span_of(iov.iov_base, iov.iov_len)))
            return false;
        body_pop(in, iov.iov_len);
    }
    return in->size || in->ended || !grpc_scan_between(&c->down) || flush_text(c, out);
}

static bool bytes_down(struct body *in, struct body *out) {
    size_t room = body_room(out);
    return body_move(in, out, in->size < room ? in->size : room);
}

static void web_down(struct step *s, struct body *in, struct body *out) {
    struct call *c = call_of(s);
    bool text = c->kind == GRPC_WEB_TEXT, ok = text ? text_down(c, in, out) : bytes_down(in, out);
    if (ok && !body_done(in))
        return;
    struct span frame = ok ? end_frame(s, c, in) : SPAN_NONE;
    ok = frame.p && (text ? push_text(c, out, frame) && flush_text(c, out)
                          : body_push_static(out, frame.p, frame.n));
    if (ok)
        body_end(out, NULL);
    else
        fail(s, FAULT_OUT_OF_MEMORY, "grpc");
}

/* An answer that is nothing but its end has its trailers in the head: into the body with them,
 * for a browser's script may not be shown a field. */
static bool take_status(struct call *c, struct head *resp) {
    static const struct span names[] = {SPAN("grpc-status"), SPAN("grpc-message"),
                                        SPAN("grpc-status-details-bin")};
    struct head *h = c->status = arena_alloc(resp->arena, sizeof *h);
    struct exchange *x = c->web.step->x;
    head_init(h, resp->arena);
    x->grpc_said = (unsigned char)(grpc_code_read(hdr_find(resp, names[0])) + 1);
    for (unsigned i = 0; i < array_len(names); i++) {
        struct span value = hdr_find(resp, names[i]);
        if (value.p && hdr_put(h, names[i], value, ORIGIN_UPSTREAM))
            return false;
        hdr_remove_name(resp, names[i]);
    }
    return true;
}

static bool to_web(struct step *s, struct call *c) {
    struct exchange *x = s->x;
    half_add(&x->down_half, &c->web, s, web_down);
    return set_type(&x->resp, c->kind) &&
           (!hdr_find(&x->resp, status_name).p || take_status(c, &x->resp));
}

static enum verdict response(struct step *s) {
    const struct grpc_conf *conf = s->filter->conf;
    struct call *c = call_of(s);
    struct exchange *x = s->x;
    if (!c || grpc_kind(hdr_get(&x->resp, HDR_CONTENT_TYPE)) != GRPC_PLAIN)
        return NEXT; /* no gRPC answer, or one that is made for the client already */
    grpc_scan_start(&c->down, conf->max_message, encodes(&x->resp));
    add_check(&x->down_half, &c->check_down, s, check_down);
    if (c->kind != GRPC_PLAIN && !to_web(s, c))
        return exchange_answer(x, FAULT_OUT_OF_MEMORY, "grpc");
    return NEXT;
}

const struct filter_ops grpc_ops = {.name = "grpc",
                                    .phase = PHASE_GUARD, /* all others see plain gRPC */
                                    .step_size = sizeof(struct grpc_step),
                                    .request = request,
                                    .response = response,
                                    .rare = true};
