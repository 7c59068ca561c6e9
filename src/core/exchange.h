/*
 * exchange - one piece of work between a front (who asks) and a back (who answers), with filters
 * between.
 *
 *     front --head--> filters 0..n --start--> back
 *     front <--head-- filters n..0 <-respond- back
 *
 * Commands go down by direct call; events come up from the loop: what a command has to report is
 * posted to the exchange's task. Everything that moves, moves in that task: stages are pumped,
 * readable and room are told.
 *
 * A tunnel (req.protocol asked for one, the back said `tunnel` with its head) has two directions
 * that end one by one: the end of one is passed on and the other goes on. It is finished when the
 * answer's end has left and the request's has been taken (or nobody wants it: stopped), and fails
 * when either breaks. What it asked for with GET matches routes as GET; its deadline, max_body and
 * filters' bodies are not for it.
 *
 * The exchange is freed at the end of the drain after it has ended, and writes one record. Owner:
 * its thread's list; ended by the front (finish, abort) or by a fault. Thread: one for life.
 */
#pragma once
#include "core/body.h"
#include "core/filter.h"
#include "core/op.h"
#include "core/snapshot.h"
#include "http/grpc.h"
#include "io/loop.h"
#include "io/address.h"
#include "tls/info.h"

struct thread;
struct caller;
struct authenticator;
struct limit_told;

struct front_ops {
    const char *name; /* for the record: "h1" */
    void (*head)(
        struct exchange *); /* x->interim is ready, or (it is NULL) x->resp: the final one */
    void (*readable)(struct exchange *); /* response body: data, or its end with trailers */
    /* Request body: wanted, room again, or not wanted. Of a tunnel also, perhaps more than once:
     * its end has been taken, so when the answer has left the tunnel is over. */
    void (*room)(struct exchange *);
    void (*failed)(struct exchange *); /* the answer breaks off: reset. Last call */
    bool inner; /* the gateway itself asks (core/call.h): counted apart, no record is told */
};
struct back_ops {
    const char *name;
    void (*start)(struct exchange *);    /* the request head has passed all filters */
    void (*readable)(struct exchange *); /* request body: data, or its end with trailers; or NULL */
    void (*room)(struct exchange *);     /* response body: room again, or not wanted; or NULL */
};

enum x_state { X_NEW, X_REQUEST, X_BACK, X_RESPONSE, X_STREAM, X_DONE };

/* Why it ended, for conservation: accepted = completed + aborted + rejected. */
enum x_end { X_END_NONE, X_END_COMPLETED, X_END_ABORTED, X_END_REJECTED };

struct facts {             /* found by the front and the core before any filter runs */
    struct address peer;   /* the other end of the connection */
    struct span peer_text; /* the peer as text; empty: no IP. Lives as long as the exchange */
    struct address client; /* from trusted proxies' words, else the peer */
    const struct listener_conf *listener;
    struct span hops, host_told; /* of trusted proxies: X-Forwarded-For as far as proven, -Host */
    char request_id[64];
    unsigned char request_id_len;
    unsigned char http_minor;   /* 10 or 11, 20 */
    const char *protocol;       /* "HTTP/1.1": for the log */
    const struct tls_info *tls; /* of the client's connection; NULL: clear text */
    bool own;                   /* the gateway asks for itself: nobody is forwarded */
};

struct own_field { /* a challenge, a cookie taken back; in the exchange's arena */
    struct span name, value;
    const struct own_field *next;
};

struct times { /* ns on the loop's clock; 0: did not happen */
    uint64_t start, route, back_start, connected, sent, first_byte, head, end;
};

struct exchange {
    uint32_t magic;
    unsigned char state, end; /* enum x_state, enum x_end */
    bool waiting, calling;    /* a step holds the chain; a filter is being called */
    bool collecting;         /* WAIT_BODY: the body is gathered for the step that holds the chain */
    bool head_told, refused; /* the final head went to the front; the door refused the request */
    bool tunnel;  /* set by the back before it responds: the service has accepted the tunnel that
                   * req.protocol asks for. A 2xx without it is an ordinary answer */
    bool streams; /* tunnel, event stream, gRPC: from the head on idle_timeout and max_duration hold
                   * in place of the deadline, and max_body does not (set by the core) */
    unsigned char resp_minor; /* as facts.http_minor, of the service's answer; 0: HTTP/1.1 */
    unsigned char grpc;       /* enum grpc_kind, by the content-type as the client said it */
    unsigned char grpc_said;  /* grpc-status + 1 where no head or trailer tells it; 0: none */
    unsigned char depth;      /* filters [0, depth) have seen the request */
    unsigned char up;         /* response filters from up-1 down to 0 still run */
    enum fault fault;         /* why the answer is the gateway's own, or broke off */
    const char *fault_detail; /* for the operator's log only; static or in the arena */
    struct thread *thread;
    struct snapshot_ref *snap;
    const struct route *route; /* NULL: none matched */
    const struct plan *plan;   /* set by the front before exchange_start: no routing */
    const struct front_ops *front;
    void *front_data;
    const struct back_ops *back;
    const void *back_conf;
    void *back_data;
    struct step **step; /* one per filter of the plan, once the chain has started */
    struct list ops, back_ops_list;
    struct task task;
    struct deferred free;
    struct list node; /* in thread->exchanges */
    struct timer deadline;
    uint64_t deadline_at; /* ns; 0: none. Of a stream: what the call itself said */
    uint64_t call_until;  /* ns; by grpc-timeout; 0: it said none */
    uint64_t moved_at;    /* ns; of a stream: when a byte last came or went, either way */

