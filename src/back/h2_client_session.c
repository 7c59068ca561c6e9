/* nghttp2: what the frames that come mean, and what the service is told first. */
#include "back/h2_client_conn.h"

enum { HEADER_BLOCK_MAX = 256 * 1024, ACKS_MAX = 1000, SETTINGS_MAX = 32, CONTINUATIONS_MAX = 8 };
enum { WINDOW_DEFAULT = 64 * 1024, TABLE_DEFAULT = 4096 };

#define CODES(C)                                                                                   \
    C(NO_ERROR)                                                                                    \
    C(PROTOCOL_ERROR)                                                                              \
    C(INTERNAL_ERROR)                                                                              \
    C(FLOW_CONTROL_ERROR)                                                                          \
    C(SETTINGS_TIMEOUT)                                                                            \
    C(STREAM_CLOSED)                                                                               \
    C(FRAME_SIZE_ERROR)                                                                            \
    C(REFUSED_STREAM)                                                                              \
    C(CANCEL)                                                                                      \
    C(COMPRESSION_ERROR)                                                                           \
    C(CONNECT_ERROR)                                                                               \
    C(ENHANCE_YOUR_CALM)                                                                           \
    C(INADEQUATE_SECURITY)                                                                         \
    C(HTTP_1_1_REQUIRED)

const char *h2_goaway_text(uint32_t code) {
    static const char *const text[] = {
#define C(name) [NGHTTP2_##name] = "GOAWAY of the service: " #name,
        CODES(C)
#undef C
    };
    return code < array_len(text) ? text[code] : "GOAWAY of the service: an unknown code";
}

const char *h2_reset_text(uint32_t code) {
    static const char *const text[] = {
#define C(name) [NGHTTP2_##name] = "RST_STREAM of the service: " #name,
        CODES(C)
#undef C
    };
    return code < array_len(text) ? text[code] : "RST_STREAM of the service: an unknown code";
}

/* NULL: there is none, or its attempt has left. */
static struct h2_part *part_of(nghttp2_session *s, int32_t id) {
    struct h2_part *p = id ? nghttp2_session_get_stream_user_data(s, id) : NULL;
    return p && !p->over ? p : NULL;
}

/* ---- frames that come ------------------------------------------------------------------------ */

static int on_begin_frame(nghttp2_session *s, const nghttp2_frame_hd *hd, void *client) {
    struct h2_client *c = client;
    bool live = part_of(s, hd->stream_id) != NULL;
    const char *why = h2_guard_frame(&c->guard, hd, live, h2_client_now(c));
    if (why)
        h2_client_doom(c, FAULT_UPSTREAM_PROTOCOL, NGHTTP2_ENHANCE_YOUR_CALM, why);
    else if (hd->type == NGHTTP2_PUSH_PROMISE) /* it has read that we take none */
        h2_client_doom(c, FAULT_UPSTREAM_PROTOCOL, NGHTTP2_PROTOCOL_ERROR, "PUSH_PROMISE");
    return c->doom ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *client) {
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    (void)client;
    if (p)
        h2_part_section_begin(p);
    return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *client) {
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    (void)client;
    (void)flags;
    if (p && p->in_section)
        h2_section_field(&p->section, span_of((const char *)name, name_len),
                         span_of((const char *)value, value_len));
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *client) {
    struct h2_client *c = client;
    struct h2_part *p = part_of(s, id);
    (void)flags;
    /* A slow stream does not hold up the others. */
    if (nghttp2_session_consume_connection(s, n) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!p)
        return 0;
    h2_guard_payload(&c->guard, n);
    h2_part_data(p, bytes, n);
    return 0;
}

static void on_settings(struct h2_client *c) {
    bool first = !c->told;
    c->told = true;
    h2_client_room(c);
    for (struct list *n = c->streams.next, *next; first && n != &c->streams; n = next) {
        struct h2_part *p = container_of(n, struct h2_part, node);
        next = n->next;
        if (!p->id)
            h2_part_begin(p);
    }
}

/* nghttp2 closes the streams above the last one that the service has seen. */
static void on_goaway(struct h2_client *c, uint32_t code) {
    count_up(h2_client_thread(c), upstream_h2_goaways);
    c->goaway = true;
    if (code != NGHTTP2_NO_ERROR)
        c->last_word = h2_goaway_text(code);
    h2_client_retire(c);
}

/* More of them than there should be: the next ones try another connection. */
static void on_reset(struct h2_client *c) {
    count_up(h2_client_thread(c), upstream_h2_resets);
    if (!h2_bucket_spend(&c->guard.resets, 1, h2_client_now(c)))
        h2_client_retire(c);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *client) {
    struct h2_client *c = client;
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (p && p->in_section)
            h2_part_section_end(p, end);
        break;
    case NGHTTP2_DATA:
        if (p && end)
            h2_part_end(p);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            on_settings(c);
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(c, frame->goaway.error_code);
        break;
    case NGHTTP2_RST_STREAM:
        if (p)
            on_reset(c);
        break;
    default:
        break;
    }
    return 0;
}

