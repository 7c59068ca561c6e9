/*
 * h1_client_conn - the inside of a connection to a service, shared by its files: h1_client.c is its
 * life, h1_client_write.c sends requests, h1_client_read.c reads answers, h1_client_tunnel.c is
 * what is different where the request asks for a WebSocket, h1_client_time.c says how long each
 * phase may last. Owner: its pool. Thread: that of the pool.
 */
#pragma once
#include "back/h1_client.h"
#include "back/pool.h"
#include "back/setup.h"
#include "core/h1_wire.h"

enum client_state { CLIENT_CONNECTING, CLIENT_BUSY, CLIENT_IDLE, CLIENT_CLOSED };

/* The part of a head that has come. */
struct client_in {
    struct h1_parser parser;
    uint32_t len, cap;
    char bytes[];
};

/* What HTTP/1.1 knows of an attempt (its `part`). */
struct h1_part {
    struct h1_message m; /* of the answer */
    struct h1_writer w;  /* request, as it goes */
    struct h1_reader r;  /* answer, as it comes */
    bool blocked;        /* the socket takes no more for now */
    bool broken;         /* it never will again */
    bool tunnel;         /* the request asks for one */
    bool open;           /* and the service has agreed: raw bytes both ways */
    bool ended;          /* it says no more, but may go on listening */
    char ws_key[WS_KEY_LEN];
    unsigned interims;
};

struct h1_client {
    struct client c;
    struct attempt *a; /* NULL: idle */
    struct h1_part *p; /* of a; its request has been printed */
    struct client_in *in;
    struct output output;
    struct reader reader;
    struct deferred free;
    struct timer timer;
    uint64_t since; /* ns: the phase that the timer watches began */
    uint64_t acked; /* bytes that the service had really taken when it last took no more */
    uint32_t idle_ms, keepalive_requests;
    struct setup setup;  /* while it connects */
    bool deciding;       /* its handshake will tell what it speaks; others wait for that */
    bool own;            /* for one attempt alone: it began with a PROXY header */
    unsigned char state; /* enum client_state */
};

static inline struct h1_client *h1_client_of(struct client *c) {
    return container_of(c, struct h1_client, c);
}
static inline struct thread *h1_client_thread(const struct h1_client *c) {
    return c->c.pool->thread;
}
static inline uint64_t h1_client_now(const struct h1_client *c) {
    return h1_client_thread(c)->loop.now;
}

/* h1_client.c */
/* The attempt has failed; its connection goes first, so that a new try does not find it. */
void h1_client_fail(struct h1_client *c, enum fault why, const char *detail);
/* The answer has been read to its end, `excess` bytes lie behind it. */
void h1_client_answered(struct h1_client *c, size_t excess);
void h1_client_close(struct h1_client *c); /* has no attempt */

/* h1_client_write.c */
/* Prints the attempt's request; it goes out in this drain. False: no memory, the attempt has
 * failed. */
bool h1_client_request(struct h1_client *c);
void h1_client_flush(struct output *o);

/* h1_client_tunnel.c */
/* What the request says to ask for one. */
void h1_client_tunnel_ask(struct h1_client *c, struct h1_print *how);
/* Is this 101 the answer to our own request? */
bool h1_client_tunnel_agreed(const struct h1_client *c);
void h1_client_tunnel_open(struct h1_client *c);
/* The service has said all; the client has: over once both have. */
void h1_client_tunnel_ended(struct h1_client *c);
void h1_client_tunnel_sent(struct h1_client *c);
/* It breaks off: the service must not take what it has for all. */
void h1_client_tunnel_break(struct h1_client *c);

/* h1_client_time.c */
void h1_client_arm(struct h1_client *c, uint64_t ms);
void h1_client_watch_phases(struct h1_client *c);
void h1_client_timed_out(struct timer *t);

/* h1_client_read.c */
void h1_client_read(struct h1_client *c); /* as much of the answer as there is room for */
