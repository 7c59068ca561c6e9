/*
 * h1_client_conn - the inside of a connection to a service, shared by its two files: h1_client.c is
 * its life, its requests and its time, h1_client_read.c reads answers. Owner: its pool. Thread:
 * that of the pool.
 */
#pragma once
#include "back/h1_client.h"
#include "back/pool.h"

enum client_state { CLIENT_CONNECTING, CLIENT_BUSY, CLIENT_IDLE, CLIENT_CLOSED };

/* The part of a head that has come. */
struct client_in {
    struct h1_parser parser;
    uint32_t len, cap;
    char bytes[];
};

struct h1_client {
    struct stream stream;
    struct list node; /* in the pool's idle or busy list */
    struct pool *pool;
    struct attempt *a; /* NULL: idle */
    struct client_in *in;
    struct output output;
    struct reader reader;
    struct deferred free;
    struct timer timer;
    struct address to;
    uint64_t since; /* ns: the phase that the timer watches began */
    uint64_t acked; /* bytes that the service had really taken when it last took no more */
    uint32_t epoch, requests, idle_ms, keepalive_requests;
    unsigned char state; /* enum client_state */
};

static inline struct thread *client_thread(const struct h1_client *c) {
    return c->pool->thread;
}
static inline uint64_t client_now(const struct h1_client *c) {
    return client_thread(c)->loop.now;
}

/* h1_client.c */
/* The attempt has failed; its connection goes first, so that a new try does not find it. */
void client_fail(struct h1_client *c, enum fault why, const char *detail);
/* The answer has been read to its end, `excess` bytes lie behind it. */
void client_answered(struct h1_client *c, size_t excess);

/* h1_client_read.c */
void client_read(struct h1_client *c); /* as much of the answer as there is room for */
