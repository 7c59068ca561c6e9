/*
 * log_conf - what an access log writes and where: configuration of observe/log, filled by conf.
 *
 * The fields are one closed list, so the loader can check names and tell the known ones; how each
 * is written stands in observe/log_fields.c. `log` stands in the snapshot, a route may have its
 * own. Owner: the snapshot. Thread: read by all.
 */
#pragma once
#include "base/str.h"

#define LOG_FIELD_LIST(F)                                                                          \
    /* name, what it is */                                                                         \
    F(time, "when the request began: RFC 3339, UTC, milliseconds")                                 \
    F(request_id, "the request's id, as services and the client see it")                           \
    F(client, "address of the client; behind trusted proxies what they say")                       \
    F(client_port, "the client's port; null where a trusted proxy spoke for it")                   \
    F(peer, "address of the other end of the connection")                                          \
    F(listener, "name of the listener")                                                            \
    F(protocol, "HTTP/1.0, HTTP/1.1 or HTTP/2.0")                                                  \
    F(upgrade, "websocket, where the request asked for one; null: no upgrade")                     \
    F(tls_version, "TLSv1.2 or TLSv1.3; null: clear text")                                         \
    F(tls_cipher, "the cipher of the client's connection")                                         \
    F(tls_resumed, "whether the TLS session was resumed")                                          \
    F(sni, "the server name that the client asked for")                                            \
    F(alpn, "the protocol that TLS agreed on")                                                     \
    F(client_subject, "subject of the client's certificate; null: none was shown")                 \
    F(client_san, "first alternative name of the client's certificate")                            \
    F(scheme, "http or https")                                                                     \
    F(method, "the request method")                                                                \
    F(host, "the requested host, without its port")                                                \
    F(path, "the path as it was received, without the query")                                      \
    F(canonical_path, "the path as router and policies saw it")                                    \
    F(query, "the query string as it was received; may hold secrets")                              \
    F(target, "the whole request target as it was received; may hold secrets")                     \
    F(status, "status sent to the client; null when none was")                                     \
    F(end, "completed, aborted or rejected")                                                       \
    F(bytes, "bytes of the response body")                                                         \
    F(request_bytes, "bytes of the request body")                                                  \
    F(bytes_received, "bytes read from the client for this request, head included")                \
    F(bytes_sent, "bytes written to the client, head included")                                    \
    F(duration, "seconds from the first byte of the request to the end")                           \
    F(upstream_duration, "seconds until the service's response head; null: none answered")         \
    F(queue_duration, "seconds that it waited for its turn (concurrency); null: it did not")       \
    F(connect_duration, "seconds to connect to the service; null: a kept connection, or none")     \
    F(upstream_status, "status of the service's answer; null when none came")                      \
    F(grpc_status, "status of a gRPC call, as UNAVAILABLE; null: none was said, or no such call")  \
    F(attempts, "attempts at the service")                                                         \
    F(route, "name of the route; null when none matched")                                          \
    F(service, "name of the service")                                                              \
    F(endpoint, "address of the endpoint")                                                         \
    F(consumer, "name of the consumer that called; null: none was recognised")                     \
    F(authenticator, "name of the authenticator that accepted or refused the caller")              \
    F(auth_error, "code of why nobody was recognised, also where that let the request pass")       \
    F(code, "stable code of the failure; null when there was none")                                \
    F(who, "whose failure: client, gateway or upstream")                                           \
    F(detail, "more about the failure, for the operator only")                                     \
    F(observed,                                                                                    \
      "what policies in mode: observe would have refused: 'cors cors_refused'; null: nothing")     \
    F(user_agent, "the request's User-Agent")                                                      \
    F(referer, "the request's Referer")                                                            \
    F(generation, "number of the configuration that was in force")
/* Those whose names have a point. */
#define LOG_DOTTED_LIST(F)                                                                         \
    F(limit_name, "limit.name",                                                                    \
      "the rate limit or quota that refused, else the one with least left; null: none was asked")  \
    F(limit_remaining, "limit.remaining", "what was left of it, in requests or what they cost")    \
    F(limit_verdict, "limit.verdict", "allowed, delayed, observed, refused or unavailable")

enum log_field {
#define F(name, doc) LOG_FIELD_##name,
    LOG_FIELD_LIST(F)
#undef F
#define F(id, name, doc) LOG_FIELD_##id,
        LOG_DOTTED_LIST(F)
#undef F
            LOG_FIELD_COUNT
};

struct log_field_info {
    struct span name;
    const char *doc;
};
extern const struct log_field_info log_field_table[LOG_FIELD_COUNT];
/* LOG_FIELD_COUNT: unknown. */
enum log_field log_field_lookup(struct span name);

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_COMBINED };
enum log_stream { LOG_STREAM_STDOUT, LOG_STREAM_STDERR };

struct log_conf {
    bool off;             /* `log: false` on a route below a log */
    int format;           /* enum log_format */
    int stream;           /* enum log_stream; without a file */
    struct span file;     /* a path; empty: the stream */
    const int *field;     /* of JSON: enum log_field each, in this order, none twice */
    uint32_t field_count; /* 0: log_fields_shipped */
    void *lasting;        /* the destination; set by log_attach before publishing */
};

enum { LOG_SHIPPED_COUNT = 19 };
extern const int log_fields_shipped[LOG_SHIPPED_COUNT];
