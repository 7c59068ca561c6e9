/* Between the connection and nghttp2: its settings, what it calls, what comes in and goes out. */
#include "front/h2_conn.h"
#include "base/log.h"
#include <pthread.h>

enum {
    READS_PER_TURN = 256 * 1024,
    CONTROL_QUEUE = 1000,
    SETTINGS_ENTRIES = 32,
    HEADER_BLOCK_OUT = 512 * 1024, /* what a service may say is bounded elsewhere */
    SETTINGS_COUNT = 6
};

/* ---- ends ---- */

void h2_check(struct h2_conn *c, int result) {
    if (result < 0 && nghttp2_is_fatal(result)) {
        c->broken = true;
        h2_dirty(c);
    }
}

void h2_error(struct h2_conn *c, const struct h2_trouble *t) {
    if (c->over)
        return;
    c->over = true;
    h2_check(c, nghttp2_session_terminate_session(c->session, t->code));
    h2_dirty(c);
    if (t->flood == H2_FLOOD_RESETS)
        count_up(h2_thread(c), client_h2_reset_floods);
    else if (t->flood == H2_FLOOD_HEADERS)
        count_up(h2_thread(c), client_h2_header_floods);
    else if (t->flood)
        count_up(h2_thread(c), client_h2_control_floods);
    log_event(t->flood ? LEVEL_WARNING : LEVEL_INFO, t->flood ? "h2_flood" : "h2_error",
              "client %.*s: connection ended: %s", (int)c->door.peer_text_len, c->door.peer_text,
              t->why);
}

void h2_flooded(struct h2_conn *c, enum h2_flood flood, const char *why) {
    struct h2_trouble t = {.flood = flood, .code = NGHTTP2_ENHANCE_YOUR_CALM, .why = why};
    h2_error(c, &t);
}

void h2_glitch(struct h2_conn *c, const char *too_many) {
    count_up(h2_thread(c), client_h2_glitches);
    if (!h2_bucket_spend(&c->guard.glitches, 1, h2_now(c)))
        h2_flooded(c, H2_FLOOD_CONTROL, too_many);
}

void h2_reset_spent(struct h2_conn *c, const char *too_many) {
    if (!h2_bucket_spend(&c->guard.resets, 1, h2_now(c)))
        h2_flooded(c, H2_FLOOD_RESETS, too_many);
}

void h2_goaway_last(struct h2_conn *c) {
    if (c->leave == H2_LEAVES)
        return;
    c->leave = H2_LEAVES;
    c->since = h2_now(c);
    c->last_id = c->refused_to = (uint32_t)nghttp2_session_get_last_proc_stream_id(c->session);
    h2_check(c, nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, (int32_t)c->last_id,
                                      NGHTTP2_NO_ERROR, NULL, 0));
    h2_dirty(c);
}

/* ---- what nghttp2 calls while it is fed ---- */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *conn) {
    struct h2_conn *c = conn;
    c->section_of = NULL;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *s = stream_of(session, frame->hd.stream_id);
        if (s && !c->over)
            h2_stream_trailers(s);
        return 0;
    }
    if (c->over)
        return 0;
    c->begun++;
    struct h2_stream *s = h2_stream_open(c, frame->hd.stream_id);
    if (!s) /* a reset is on its way; the block is decoded for its table alone */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h2_check(c, nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s));
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *conn) {
    struct h2_conn *c = conn;
    (void)session, (void)frame, (void)flags;
    if (c->section_of)
        h2_section_field(&c->section_of->section, span_of((const char *)name, name_len),
                         span_of((const char *)value, value_len));
    return 0;
}

