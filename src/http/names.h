/*
 * names - header names and methods that the gateway knows, as small numbers.
 *
 * One table: lower-case name, the spelling that HTTP/1.1 prints, and what the name may do. "Remove
 * every copy" is one pass over ids; dash and underscore spellings share one look-up. Thread: any
 * (const).
 */
#pragma once
#include "base/str.h"

enum hdr_flag {
    HF_HOP = 1,         /* connection-level (RFC 9110 7.6.1): never crosses */
    HF_FRAMING = 2,     /* Content-Length, Transfer-Encoding: doors only, never in a head */
    HF_SINGLE = 4,      /* a second copy in a request is refused */
    HF_FORWARDED = 8,   /* rebuilt by the gateway, removed from clients that are not trusted */
    HF_IDENTITY = 16,   /* set by the gateway for services, removed from every client */
    HF_NO_TRAILER = 32, /* a trailer of this name is refused (RFC 9110 6.5.1) */
    HF_NOT_HOP = 64,    /* Connection may not name it */
    HF_OVERRIDE = 128,  /* method and URL overrides, httpoxy: removed from every client */
};

/* id, lower-case, HTTP/1.1 spelling, flags */
#define HDR_LIST(H)                                                                                \
    H(ACCEPT, "accept", "Accept", 0)                                                               \
    H(ACCEPT_ENCODING, "accept-encoding", "Accept-Encoding", 0)                                    \
    H(ACCEPT_LANGUAGE, "accept-language", "Accept-Language", 0)                                    \
    H(ACCEPT_RANGES, "accept-ranges", "Accept-Ranges", 0)                                          \
    H(AGE, "age", "Age", 0)                                                                        \
    H(ALLOW, "allow", "Allow", 0)                                                                  \
    H(ALT_SVC, "alt-svc", "Alt-Svc", 0)                                                            \
    H(AUTHORIZATION, "authorization", "Authorization", HF_SINGLE | HF_NO_TRAILER | HF_NOT_HOP)     \
    H(CACHE_CONTROL, "cache-control", "Cache-Control", HF_NO_TRAILER)                              \
    H(CDN_LOOP, "cdn-loop", "CDN-Loop", 0)                                                         \
    H(CF_CONNECTING_IP, "cf-connecting-ip", "CF-Connecting-IP", HF_FORWARDED)                      \
    H(CONNECTION, "connection", "Connection", HF_HOP | HF_NO_TRAILER)                              \
    H(CONTENT_DISPOSITION, "content-disposition", "Content-Disposition", 0)                        \
    H(CONTENT_ENCODING, "content-encoding", "Content-Encoding", HF_NO_TRAILER | HF_NOT_HOP)        \
    H(CONTENT_LANGUAGE, "content-language", "Content-Language", 0)                                 \
    H(CONTENT_LENGTH, "content-length", "Content-Length", HF_FRAMING | HF_NO_TRAILER | HF_NOT_HOP) \
    H(CONTENT_LOCATION, "content-location", "Content-Location", 0)                                 \
    H(CONTENT_RANGE, "content-range", "Content-Range", HF_NO_TRAILER)                              \
    H(CONTENT_TYPE, "content-type", "Content-Type", HF_SINGLE | HF_NO_TRAILER | HF_NOT_HOP)        \
    H(COOKIE, "cookie", "Cookie", HF_NO_TRAILER | HF_NOT_HOP)                                      \
    H(DATE, "date", "Date", 0)                                                                     \
    H(ETAG, "etag", "ETag", 0)                                                                     \
    H(EXPECT, "expect", "Expect", HF_HOP | HF_NO_TRAILER)                                          \
    H(EXPIRES, "expires", "Expires", 0)                                                            \
    H(FORWARDED, "forwarded", "Forwarded", HF_FORWARDED | HF_NO_TRAILER)                           \
    H(HOST, "host", "Host", HF_SINGLE | HF_NO_TRAILER | HF_NOT_HOP)                                \
    H(HTTP2_SETTINGS, "http2-settings", "HTTP2-Settings", HF_HOP | HF_NO_TRAILER)                  \
    H(IF_MATCH, "if-match", "If-Match", HF_NO_TRAILER)                                             \
    H(IF_MODIFIED_SINCE, "if-modified-since", "If-Modified-Since", HF_SINGLE | HF_NO_TRAILER)      \
    H(IF_NONE_MATCH, "if-none-match", "If-None-Match", HF_NO_TRAILER)                              \
    H(IF_RANGE, "if-range", "If-Range", HF_SINGLE | HF_NO_TRAILER)                                 \
    H(IF_UNMODIFIED_SINCE, "if-unmodified-since", "If-Unmodified-Since",                           \
      HF_SINGLE | HF_NO_TRAILER)                                                                   \
    H(KEEP_ALIVE, "keep-alive", "Keep-Alive", HF_HOP | HF_NO_TRAILER)                              \
    H(LAST_MODIFIED, "last-modified", "Last-Modified", 0)                                          \
    H(LINK, "link", "Link", 0)                                                                     \
    H(LOCATION, "location", "Location", 0)                                                         \
    H(MAX_FORWARDS, "max-forwards", "Max-Forwards", HF_NO_TRAILER)                                 \
    H(ORIGIN, "origin", "Origin", HF_SINGLE)                                                       \
    H(PRAGMA, "pragma", "Pragma", HF_NO_TRAILER)                                                   \
    H(PROXY, "proxy", "Proxy", HF_OVERRIDE)                                                        \
    H(PROXY_AUTHENTICATE, "proxy-authenticate", "Proxy-Authenticate", HF_HOP | HF_NO_TRAILER)      \
    H(PROXY_AUTHORIZATION, "proxy-authorization", "Proxy-Authorization", HF_HOP | HF_NO_TRAILER)   \
    H(PROXY_CONNECTION, "proxy-connection", "Proxy-Connection", HF_HOP | HF_NO_TRAILER)            \
    H(RANGE, "range", "Range", HF_SINGLE | HF_NO_TRAILER)                                          \
    H(RATELIMIT, "ratelimit", "RateLimit", 0)                                                      \
    H(RATELIMIT_POLICY, "ratelimit-policy", "RateLimit-Policy", 0)                                 \
    H(REFERER, "referer", "Referer", HF_SINGLE)                                                    \
    H(RETRY_AFTER, "retry-after", "Retry-After", 0)                                                \
    H(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", "Sec-WebSocket-Accept", HF_HOP)                \
    H(SEC_WEBSOCKET_KEY, "sec-websocket-key", "Sec-WebSocket-Key", HF_HOP)                         \
    H(SEC_WEBSOCKET_VERSION, "sec-websocket-version", "Sec-WebSocket-Version", 0)                  \
    H(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", "Sec-WebSocket-Protocol", 0)               \
    H(SERVER, "server", "Server", 0)                                                               \
    H(SET_COOKIE, "set-cookie", "Set-Cookie", HF_NO_TRAILER)                                       \
    H(TE, "te", "TE", HF_HOP | HF_NO_TRAILER)                                                      \
    H(TRACEPARENT, "traceparent", "traceparent", 0)                                                \
    H(TRACESTATE, "tracestate", "tracestate", 0)                                                   \
    H(TRAILER, "trailer", "Trailer", HF_HOP | HF_NO_TRAILER)                                       \
    H(TRANSFER_ENCODING, "transfer-encoding", "Transfer-Encoding",                                 \
      HF_FRAMING | HF_HOP | HF_NO_TRAILER | HF_NOT_HOP)                                            \
    H(TRUE_CLIENT_IP, "true-client-ip", "True-Client-IP", HF_FORWARDED)                            \
    H(UPGRADE, "upgrade", "Upgrade", HF_HOP | HF_NO_TRAILER)                                       \
    H(USER_AGENT, "user-agent", "User-Agent", HF_SINGLE)                                           \
    H(VARY, "vary", "Vary", 0)                                                                     \
    H(VIA, "via", "Via", 0)                                                                        \
    H(WWW_AUTHENTICATE, "www-authenticate", "WWW-Authenticate", HF_NO_TRAILER)                     \
    H(X_CLIENT_CERT, "x-client-cert", "X-Client-Cert", HF_IDENTITY | HF_NO_TRAILER)                \
    H(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert", "X-Forwarded-Client-Cert",               \
      HF_IDENTITY | HF_NO_TRAILER)                                                                 \
    H(X_FORWARDED_FOR, "x-forwarded-for", "X-Forwarded-For", HF_FORWARDED | HF_NO_TRAILER)         \
    H(X_FORWARDED_HOST, "x-forwarded-host", "X-Forwarded-Host", HF_FORWARDED | HF_NO_TRAILER)      \
    H(X_FORWARDED_METHOD, "x-forwarded-method", "X-Forwarded-Method", HF_FORWARDED)                \
    H(X_FORWARDED_PORT, "x-forwarded-port", "X-Forwarded-Port", HF_FORWARDED)                      \
    H(X_FORWARDED_PREFIX, "x-forwarded-prefix", "X-Forwarded-Prefix", HF_FORWARDED)                \
    H(X_FORWARDED_PROTO, "x-forwarded-proto", "X-Forwarded-Proto", HF_FORWARDED | HF_NO_TRAILER)   \
    H(X_FORWARDED_SCHEME, "x-forwarded-scheme", "X-Forwarded-Scheme", HF_FORWARDED)                \
    H(X_FORWARDED_URI, "x-forwarded-uri", "X-Forwarded-Uri", HF_FORWARDED)                         \
    H(X_HTTP_METHOD, "x-http-method", "X-HTTP-Method", HF_OVERRIDE)                                \
    H(X_HTTP_METHOD_OVERRIDE, "x-http-method-override", "X-HTTP-Method-Override", HF_OVERRIDE)     \
    H(X_METHOD_OVERRIDE, "x-method-override", "X-Method-Override", HF_OVERRIDE)                    \
    H(X_ORIGINAL_URL, "x-original-url", "X-Original-URL", HF_FORWARDED)                            \
    H(X_REAL_IP, "x-real-ip", "X-Real-IP", HF_FORWARDED | HF_NO_TRAILER)                           \
    H(X_REQUEST_ID, "x-request-id", "X-Request-ID", HF_NO_TRAILER)                                 \
    H(X_REWRITE_URL, "x-rewrite-url", "X-Rewrite-URL", HF_FORWARDED)                               \
    H(X_USER_ID, "x-user-id", "X-User-ID", HF_IDENTITY | HF_NO_TRAILER)

enum hdr_id {
    HDR_OTHER, /* any name that is not in the table */
#define H(id, name, title, flags) HDR_##id,
    HDR_LIST(H)
#undef H
        HDR_COUNT
};
_Static_assert(HDR_COUNT <= 128, "a head's set of present ids has 128 bits");

struct hdr_info {
    struct span name, title;
    unsigned flags;
};
extern const struct hdr_info hdr_table[HDR_COUNT];

/* The id of a name, which must be a token, in any case; HDR_OTHER when unknown. */
enum hdr_id hdr_lookup(struct span name);
/* The id whose name this is once underscores are read as dashes; HDR_OTHER when there is none. */
enum hdr_id hdr_twin(struct span name);
/* True if the name imitates, by underscores, one that a service must not get from a client: many
 * frameworks read both spellings as the same variable. */
bool hdr_imitates(struct span name);

#define METHOD_LIST(M)                                                                             \
    M(GET) M(HEAD) M(POST) M(PUT) M(DELETE) M(OPTIONS) M(PATCH) M(CONNECT) M(TRACE) M(QUERY)
enum method {
    METHOD_OTHER,
#define M(m) METHOD_##m,
    METHOD_LIST(M)
#undef M
        METHOD_COUNT
};
enum method method_lookup(struct span name); /* case-sensitive */
struct span method_name(enum method m);      /* empty for METHOD_OTHER */
bool method_idempotent(enum method m);       /* RFC 9110 9.2.2 */

extern const unsigned char token_char[256]; /* RFC 9110 tchar: 1 */
