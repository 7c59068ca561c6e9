/*
 * fault - everything that can go wrong with an exchange, as one closed list.
 *
 * The table behind it says for each kind: the status that the asker gets, the stable code (problem
 * details, log field, metric label), whose fault it is, whether the connection may be used again,
 * and one sentence for people. Nothing else maps a failure to a status. Thread: any (const).
 */
#pragma once
#include "base/str.h"

#define FAULT_LIST(F)                                                                              \
    /* kind, status, code, who, close, sentence */                                                 \
    F(NONE, 0, "", NOBODY, 0, "")                                                                  \
    /* request line, target, host */                                                               \
    F(BAD_REQUEST_LINE, 400, "bad_request_line", CLIENT, 1, "the request line is malformed")       \
    F(BAD_VERSION, 505, "bad_version", CLIENT, 1, "only HTTP/1.0 and HTTP/1.1 are spoken here")    \
    F(BAD_METHOD, 400, "bad_method", CLIENT, 1, "the method is not a token, or too long")          \
    F(METHOD_REFUSED, 405, "method_refused", CLIENT, 1, "this method is not offered here")         \
    F(TARGET_TOO_LONG, 414, "target_too_long", CLIENT, 1, "the request target is too long")        \
    F(BAD_TARGET, 400, "bad_target", CLIENT, 1, "the request target has no legal form")            \
    F(BAD_TARGET_BYTE, 400, "bad_target_byte", CLIENT, 1,                                          \
      "the request target holds a byte that must be percent-encoded")                              \
    F(FRAGMENT, 400, "fragment", CLIENT, 1, "a fragment is never sent to a server")                \
    F(BAD_PERCENT, 400, "bad_percent", CLIENT, 1,                                                  \
      "a percent escape in the path is malformed or is not UTF-8")                                 \
    F(ENCODED_SEPARATOR, 400, "encoded_separator", CLIENT, 1,                                      \
      "%2F, %5C, %25, %00 and control characters are not accepted in the path")                    \
    F(DOT_ESCAPE, 400, "dot_escape", CLIENT, 1, "the path climbs above the root")                  \
    F(DOT_PARAMETER, 400, "dot_parameter", CLIENT, 1, "a dot segment with parameters")             \
    F(TOO_MANY_PARAMETERS, 400, "too_many_query_parameters", CLIENT, 1,                            \
      "the query has too many parameters")                                                         \
    F(BAD_HOST, 400, "bad_host", CLIENT, 1, "exactly one valid Host is needed")                    \
    F(AUTHORITY_MISMATCH, 400, "authority_mismatch", CLIENT, 1,                                    \
      "the request target and Host name different authorities")                                    \
    /* header section */                                                                           \
    F(BARE_LF, 400, "bare_lf", CLIENT, 1, "a line ends with LF instead of CRLF")                   \
    F(BARE_CR, 400, "bare_cr", CLIENT, 1, "a CR that no LF follows")                               \
    F(OBS_FOLD, 400, "obs_fold", CLIENT, 1, "folded header lines are obsolete and refused")        \
    F(BAD_HEADER_NAME, 400, "bad_header_name", CLIENT, 1, "a header name is not a token")          \
    F(CTL_IN_HEADER, 400, "ctl_in_header", CLIENT, 1, "a header holds a control character")        \
    F(UNDERSCORE_TWIN, 400, "underscore_twin", CLIENT, 1,                                          \
      "a header name with underscores imitates a protected one")                                   \
    F(DUPLICATE_HEADER, 400, "duplicate_header", CLIENT, 1, "a single-valued header came twice")   \
    F(HEADER_NAME_TOO_LONG, 431, "header_name_too_long", CLIENT, 1, "a header name is too long")   \
    F(HEADER_TOO_LONG, 431, "header_too_long", CLIENT, 1, "a header is too long")                  \
    F(HEADERS_TOO_LARGE, 431, "headers_too_large", CLIENT, 1, "the header section is too large")   \
    F(TOO_MANY_HEADERS, 431, "too_many_headers", CLIENT, 1, "there are too many headers")          \
    F(BAD_CONNECTION_TOKEN, 400, "bad_connection_token", CLIENT, 1,                                \
      "Connection names a header that is never hop-by-hop, or too many")                           \
    F(EXPECT_FAILED, 417, "expect_failed", CLIENT, 1, "the only expectation is 100-continue")      \
    F(MALFORMED_H2, 400, "malformed_h2", CLIENT, 0, "the HTTP/2 message is malformed")             \
    F(MISDIRECTED, 421, "misdirected", CLIENT, 0,                                                  \
      "this connection was made for another host, with other rules")                               \
    F(TLS_NEEDED, 400, "tls_needed", CLIENT, 1,                                                    \
      "this port speaks TLS: the request must come by https")                                      \
    F(BAD_UPGRADE, 400, "bad_upgrade", CLIENT, 1, "the WebSocket upgrade is malformed")            \
    F(UNKNOWN_PROTOCOL, 501, "unknown_protocol", CLIENT, 0,                                        \
      "the only protocol that CONNECT carries here is websocket")                                  \
    /* framing */                                                                                  \
    F(CL_AND_TE, 400, "cl_and_te", CLIENT, 1, "Content-Length and Transfer-Encoding together")     \
    F(BAD_TE, 400, "bad_te", CLIENT, 1, "Transfer-Encoding is malformed")                          \
    F(UNKNOWN_TE, 501, "unknown_te", CLIENT, 1, "the only transfer coding is chunked")             \
    F(DUP_TE, 400, "dup_te", CLIENT, 1, "Transfer-Encoding came twice")                            \
    F(BAD_CL, 400, "bad_cl", CLIENT, 1, "Content-Length is not a plain number")                    \
    F(DUP_CL, 400, "dup_cl", CLIENT, 1, "Content-Length came twice")                               \
    F(BAD_CHUNK, 400, "bad_chunk", CLIENT, 1, "the chunked coding is malformed")                   \
    F(CHUNK_OVERFLOW, 400, "chunk_overflow", CLIENT, 1, "a chunk size is out of range")            \
    F(BAD_CHUNK_EXT, 400, "bad_chunk_ext", CLIENT, 1, "a chunk extension is malformed")            \
    F(CHUNK_OVERHEAD, 400, "chunk_overhead", CLIENT, 1, "the chunked coding is mostly overhead")   \
    F(BAD_TRAILER, 400, "bad_trailer", CLIENT, 1, "a trailer field that must be a header")         \
    F(BODY_TOO_LARGE, 413, "body_too_large", CLIENT, 1, "the body is larger than is accepted")     \
    /* time and behaviour of clients */                                                            \
    F(FIRST_BYTE_TIMEOUT, 408, "first_byte_timeout", CLIENT, 1, "no request came in time")         \
    F(HEADER_TIMEOUT, 408, "header_timeout", CLIENT, 1, "the headers did not arrive in time")      \
    F(BODY_TIMEOUT, 408, "body_timeout", CLIENT, 1, "the body did not arrive in time")             \
    F(SEND_STALLED, 499, "send_stalled", CLIENT, 1, "the client takes the answer too slowly")      \
    F(CLIENT_CLOSED, 499, "client_closed", CLIENT, 1, "the client went away")                      \
    /* the gateway's own decisions */                                                              \
    F(NO_ROUTE, 404, "no_route", CLIENT, 0, "no route matches this request")                       \
    F(METHOD_NOT_ALLOWED, 405, "method_not_allowed", CLIENT, 0,                                    \
      "this resource does not offer this method")                                                  \
    F(LOOP_DETECTED, 508, "loop_detected", CLIENT, 0, "the request came through here before")      \
    F(UPGRADE_REFUSED, 426, "upgrade_refused", CLIENT, 1, "WebSocket version 13 is needed")        \
    F(WEBSOCKET_OFF, 403, "websocket_off", CLIENT, 0, "this resource takes no WebSockets")         \
    F(EXPRESSION_FAILED, 500, "expression_failed", GATEWAY, 0,                                     \
      "an expression of the configuration failed")                                                 \
    F(HEADER_REFUSED, 500, "header_injection_blocked", GATEWAY, 0,                                 \
      "a computed header held bytes that no header may hold")                                      \
    F(TOO_MANY_CONNECTIONS, 503, "too_many_connections", GATEWAY, 1,                               \
      "there are too many connections")                                                            \
    F(OVERLOADED, 503, "overloaded", GATEWAY, 0, "the gateway is overloaded")                      \
    F(OUT_OF_MEMORY, 503, "out_of_memory", GATEWAY, 1, "the gateway is out of memory")             \
    F(SHUTTING_DOWN, 503, "shutting_down", GATEWAY, 1, "the gateway is shutting down")             \
    F(INTERNAL, 500, "internal", GATEWAY, 1, "the gateway failed")                                 \
    F(STREAM_IDLE, 504, "stream_idle", GATEWAY, 0, "nothing came for idle_timeout, either way")    \
    F(MAX_DURATION, 504, "max_duration", GATEWAY, 0, "the stream lasted as long as it may")        \
    F(BAD_WEBSOCKET_FRAME, 502, "bad_websocket_frame", GATEWAY, 0,                                 \
      "a WebSocket frame is malformed or over a limit")                                            \
    F(GRPC_MESSAGE_TOO_LARGE, 413, "grpc_message_too_large", CLIENT, 0,                            \
      "a gRPC message is larger than is accepted")                                                 \
    F(BAD_GRPC_TIMEOUT, 400, "bad_grpc_timeout", CLIENT, 0, "grpc-timeout is malformed")           \
    F(BAD_GRPC_FRAME, 400, "bad_grpc_frame", CLIENT, 0, "a gRPC message frame is malformed")       \
    F(REQUEST_TIMEOUT, 504, "request_timeout", GATEWAY, 0,                                         \
      "the whole exchange took longer than request_timeout")                                       \
    /* who calls, and may he (RFC 6750, RFC 9110 11) */                                            \
    F(MISSING_CREDENTIALS, 401, "credentials_missing", CLIENT, 0,                                  \
      "this resource needs credentials, and none came along")                                      \
    F(AMBIGUOUS_CREDENTIALS, 401, "ambiguous_credentials", CLIENT, 0,                              \
      "credentials came in more than one place")                                                   \
    F(BAD_CREDENTIALS, 401, "credentials_malformed", CLIENT, 0, "the credentials are malformed")   \
    F(INVALID_CREDENTIALS, 401, "invalid_credentials", CLIENT, 0,                                  \
      "the credentials are not accepted")                                                          \
    F(JWT_FORMAT, 401, "jwt_format", CLIENT, 0, "the token is no well-formed JWT")                 \
    F(JWT_ALG, 401, "jwt_alg", CLIENT, 0, "the token's algorithm is not accepted")                 \
    F(JWT_CRIT, 401, "jwt_crit", CLIENT, 0, "the token needs an extension that is not known here") \
    F(JWT_KEY, 401, "jwt_key", CLIENT, 0, "no key for this token is known")                        \
    F(JWT_SIGNATURE, 401, "jwt_signature", CLIENT, 0, "the token's signature is wrong")            \
    F(JWT_CLAIMS, 401, "jwt_claims", CLIENT, 0, "a claim of the token is missing or malformed")    \
    F(JWT_EXPIRED, 401, "jwt_expired", CLIENT, 0, "the token has expired")                         \
    F(JWT_NOT_YET, 401, "jwt_not_yet_valid", CLIENT, 0, "the token is not valid yet")              \
    F(JWT_ISSUER, 401, "jwt_issuer", CLIENT, 0, "the token is from another issuer")                \
    F(JWT_AUDIENCE, 401, "jwt_audience", CLIENT, 0, "the token is for somebody else")              \
    F(TOKEN_INACTIVE, 401, "token_inactive", CLIENT, 0, "the token is not active")                 \
    F(CERTIFICATE_NEEDED, 401, "client_certificate_needed", CLIENT, 0,                             \
      "this resource needs a client certificate that is known here")                               \
    F(SIGNATURE_INVALID, 401, "signature_invalid", CLIENT, 0,                                      \
      "the request's signature is missing, malformed or wrong")                                    \
    F(SIGNATURE_EXPIRED, 401, "signature_expired", CLIENT, 0,                                      \
      "the request's signature is too old, too new or was used before")                            \
    F(LOGIN_FAILED, 400, "login_failed", CLIENT, 0, "the login did not come to its end")           \
    F(FORBIDDEN, 403, "forbidden", CLIENT, 0, "the caller may not do this")                        \
    F(INSUFFICIENT_SCOPE, 403, "insufficient_scope", CLIENT, 0,                                    \
      "the token lacks a scope that this needs")                                                   \
    F(ADDRESS_REFUSED, 403, "address_refused", CLIENT, 0,                                          \
      "this resource is not offered to the client's address")                                      \
    F(CORS_REFUSED, 403, "cors_refused", CLIENT, 0,                                                \
      "this origin, method or header is not allowed")                                              \
    F(CSRF_REFUSED, 403, "csrf_refused", CLIENT, 0,                                                \
      "the request does not prove that it comes from this site's own pages")                       \
    F(KEYS_UNAVAILABLE, 503, "keys_unavailable", GATEWAY, 0,                                       \
      "the keys to check the token with cannot be had just now")                                   \
    F(AUTH_UNAVAILABLE, 503, "auth_unavailable", GATEWAY, 0,                                       \
      "the service that judges credentials cannot be asked just now")                              \
    F(SERVICE_CREDENTIALS, 503, "service_credentials_unavailable", GATEWAY, 0,                     \
      "the credentials for the service cannot be had just now")                                    \
    F(DESTINATION_REFUSED, 503, "destination_refused", GATEWAY, 0,                                 \
      "a URL of the configuration led to an address that it must not lead to")                     \
    /* limits */                                                                                   \
    F(RATE_LIMITED, 429, "rate_limited", CLIENT, 0,                                                \
      "there were too many requests in a short time")                                              \
    F(QUOTA_EXCEEDED, 429, "quota_exceeded", CLIENT, 0,                                            \
      "what may be used in this period has been used")                                             \
    F(CONCURRENCY_LIMITED, 429, "concurrency_limited", CLIENT, 0,                                  \
      "too many requests are under way at once")                                                   \
    F(LIMITS_UNAVAILABLE, 503, "limits_unavailable", GATEWAY, 0,                                   \
      "the shared state that limits are kept in cannot be asked just now")                         \
    F(SERVICE_BUSY, 503, "service_busy", GATEWAY, 0, "the service has as much to do as it may")    \
    /* services */                                                                                 \
    F(NO_ENDPOINT, 503, "no_endpoint", UPSTREAM, 0, "the service has no endpoint")                 \
    F(DNS_FAILED, 503, "dns_failed", UPSTREAM, 0, "the service's name has no address yet")         \
    F(QUEUE_FULL, 503, "queue_full", UPSTREAM, 0, "too many requests wait for the service")        \
    F(QUEUE_TIMEOUT, 503, "queue_timeout", UPSTREAM, 0, "no connection to the service got free")   \
    F(LOCAL_RESOURCE, 503, "local_resource", GATEWAY, 0, "no socket or port is left")              \
    F(CONNECT_FAILED, 502, "connect_failed", UPSTREAM, 0, "the service refused the connection")    \
    F(CONNECT_TIMEOUT, 504, "connect_timeout", UPSTREAM, 0, "the service did not accept in time")  \
    F(UPSTREAM_TLS, 502, "upstream_tls", UPSTREAM, 0, "the TLS handshake with the service failed") \
    F(UPSTREAM_TLS_VERIFY, 502, "upstream_tls_verify", UPSTREAM, 0,                                \
      "the service's certificate was not accepted")                                                \
    F(UPSTREAM_PROTOCOL, 502, "upstream_protocol", UPSTREAM, 0,                                    \
      "the service broke the rules of HTTP/2")                                                     \
    F(UPSTREAM_REFUSED_STREAM, 503, "upstream_refused_stream", UPSTREAM, 0,                        \
      "the service took no more requests on its connection")                                       \
    F(UPGRADE_NOT_ACCEPTED, 502, "upgrade_not_accepted", UPSTREAM, 0,                              \
      "the service agreed to something else than the WebSocket that was asked for")                \
    F(UPSTREAM_RESET, 502, "upstream_reset", UPSTREAM, 0, "the service broke the connection")      \
    F(UPSTREAM_CLOSED, 502, "upstream_closed", UPSTREAM, 0,                                        \
      "the service closed the connection before it answered")                                      \
    F(UPSTREAM_TRUNCATED, 502, "upstream_truncated", UPSTREAM, 0, "the answer broke off")          \
    F(UPSTREAM_BAD_FRAMING, 502, "upstream_bad_framing", UPSTREAM, 0,                              \
      "the service's answer is malformed")                                                         \
    F(UPSTREAM_HEADER_TOO_LARGE, 502, "upstream_header_too_large", UPSTREAM, 0,                    \
      "the header section of the answer is too large")                                             \
    F(UPSTREAM_BAD_STATUS, 502, "upstream_bad_status", UPSTREAM, 0,                                \
      "the status of the answer is not one of HTTP")                                               \
    F(UPSTREAM_UNASKED_UPGRADE, 502, "upstream_unasked_upgrade", UPSTREAM, 0,                      \
      "the service switched protocols without being asked")                                        \
    F(UPSTREAM_TOO_MANY_INTERIM, 502, "upstream_too_many_interim", UPSTREAM, 0,                    \
      "the service sent too many interim answers")                                                 \
    F(UPSTREAM_TIMEOUT, 504, "upstream_timeout", UPSTREAM, 0,                                      \
      "the service did not answer in time")                                                        \
    F(UPSTREAM_IDLE, 504, "upstream_idle_timeout", UPSTREAM, 0, "the service fell silent")         \
    F(UPSTREAM_TOO_LARGE, 502, "upstream_too_large", UPSTREAM, 0,                                  \
      "the answer is larger than is accepted")

enum fault {
#define F(kind, status, code, who, close, text) FAULT_##kind,
    FAULT_LIST(F)
#undef F
        FAULT_COUNT
};

enum fault_who { FAULT_WHO_NOBODY, FAULT_WHO_CLIENT, FAULT_WHO_GATEWAY, FAULT_WHO_UPSTREAM };

struct fault_info {
    int status;       /* what a client gets; 499 is for the log only */
    const char *code; /* stable: problem details, log, metrics */
    enum fault_who who;
    bool close; /* a client's connection must end after the answer */
    const char *text;
};

extern const struct fault_info fault_table[FAULT_COUNT];
const char *fault_who_name(enum fault_who who); /* "client", "gateway", "upstream", "" */
const char *status_reason(int status);          /* RFC 9110 phrase; "" when unknown */
