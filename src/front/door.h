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
extern const struct door_ops h1_door, h2_door, opening_door;

enum { PEER_TEXT_MAX = 39 /* of an IPv6 address */ };

struct door {
    struct stream stream; /* stream.watch.ready is the door's own */
    union {
        struct {
            struct list node; /* in the listener's connections */
            uint64_t opened;  /* ns, of the connection */
        };
        struct deferred free; /* once it is closed, or has handed over */
    };
    const struct door_ops *ops;
    struct listener *listener;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer; /* the socket's, or the PROXY header's source */
    char peer_text[PEER_TEXT_MAX];
    unsigned char peer_text_len;
    bool counted;         /* in the listener's counts per address */
    unsigned char refuse; /* enum fault: what every request here is answered with; 0: none */
};

static inline struct door *door_of(struct list *node) {
    return container_of(node, struct door, node);
}
static inline struct thread *door_thread(const struct door *d) {
    return d->listener->thread;
}

/* Of the listener: what holds before a route is known. */
static inline const struct limits_conf *door_limits(const struct door *d) {
    const struct snapshot *s = door_thread(d)->snap->snapshot;
    const struct listener_conf *l = listener_conf(d->listener, s);
    return l && l->limits ? l->limits : &s->limits;
}

/* For the listener: a new socket finds the door that its configuration asks for. NULL: no memory or
 * no descriptor; the socket is still the caller's. */
must_use struct door *door_accept(struct listener *l, int fd, const struct address *peer);

/* A new socket: the door (its ops and stream.watch.ready set, all else zero) is filled, watched and
 * listed. False: no descriptor for epoll; it is zero but for what was set. */
must_use bool door_open(struct door *d, struct listener *l, int fd, const struct address *peer);
/* Closes stream and socket, takes it out of the list; `release` and the counts follow at the end of
 * the turn. The door's own timers, outputs and exchanges are ended before. */
void door_close(struct door *d);
/* The same, but the peer must not take what it has for whole: RST, and TLS says no goodbye. */
void door_reset(struct door *d);
/* `to` (its ops and stream.watch.ready set, all else zero) takes the place of `from`, whose own
 * timers, outputs and readers are ended before; `from` is released at the end of the turn. What has
 * come is still to be read: to->stream.readable. False: no memory; `from` stands as it was, `to` is
 * the caller's to give back. */
must_use bool door_take_over(struct door *from, struct door *to);
void door_peer(const struct door *d, struct address *out); /* into an address that is zero */
/* Another peer than the socket's. Counts per address are not touched. */
void door_set_peer(struct door *d, const struct address *peer);
/* peer, peer_text, listener, protocol name, TLS, the listener's plan: what a new exchange is told.
 */
void door_facts(const struct door *d, struct exchange *x, const char *protocol, unsigned minor);
/* HTTP/2 may be spoken here. */
bool door_speaks_h2(const struct door *d);
/* Why this connection may not carry that request (its head stands, its facts are filled), or none:
 * it is refused at the door, or TLS was set up for a host with other rules (RFC 9110 7.4). */
enum fault door_refusal(const struct door *d, const struct exchange *x);
static inline enum fault door_refuses(const struct door *d, const struct exchange *x) {
    return d->refuse || x->facts.tls ? door_refusal(d, x) : FAULT_NONE;
}

/* New connections. NULL: no memory or no descriptor. */
must_use struct door *h1_server_accept(struct listener *l, int fd, const struct address *peer);
/* `from` turns out to speak HTTP/1.1, or HTTP/2: from now on that door has the connection. `early`:
 * what was read of it and is nobody else's (HTTP/2: from the preface's first byte on; perhaps none
 * yet), on the scratch or elsewhere. Without memory the connection is closed. `from`'s own timers,
 * outputs, readers and exchanges are ended before. */
void h1_server_take_over(struct door *from, struct span early);
void h2_server_take_over(struct door *from, struct span early);
/* What the thread keeps for its HTTP/2 connections; they are gone. */
void h2_server_finish(struct thread *t);
