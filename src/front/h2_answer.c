/* What the core tells its front becomes frames: heads, DATA, trailers, resets. */
#include "front/h2_conn.h"

/* In each send_stall_timeout at least so many bytes; a whole answer in so long. */
enum { SEND_LEAST = 1024, WHOLE_ANSWER_MS = 5 * 60 * 1000, ONE_FRAME = 16384 };

static struct h2_stream *stream_of(struct exchange *x) {
    return x->front_data;
}

/* ---- heads ---- */

static void say_interim(struct h2_stream *s, const struct head *h) {
    struct h2_conn *c = s->c;
    struct h2_print how = {.length = -1};
    nghttp2_nv *nv;
    size_t n = h2_print_response(h, &s->x->arena, &how, &nv);
    if (n)
        h2_check(c,
                 nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, n, NULL));
    h2_dirty(c);
}

static bool bodiless(const struct exchange *x) {
    return x->req.method == METHOD_HEAD || x->resp.status == 204 || x->resp.status == 304;
}

/* The service has not accepted the tunnel: to the client any 2xx would say that it stands
 * (RFC 8441 5). */
static void untunnel(struct exchange *x) {
    struct head *h = arena_zero(&x->arena, sizeof *h);
    static const enum hdr_id kept[] = {HDR_DATE, HDR_VIA, HDR_X_REQUEST_ID};
    head_init(h, &x->arena);
    h->status = fault_table[FAULT_UPGRADE_NOT_ACCEPTED].status;
    for (size_t i = 0; i < array_len(kept); i++)
        if (hdr_has(&x->resp, kept[i]))
            hdr_add(h, kept[i], hdr_get(&x->resp, kept[i]));
    x->resp = *h;
    x->down_half.length = 0;
    x->fault = FAULT_UPGRADE_NOT_ACCEPTED;
    body_stop(x->down_half.sink);
}

static bool ends_with_head(const struct exchange *x) {
    const struct body *b = x->down_half.sink;
    return bodiless(x) || x->down_half.length == 0 || (body_done(b) && !b->trailers);
}

/* Answers share the connection evenly, whatever order they began in. */
static void share_evenly(struct h2_stream *s) {
    static const nghttp2_extpri even = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
    const struct body *b = s->x->down_half.sink;
    if (!b->ended || b->size > ONE_FRAME)
        h2_check(s->c,
                 nghttp2_session_change_extpri_stream_priority(s->c->session, s->id, &even, 1));
}

static void final_head(struct h2_stream *s) {
    struct exchange *x = s->x;
    struct h2_conn *c = s->c;
    if (x->req.protocol.n && !x->tunnel && x->resp.status / 100 == 2)
        untunnel(x);
    bool said = !x->tunnel && x->resp.status != 204; /* RFC 9110 8.6 */
    struct h2_print how = {.length = said ? x->down_half.length : -1};
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_answer_read};
    nghttp2_nv *nv;
    size_t n = h2_print_response(&x->resp, &x->arena, &how, &nv);
    bool end = !x->tunnel && ends_with_head(x);
    if (end)
        body_stop(x->down_half.sink);
    else
        body_want(x->down_half.sink);
    s->told = true;
    c->unsent++;
    if (n == 0)
        c->broken = true; /* there was no memory */
    else
        h2_check(c, nghttp2_submit_response(c->session, s->id, nv, n, end ? NULL : &body));
    if (!end)
        share_evenly(s);
    h2_dirty(c);
}

static void head(struct exchange *x) {
    struct h2_stream *s = stream_of(x);
    if (x->interim) {
        x->interim->status = 103;
        say_interim(s, x->interim);
    } else {
        final_head(s);
    }
}

/* ---- bodies ---- */

static void readable(struct exchange *x) {
    struct h2_stream *s = stream_of(x);
    if (s->deferred) {
        s->deferred = false;
        h2_check(s->c, nghttp2_session_resume_data(s->c->session, s->id));
    }
    h2_dirty(s->c);
}

static void room(struct exchange *x) {
    struct h2_stream *s = stream_of(x);
    if (s->c->owed)
        h2_window_owed(s->c);
    if (s->request_done || x->up_half.source.stopped)
        return;
    if (s->expect && !x->head_told) {
        s->expect = false;
        if (x->up_half.source.in == 0) {
            struct head *h = arena_zero(&x->arena, sizeof *h);
            head_init(h, &x->arena);
            h->status = 100;
            say_interim(s, h);
        }
    }
    /* Since the last byte there was no room for more: that is not the client's time. */
    s->body_since += h2_now(s->c) - s->body_last;
    s->body_last = h2_now(s->c);
    h2_stream_room(s);
    h2_look_soon(s->c);
}

