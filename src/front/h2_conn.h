/*
 * h2_conn - the inside of the HTTP/2 server door: one connection and its streams, shared by its
 * files.
 *
 *     bytes -> h2_frames (counts) -> nghttp2 -> h2_stream (exchanges of header blocks and DATA)
 *     bytes <- h2_output (one write a turn) <- nghttp2 <- h2_answer (what the core tells its front)
 *
 * h2_server.c is its life and its time, h2_session.c stands between it and nghttp2. A stream is an
 * exchange: it begins with the first HEADERS frame and ends when its answer has left, or it is
 * reset. Nothing is written where it is produced: frames are gathered at the end of the drain into
 * a buffer of the thread, which is written once, at the end of the turn; what the socket does not
 * take stays in that buffer, and no more frames are made until it has left. An idle connection owns
 * no buffer. Owner: its listener. Thread: that of the listener.
 */
#pragma once
#include "front/door.h"
#include "front/h2_frames.h"
#include "http/h2.h"

enum h2_state { H2_OPEN, H2_LINGER, H2_CLOSED };
/* GOAWAY that lets what is under way end: told that it comes; told the last stream. */
enum h2_leave { H2_STAYS, H2_NOTICED, H2_LEAVES };

enum { H2_OUT_SIZE = 64 * 1024, H2_OUT_FULL = 32 * 1024 };
struct h2_out { /* frames on their way */
    struct h2_out *next;
    size_t n, at; /* bytes in it; written of them */
    unsigned char bytes[H2_OUT_SIZE];
};

struct h2_stream {           /* in the exchange's arena */
    struct list node;        /* in the connection's streams or leaving */
    struct h2_stream *fresh; /* the next one that starts at the end of this read */
    struct h2_conn *c;
    struct exchange *x;
    int32_t id;
    bool queued;       /* among the fresh ones */
    bool request_done; /* END_STREAM has come */
    bool expect;       /* waits for 100 */
    bool held;         /* last_byte has come and is not pushed: END_STREAM has not */
    bool told;         /* the final head was given to nghttp2 */
    bool deferred;     /* nghttp2 waits for more of the answer */
    bool answered;     /* END_STREAM of the answer is in the output */
    bool reset;        /* the client has reset it */
    char last_byte;
    enum fault fault; /* of its head: it is refused when it starts */
    struct h2_section section;
    struct h2_message m;
    int64_t left;                               /* of the content-length; -1: none was said */
    int64_t window;                             /* bytes of DATA that the client may still send */
    uint64_t body_since, body_bytes, body_last; /* ns, bytes: of the body as it comes */
    uint64_t stall_since, stall_bytes;          /* the answer does not move; 0: it does */
    uint64_t whole_since;                       /* all of a stalled answer is here */
    uint64_t sent;                              /* bytes of DATA */
    uint64_t end_at;                            /* leaving: when so much is written; 0: not known */
};

struct h2_conn {
    struct door door;
    nghttp2_session *session;
    struct list streams; /* exchanges under way */
    struct list leaving; /* answered, not yet written entirely */
    struct h2_stream *fresh, **fresh_last;
    struct h2_stream *section_of; /* whose header block is coming in; NULL: nobody's */
    struct h1_rules rules;
    struct output output,
        late; /* makes frames at the end of the drain; writes at that of the turn */
    struct reader reader;
    struct timer timer;
    struct h2_frames frames;
    struct h2_guard guard;
    struct h2_out *out;
    uint64_t made, written; /* bytes of frames */
    uint64_t since;         /* ns: it waits for a request, or leaves, since then */
    uint64_t stall_since, stall_bytes;
    uint64_t held, owed; /* DATA: perhaps in bodies; of the connection's window, not given back */
    uint32_t alive, gone_now;     /* exchanges; reset by the client in this read */
    uint32_t begun;               /* streams that nghttp2 has told of */
    uint32_t unsent;              /* answers that have begun and not ended */
    uint32_t last_id, refused_to; /* of GOAWAY; late streams up to it have been refused */
    uint32_t lingered;
    uint8_t state, leave;
    bool requests;   /* there was one */
    bool blocked;    /* the socket takes no more for now */
    bool full;       /* the output is: more frames are waiting */
    bool broken;     /* no memory for nghttp2: the connection is of no use */
    bool over;       /* GOAWAY with an error: nothing that comes counts */
    bool read_ended; /* the client sends no more */
};