/* That is an answer, too: it is not asked for again. */
static void reset(struct h2_part *p, uint32_t code) {
    p->a->got_byte = true;
    h2_part_over(p, FAULT_UPSTREAM_RESET, h2_reset_text(code), H2_PART_NO_RESET);
}

/* Not by the end of its answer: that has been noted before. */
static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *client) {
    struct h2_client *c = client;
    struct h2_part *p = part_of(s, id);
    if (!p)
        return 0;
    if (p->fault) /* it could not be sent, or was malformed */
        h2_part_over(p, p->fault, p->detail, H2_PART_NO_RESET);
    else if (code == NGHTTP2_REFUSED_STREAM && !p->a->head_read)
        h2_part_over(p, FAULT_UPSTREAM_REFUSED_STREAM,
                     c->goaway ? "GOAWAY of the service" : h2_reset_text(code), H2_PART_NO_RESET);
    else
        reset(p, code);
    return 0;
}

/* A frame of a stream that nghttp2 has reset for it. */
static int on_invalid(nghttp2_session *s, const nghttp2_frame *frame, int error, void *client) {
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    (void)client;
    if (p) {
        p->fault = FAULT_UPSTREAM_PROTOCOL;
        p->detail = nghttp2_strerror(error);
    }
    return 0;
}

/* ---- frames that go -------------------------------------------------------------------------- */

/* A GOAWAY of nghttp2's own, or one that we asked for. */
static void on_our_goaway(struct h2_client *c, const nghttp2_goaway *g) {
    size_t n =
        g->opaque_data_len < sizeof c->reason - 1 ? g->opaque_data_len : sizeof c->reason - 1;
    if (n)
        memcpy(c->reason, g->opaque_data, n);
    c->reason[n] = 0;
    if (g->error_code != NGHTTP2_NO_ERROR && !c->doom)
        c->doom = FAULT_UPSTREAM_PROTOCOL;
}

/* Gathered, that is: c->gathered stands before it. */
static int on_sent(nghttp2_session *s, const nghttp2_frame *frame, void *client) {
    struct h2_client *c = client;
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        on_our_goaway(c, &frame->goaway);
    if (message)
        h2_guard_sent(&c->guard);
    if (!p || !message)
        return 0;
    if (!p->begun) {
        p->begun = true;
        p->begins = c->gathered;
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_part_sent(p);
    return 0;
}

static int on_not_sent(nghttp2_session *s, const nghttp2_frame *frame, int error, void *client) {
    struct h2_part *p = part_of(s, frame->hd.stream_id);
    (void)client;
    if (!p || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    bool closing = error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED ||
                   error == NGHTTP2_ERR_SESSION_CLOSING || error == NGHTTP2_ERR_STREAM_CLOSING;
    p->fault = closing ? FAULT_UPSTREAM_REFUSED_STREAM : FAULT_INTERNAL;
    p->detail = nghttp2_strerror(error);
    return 0;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void set_callbacks(nghttp2_session_callbacks *to) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(to, on_invalid);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(to, on_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(to, h2_part_data_out);
}

static void set_options(nghttp2_option *to, const struct limits_conf *l) {
    nghttp2_option_set_no_auto_window_update(to, 1);
    nghttp2_option_set_no_http_messaging(to, 1);
    nghttp2_option_set_max_reserved_remote_streams(to, 0);
    nghttp2_option_set_max_outbound_ack(to, ACKS_MAX);
    nghttp2_option_set_max_settings(to, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(to, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(to, HEADER_BLOCK_MAX);
    nghttp2_option_set_max_deflate_dynamic_table_size(to, l->h2_header_table ? l->h2_header_table
                                                                             : TABLE_DEFAULT);
}

static bool make_session(struct h2_client *c, const struct limits_conf *l) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    bool ok = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0;
    if (ok) {
        set_callbacks(callbacks);
        set_options(option, l);
        ok = nghttp2_session_client_new3(&c->session, callbacks, c, option,
                                         h2_memory(&h2_client_thread(c)->h2)) == 0;
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return ok;
}

static bool tell_settings(struct h2_client *c, const struct limits_conf *l) {
    uint32_t table = l->h2_header_table ? l->h2_header_table : TABLE_DEFAULT;
    uint32_t connection = l->h2_connection_window ? l->h2_connection_window : 1 << 20;
    const nghttp2_settings_entry told[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->h1_response.total_max},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, table},
    };
    size_t count = array_len(told) - (table == TABLE_DEFAULT);
    return nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, told, count) == 0 &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)connection) == 0;
}

bool h2_client_start(struct h2_client *c, const struct limits_conf *l) {
    uint64_t now = h2_client_now(c);
    h2_bucket_init(&c->guard.glitches, l->h2_glitch_burst, l->h2_glitch_rate, now);
    h2_bucket_init(&c->guard.resets, l->h2_reset_burst, l->h2_reset_rate, now);
    c->window = l->h2_initial_window ? l->h2_initial_window : WINDOW_DEFAULT;
    if (make_session(c, l) && tell_settings(c, l))
        return true;
    nghttp2_session_del(c->session);
    c->session = NULL;
    return false;
}
