/*
 * thread - what one thread of the gateway owns for life: loop, exchanges, its hold on the snapshot,
 * its counts.
 *
 * Workers and the control thread are the same kind; the control thread has no public listeners.
 * Counters have one writer, their thread; others read them relaxed. Rooms above keep their
 * per-thread state behind the `local` slots (pools, log ring ...), set up by main. Owner: main.
 * Thread: its own, but for what says otherwise.
 */
#pragma once
#include "core/exchange.h"
#include "core/overload.h"
#include "core/record.h"
#include "http/h2_memory.h"

/* name, Prometheus suffix-free help */
#define COUNTER_LIST(C)                                                                            \
    C(client_connections_accepted, "Client connections accepted")                                  \
    C(client_connections_closed, "Client connections closed")                                      \
    C(client_connections_refused_total, "Client connections refused: limit on all connections")    \
    C(client_connections_refused_address, "Client connections refused: limit per address")         \
    C(client_connections_refused_descriptors, "Accepting paused: descriptors ran out")             \
    C(client_connections_silent,                                                                   \
      "Client connections closed because no first request came in time")                           \
    C(client_connections_reaped, "Idle client connections closed to make room for new ones")       \
    C(client_tls_handshakes_by_tls12, "TLS handshakes with clients")                               \
    C(client_tls_handshakes_by_tls13, "TLS handshakes with clients")                               \
    C(client_tls_resumed, "TLS handshakes with clients that went on with a session from before")   \
    C(client_tls_failed_protocol, "TLS handshakes with clients that failed")                       \
    C(client_tls_failed_certificate, "TLS handshakes with clients that failed")                    \
    C(client_tls_failed_closed, "TLS handshakes with clients that failed")                         \
    C(client_tls_failed_timeout, "TLS handshakes with clients that failed")                        \
    C(client_tls_failed_cleartext, "TLS handshakes with clients that failed")                      \
    C(client_tls_key_updates, "TLS key updates by clients")                                        \
    C(client_tls_renegotiations_refused, "TLS renegotiations that clients asked for in vain")      \
    C(client_proxy_headers_refused,                                                                \
      "Connections closed for a PROXY header: malformed, missing, or not trusted")                 \
    C(client_h2_connections, "Client connections that speak HTTP/2")                               \
    C(client_h2_streams, "Requests that came over HTTP/2")                                         \
    C(client_h2_streams_refused, "Streams refused: too many at once, or after GOAWAY")             \
    C(client_h2_resets_received, "Streams that clients reset")                                     \
    C(client_h2_resets_sent, "Streams that the gateway reset, but for requests it answered early") \
    C(client_h2_goaways_graceful, "GOAWAYs to clients that let what was under way end")            \
    C(client_h2_goaways_error, "GOAWAYs to clients that broke the rules of HTTP/2")                \
    C(client_h2_goaways_flood, "GOAWAYs to clients that sent too much that costs them nothing")    \
    C(client_h2_glitches, "Frames of HTTP/2 clients that are legal and make no sense")             \
    C(client_h2_reset_floods, "HTTP/2 connections ended over resets")                              \
    C(client_h2_header_floods, "HTTP/2 connections ended over header blocks without end")          \
    C(client_h2_control_floods, "HTTP/2 connections ended over control frames, or overhead")       \
    C(client_bytes_received, "Bytes read from clients")                                            \
    C(client_bytes_sent, "Bytes written to clients")                                               \
    C(upstream_connections_opened, "Connections to services opened")                               \
    C(upstream_connections_reused, "Requests sent on a kept connection")                           \
    C(upstream_connections_closed, "Connections to services closed")                               \
    C(upstream_connections_failed, "Connections to services that could not be opened")             \
    C(upstream_excess_bytes, "Connections to services closed for bytes that nobody asked for")     \
    C(upstream_tls_handshakes, "TLS handshakes with services")                                     \
    C(upstream_tls_resumed, "Of them, those that went on with a session from before")              \
    C(upstream_tls_failed, "TLS handshakes with services that failed")                             \
    C(upstream_h2_connections, "HTTP/2 connections to services")                                   \
    C(upstream_h2_streams, "Requests sent on them")                                                \
    C(upstream_h2_goaways, "GOAWAYs of services")                                                  \
    C(upstream_h2_resets, "Streams that services reset")                                           \
    C(upstream_h2_errors, "HTTP/2 connections closed because the service broke the rules")         \
    C(upstream_bytes_received, "Bytes read from services")                                         \
    C(upstream_bytes_sent, "Bytes written to services")                                            \
    C(exchanges_accepted, "Requests accepted, malformed ones included")                            \
    C(exchanges_completed, "Requests whose answer has left entirely")                              \
    C(exchanges_aborted, "Requests that broke off: client gone, or the answer broke off")          \
    C(exchanges_rejected, "Requests refused as malformed or over a limit")                         \
    C(calls_started, "Requests of the gateway's own: keys, introspection, forward auth")           \
    C(calls_answered, "Of them, those that were answered, whatever the status")                    \
    C(calls_failed, "Of them, those that got no answer, or not all of it")                         \
    C(calls_cancelled, "Of them, those that nobody waited for any more")                           \
    C(tunnels, "WebSockets that services accepted")                                                \
    C(grpc_calls, "gRPC calls")                                                                    \
    C(grpc_failures, "gRPC calls that did not end with status OK")                                 \
    C(requests_shed_loop_delay, "Requests refused because the gateway was overloaded")             \
    C(requests_shed_memory, "Requests refused because the gateway was overloaded")                 \
    C(requests_ended_memory, "Requests ended because memory was nearly used up")                   \
    C(overloads_loop_delay, "How often a worker began to refuse requests because it was behind")   \
    C(workers_stuck, "How often a worker was busy for over 100 ms with one thing")                 \
    C(client_connections_spared, "Idle client connections closed because memory was short")        \
    C(refusals_observed, "Refusals that mode: observe let pass")                                   \
    C(logins, "Logins by OpenID Connect that came to their end")                                   \
    C(logins_failed, "Callbacks of logins that were refused")                                      \
    C(sessions_renewed, "Sessions renewed by their refresh token")                                 \
    C(sessions_not_renewed, "Sessions that the issuer did not renew, or could not just then")      \
    C(identity_headers_stripped, "Identity headers that clients sent, removed")                    \
    C(tokens_verified, "Signatures of tokens that were verified, or tried to")                     \
    C(tokens_remembered, "Tokens whose signature was verified before")                             \
    C(tokens_with_keys, "Tokens that brought a key or its URL along, which was ignored")           \
    C(expression_errors, "Expressions that failed at run time")                                    \
    C(log_dropped, "Access log lines dropped because the writer was behind")                       \
    C(body_bytes_settled, "Body bytes copied because their reader was slow")

