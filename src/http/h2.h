/*
 * h2 - HTTP/2 messages (RFC 9113 section 8): header sections as nghttp2 decodes them become heads
 * in the house's one form, and back. Frames, HPACK and flow control are nghttp2's; what a field may
 * be is judged here, so nghttp2's own checks of messages are switched off.
 *
 * A section is fed field by field and ended; what is malformed or over a limit is noted, the rest
 * of the section is ignored (the decoder needs it for its table, nobody else does). The same rules
 * as HTTP/1.1's: hop-by-hop and framing fields are malformed here, not dropped. Owner: the stream.
 * Thread: any.
 */
#pragma once
#include "http/h1.h"
#include <nghttp2/nghttp2.h>

enum h2_kind { H2_REQUEST, H2_RESPONSE, H2_REQUEST_TRAILERS, H2_RESPONSE_TRAILERS };

struct h2_section {
    struct head *h;
    const struct h1_limits *limits; /* total_max counts 32 per field (RFC 9113 6.5.2) */
    const struct h1_rules *rules;   /* of requests */
    enum h2_kind kind;
    enum fault fault;
    bool malformed;  /* RST_STREAM with PROTOCOL_ERROR (RFC 9113 8.1.1); else `fault` is answered */
    bool regular;    /* a field that is no pseudo-header has come */
    unsigned pseudo; /* a bit per pseudo-header seen */
    uint32_t count, total;
    unsigned hosts, cookies, lengths, tes;
    struct span method, scheme, authority, path, protocol, host, content_length;
    uint16_t stripped_identity;
};

/* What the door must know and the head does not say. */
struct h2_message {
    int64_t length; /* content-length; -1: none was said */
    bool tunnel;    /* extended CONNECT (RFC 8441) with a protocol that we carry */
    uint16_t stripped_identity;
};

void h2_section_start(struct h2_section *s, enum h2_kind kind, struct head *h,
                      const struct h1_limits *limits, const struct h1_rules *rules);
/* Name and value are copied into the head's arena. */
void h2_section_field(struct h2_section *s, struct span name, struct span value);
/* The section is whole. `end`: END_STREAM came with it. Returns s->fault. A request: target, method
 * and authority are judged as h1_request does, cookie crumbs are joined (8.2.3). */
must_use enum fault h2_request_end(struct h2_section *s, bool end, struct h2_message *m);
/* `asked`: the request's head. Interim answers too (h->status). */
must_use enum fault h2_response_end(struct h2_section *s, const struct head *asked, bool end,
                                    struct h2_message *m);
must_use enum fault h2_trailers_end(struct h2_section *s, bool end);

/* Checked heads as nghttp2 wants them; the array lies in `a`, names and values where they are
 * (nghttp2 copies them when they are submitted). Returns how many; 0: no memory. */
struct h2_print {
    const struct field *extra; /* of this attempt, after the head's own */
    size_t extra_count;
    struct span authority; /* of this attempt; {NULL,0}: the head's */
    int64_t length;        /* content-length to say; -1: none */
};
size_t h2_print_request(const struct head *h, struct arena *a, const struct h2_print *how,
                        nghttp2_nv **out);
size_t h2_print_response(const struct head *h, struct arena *a, const struct h2_print *how,
                         nghttp2_nv **out);
size_t h2_print_trailers(const struct head *h, struct arena *a, nghttp2_nv **out);
