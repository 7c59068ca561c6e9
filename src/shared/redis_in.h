/*
 * redis_in - the client's inside: what lasts (struct redis), and one thread's connection to a node.
 * Thread: what lasts is shared, its numbers are atomics; a connection belongs to one.
 */
#pragma once
#include "core/lasting.h"
#include "io/dns.h"
#include "io/tcp.h"
#include "shared/resp.h"
#include "tls/client.h"
#include <stdatomic.h>

enum {
    REDIS_PENDING_MAX = 4096,    /* asks without an answer, on one connection */
    REDIS_OUT_MAX = 1024 * 1024, /* bytes that wait to be sent */
    REDIS_SCRIPTS_MAX = 16,      /* known to one thread */
    REDIS_FAILURES = 5,          /* in a row, within a second: away */
    REDIS_PAUSE_MS = 100,        /* until the first probe; doubles */
    REDIS_PAUSE_MAX_MS = 2000,
    REDIS_CONNECT_MS = 1000, /* until a connection speaks */
    REDIS_SILENCE = 10,      /* times the deadline without an answer: closed */
    REDIS_BEAT_MS = 1000,
    REDIS_GATEWAY_MS = 5000, /* silent for so long: gone */
};

struct redis {              /* lasting, by what `state` says */
    struct state_conf conf; /* of its own memory */
    struct arena arena;
    struct tls_client *tls;
    atomic_bool made;
    _Atomic uint32_t users; /* snapshots */
    _Atomic uint32_t gateways, connections;
    _Atomic bool beating;
    _Atomic uint32_t away; /* threads that find it so */
    _Atomic uint64_t returned_at;
    _Atomic uint64_t asks, failures, late, reconnects, away_total;
    char id[24]; /* of this gateway */
};

struct conn;
enum conn_state { CONN_IDLE, CONN_LOOKUP, CONN_CONNECT, CONN_TLS, CONN_HELLO, CONN_READY };

struct slot {              /* one command that was sent, or will be */
    struct redis_ask *ask; /* NULL: nobody waits for it any more */
    uint64_t deadline_at;
    const struct redis_script *script;                        /* that the answer makes known */
    void (*own)(struct conn *c, const struct redis_reply *r); /* of the connection itself */
};

struct conn {
    struct list node;    /* in the thread's */
    struct redis *redis; /* a reference */
    struct thread *thread;
    enum conn_state state;
    struct stream stream;
    const char *unfit; /* why it is to be closed once nobody is in the middle of reading; or NULL */
    bool away;
    unsigned failures;
    uint64_t failed_at; /* the first of them */
    uint64_t opened_at, spoken_at, pause_ms;
    struct timer timer; /* the oldest deadline, the connecting, or the next probe */
    struct output output;
    struct dns *dns;
    struct dns_query query;
    struct deferred free;
    char *out; /* what is to be sent: [sent, filled) */
    size_t out_cap, out_sent, out_filled;
    char *in; /* the beginning of a reply */
    size_t in_cap, in_len;
    struct slot *slot;      /* a ring */
    uint32_t head, pending; /* head: a number that only grows; modulo the ring */
    const struct redis_script *known[REDIS_SCRIPTS_MAX];
    unsigned knows;
};

/* redis_conn.c */
struct conn *conn_create(struct redis *r, struct thread *t);
void conn_destroy(struct conn *c);
/* Begins to connect, where it does not already. False: not now. */
must_use bool conn_want(struct conn *c);
/* Room for a command of about so many bytes; the caller writes it and calls conn_push. */
must_use bool conn_room(struct conn *c, size_t bytes, struct str *out);
/* Its number. */
uint32_t conn_push(struct conn *c, const struct str *out, struct slot s);
/* The store, as this thread sees it, is away: all who wait are told. */
void conn_fail(struct conn *c, enum redis_failure why, const char *detail);
/* Among the failures that open the breaker. */
void conn_failure(struct conn *c, enum redis_failure why);

/* redis_read.c: everything that has come. False: the connection has failed. */
bool conn_read(struct conn *c);
void conn_late(struct conn *c); /* asks whose time is over are told */
void conn_drop_all(struct conn *c, enum redis_failure why);

/* redis_beat.c: in the control thread */
void redis_beat_start(struct redis *r);
void redis_beats_end(struct list *beats); /* the thread ends */
struct list *redis_beats(struct thread *t);