    struct head req, resp;
    struct half up_half, down_half; /* request body, response body */
    struct head *interim;           /* a 103 head that the front has not yet seen */
    size_t collect_max;             /* of WAIT_BODY; set by the step, else COLLECT_MAX */
    uint64_t max_body;              /* of the request */
    uint64_t bytes_in, bytes_out;   /* on the client's wire, counted by the front */
    const struct caller *caller;    /* core/authenticator.h; NULL: nobody was asked for, or came */
    const struct authenticator *asked; /* which judged last; for log and metrics */
    unsigned short auth_fault;         /* enum fault: what it, or the lack of one, came to */
    bool auth_waited;                  /* it had to wait for somebody */
    const struct own_field *own;       /* fields of the gateway's own answer to a fault */
    const struct value
        *body; /* request.body (core/facts.h); NULL: nobody has asked, or it is no JSON */
    struct limit_told *told; /* what limits said (core/told.h); NULL: none was asked */
    struct span observed; /* "authorize forbidden, ..": what policies in mode: observe let pass */
    const struct service_conf *service; /* chosen by the back */
    struct span endpoint;               /* its address as text; lives as long as the exchange */
    uint64_t asker;                     /* core/overload.h: who is charged for it; 0: nobody */
    uint64_t spent_ns;                  /* of the loop's time, charged to him */
    bool asker_known;                   /* its caller has been judged */
    unsigned attempts;
    uint64_t queued_ns; /* it waited for turns: concurrency, protection of services */
    int upstream_status;
    struct facts facts;
    struct times t;
    struct arena arena;                /* its first bytes follow this struct in the same block */
    struct span capture[CAPTURES_MAX]; /* path captures, still encoded; names stand in the route.
                                        * Not zeroed at creation */
};

enum { EXCHANGE_MAGIC = 0x58434847, COLLECT_MAX = 1024 * 1024 };

/* Front commands. */
/* NULL: no memory. The front then fills req, facts, front_data and calls one of the next two. */
must_use struct exchange *exchange_create(struct thread *t, const struct front_ops *front,
                                          void *front_data);
void exchange_start(
    struct exchange *x); /* head complete; body bytes that came with it are pushed */
/* The head was malformed or refused by the door: one path for every error. May be called instead of
 * exchange_start. x->req holds what is known. */
void exchange_refuse(struct exchange *x, enum fault why);
void exchange_finish(struct exchange *x); /* the answer has left entirely; a tunnel: see above */
void exchange_abort(struct exchange *x, enum fault why); /* the asker is gone */

/* Back commands. */
/* x->resp holds a complete head (status, fields), down_half.length is set (-1: unknown). */
void exchange_respond(struct exchange *x);
/* A 103 head in the exchange's arena: only its Link fields cross, past the filters. */
void exchange_interim(struct exchange *x, struct head *h);
/* Before the head: an error answer is made. After it: the front is told that the answer breaks off.
 */
void exchange_fail(struct exchange *x, enum fault why, const char *detail);

/* Of every thread's loop, at the end of each drain: where there was no memory to settle a body's
 * bytes, its exchange fails. */
void exchanges_settled(struct loop *l);

/* Filter commands. */
void exchange_resume(struct exchange *x, enum verdict v);
/* Makes the gateway's own answer for a fault the back: `return exchange_answer(x, FAULT_...)`. */
enum verdict exchange_answer(struct exchange *x, enum fault why, const char *detail);
/* The same for a policy that refuses: where it only observes, this counts, tells the log and
 * returns NEXT. */
enum verdict step_refuse(struct step *s, enum fault why, const char *detail);
/* Puts another back in the place of the route's: then return ANSWER. */
static inline void exchange_back(struct exchange *x, const struct back_ops *back,
                                 const void *conf) {
    x->back = back;
    x->back_conf = conf;
}

/* Anybody: run the task in this drain. */
static inline void exchange_wake(struct exchange *x) {
    if (x->state != X_NEW && x->state != X_DONE)
        loop_post(me, &x->task);
}
/* The thread is draining: a long stream may say goodbye. Steps that registered for it are told
 * (drain_watch), then the exchange goes on. */
struct drain_op {
    struct list node;
    void (*drain)(struct drain_op *);
};
void drain_watch(struct thread *t, struct drain_op *d); /* list_remove(&d->node) ends it */
void drain_tell(struct thread *t);                      /* by the listeners, once */

/* Milliseconds until the exchange's deadline, at most `max_ms`; 0: it has passed. */
uint64_t exchange_time_left_ms(const struct exchange *x, uint64_t max_ms);
