/*
 * body - a bounded queue of slices with an end, and the half that strings bodies together.
 *
 *     producer -> source body -> [stage -> body]* -> consumer
 *
 * push takes, get lends, pop drops what was taken. The producer asks body_room before it reads; the
 * exchange's task tells it through `room` when there is room again (at half), or that nothing more
 * is wanted. No byte may come before the body is wanted but those that came with the head. Without
 * a stage source and sink are one queue and nothing is copied. Owner: the exchange. Thread: that of
 * the exchange.
 */
#pragma once
#include "base/slice.h"
#include "http/head.h"

struct exchange;
struct step;

enum { BODY_LIMIT = 64 * 1024, BODY_LIMIT_MAX = 1024 * 1024, BODY_IOV = 16 };

struct body {
    struct slice *head, **tail;
    struct exchange *x;
    size_t size;  /* bytes queued */
    size_t limit; /* room is limit - size; grows from BODY_LIMIT while the consumer takes all */
    uint64_t in;  /* bytes ever pushed */
    bool ended;   /* no more will be pushed */
    bool wanted;  /* the consumer has asked */
    bool stopped; /* the consumer wants no more: what comes is dropped */
    bool whole;   /* the consumer waits for all of it: read on to the limit */
    bool pipes;   /* the consumer passes bytes on unseen: slices may be in pipes */
    bool full;    /* more than half: the producer may have stopped reading */
    bool tell;    /* the producer is owed a call of room */
    struct head *trailers; /* with the end; may be NULL */
};

struct stage {
    struct stage *next;
    /* Moves what it can from in to out while there is room; body_end(out) at the end. Returns; may
     * hold an op of its step and call exchange_wake later. */
    void (*move)(struct step *, struct body *in, struct body *out);
    struct step *step;
    bool again; /* move is called once though nothing new has come (a drain, a timer) */
    struct body out;
};

struct half {
    struct body source;
    struct stage *first;
    struct body *sink; /* &source, or the last stage's out */
    int64_t length;    /* of the sink's body as far as known: -1 unknown */
    uint32_t resets;
};

void half_init(struct half *h, struct exchange *x);
void half_reset(struct half *h); /* drops data, stages and state */
/* Puts a stage behind those that are there. The half's length becomes unknown; a stage that knows
 * its length may set it afterwards. False: a tunnel, and the filter's stages do not stand in such
 * (filter_ops.tunnels): nothing was added. */
bool half_add(struct half *h, struct stage *g, struct step *s,
              void (*move)(struct step *, struct body *in, struct body *out));
void half_pump(struct half *h);
/* What it carries is a tunnel's: asked for (request), or accepted (response). */
bool half_tunnels(const struct half *h);

static inline size_t body_room(const struct body *b) {
    return !b->wanted || b->stopped || b->ended || b->size >= b->limit ? 0 : b->limit - b->size;
}
/* How much to read from a socket: all the room, once half of the limit is free; small pieces cost
 * as many system calls as large ones. */
static inline size_t body_read_size(struct body *b) {
    size_t room = body_room(b);
    if (room && (room >= b->limit / 2 || b->whole))
        return room;
    /* The limit may have shrunk since the last push: who stops here for want of room is told. */
    b->full |= b->wanted && !b->stopped && !b->ended;
    return 0;
}
void body_push(struct body *b, struct slice *s); /* takes; an empty slice is dropped */
/* A slice of bytes that ride on the scratch. False: no memory (the caller faults the exchange). */
must_use bool body_push_lent(struct body *b, const void *p, size_t n);
must_use bool body_push_copy(struct body *b, const void *p, size_t n);
/* Bytes that live as long as the exchange (its arena, the snapshot) or longer. */
must_use bool body_push_static(struct body *b, const void *p, size_t n);
void body_end(struct body *b,
              struct head *trailers); /* trailers in the exchange's arena, or NULL */
/* Lends up to `max` vectors, at most `bytes` in all, up to the first pipe; returns how many. */
int body_get(const struct body *b, struct iovec *iov, int max, size_t bytes);
/* The same, from `skip` bytes on: for a stage that has looked at some and not yet let them pass. */
int body_get_from(const struct body *b, size_t skip, struct iovec *iov, int max, size_t bytes);
void body_pop(struct body *b, size_t n);
/* For stages: the first n bytes go on as they are, slice by slice, into a body that has room for
 * them; the last slice is cut where n ends. Nothing is copied. False: no memory to cut it (the
 * caller faults the exchange). */
must_use bool body_move(struct body *from, struct body *to, size_t n);
/* The pipe that the next bytes are in, and how many; NULL: they are in memory, or there are none.
 */
static inline struct pipe *body_pipe(const struct body *b, size_t *n) {
    *n = b->head ? b->head->n : 0;
    return b->head ? b->head->pipe : NULL;
}
/* May the producer push a pipe now? Only where nothing is queued before it and no stage is in
 * between. */
static inline bool half_takes_pipe(const struct half *h) {
    return !h->first && h->source.pipes && !h->source.stopped;
}
void body_want(struct body *b);
void body_stop(struct body *b); /* also drops what is queued */
/* A consumer's turn is over: it took all there was (the limit doubles, to 1 MiB) or not (back to 64
 * KiB). */
void body_pace(struct body *b, bool took_all);
/* Waits for the whole body, at most `max` bytes of it. Then asks whether it is there, or too long.
 */
void body_collect(struct body *b, size_t max);
must_use bool body_collected(struct body *b, bool *too_long);
static inline bool body_done(const struct body *b) {
    return b->ended && b->size == 0;
}
static inline bool body_readable(const struct body *b) {
    return b->size > 0 || b->ended;
}
/* For stages: the end goes on, with its trailers, once all that came before it has. */
static inline void body_move_end(struct body *from, struct body *to) {
    if (body_done(from))
        body_end(to, from->trailers);
}
