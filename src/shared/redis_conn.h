/*
 * redis_conn - one connection to a server of the store: TCP (or a unix socket), TLS, AUTH, SELECT,
 * ROLE; then asks go out, once a turn, and answers are given to who waits for them.
 *
 * Asks may be given before it is ready: they leave once the greeting was answered well. Everything
 * that goes wrong ends in redis_conn_close: the owner is told (`closed`), then every ask that still
 * has a slot. Owner: a node, the search for a master, the map of a cluster. Thread: its own.
 */
#pragma once
#include "io/stream.h"
#include "shared/redis_in.h"

struct redis_conn;
struct redis_slot;

enum redis_stage { CONN_ADDRESS, CONN_TCP, CONN_TLS, CONN_HELLO, CONN_READY, CONN_CLOSED };

struct redis_conn_ops {
    void (*ready)(struct redis_conn *);
    /* It is closed; `why` is for people, good during the call. Asks are told afterwards. */
    void (*closed)(struct redis_conn *, const char *why);
    /* An answer to an ask (s->ask, NULL: nobody waits any more). `s` is a copy, with its bytes
     * still there (redis_conn_again). */
    void (*answered)(struct redis_conn *, struct redis_slot *s, const struct redis_reply *);
};

struct redis_hello {            /* how it begins */
    struct span user, password; /* no password: no AUTH */
    uint32_t database;
    bool master; /* it must say so itself (ROLE) */
};

struct redis_slot {
    struct redis_ask *ask; /* NULL: a command of our own, or who asked has gone */
    void (*told)(struct redis_conn *, const struct redis_reply *); /* of our own commands */
    uint64_t at;        /* its first byte, counted since the beginning */
    uint64_t asked_at;  /* ns */
    uint32_t head, len; /* bytes up to what is the same for EVAL and EVALSHA; in all */
    bool own;           /* a command of ours */
    uint16_t words;
    int16_t script; /* its place in here->known; -1: none */
};

struct redis_conn {
    struct stream stream;
    const struct redis_conn_ops *ops;
    void *owner;
    struct redis_here *here;
    enum redis_stage stage;
    bool opened;         /* it has a socket */
    bool served;         /* an ask was answered */
    const char *failing; /* connecting failed within the call: told from the loop */
    unsigned hello_left; /* answers to the greeting that have not come */
    uint64_t ready_at;
    struct redis_hello hello;
    struct span name; /* of the server, for TLS */
    struct address to;
    struct output output;
    struct reader reader;
    struct deferred free;
    struct timer timer; /* setting up; then the oldest answer */
    struct resp resp;
    uint64_t scripts; /* bits of known ones that the server has got from us */
    /* what is sent and unanswered: p[from..n) are bytes base+from.. of the stream */
    char *p;
    size_t from, n, max;
    uint64_t base, sent, hello_end;
    struct redis_slot *slot; /* a ring */
    uint32_t slots_max;
    uint64_t head, tail; /* the oldest; where the next one goes */
};

/* A connection without an address yet; asks may be given to it. NULL: no memory. */
must_use struct redis_conn *redis_conn_open(struct redis_here *h, const struct redis_conn_ops *ops,
                                            void *owner, const struct redis_hello *hello);
/* Where it leads; `name` (alive as long as the connection) is what TLS verifies. Whatever comes of
 * it is told later, by the loop. */
void redis_conn_to(struct redis_conn *c, const struct address *to, struct span name);
void redis_conn_close(struct redis_conn *c, const char *why);
/* Without a word to its owner, who ends; asks are told. */
void redis_conn_drop(struct redis_conn *c);

/* False: no room (REDIS_FULL). */
must_use bool redis_conn_ask(struct redis_conn *c, struct redis_ask *a);
/* The ask of `s`, a slot of `from` that is being answered, once more: here. */
must_use bool redis_conn_again(struct redis_conn *c, struct redis_ask *a, struct redis_conn *from,
                               const struct redis_slot *s);
/* A command of our own; NULL for `told`: whatever the answer is. */
must_use bool redis_conn_command(struct redis_conn *c, const struct span *word, unsigned words,
                                 void (*told)(struct redis_conn *, const struct redis_reply *));
/* Who asked waits no longer. */
void redis_conn_leave(struct redis_conn *c, const struct redis_ask *a);

/* Does an error begin with this word? */
bool redis_error_is(const struct redis_reply *r, const char *word);

/* ---- redis_out.c: what is sent, and the slots; for redis_conn.c ---- */

/* The oldest slot's answer has come: its bytes are of no more use. */
void redis_out_release(struct redis_conn *c);
/* Sends what may leave now. False: the connection is gone. */
must_use bool redis_out_send(struct redis_conn *c);
bool redis_out_waits(const struct redis_conn *c); /* something may leave now */
void redis_out_finish(struct redis_conn *c);
static inline struct redis_slot *redis_slot(const struct redis_conn *c, uint64_t at) {
    return &c->slot[at & (c->slots_max - 1)];
}
