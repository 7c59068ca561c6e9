/* A stream's request: its head, its body straight from the exchange's slices, its trailers. */
#include "back/h2_client_conn.h"
#include "http/grpc.h"

/* What content-length says; -1: nothing. */
static int64_t length_of(const struct exchange *x) {
    enum method m = x->req.method;
    bool implied = m == METHOD_GET || m == METHOD_HEAD || m == METHOD_DELETE ||
                   m == METHOD_OPTIONS || m == METHOD_CONNECT;
    return x->up_half.length == 0 && implied ? -1 : x->up_half.length;
}

static nghttp2_nv *find(nghttp2_nv *nv, size_t n, struct span name) {
    for (size_t i = 0; i < n; i++)
        if (span_eq(span_of((char *)nv[i].name, nv[i].namelen), name))
            return &nv[i];
    return NULL;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return !a || (b && b < a) ? b : a;
}

/* grpc-timeout says what is left of our own deadline, where that is less than the client's. */
static bool shorten_timeout(struct attempt *a, nghttp2_nv *nv, size_t n) {
    struct exchange *x = a->x;
    uint64_t told, now = x->thread->loop.now, end = earlier(x->deadline_at, a->deadline_at);
    nghttp2_nv *field = end ? find(nv, n, SPAN("grpc-timeout")) : NULL;
    if (!field || !grpc_timeout(span_of((char *)field->value, field->valuelen), &told) ||
        told <= (end > now ? end - now : 0))
        return true;
    char *text = arena_try(&x->arena, 16);
    if (!text)
        return false;
    struct span s = grpc_timeout_print(end > now ? end - now : 0, text);
    field->value = (uint8_t *)(uintptr_t)s.p;
    field->valuelen = s.n;
    return true;
}

/* 0: no memory. */
static size_t print(struct attempt *a, nghttp2_nv **nv) {
    struct exchange *x = a->x;
    struct field extra[ATTEMPT_FIELDS] unzeroed;
    struct h2_print how = {.extra = extra,
                           .authority = attempt_authority(a),
                           .scheme = a->service->tls ? SPAN("https") : SPAN("http"),
                           .length = length_of(x)};
    how.extra_count = attempt_fields(a, extra);
    size_t n = h2_print_request(&x->req, &x->arena, &how, nv);
    return n && shorten_timeout(a, *nv, n) ? n : 0;
}

static bool may_begin(struct h2_part *p) {
    if (!p->a->x->req.protocol.n)
        return true;
    if (nghttp2_session_get_remote_settings(p->c->session,
                                            NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1)
        return true;
    h2_part_over(p, FAULT_UPGRADE_NOT_ACCEPTED, "the service takes no extended CONNECT",
                 H2_PART_NO_RESET);
    return false;
}

bool h2_part_begin(struct h2_part *p) {
    struct exchange *x = p->a->x;
    nghttp2_data_provider body = {.read_callback = h2_part_read};
    nghttp2_nv *nv = NULL;
    bool tunnel = x->req.protocol.n, has_body = tunnel || x->up_half.length != 0;
    if (!may_begin(p))
        return false;
    size_t n = print(p->a, &nv);
    int32_t id = n ? nghttp2_submit_request(p->c->session, NULL, nv, n, has_body ? &body : NULL, p)
                   : NGHTTP2_ERR_NOMEM;
    if (id < 0) {
        bool memory = id == NGHTTP2_ERR_NOMEM;
        h2_part_over(p, memory ? FAULT_OUT_OF_MEMORY : FAULT_INTERNAL,
                     memory ? NULL : nghttp2_strerror(id), H2_PART_NO_RESET);
        return false;
    }
    p->id = id;
    if (has_body && !tunnel) /* a tunnel's bytes wait until it stands */
        body_want(x->up_half.sink);
    return true;
}

void h2_part_more(struct h2_part *p) {
    struct h2_client *c = p->c;
    if (p->over || !p->deferred)
        return;
    p->deferred = false;
    if (nghttp2_session_resume_data(c->session, p->id) == NGHTTP2_ERR_NOMEM)
        h2_client_doom(c, FAULT_OUT_OF_MEMORY, NGHTTP2_INTERNAL_ERROR, NULL);
    h2_client_mark(c, p->a->x->up_half.sink->size);
}

void h2_part_sent(struct h2_part *p) {
    p->sent = true;
    p->since = h2_client_now(p->c);
    if (!p->a->x->t.sent)
        p->a->x->t.sent = p->since;
    if (p->ended)
        h2_part_over(p, FAULT_NONE, NULL, H2_PART_NO_RESET);
}

/* Behind the last byte of the body. False: there are none. */
static bool submit_trailers(struct h2_part *p) {
    nghttp2_nv *nv = NULL;
    struct exchange *x = p->a->x;
    size_t n = h2_print_trailers(x->up_half.sink->trailers, &x->arena, &nv);
    return n && nghttp2_submit_trailer(p->c->session, p->id, nv, n) == 0;
}

static ssize_t defer(struct h2_part *p) {
    struct body *b = p->a->x->up_half.sink;
    p->deferred = true;
    if (p->run >= b->limit / 2)
        body_pace(b, true);
    p->run = 0;
    return NGHTTP2_ERR_DEFERRED;
}

/* nghttp2 asks how much of a body may go: a frame's worth at most. */
ssize_t h2_part_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                     nghttp2_data_source *source, void *client) {
    struct h2_part *p = nghttp2_session_get_stream_user_data(s, id);
    (void)to, (void)source, (void)client;
    if (!p) { /* left, and not reset: nothing is missing but the end */
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    if (p->over)
        return NGHTTP2_ERR_DEFERRED; /* it is being reset */
    struct exchange *x = p->a->x;
    struct body *b = x->up_half.sink;
    size_t n = b->size < max ? b->size : max;
    if (x->req.protocol.n && !x->tunnel)
        return defer(p);                 /* to a service that does not agree it would be nothing */
    bool end = b->ended && n == b->size; /* not by its length: trailers may follow */
    if (!n && !end)
        return defer(p);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (end && b->trailers && submit_trailers(p))
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)n;
}

static void take_body(struct h2_client *c, struct body *b, size_t n) {
    struct iovec iov[BODY_IOV];
    while (n) {
        int count = body_get(b, iov, BODY_IOV, n);
        size_t all = 0;
        must(count > 0);
        for (int i = 0; i < count; i++) {
            memcpy(c->out + c->out_len, iov[i].iov_base, iov[i].iov_len);
            c->out_len += iov[i].iov_len;
            all += iov[i].iov_len;
        }
        body_pop(b, all);
        n -= all;
    }
}

/* A frame of the size that h2_part_read has promised. */
int h2_part_data_out(nghttp2_session *s, nghttp2_frame *frame, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *client) {
    struct h2_client *c = client;
    struct h2_part *p = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
    (void)source;
    if (!p || p->over || p->a->x->up_half.sink->size < n)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* its bytes were dropped: it is reset */
    must(c->out_max - c->out_len >= H2_FRAME_HEAD + n);
    memcpy(c->out + c->out_len, head, H2_FRAME_HEAD);
    c->out_len += H2_FRAME_HEAD;
    take_body(c, p->a->x->up_half.sink, n);
    p->since = h2_client_now(c);
    p->run += n;
    c->gathered += H2_FRAME_HEAD + n;
    c->full = c->out_max - c->out_len < H2_FRAME_HEAD + H2_FRAME_MAX;
    return c->full ? NGHTTP2_ERR_PAUSE : 0;
}