static inline struct thread *h2_thread(const struct h2_conn *c) {
    return door_thread(&c->door);
}
static inline uint64_t h2_now(const struct h2_conn *c) {
    return h2_thread(c)->loop.now;
}
static inline uint64_t h2_passed_ms(const struct h2_conn *c, uint64_t since) {
    return (h2_now(c) - since) / 1000000;
}
static inline const struct limits_conf *h2_limits(const struct h2_conn *c) {
    return door_limits(&c->door);
}
/* Of the exchange's route, where that has its own. */
static inline const struct limits_conf *h2_route_limits(const struct h2_stream *s) {
    const struct route *r = s->x->route;
    bool own = r && r->limits && r->limits != &s->x->snap->snapshot->limits;
    return own ? r->limits : h2_limits(s->c);
}
/* Something is to be sent: frames are made at the end of this drain. */
static inline void h2_dirty(struct h2_conn *c) {
    if (!c->blocked)
        loop_output(&h2_thread(c)->loop, &c->output);
}

/* h2_server.c */
void h2_look_soon(struct h2_conn *c); /* something has begun that takes the client's time */
void h2_idle(struct h2_conn *c);      /* its last exchange has ended */
void h2_end_streams(struct list *streams, enum fault why);
void h2_lost(struct h2_conn *c, enum fault why); /* everything ends now; RST */
void h2_done(struct h2_conn *c);                 /* all is said: lingers, closes */
bool h2_worn_out(const struct h2_conn *c);       /* old, or of many requests */
void h2_leave_soon(struct h2_conn *c);           /* GOAWAY in two steps */

/* h2_session.c */
must_use bool h2_session_start(struct h2_conn *c, const struct limits_conf *l);
void h2_take(struct h2_conn *c, struct span in); /* bytes of the client, on the scratch */
void h2_read(struct h2_conn *c);
/* nghttp2's answer to a call: out of memory is the connection's end. */
void h2_check(struct h2_conn *c, int result);
/* GOAWAY with an error; what is under way ends at the next output. */
void h2_error(struct h2_conn *c, const struct h2_trouble *t);
/* One more of what a client may do but so often. */
void h2_glitch(struct h2_conn *c, const char *too_many);
void h2_reset_spent(struct h2_conn *c, const char *too_many);
void h2_flooded(struct h2_conn *c, enum h2_flood flood, const char *why);
void h2_goaway_last(struct h2_conn *c); /* no stream behind this one */

/* h2_stream.c */
struct h2_stream *h2_stream_open(struct h2_conn *c, int32_t id); /* NULL: refused */
void h2_stream_trailers(struct h2_stream *s); /* a header block behind the body */
void h2_stream_headers(struct h2_stream *s, bool trailers, bool end); /* the block is whole */
void h2_stream_data(struct h2_stream *s, const char *p, size_t n);
void h2_stream_end(struct h2_stream *s, struct head *trailers); /* END_STREAM */
void h2_stream_late(struct h2_stream *s);                       /* its body does not come: 408 */
void h2_streams_start(struct h2_conn *c);
void h2_stream_room(struct h2_stream *s); /* window for as much as its body takes */
/* RST_STREAM, and the exchange ends. */
void h2_stream_reset(struct h2_stream *s, uint32_t code, enum fault why);
void h2_stream_malformed(struct h2_stream *s, enum fault why); /* and the client is to blame */
void h2_stream_closed(struct h2_stream *s, uint32_t code);     /* nghttp2 forgets it */
void h2_stream_leave(struct h2_stream *s);        /* its exchange has ended, or does so now */
void h2_window_back(struct h2_conn *c, size_t n); /* the connection's, for n bytes of DATA */
void h2_window_owed(struct h2_conn *c);

/* h2_answer.c */
extern const struct front_ops h2_front;
bool h2_stream_stalled(struct h2_stream *s); /* looked at now and then: its answer does not move */
ssize_t h2_answer_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
                       uint32_t *flags, nghttp2_data_source *source, void *conn);
int h2_answer_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                   nghttp2_data_source *source, void *conn);
void h2_answer_ended(struct h2_stream *s); /* END_STREAM stands in the output */

/* h2_output.c */
void h2_output(struct output *o);
void h2_output_late(struct output *o);
void h2_output_last(struct h2_conn *c); /* what there is, once */
void h2_writable(struct h2_conn *c);
bool h2_blocked_long(struct h2_conn *c); /* looked at now and then: the client takes too little */
unsigned char *h2_out_room(struct h2_conn *c, size_t n); /* NULL: it is full */
void h2_out_drop(struct h2_conn *c);
