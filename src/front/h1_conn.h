/*
 * h1_conn - the inside of the HTTP/1.1 server door: one connection, shared by its three files.
 *
 * h1_server.c is its life and its time, h1_request.c makes exchanges of bytes, h1_answer.c makes
 * bytes of answers. Owner: its listener. Thread: that of the listener.
 */
#pragma once
#include "core/h1_wire.h"
#include "front/door.h"

enum h1_state { H1_IDLE, H1_BUSY, H1_LINGER, H1_CLOSED };

/* Bytes that came and are not yet a request. */
struct h1_in {
    struct h1_limits limits; /* a copy: the snapshot may go meanwhile */
    struct h1_parser parser;
    uint32_t len, cap;
    bool fresh; /* pipelined: not yet looked at */
    char bytes[];
};

/* What a connection needs while it is busy; in the exchange's arena. */
struct h1_work {
    struct h1_message m;
    struct h1_writer w;
    struct h1_reader r;
    bool held;         /* a chunked request, not started before it has proven clean so far */
    bool request_done; /* its body has been read entirely */
    bool head_written, expect;
    bool shut;    /* of a tunnel: its end has been told to the client */
    bool blocked; /* the socket takes no more for now */
    uint64_t body_since, body_bytes, body_last; /* ns, bytes: of the body as it comes */
    bool blocked_looked;                        /* blocked_bytes: what had been taken then */
    uint64_t blocked_since, blocked_bytes;
    uint64_t whole_since; /* blocked, and all of the answer is here */
};

struct h1_conn {
    struct door door;
    struct exchange *x;
    struct h1_work *work;
    struct h1_in *in;
    struct output output;
    struct reader reader;
    struct timer timer;
    uint32_t requests;
    uint32_t lingered : 24; /* bytes */
    uint32_t state : 7;     /* enum h1_state */
    bool keep : 1;
};

static inline struct h1_conn *conn_of(struct door *d) {
    return container_of(d, struct h1_conn, door);
}
static inline struct thread *conn_thread(const struct h1_conn *c) {
    return door_thread(&c->door);
}
static inline uint64_t conn_now(const struct h1_conn *c) {
    return conn_thread(c)->loop.now;
}
static inline uint64_t conn_passed_ms(const struct h1_conn *c, uint64_t since) {
    return (conn_now(c) - since) / 1000000;
}
static inline const struct limits_conf *conn_limits(const struct h1_conn *c) {
    return door_limits(&c->door);
}
/* Of the exchange's route, where that has its own: bodies and answers. */
static inline const struct limits_conf *conn_route_limits(const struct h1_conn *c) {
    const struct route *r = c->x ? c->x->route : NULL;
    bool own = r && r->limits && r->limits != &c->x->snap->snapshot->limits;
    return own ? r->limits : conn_limits(c);
}
/* A tunnel, asked for or standing, or another stream: how long it may be silent the core knows. */
static inline bool conn_streams(const struct h1_conn *c) {
    return c->work->m.upgrade || c->x->streams;
}
/* What follows a head that asks for a tunnel is the tunnel's once it stands, and else nobody's. */
static inline bool conn_may_read_body(const struct h1_conn *c) {
    return !c->work->m.upgrade || (c->x->tunnel && c->work->head_written);
}
static inline void conn_arm(struct h1_conn *c, uint64_t ms) {
    if (ms)
        timer_start(&conn_thread(c)->loop.timers, &c->timer, conn_now(c) / 1000000, ms);
}
/* Ends. */
void conn_leave(struct h1_conn *c); /* nothing of its own will be called any more */
void conn_close(struct h1_conn *c);
void conn_reset(struct h1_conn *c); /* the client must not take what it has for whole */
void conn_abort(struct h1_conn *c, enum fault why);
void conn_linger(struct h1_conn *c); /* answered; what still comes is thrown away for a while */

void conn_linger_read(struct h1_conn *c);

/* h1_request.c */
must_use bool h1_keep(struct h1_conn *c, struct span early); /* read before, not looked at */
void h1_read(struct h1_conn *c); /* whatever its state wants from the socket */
/* A request that cannot become one: answered with `why` (FAULT_NONE: what the parser found). */
void h1_refuse(struct h1_conn *c, const struct h1_parser *p, const char *bytes, enum fault why);
void h1_start(struct h1_conn *c);  /* a held request */
void body_late(struct h1_conn *c); /* the body comes too slowly: 408 */

/* h1_answer.c */
extern const struct front_ops h1_front;
void h1_flush(struct output *o);
bool h1_stalled(struct h1_conn *c); /* blocked: the client takes too little */
