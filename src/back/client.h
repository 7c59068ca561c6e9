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
    /* The attempt leaves: h1 closes, h2 resets the stream. */
    void (*abandon)(struct client *, struct attempt *);
    void (*close)(struct client *); /* an idle one */
};

struct client {
    struct stream stream;
    struct list node; /* in the pool's idle, busy or shared list */
    const struct client_ops *ops;
    struct pool *pool;
    struct address to;
    uint32_t epoch, requests;      /* of the endpoint when it connected; attempts so far */
    uint32_t streams, streams_max; /* under way; how many more attempts it takes at once */
};
static inline struct client *client_of(struct list *node) {
    return container_of(node, struct client, node);
}
/* It has served a request before: it may turn out to be stale. */
static inline bool client_kept(const struct client *c) {
    return c->requests > c->streams;
}
