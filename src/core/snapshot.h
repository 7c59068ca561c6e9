/*
 * snapshot - a configuration, compiled: what the data plane, check, explain, routes, admin and
 * later the dashboard read alike. Built aside by conf, immutable once published, freed after its
 * last exchange.
 *
 * Every thing that came from the file keeps where it stood (`where`), so that messages, explain and
 * logs can name file:line. Spans and arrays lie in the snapshot's arena. Owner: counted atomically;
 * a thread holds it by its own handle (snapshot_ref) with plain counts. Thread: built by one, then
 * read by all.
 */
#pragma once
#include "base/arena.h"
#include "core/credentials.h"
#include "core/filter.h"
#include "core/gate.h"
#include "expr/template.h"
#include "http/names.h"
#include "http/h1.h"
#include "io/address.h"
#include "tls/client.h"
#include "tls/server.h"
#include <stdatomic.h>

enum { CAPTURES_MAX = 16 };

struct where {
    const char *file; /* as given by the user; NULL: shipped value */
    unsigned line, column;
};

struct limits_conf { /* LIMITS.md; every field in the schema table */
    struct h1_limits h1_request, h1_response, h1_trailers;
    uint32_t query_params_max;
    bool keep_encoded_slash;
    uint64_t max_body;
    uint64_t first_byte_timeout_ms, header_timeout_ms, keepalive_timeout_ms;
    uint64_t body_idle_timeout_ms, send_stall_timeout_ms;
    uint64_t body_min_rate; /* bytes/s after 10 s; 0: off */
    uint32_t keepalive_requests;
    uint64_t max_connection_age_ms;
    uint32_t max_connections, per_ip_connections; /* max_connections 0: from the descriptor limit */
    uint32_t interim_responses_max, max_forwards_depth;
    /* HTTP/2, of clients and of services alike (LIMITS.md) */
    uint32_t h2_max_concurrent_streams, h2_initial_window, h2_connection_window;
    uint32_t h2_max_total_streams;          /* of a connection; then GOAWAY */
    uint32_t h2_reset_burst, h2_reset_rate; /* resets by the peer or because of it; per second */
    uint32_t h2_glitch_burst, h2_glitch_rate;
    uint32_t h2_header_table;
    uint64_t tls_handshake_timeout_ms;
};

struct listener_conf {
    struct span name, address_text;
    const struct limits_conf *limits; /* the listener's own, else the snapshot's */
    struct address address;
    struct span scheme;  /* "http", "https" */
    bool redirect_https; /* answers with redirects only */
    struct plan plan;    /* every request runs through it instead of a route; back NULL: routed */
    uint32_t index;
    struct tls_server *tls; /* NULL: clear text */
    bool no_h2;             /* http2: false */
    struct proxy_in_conf {  /* proxy_protocol: who may send a PROXY header */
        bool on;
        bool required; /* from a trusted source: a connection without one is closed */
        const struct cidr *trusted;
        uint32_t trusted_count; /* 0: trusted_proxies of the snapshot */
    } proxy;
    const struct setting *settings; /* what the file says of it and where, for explain */
    uint32_t setting_count;
    uint64_t routes_bit; /* bit `index` (at most 64 listeners), for route conditions */
    struct where where;
};

struct endpoint_conf {
    struct span address_text; /* "host:port", "unix:/path" */
    struct span host;         /* a name to resolve; empty: `address` is fixed */
    uint16_t port;
    struct address address;
    uint32_t weight; /* 1.. */
    struct where where;
};

enum balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUESTS };
enum protocol {
    PROTOCOL_HTTP1,
    PROTOCOL_H2 /* prior knowledge; over TLS by ALPN alone */,
    PROTOCOL_AUTO /* by ALPN; clear text: HTTP/1.1 */
};
enum host_mode { HOST_KEEP, HOST_SERVICE, HOST_NAME };

struct service_conf {
    struct span name;
    uint32_t index;
    const struct endpoint_conf *endpoint;
    uint32_t endpoint_count;
    bool discover; /* one endpoint per address of each host name (discover: {dns: ..}) */
    enum balance balance;
    enum host_mode host_mode;
    struct span host_name; /* HOST_NAME */
    uint64_t connect_timeout_ms, timeout_ms /* 0: none */, first_byte_timeout_ms, idle_timeout_ms;
    uint64_t keepalive_idle_ms;
    uint32_t keepalive_requests;
    uint32_t max_connections; /* per endpoint, over all threads */
    enum protocol protocol;
    bool multiplexes;                    /* it can speak HTTP/2: gRPC with trailers reaches it */
    struct tls_client *tls;              /* NULL: clear text */
    struct credentials_conf credentials; /* what it is shown; without ops: nothing */
    struct gate_conf gate;               /* what protects it; without ops: nothing */
    bool guarded; /* a URL's: outbound_refuses judges each address before it is connected to */
    const struct cidr *allowed; /* where it may lead all the same */
    uint32_t allowed_count;
    unsigned char proxy_protocol; /* 1, 2: the header that each connection begins with; 0: none */
    uint32_t h2_streams;          /* on one connection; 0: as the service says, at most 1,000 */
    uint32_t max_pending;         /* waiting for a connection, per thread */
    uint64_t queue_timeout_ms;
    void *lasting; /* service/endpoint.h: endpoints, counters; set before publishing */
    void *stats;   /* statistics by name (observe/metrics); set before publishing */
    const struct setting *settings; /* what the file says of it and where, for explain */
    uint32_t setting_count;
    struct where where;
};

