/*
 * h2_client_conn - the inside of an HTTP/2 connection to a service, shared by its files:
 *
 *   h2_client.c          its life: connecting, events, reading, ends
 *   h2_client_session.c  nghttp2: what frames that come mean, what is told to the service
 *   h2_client_request.c  a stream's request: head, body, trailers
 *   h2_client_answer.c   a stream's answer: heads, body, windows, trailers
 *   h2_client_stream.c   how streams begin, end and wait
 *   h2_client_write.c    gathering frames and sending them
 *
 * nghttp2 calls back in the middle of its work, where nothing may be closed and nobody should be
 * told of an end: a stream that is over is noted (h2_part_over) and told once nghttp2 has returned
 * (h2_client_after). Owner: its pool. Thread: that of the pool.
 */
#pragma once
#include "back/h2_client.h"
#include "back/pool.h"
#include "http/h2.h"
#include "http/h2_guard.h"

/* nghttp2 makes no longer frame, whatever the service would take. */
enum { H2_FRAME_HEAD = 9, H2_FRAME_MAX = 16384 };

enum h2_client_state { H2_CLIENT_CONNECTING, H2_CLIENT_OPEN, H2_CLIENT_CLOSED };

/* What HTTP/2 knows of an attempt (its `part`): a stream. */
struct h2_part {
    struct list node; /* in the client's streams, or in those that are over */
    struct attempt *a;
    struct h2_client *c;
    struct timer timer;
    uint64_t since; /* ns: the phase that the timer watches began */
    int32_t id;     /* 0: waits for the service's SETTINGS */

    /* request */
    uint64_t begins; /* place in the client's output of its first byte */
    size_t run;      /* bytes that left without a pause */
    bool begun;      /* the head is among what was gathered */
    bool sent;       /* and so is the end */
    bool deferred;   /* nghttp2 asks again when it is told */

    /* answer */
    struct h2_section section;
    struct h2_message m;
    struct head *trailers;
    uint64_t got, credited; /* bytes of DATA; of them, given back to the stream's window */
    unsigned interims;
    bool in_section, ended /* of a tunnel that still goes the other way */, over;
    enum fault fault; /* when it is over; NONE: the answer is whole */
    const char *detail;
};

struct h2_client {
    struct client c;
    nghttp2_session *session;
    struct list streams, over; /* h2_part.node */
    struct output output;
    struct reader reader;
    struct deferred free;
    struct timer timer; /* while it connects, or has no stream */
    struct h2_guard guard;
    uint64_t heard; /* ns: something came */
    uint64_t acked; /* bytes that the service had really taken when it last took no more */

    /* output: gathered into what is left of the scratch, then sent; what the socket did not take is
     * kept */
    char *out;
    size_t out_len, out_max, expected; /* expected: roughly, what waits to be gathered */
    uint64_t gathered, took;           /* bytes, ever */
    char *rest;
    size_t rest_at, rest_len;

    uint32_t idle_ms, connect_ms, keepalive_requests, streams_limit;
    uint32_t window; /* of a stream, that we have told */
    unsigned char state;
    bool told;       /* the service's SETTINGS have come */
    bool retired;    /* takes no new streams, ends with the last one */
    bool goaway;     /* the service has said so */
    bool blocked;    /* the socket takes no more for now */
    bool broken;     /* nor ever again */
    bool calling;    /* nghttp2 is at work */
    bool full;       /* gathering has stopped for want of room */
    enum fault doom; /* the connection is to end, and why */
    const char *doom_detail;
    const char *last_word; /* what the service's GOAWAY said, if it was an error; static */
    char reason[80];       /* what ours says */
};

static inline struct h2_client *h2_client_of(struct client *c) {
    return container_of(c, struct h2_client, c);
}
static inline struct thread *h2_client_thread(const struct h2_client *c) {
    return c->c.pool->thread;
}
static inline uint64_t h2_client_now(const struct h2_client *c) {
    return h2_client_thread(c)->loop.now;
}

/* h2_client.c */
void h2_client_read(struct h2_client *c);
void h2_client_retire(struct h2_client *c);
/* How many streams it bears now; whoever waits is told when they are more. */
void h2_client_room(struct h2_client *c);
/* Tells of the streams that are over, then ends the connection where it must. nghttp2 has returned.
 * False: it is closed. */
bool h2_client_after(struct h2_client *c);
/* It is gone: every stream fails, those whose answer has begun as broken off. */
void h2_client_lost(struct h2_client *c, enum fault why, const char *detail);
/* Ends it as soon as nghttp2 has returned; the service is told the code. */
void h2_client_doom(struct h2_client *c, enum fault why, uint32_t code, const char *detail);

/* h2_client_session.c */
must_use bool h2_client_start(struct h2_client *c, const struct limits_conf *l);
const char *h2_goaway_text(uint32_t code);
const char *h2_reset_text(uint32_t code);

/* h2_client_request.c */
/* Its head is handed to nghttp2. False: it is over. */
bool h2_part_begin(struct h2_part *p);
void h2_part_more(struct h2_part *p);
ssize_t h2_part_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                     nghttp2_data_source *source, void *client);
int h2_part_data_out(nghttp2_session *s, nghttp2_frame *frame, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *client);
void h2_part_sent(struct h2_part *p); /* all of it is gathered */

/* h2_client_answer.c */
void h2_part_section_begin(struct h2_part *p);
void h2_part_section_end(struct h2_part *p, bool end);
void h2_part_data(struct h2_part *p, const uint8_t *bytes, size_t n);
void h2_part_end(struct h2_part *p); /* END_STREAM has come */
/* What the answer's consumer has taken is given back to the stream's window. */
void h2_part_credit(struct h2_part *p);

/* h2_client_stream.c */
struct h2_part *h2_part_start(struct h2_client *c, struct attempt *a);
enum { H2_PART_NO_RESET = -1 };
/* It has ended; told later. reset: the code that the service is told. */
void h2_part_over(struct h2_part *p, enum fault why, const char *detail, int64_t reset);
/* It has nothing to do with its connection any more. */
void h2_part_detach(struct h2_part *p);
void h2_part_watch(struct h2_part *p); /* its time */

/* h2_client_write.c */
void h2_client_flush(struct output *o);
/* Frames wait to be gathered, about so many bytes: in this turn. */
void h2_client_mark(struct h2_client *c, size_t n);
void h2_client_goodbye(struct h2_client *c); /* a last GOAWAY, if it goes at once */