struct counters {
#define C(name, help) _Atomic uint64_t name;
    COUNTER_LIST(C)
#undef C
};

/* One writer: no locked instruction. */
#define count_add(field, n)                                                                        \
    atomic_store_explicit(&(field), atomic_load_explicit(&(field), memory_order_relaxed) + (n),    \
                          memory_order_relaxed)
#define count_up(t, name) count_add((t)->counters.name, 1)

enum local_slot {
    LOCAL_POOLS,
    LOCAL_SERVICES,
    LOCAL_METRICS,
    LOCAL_LOG,
    LOCAL_LISTENERS,
    LOCAL_H2,
    LOCAL_VERDICTS,
    LOCAL_TOKENS, /* identity/jwt: verified ones */
    LOCAL_KEYS,
    LOCAL_DECISIONS, /* identity/introspect, forward */
    LOCAL_CREDENTIALS,
    LOCAL_SIGNERS,
    LOCAL_REDIS, /* shared/redis: connections */
    LOCAL_RELIEF,
    LOCAL_COUNT
};
enum { SINKS_MAX = 4 };

struct thread {
    struct loop loop; /* first: me is its loop */
    unsigned index;   /* 0..n-1 workers, n control */
    bool control;
    struct snapshot_ref *snap; /* the current one; older ones behind it while exchanges hold them */
    struct list exchanges;     /* all live ones */
    _Atomic uint32_t exchange_count; /* of them; one writer, the metrics read it */
    _Atomic uint32_t books; /* odd while an exchange is entered or struck off: count and counter
                               change together */
    struct counters counters;
    void *local[LOCAL_COUNT];
    struct slab connections; /* client connections: many, small, long-lived */
    struct h2_memory h2;     /* of its sessions, to clients and to services */
    /* Called at every end, in order; set before the loop runs. */
    void (*sink[SINKS_MAX])(struct thread *, const struct record *);
    struct list drains; /* struct drain_op: who wants to know of it */
    struct overload overload;
    /* The exchange that this thread works on just now, for who looks when it hangs (main/stuck). */
    _Atomic(struct exchange *) doing;
    bool draining;           /* shutting down: connections close after their answer */
    uint64_t request_seq;    /* part of request ids */
    struct h1_parser parser; /* for heads that come in one piece */
    uint64_t date_until;     /* ns on the loop\'s clock: date[] is right until then */
    int64_t wall_offset;
    char date[29]; /* HTTP\'s spelling of now */
    char id_prefix[24];
};

static inline struct thread *thread_me(void) {
    return (struct thread *)(void *)me;
}

must_use bool thread_init(struct thread *t, unsigned index);
void thread_finish(struct thread *t);
/* Makes `s` (one reference is taken over) the snapshot of this thread's new exchanges. In the
 * thread. */
void thread_use_snapshot(struct thread *t, struct snapshot *s);
/* A point of the loop's clock as wall clock: ns since the epoch, right to the last second's drift.
 */
int64_t thread_wall_ns(struct thread *t, uint64_t at);
/* The Date of an answer made now: 29 bytes, good until the next call. */
struct span thread_date(struct thread *t);
struct snapshot_ref *thread_hold(struct thread *t);
void thread_release(struct thread *t, struct snapshot_ref *r);

/* Around what is done for an exchange, wherever the loop comes to it: so that others see what a
 * thread is at, and, under overload, its time is charged. */
struct doing {
    struct exchange *x; /* what was under way around it */
    uint64_t from;
};
static inline struct doing doing_begin(struct exchange *x) {
    struct thread *t = x->thread;
    struct doing d = {atomic_load_explicit(&t->doing, memory_order_relaxed), 0};
    atomic_store_explicit(&t->doing, x, memory_order_relaxed);
    if (unlikely(t->overload.on))
        d.from = overload_clock(x);
    return d;
}
static inline void doing_end(struct exchange *x, struct doing before) {
    atomic_store_explicit(&x->thread->doing, before.x, memory_order_relaxed);
    if (unlikely(before.from != 0))
        overload_charge(x, before.from);
}
