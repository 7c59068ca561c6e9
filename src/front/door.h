/*
 * door - what every client connection is, whatever it speaks: its stream, its listener, its peer.
 *
 * HTTP/1.1 (h1_server), HTTP/2 (h2_server) and a connection that has not said yet what it speaks
 * (opening: PROXY header, TLS handshake) each embed one as their first member. A connection changes
 * its door by handing over (door_take_over): socket, TLS session, peer and counts move, the old
 * door is freed at the end of the turn. Owner: its listener. Thread: that of the listener.
 */
#pragma once
#include "core/thread.h"
#include "front/listener.h"
#include "io/tcp.h"

struct door;
struct door_ops {
    const char *name;             /* "h1", "h2", "opening": for status and metrics */
    void (*drain)(struct door *); /* no new requests: ends when what is under way has ended */
    void (*kill)(struct door *);  /* ends now, answers broken off */
    /* It waits for a request of which nothing has come, and would do so `until` then (ms). */
    bool (*idle)(const struct door *, uint64_t *until);
    void (*release)(struct door *); /* its memory goes back, at the end of the turn */
};

enum { PEER_TEXT_MAX = 39 /* of an IPv6 address */ };

struct door {
    struct stream stream; /* stream.watch.ready is the door's own */
    struct list node;     /* in the listener's connections */
    const struct door_ops *ops;
    struct listener *listener;
    uint64_t opened; /* ns, of the connection */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer; /* the socket's, or the PROXY header's source */
    char peer_text[PEER_TEXT_MAX];
    unsigned char peer_text_len;
    bool counted; /* in the listener's counts per address */
};

static inline struct door *door_of(struct list *node) {
    return container_of(node, struct door, node);
}
static inline struct thread *door_thread(const struct door *d) {
    return d->listener->thread;
}

/* A new socket: the door is filled, watched and listed. False: no descriptor for epoll. */
must_use bool door_open(struct door *d, struct listener *l, int fd, const struct address *peer);
/* Closes stream and socket, takes it out of the list; `release` and the counts follow at the end of
 * the turn. The door's own timers, outputs and exchanges are ended before. */
void door_close(struct door *d);
/* `to` (its ops and stream.watch.ready set, all else zero) takes the place of `from`. */
void door_take_over(struct door *from, struct door *to);
void door_peer(const struct door *d, struct address *out); /* into an address that is zero */
/* peer, peer_text, listener, protocol name, TLS: what a new exchange is told. */
void door_facts(const struct door *d, struct exchange *x, const char *protocol, unsigned minor);
/* Of the listener: what holds before a route is known. */
const struct limits_conf *door_limits(const struct door *d);

/* h2_server.c: `from` has spoken the preface's first bytes (`early`, perhaps none yet when TLS
 * chose it): from now on it is an HTTP/2 connection. */
void h2_server_take_over(struct door *from, struct span early);
/* h1_server.c: the same after a TLS handshake or PROXY header. */
void h1_server_take_over(struct door *from, struct span early);
