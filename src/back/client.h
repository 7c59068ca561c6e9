/*
 * client - a connection to a service, whatever it speaks: what pool and proxy see of it.
 *
 * h1_client carries one attempt at a time, h2_client many. Every one embeds this as its first
 * member. Owner: its pool. Thread: that of the pool.
 */
#pragma once
#include "back/attempt.h"
#include "io/stream.h"

struct client;
struct client_ops {
    const char *name; /* "http/1.1", "h2" */
    /* The attempt (a->conn is this): its request goes out in this drain. */
    void (*send)(struct client *, struct attempt *);
    void (*more)(struct client *, struct attempt *); /* more of the request's body is there */
    void (*room)(struct client *, struct attempt *); /* room for more of the answer's */
    /* The attempt leaves (a->conn becomes NULL): h1 closes, h2 resets the stream. */
    void (*abandon)(struct client *, struct attempt *);
    void (*close)(struct client *); /* an idle one, now */
    /* Takes no attempt any more; closes once those under way have ended, at once if idle. */
    void (*retire)(struct client *);
};

struct client {
    struct stream stream;
    struct list node; /* in the pool's idle, busy or shared list */
    const struct client_ops *ops;
    struct pool *pool;
    struct address to;
    uint32_t epoch, requests;      /* of the endpoint when it connected; attempts so far */
    uint32_t streams, streams_max; /* attempts under way; the most at once (shared: 0 for one that
                                    * takes no more) */
};

static inline struct client *client_of(struct list *node) {
    return container_of(node, struct client, node);
}
/* It has served a request before: it may turn out to be stale. */
static inline bool client_kept(const struct client *c) {
    return c->requests > c->streams;
}
static inline bool client_has_room(const struct client *c) {
    return c->streams < c->streams_max;
}

/* Of the kind that the attempt's service speaks, connecting to the pool's endpoint; *shared: it
 * carries many attempts at once. NULL: *why. */
must_use struct client *client_open(struct pool *p, const struct attempt *a, bool *shared,
                                    enum fault *why);

/* Its handshake will tell whether it carries many. */
bool client_may_share(const struct service_conf *s);
/* What it carries is the service's choice (ALPN). */
bool client_may_choose(const struct service_conf *s);
/* What was agreed on for a connection that stands, and what has to be. */
bool client_chose_h2(const struct client *c, const struct service_conf *s);
bool client_must_be_h2(const struct service_conf *s);

/* ---- what the clients have in common ---- */

/* Starts to connect to the pool's endpoint (c->pool and the watch's handler are set). FAULT_NONE:
 * it is under way. */
must_use enum fault client_connect(struct client *c, const struct service_conf *s);
enum client_connected { CLIENT_NOT_YET, CLIENT_CONNECTED, CLIENT_REFUSED };
/* What events mean for a socket that connects. REFUSED: *detail says why. Counts what happened. */
enum client_connected client_connected(struct client *c, uint32_t events, const char **detail);
/* The two halves of it: what connecting failed with (errno, counted), or 0; it stands. */
int client_connect_error(struct client *c, uint32_t events);
void client_opened(struct client *c);
/* It could not be connected to, or not in time: counted, the next one goes to another address. */
void client_connect_failed(struct client *c);
/* An open one is closed and counted; its place in the pool is given back. */
void client_closed(struct client *c, bool was_connected);
