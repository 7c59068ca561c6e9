/*
 * attempt - one try to have a service answer: what proxy, pool and the service clients share.
 *
 * It is the op of its exchange: cancelled with it, ended by the client when the answer has been
 * read. It hands the answer to the exchange as it comes. Owner: the exchange's arena. Thread: that
 * of the exchange.
 */
#pragma once
#include "core/h1_wire.h"
#include "core/thread.h"
#include "service/balance.h"
#include "service/endpoint.h"

struct h1_client;
struct pool;

struct attempt {
    struct op op;
    struct exchange *x;
    const struct service_conf *service;
    struct endpoint *endpoint;  /* referenced while the attempt lives */
    struct h1_client *conn;     /* NULL: waiting for one, or done */
    uint64_t deadline_at;       /* ns, of the service's timeout; 0: none */
    struct balance_avoid avoid; /* endpoints that were tried before */
    bool reused, fresh_only;    /* the connection was a kept one; no kept one any more */

    struct list waiting; /* in the pool's queue */
    struct timer queue_timer;

    struct h1_message m; /* of the answer */
    struct h1_writer w;  /* request, as it goes */
    struct h1_reader r;  /* answer, as it comes */
    bool head_read, got_byte, sent_byte, blocked, broken, tunnel;
    unsigned interims;
};

/* The connection the attempt waits for is there (or being made): sends. */
void attempt_send(struct attempt *a);
/* It waited, or its connection turned out stale: pick and ask again. */
void attempt_again(struct attempt *a);
/* It has come to nothing; tries elsewhere where that cannot do harm, else the exchange fails. */
void attempt_failed(struct attempt *a, enum fault why, const char *detail);
/* The answer has been read entirely; the connection is no longer the attempt's. */
void attempt_done(struct attempt *a);