static uint32_t reset_code(enum fault f) {
    if (f == FAULT_MALFORMED_H2)
        return NGHTTP2_PROTOCOL_ERROR;
    bool time = f == FAULT_REQUEST_TIMEOUT || f == FAULT_STREAM_IDLE || f == FAULT_MAX_DURATION ||
                f == FAULT_SHUTTING_DOWN || fault_table[f].who == FAULT_WHO_CLIENT;
    return time ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
}

static void failed(struct exchange *x) {
    struct h2_stream *s = stream_of(x);
    h2_check(s->c, nghttp2_submit_rst_stream(s->c->session, NGHTTP2_FLAG_NONE, s->id,
                                             reset_code(x->fault)));
    h2_dirty(s->c);
    h2_stream_leave(s);
}

const struct front_ops h2_front = {"h2", head, readable, room, failed, false};

/* ---- DATA, as nghttp2 asks for it ---- */

/* Says how much; h2_answer_send copies it from the body straight into the output. */
ssize_t h2_answer_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
                       uint32_t *flags, nghttp2_data_source *source, void *conn) {
    struct h2_stream *s = source->ptr;
    struct h2_conn *c = conn;
    const struct body *b = s->x->down_half.sink;
    size_t n = b->size < max ? b->size : max;
    nghttp2_nv *nv;
    (void)buf;
    if (n == 0 && !b->ended) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!b->ended || n < b->size)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    size_t fields = h2_print_trailers(b->trailers, &s->x->arena, &nv);
    if (fields) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        h2_check(c, nghttp2_submit_trailer(session, id, nv, fields));
    }
    return (ssize_t)n;
}

static void copy_body(struct body *b, unsigned char *to, size_t n) {
    while (n) {
        struct iovec iov[BODY_IOV] unzeroed;
        int count = body_get(b, iov, BODY_IOV, n);
        size_t part = 0;
        for (int i = 0; i < count; i++) {
            memcpy(to + part, iov[i].iov_base, iov[i].iov_len);
            part += iov[i].iov_len;
        }
        must(part);
        body_pop(b, part);
        to += part;
        n -= part;
    }
}

int h2_answer_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head_bytes,
                   size_t n, nghttp2_data_source *source, void *conn) {
    struct h2_stream *s = source->ptr;
    struct h2_conn *c = conn;
    unsigned char *to = h2_out_room(c, H2_FRAME_HEAD + n);
    (void)session;
    if (!to)
        return NGHTTP2_ERR_WOULDBLOCK;
    memcpy(to, head_bytes, H2_FRAME_HEAD);
    copy_body(s->x->down_half.sink, to + H2_FRAME_HEAD, n);
    s->x->bytes_out += H2_FRAME_HEAD + n;
    s->sent += n;
    h2_guard_sent(&c->guard);
    h2_guard_payload(&c->guard, n);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_answer_ended(s);
    return 0;
}

/* A request that has not ended is of no more use; without an error, for it was answered (RFC 9113
 * 8.1). */
void h2_answer_ended(struct h2_stream *s) {
    struct h2_conn *c = s->c;
    s->answered = true;
    c->unsent--;
    if (!s->request_done)
        h2_check(c,
                 nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR));
}

/* ---- time ---- */

static bool waits_for_window(const struct h2_stream *s) {
    return s->told && !s->answered && body_readable(s->x->down_half.sink);
}

/* Every output sends what windows allow: what is there a second later waits for the client. A whole
 * answer occupies memory until it has left, so it has an absolute time too. */
bool h2_stream_stalled(struct h2_stream *s) {
    uint64_t ms = h2_route_limits(s)->send_stall_timeout_ms, now = h2_now(s->c);
    if (!ms || !waits_for_window(s)) {
        s->stall_since = s->whole_since = 0;
        return false;
    }
    body_pace(s->x->down_half.sink, false);
    if (!s->whole_since || !s->x->down_half.source.ended)
        s->whole_since = now;
    if (!s->stall_since || s->sent - s->stall_bytes >= SEND_LEAST) {
        s->stall_since = now;
        s->stall_bytes = s->sent;
    }
    return h2_passed_ms(s->c, s->stall_since) >= ms ||
           h2_passed_ms(s->c, s->whole_since) >= WHOLE_ANSWER_MS;
}