static void got_headers(struct h2_conn *c, const nghttp2_frame *frame) {
    struct h2_stream *s = c->section_of;
    c->section_of = NULL;
    if (!s)
        return;
    s->x->bytes_in += H2_FRAME_HEAD + frame->hd.length;
    h2_stream_headers(s, frame->headers.cat != NGHTTP2_HCAT_REQUEST,
                      frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

static void got_data(nghttp2_session *session, const nghttp2_frame *frame) {
    struct h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (!s)
        return;
    s->x->bytes_in += H2_FRAME_HEAD + frame->hd.length;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_stream_end(s, NULL);
}

static void got_reset(struct h2_conn *c, const nghttp2_frame *frame) {
    struct h2_stream *s = stream_of(c->session, frame->hd.stream_id);
    if (!s)
        return;
    s->reset = true; /* it ends when nghttp2 closes it, next */
    c->gone_now++;
    count_up(h2_thread(c), client_h2_resets_received);
    h2_reset_spent(c, "too many RST_STREAM frames");
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *conn) {
    struct h2_conn *c = conn;
    if (c->over)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        got_headers(c, frame);
        break;
    case NGHTTP2_DATA:
        got_data(session, frame);
        break;
    case NGHTTP2_RST_STREAM:
        got_reset(c, frame);
        break;
    case NGHTTP2_PING: /* ours has gone to the client and come back: it knows that we leave */
        if (frame->hd.flags & NGHTTP2_FLAG_ACK && c->leave == H2_NOTICED)
            h2_goaway_last(c);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *conn) {
    struct h2_conn *c = conn;
    struct h2_stream *s = stream_of(session, id);
    (void)flags;
    h2_guard_payload(&c->guard, n);
    h2_window_back(c, n);
    if (s && !c->over)
        h2_stream_data(s, (const char *)data, n);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *conn) {
    struct h2_stream *s = stream_of(session, id);
    (void)conn;
    if (s)
        h2_stream_closed(s, code);
    return 0;
}

/* ---- what nghttp2 calls while frames are made ---- */

static void count_goaway(struct h2_conn *c, uint32_t code) {
    if (code == NGHTTP2_NO_ERROR)
        count_up(h2_thread(c), client_h2_goaways_graceful);
    else if (code == NGHTTP2_ENHANCE_YOUR_CALM)
        count_up(h2_thread(c), client_h2_goaways_flood);
    else
        count_up(h2_thread(c), client_h2_goaways_error);
    c->over |= code != NGHTTP2_NO_ERROR;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *conn) {
    struct h2_conn *c = conn;
    struct h2_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        s = stream_of(session, frame->hd.stream_id);
        if (!s)
            break;
        s->x->bytes_out += H2_FRAME_HEAD + frame->hd.length;
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            h2_answer_ended(s);
        break;
    case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            count_up(h2_thread(c), client_h2_resets_sent);
        break;
    case NGHTTP2_GOAWAY:
        count_goaway(c, frame->goaway.error_code);
        if (c->leave == H2_NOTICED) /* when it comes back the client has heard */
            h2_check(c, nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL));
        break;
    default:
        break;
    }
    return 0;
}

/* An answer whose head cannot be sent (it is larger than any block may be) is none. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int why, void *conn) {
    struct h2_stream *s =
        frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;
    (void)conn, (void)why;
    if (s)
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR, FAULT_UPSTREAM_HEADER_TOO_LARGE);
    return 0;
}

/* ---- begin ---- */

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void) {
    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_answer_send);
}

static nghttp2_option *make_option(const struct limits_conf *l) {
    nghttp2_option *o;
    must(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_http_messaging(o, 1);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_outbound_ack(o, CONTROL_QUEUE);
    nghttp2_option_set_max_settings(o, SETTINGS_ENTRIES);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, l->h2_header_table);
    nghttp2_option_set_max_send_header_block_length(o, HEADER_BLOCK_OUT);
    /* Counted by h2_frames, exactly: nghttp2 takes a frame whose head is cut for several. */
    nghttp2_option_set_max_continuations(o, SIZE_MAX);
    nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
    return o;
}

static void settings(const struct limits_conf *l, nghttp2_settings_entry e[SETTINGS_COUNT]) {
    e[0] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                    l->h2_max_concurrent_streams};
    e[1] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->h2_initial_window};
    e[2] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->h1_request.total_max};
    e[3] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    e[4] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
    e[5] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, l->h2_header_table};
}

/* The frame that the client gets says how many streams it may have. nghttp2 believes twice as many:
 * it ends the connection over one too many, and we refuse the stream (RFC 9113 5.1.2). */
static bool say_settings(struct h2_conn *c, const struct limits_conf *l) {
    nghttp2_settings_entry e[SETTINGS_COUNT];
    const uint8_t *told;
    uint8_t *frame;
    settings(l, e);
    e[0].value *= 2;
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, e, SETTINGS_COUNT) < 0)
        return false;
    ssize_t n = nghttp2_session_mem_send(c->session, &told);
    if (n < H2_FRAME_HEAD || !(frame = h2_out_room(c, (size_t)n)))
        return false;
    e[0].value = l->h2_max_concurrent_streams;
    memcpy(frame, told, H2_FRAME_HEAD);
    return nghttp2_pack_settings_payload(frame + H2_FRAME_HEAD, (size_t)n - H2_FRAME_HEAD, e,
                                         SETTINGS_COUNT) == n - H2_FRAME_HEAD;
}

bool h2_session_start(struct h2_conn *c, const struct limits_conf *l) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_callbacks);
    nghttp2_option *o = make_option(l);
    int r = nghttp2_session_server_new3(&c->session, callbacks, c, o, h2_memory(&h2_thread(c)->h2));
    nghttp2_option_del(o);
    if (r < 0)
        c->session = NULL; /* it points to what is freed */
    h2_frames_init(&c->frames);
    h2_bucket_init(&c->guard.glitches, l->h2_glitch_burst, l->h2_glitch_rate, h2_now(c));
    h2_bucket_init(&c->guard.resets, l->h2_reset_burst, l->h2_reset_rate, h2_now(c));
    return r == 0 && say_settings(c, l) &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)l->h2_connection_window) == 0;
}

