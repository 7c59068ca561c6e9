/*
 * names - header names and methods that the gateway knows, as small numbers.
 *
 * One table: lower-case name, the spelling that HTTP/1.1 prints, and what the name may do. "Remove every
 * copy" is one pass over ids; dash and underscore spellings share one look-up. Thread: any (const).
 */
#pragma once
#include "base/str.h"

enum hdr_flag {
    HDR_HOP = 1,          /* connection-level (RFC 9110 7.6.1): never crosses */
    HDR_FRAMING = 2,      /* Content-Length, Transfer-Encoding: doors only, never in a head */
    HDR_SINGLE = 4,       /* a second copy in a request is refused */
    HDR_FORWARDED = 8,    /* rebuilt by the gateway, removed from clients that are not trusted */
    HDR_IDENTITY = 16,    /* set by the gateway for services, removed from every client */
    HDR_NO_TRAILER = 32,  /* a trailer of this name is refused (RFC 9110 6.5.1) */
    HDR_NOT_HOP = 64,     /* Connection may not name it */
    HDR_OVERRIDE = 128,   /* method and URL overrides, httpoxy: removed from every client */
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
    H(AUTHORIZATION, "authorization", "Authorization",                                             \
      HDR_SINGLE | HDR_NO_TRAILER | HDR_NOT_HOP)                                                   \
    H(CACHE_CONTROL, "cache-control", "Cache-Control", HDR_NO_TRAILER)                             \
    H(CDN_LOOP, "cdn-loop", "CDN-Loop", 0)                                                         \
    H(CF_CONNECTING_IP, "cf-connecting-ip", "CF-Connecting-IP", HDR_FORWARDED)                     \
    H(CONNECTION, "connection", "Connection", HDR_HOP | HDR_NO_TRAILER)                            \
    H(CONTENT_DISPOSITION, "content-disposition", "Content-Disposition", 0)                        \
    H(CONTENT_ENCODING, "content-encoding", "Content-Encoding", HDR_NO_TRAILER | HDR_NOT_HOP)      \
    H(CONTENT_LANGUAGE, "content-language", "Content-Language", 0)                                 \
    H(CONTENT_LENGTH, "content-length", "Content-Length",                                          \
      HDR_FRAMING | HDR_NO_TRAILER | HDR_NOT_HOP)                                                  \
    H(CONTENT_LOCATION, "content-location", "Content-Location", 0)                                 \
    H(CONTENT_RANGE, "content-range", "Content-Range", HDR_NO_TRAILER)                             \
    H(CONTENT_TYPE, "content-type", "Content-Type", HDR_SINGLE | HDR_NO_TRAILER | HDR_NOT_HOP)     \
    H(COOKIE, "cookie", "Cookie", HDR_NO_TRAILER | HDR_NOT_HOP)                                    \
    H(DATE, "date", "Date", 0)                                                                     \
    H(ETAG, "etag", "ETag", 0)                                                                     \
    H(EXPECT, "expect", "Expect", HDR_HOP | HDR_NO_TRAILER)                                        \
    H(EXPIRES, "expires", "Expires", 0)                                                            \
    H(FORWARDED, "forwarded", "Forwarded", HDR_FORWARDED | HDR_NO_TRAILER)                         \
    H(HOST, "host", "Host", HDR_SINGLE | HDR_NO_TRAILER | HDR_NOT_HOP)                             \
    H(IF_MATCH, "if-match", "If-Match", HDR_NO_TRAILER)                                            \
    H(IF_MODIFIED_SINCE, "if-modified-since", "If-Modified-Since", HDR_SINGLE | HDR_NO_TRAILER)    \
    H(IF_NONE_MATCH, "if-none-match", "If-None-Match", HDR_NO_TRAILER)                             \
    H(IF_RANGE, "if-range", "If-Range", HDR_SINGLE | HDR_NO_TRAILER)                               \
    H(IF_UNMODIFIED_SINCE, "if-unmodified-since", "If-Unmodified-Since",                           \
      HDR_SINGLE | HDR_NO_TRAILER)                                                                 \
    H(KEEP_ALIVE, "keep-alive", "Keep-Alive", HDR_HOP | HDR_NO_TRAILER)                            \
    H(LAST_MODIFIED, "last-modified", "Last-Modified", 0)                                          \
    H(LINK, "link", "Link", 0)                                                                     \
    H(LOCATION, "location", "Location", 0)                                                         \
    H(MAX_FORWARDS, "max-forwards", "Max-Forwards", HDR_NO_TRAILER)                                \
    H(ORIGIN, "origin", "Origin", HDR_SINGLE)                                                      \
    H(PRAGMA, "pragma", "Pragma", HDR_NO_TRAILER)                                                  \
    H(PROXY, "proxy", "Proxy", HDR_OVERRIDE)                                                       \
    H(PROXY_AUTHENTICATE, "proxy-authenticate", "Proxy-Authenticate", HDR_HOP | HDR_NO_TRAILER)    \
    H(PROXY_AUTHORIZATION, "proxy-authorization", "Proxy-Authorization",                           \
      HDR_HOP | HDR_NO_TRAILER)                                                                    \
    H(PROXY_CONNECTION, "proxy-connection", "Proxy-Connection", HDR_HOP | HDR_NO_TRAILER)          \
    H(RANGE, "range", "Range", HDR_SINGLE | HDR_NO_TRAILER)                                        \
    H(REFERER, "referer", "Referer", HDR_SINGLE)                                                   \
    H(RETRY_AFTER, "retry-after", "Retry-After", 0)                                                \
    H(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", "Sec-WebSocket-Accept", HDR_HOP)               \
    H(SEC_WEBSOCKET_KEY, "sec-websocket-key", "Sec-WebSocket-Key", HDR_HOP)                        \
    H(SEC_WEBSOCKET_VERSION, "sec-websocket-version", "Sec-WebSocket-Version", 0)                  \
    H(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", "Sec-WebSocket-Protocol", 0)               \
    H(SERVER, "server", "Server", 0)                                                               \
    H(SET_COOKIE, "set-cookie", "Set-Cookie", HDR_NO_TRAILER)                                      \
    H(TE, "te", "TE", HDR_HOP | HDR_NO_TRAILER)                                                    \
    H(TRACEPARENT, "traceparent", "traceparent", 0)                                                \
    H(TRACESTATE, "tracestate", "tracestate", 0)                                                   \
    H(TRAILER, "trailer", "Trailer", HDR_HOP | HDR_NO_TRAILER)                                     \
    H(TRANSFER_ENCODING, "transfer-encoding", "Transfer-Encoding",                                 \
      HDR_FRAMING | HDR_HOP | HDR_NO_TRAILER | HDR_NOT_HOP)                                        \
    H(TRUE_CLIENT_IP, "true-client-ip", "True-Client-IP", HDR_FORWARDED)                           \
    H(UPGRADE, "upgrade", "Upgrade", HDR_HOP | HDR_NO_TRAILER)                                     \
    H(USER_AGENT, "user-agent", "User-Agent", HDR_SINGLE)                                          \
    H(VARY, "vary", "Vary", 0)                                                                     \
    H(VIA, "via", "Via", 0)                                                                        \
    H(WWW_AUTHENTICATE, "www-authenticate", "WWW-Authenticate", HDR_NO_TRAILER)                    \
    H(X_CLIENT_CERT, "x-client-cert", "X-Client-Cert", HDR_IDENTITY | HDR_NO_TRAILER)              \
    H(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert", "X-Forwarded-Client-Cert",               \
      HDR_IDENTITY | HDR_NO_TRAILER)                                                               \
    H(X_FORWARDED_FOR, "x-forwarded-for", "X-Forwarded-For", HDR_FORWARDED | HDR_NO_TRAILER)       \
    H(X_FORWARDED_HOST, "x-forwarded-host", "X-Forwarded-Host", HDR_FORWARDED | HDR_NO_TRAILER)    \
    H(X_FORWARDED_METHOD, "x-forwarded-method", "X-Forwarded-Method", HDR_FORWARDED)               \
    H(X_FORWARDED_PORT, "x-forwarded-port", "X-Forwarded-Port", HDR_FORWARDED)                     \
    H(X_FORWARDED_PREFIX, "x-forwarded-prefix", "X-Forwarded-Prefix", HDR_FORWARDED)               \
    H(X_FORWARDED_PROTO, "x-forwarded-proto", "X-Forwarded-Proto",                                 \
      HDR_FORWARDED | HDR_NO_TRAILER)                                                              \
    H(X_FORWARDED_SCHEME, "x-forwarded-scheme", "X-Forwarded-Scheme", HDR_FORWARDED)               \
    H(X_FORWARDED_URI, "x-forwarded-uri", "X-Forwarded-Uri", HDR_FORWARDED)                        \
    H(X_HTTP_METHOD, "x-http-method", "X-HTTP-Method", HDR_OVERRIDE)                               \
    H(X_HTTP_METHOD_OVERRIDE, "x-http-method-override", "X-HTTP-Method-Override", HDR_OVERRIDE)    \
    H(X_METHOD_OVERRIDE, "x-method-override", "X-Method-Override", HDR_OVERRIDE)                   \
    H(X_ORIGINAL_URL, "x-original-url", "X-Original-URL", HDR_FORWARDED)                           \
    H(X_REAL_IP, "x-real-ip", "X-Real-IP", HDR_FORWARDED | HDR_NO_TRAILER)                         \
    H(X_REQUEST_ID, "x-request-id", "X-Request-ID", HDR_NO_TRAILER)                                \
    H(X_REWRITE_URL, "x-rewrite-url", "X-Rewrite-URL", HDR_FORWARDED)                              \
    H(X_USER_ID, "x-user-id", "X-User-ID", HDR_IDENTITY | HDR_NO_TRAILER)

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

/* The id of a lower-case name; HDR_OTHER when unknown. */
enum hdr_id hdr_lookup(struct span lower_name);
/* The id whose name this is once underscores are read as dashes; HDR_OTHER when there is none. */
enum hdr_id hdr_twin(struct span lower_name);

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

extern const unsigned char token_char[256];  /* RFC 9110 tchar: 1 */
