/*
 * h2 - HTTP/2 messages (RFC 9113 section 8): header sections as nghttp2 decodes them become heads
 * in the house's one form, and back. Frames, HPACK and flow control are nghttp2's; what a field may
 * be is judged here, so nghttp2's own checks of messages are switched off.
 *
 * A section is fed field by field and ended; what is malformed or over a limit is noted, the rest
 * of the section is ignored (the decoder needs it for its table, nobody else does). The rules are
 * HTTP/1.1's, with two ways to fail:
 *
 * - Malformed (RFC 9113 8.1.1): the stream is reset with PROTOCOL_ERROR, nobody is answered. Names
 *   with upper case or bytes of no token; control bytes in a value, blanks at its ends; fields of a
 *   connection (also TE that is not "trailers", and two of them); pseudo-headers that are missing,
 *   double, unknown, behind a field, of the other direction or in trailers, and those with values
 *   that break their own grammar: a method that is no token, an empty path, a scheme that is
 *   neither http nor https; :protocol without CONNECT; plain CONNECT with a scheme or a path;
 *   content-length that is no number, comes twice, or promises a body where END_STREAM stands;
 *   trailers without END_STREAM or of a forbidden name; in answers 101 and END_STREAM with 1xx.
 * - Refused: the request is understood and is answered with the fault's status, as over HTTP/1.1:
 *   limits (431, 414), targets (400), the listener's other scheme (400), Host and :authority (none,
 *   several, different, not canonical: 400), CONNECT and TRACE (405), single-valued fields that
 *   come twice, underscore twins (400), expectations (417), WebSockets (400, 426) and other
 *   protocols (501).
 *
 * An answer has no asker to be told: of both kinds `fault` is one of the service's (UPSTREAM_*), so
 * `malformed` only tells whose counter it is. Owner: the stream. Thread: any.
 */
#pragma once
#include "http/h1.h"
#include "http/request.h"
#include <nghttp2/nghttp2.h>

enum h2_kind { H2_REQUEST, H2_RESPONSE, H2_REQUEST_TRAILERS, H2_RESPONSE_TRAILERS };

struct h2_section {
    struct head *h;
    const struct h1_limits *limits; /* total_max counts 32 per field (RFC 9113 6.5.2) */
    const struct h1_rules *rules;   /* of requests */
    enum h2_kind kind;
    enum fault fault;
    enum fault why; /* the exact kind behind `fault`, where that one is UPSTREAM_*: for the log */
    bool malformed; /* see above */
    bool regular;   /* a field that is no pseudo-header has come */
    bool te;
    unsigned pseudo;       /* a bit per pseudo-header seen */
    uint32_t count, total; /* of fields, dropped ones and each cookie crumb too; of all bytes */
    unsigned hosts, cookies, lengths;
    struct span authority, path, protocol, host, content_length;
    struct request_seen seen;
};

/* What the door must know and the head does not say. */
struct h2_message {
    int64_t length; /* content-length; -1: none was said. END_STREAM: 0, but see no_body */
    bool no_body;   /* no DATA may come with a byte in it: END_STREAM, or an answer to HEAD, 1xx,
                     * 204, 205, 304. There `length` is that of the body that is not sent, or -1 */
    bool tunnel;    /* request: extended CONNECT (RFC 8441) for a WebSocket, h->protocol says so;
                     * response: it stands (2xx). No length then */
    bool expect_continue; /* the client waits for 100 */
    uint16_t stripped_identity;
};

/* h: head_init stands. `rules` of requests, else NULL. */
void h2_section_start(struct h2_section *s, enum h2_kind kind, struct head *h,
                      const struct h1_limits *limits, const struct h1_rules *rules);
/* What is kept of name and value is copied into the head's arena. */
void h2_section_field(struct h2_section *s, struct span name, struct span value);
/* The section is whole. `end`: END_STREAM came with it. Returns s->fault. A request: target, method
 * and authority are judged as h1_request does, cookie crumbs are joined (8.2.3). Even on a fault
 * h->method and h->target hold what is known, for the log. */
must_use enum fault h2_request_end(struct h2_section *s, bool end, struct h2_message *m);
/* `asked`: the request's head. Interim answers too (h->status < 200). */
must_use enum fault h2_response_end(struct h2_section *s, const struct head *asked, bool end,
                                    struct h2_message *m);
/* Forbidden names: of a client malformed, of a service dropped. */
must_use enum fault h2_trailers_end(struct h2_section *s, bool end);

/* Checked heads as nghttp2 wants them; the array lies in `a`, names and values where they are
 * (nghttp2 copies them when they are submitted). Secrets are marked so that no compression table
 * keeps them (RFC 7541 7.1). Returns how many; 0: no memory. */
struct h2_print {
    const struct field *extra; /* of this attempt, after the head's own */
    size_t extra_count;
    struct span authority; /* of this attempt; {NULL,0}: the head's */
    struct span scheme;    /* what the service's connection is; {NULL,0}: the head's */
    int64_t length;        /* content-length to say; -1: none */
};
size_t h2_print_request(const struct head *h, struct arena *a, const struct h2_print *how,
                        nghttp2_nv **out);
size_t h2_print_response(const struct head *h, struct arena *a, const struct h2_print *how,
                         nghttp2_nv **out);
/* 0 also when there are none: the last DATA frame ends the stream then. */
size_t h2_print_trailers(const struct head *h, struct arena *a, nghttp2_nv **out);