/* ---- reading ---- */

/* Streams that come after the last one of our GOAWAY: the client may try them elsewhere. */
static void refuse_late(struct h2_conn *c) {
    if (c->refused_to + 2 * H2_KNOWN_IDS < c->frames.last)
        c->refused_to = c->frames.last - 2 * H2_KNOWN_IDS;
    for (uint32_t id = c->refused_to + 1; id <= c->frames.last && !c->over; id++)
        if (h2_frames_opened(&c->frames, id)) {
            count_up(h2_thread(c), client_h2_streams_refused);
            h2_check(c, nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, (int32_t)id,
                                                  NGHTTP2_REFUSED_STREAM));
            h2_glitch(c, "too many streams after GOAWAY");
        }
    c->refused_to = c->frames.last;
    h2_dirty(c);
}

/* More than twice as many at once as it may have: nghttp2 refuses them without a word to us. */
static bool beyond_measure(const struct h2_conn *c) {
    bool headers = !c->frames.need && c->frames.type == NGHTTP2_HEADERS; /* perhaps not begun yet */
    return c->leave != H2_LEAVES && !headers && c->begun < c->frames.streams;
}

static void feed(struct h2_conn *c, struct span in) {
    ssize_t n = in.n ? nghttp2_session_mem_recv(c->session, (const uint8_t *)in.p, in.n) : 0;
    if (n >= 0)
        return;
    struct h2_trouble t = {.code = NGHTTP2_PROTOCOL_ERROR, .why = "it does not speak HTTP/2"};
    if (n == NGHTTP2_ERR_FLOODED)
        t = (struct h2_trouble){H2_FLOOD_CONTROL, NGHTTP2_ENHANCE_YOUR_CALM,
                                "SETTINGS and PING frames that wait for their answer"};
    if (n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_error(c, &t);
    else
        h2_check(c, (int)n);
}

void h2_take(struct h2_conn *c, struct span in) {
    struct h2_trouble t;
    c->gone_now = 0;
    size_t n = h2_frames_look(&c->frames, &c->guard, h2_now(c), in, &t);
    feed(c, span_of(in.p, n));
    const char *useless = h2_guard_bytes(&c->guard, n);
    if (!t.code && useless)
        t = (struct h2_trouble){H2_FLOOD_CONTROL, NGHTTP2_ENHANCE_YOUR_CALM, useless};
    if (t.code)
        h2_error(c, &t);
    if (beyond_measure(c))
        h2_flooded(c, H2_FLOOD_RESETS, "far more streams at once than it may have");
    if (!c->over) /* else nothing of this read begins */
        h2_streams_start(c);
    if (c->leave == H2_LEAVES && c->frames.last > c->refused_to)
        refuse_late(c);
    if (h2_bucket_low(&c->guard.glitches, h2_now(c)))
        h2_leave_soon(c);
    if (c->frames.block)
        h2_look_soon(c);
    count_add(h2_thread(c)->counters.client_h2_glitches, c->frames.glitches);
    c->frames.glitches = 0;
    if (c->broken || nghttp2_session_want_write(c->session) ||
        !nghttp2_session_want_read(c->session))
        h2_dirty(c);
}

/* The client says no more; what it has asked for whole may still be answered. */
static void read_end(struct h2_conn *c) {
    c->read_ended = true;
    for (struct list *n = c->streams.next, *next; n != &c->streams; n = next) {
        struct h2_stream *s = container_of(n, struct h2_stream, node);
        next = n->next;
        if (!s->request_done)
            h2_stream_reset(s, NGHTTP2_CANCEL, FAULT_CLIENT_CLOSED);
    }
    h2_dirty(c);
}

void h2_read(struct h2_conn *c) {
    struct loop *l = &h2_thread(c)->loop;
    size_t share = READS_PER_TURN;
    while (c->state == H2_OPEN && c->door.stream.readable && !c->over && !c->read_ended) {
        struct span got;
        loop_scratch_reuse(l);
        if (share == 0 || SCRATCH_MAX - l->scratch_used < SCRATCH_MIN) {
            loop_unfinished(l, &c->reader);
            return;
        }
        enum io_result r =
            stream_read(l, &c->door.stream, share < SCRATCH_MIN ? share : SCRATCH_MIN, &got);
        if (r == IO_AGAIN)
            return;
        if (r == IO_END) {
            read_end(c);
            return;
        }
        if (r != IO_OK) {
            h2_lost(c, FAULT_CLIENT_CLOSED);
            return;
        }
        share -= got.n;
        count_add(h2_thread(c)->counters.client_bytes_received, got.n);
        h2_take(c, got);
    }
}
