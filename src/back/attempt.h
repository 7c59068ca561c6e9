/*
 * attempt - one try to have a service answer: what proxy, pool and the service clients share.
 *
 * It is the op of its exchange: cancelled with it, ended by the client when the answer has been
 * read. It hands the answer to the exchange as it comes. What only one protocol knows of it lies
 * behind `part`. Owner: the exchange's arena. Thread: that of the exchange.
 */
#pragma once
#include "core/thread.h"
#include "service/balance.h"
#include "service/endpoint.h"

struct client;
struct pool;

enum { ATTEMPT_FIELDS = 16 };

struct attempt {
    struct op op;
    struct exchange *x;
    const struct service_conf *service;
    struct endpoint *endpoint;  /* referenced while the attempt lives */
    struct client *conn;        /* NULL: waiting for one, or done */
    const void *sent_on;        /* the last connection; only to tell it from others */
    uint64_t deadline_at;       /* ns, of the service's timeout; 0: none */
    struct balance_avoid avoid; /* endpoints that were tried before */
    bool reused, fresh_only;    /* the connection was a kept one; no kept one any more */
    bool unshared;              /* a tunnel, and the service's HTTP/2 carries none: HTTP/1.1 */
    bool sent_byte;             /* something of the request has left */
    bool got_byte;              /* something of an answer has come: it is not repeated */
    bool head_read;             /* the final head went to the exchange */

    struct list waiting; /* in the queue of */
    struct pool *waits_in;
    struct timer queue_timer;
    void *part; /* the client's own, in the exchange's arena; of the current connection */
    struct gate_pass pass;         /* through the service's gate; without a service: none */
    struct credentials_need *need; /* what the service is shown; NULL: nothing */
};

/* Its op's: the exchange has no use for it any more. */
void attempt_cancel(struct op *op);
/* The connection the attempt waits for is there (or being made): sends. */
void attempt_send(struct attempt *a);
/* It waited, or its connection turned out stale: pick and ask again. */
void attempt_again(struct attempt *a);
/* It has come to nothing (and has no connection any more); tries elsewhere where that cannot do
 * harm, else the exchange fails. */
void attempt_failed(struct attempt *a, enum fault why, const char *detail);
/* The head of the answer is there, and is about to go to the exchange. */
void attempt_answered(struct attempt *a);
/* The answer has been read entirely; the connection is no longer the attempt's. */
void attempt_done(struct attempt *a);

/* What the clients print. */
struct span attempt_authority(const struct attempt *a); /* Host, :authority */
/* The fields of this attempt, behind the head's own; in the exchange's arena. Returns how many. */
size_t attempt_fields(struct attempt *a, struct field out[ATTEMPT_FIELDS]);

/* What the clients judge answers by. */
const struct limits_conf *attempt_limits(const struct attempt *a);
/* A fault that a parser found, as the service's. */
enum fault fault_of_upstream(enum fault f);