/* How its endpoints are spoken to: connections made under one number are of use under the same one
 * alone. A reload may change it (protocol, TLS, PROXY header). */
uint64_t service_identity(const struct service_conf *s);

struct target {
    const struct service_conf *service;
    uint32_t weight;         /* 0 where it has a `when` */
    const struct expr *when; /* NULL: by weight */
    struct where where;
};

struct forward_conf { /* back_conf of `proxy` */
    const struct target *target;
    uint32_t target_count, weight_sum;
    bool conditional;              /* some target has a `when`; not all have */
    const struct template *sticky; /* NULL: by weight alone */
    uint64_t timeout_ms;           /* 0: the service's */
};

struct log_conf;    /* core/log_conf.h */
struct errors_conf; /* core/problem.h: replaced error answers */

/* How a route looks to a request: an opaque compiled form lives in struct router (core/route.h). */
struct route {
    /* What every request needs lies together: with many routes each line is a cache miss. */
    struct plan plan;
    uint64_t max_body, request_timeout_ms;
    uint64_t idle_timeout_ms, max_duration_ms; /* of streams; 0: none */
    const struct plan *whole; /* for tunnels and gRPC: with the filters that only those need; NULL:
                               * there is none, as `plan` */
    bool
        max_body_own; /* nearer than `defaults`: then it holds for gRPC's streams of messages too */
    bool preflights;  /* a policy of it answers CORS preflights, always */
    unsigned char shed; /* enum shed_word (core/overload.h): who goes first under overload */
    uint32_t capture_count;
    uint32_t row;                    /* of its statistics (observe/metrics) */
    const struct span *capture_name; /* by place in exchange->capture */
    const struct log_conf *log;      /* core/log_conf.h: the route's own; NULL: the top one */
    struct span name;
    uint32_t index;
    struct where where;
    const struct route_match *match; /* core/route.h */
    const struct limits_conf *limits;
    const struct errors_conf *errors; /* NULL: the shipped answers */
    const struct setting *settings;   /* every setting with its origin, for explain */
    uint32_t setting_count;
    void *lasting; /* statistics by name (observe/metrics); set, with row, before publishing */
};

/* With every policy of the route. */
static inline const struct plan *route_whole(const struct route *r) {
    return r->whole ? r->whole : &r->plan;
}

/* A setting or policy in force on a route and where it came from. */
struct setting {
    struct span name;   /* "request_timeout", "rewrite" */
    struct span value;  /* as YAML flow text, secrets hidden */
    struct span origin; /* "default", "defaults", "group routes[1]", "route", "policies.api" */
    struct span place;  /* of a policy: struct filter's */
    struct where where;
};

struct router;

struct expr_place {     /* where an expression was written, for messages */
    const char *source; /* expr_source(e).p */
    struct where where;
};

struct snapshot {
    atomic_uint refs;
    struct arena arena;
    uint64_t generation;
    struct span *file; /* every file read, for messages and watching */
    uint32_t file_count;
    const struct listener_conf *listener;
    uint32_t listener_count;
    struct address admin; /* len 0: no admin listener */
    struct span admin_text;
    bool metrics_off; /* metrics: false */
    const struct service_conf *service;
    uint32_t service_count;
    const struct route *route; /* leaves, in the order of the file */
    uint32_t route_count;
    const struct router *router;
    const struct cidr *trusted; /* trusted_proxies */
    uint32_t trusted_count;
    const struct span
        *identity; /* header names set for services (lower-case): stripped from clients */
    uint32_t identity_count;
    const struct span *secret; /* what secret(..) gave: explain hides it */
    uint32_t secret_count;
    const struct span *hidden; /* query parameters that hold credentials: logs hide their values */
    uint32_t hidden_count;
    struct authenticator *authenticator; /* core/authenticator.h; written before publishing alone */
    uint32_t authenticator_count;
    const struct consumer *consumer;
    uint32_t consumer_count;
    const struct consumer_index *consumers; /* by key, name, subject */
    struct value vars;                      /* the top-level ones: a map */
    const struct expr_place *place;         /* of every expression, by `source` */
    uint32_t place_count;
    struct limits_conf limits;
    const struct log_conf *log;
    const struct errors_conf *errors; /* of defaults, for what finds no route; NULL: the shipped */
    const struct outbound_conf *outbound; /* core/outbound.h; NULL: nothing said */
    const struct state_conf *state;       /* core/state.h; never NULL */
    const struct overload_conf *overload; /* core/overload.h; NULL: off */
    const struct address *dns_server;     /* dns: {servers: ["10.0.0.2:53"]} */
    uint32_t dns_server_count;            /* 0: those of /etc/resolv.conf */
    uint32_t workers;                     /* 0: one per allowed CPU */
    uint64_t shutdown_grace_ms;
    void *parts;                       /* of conf: what is not arena memory (regexes) */
    void (*detach)(struct snapshot *); /* gives back what lasts (main/rooms.c); or NULL */
    void (*free_parts)(
        struct snapshot *); /* frees parts, set by conf; who sets another calls it too */
};

/* Zeroed, one reference, its arena ready. */
struct snapshot *snapshot_create(void);
void snapshot_ref_atomic(struct snapshot *s);
void snapshot_unref_atomic(struct snapshot *s); /* the last one frees */

/* A query, target or URL for people: values of hidden parameters are ***. Into `out`. */
void snapshot_hide(const struct snapshot *s, struct span text, struct str *out);

/* A thread's own hold on a snapshot: plain counts of its exchanges. */
struct snapshot_ref {
    struct snapshot *snapshot;
    uint32_t refs;
    struct snapshot_ref *next;
};
