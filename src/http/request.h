/*
 * request - what HTTP/1.1 and HTTP/2 judge alike in a client's message, written once: methods,
 * fields that are dropped or may come but once, the version of a WebSocket, names of trailers.
 * Owner: the caller's stack, or the stream. Thread: any.
 */
#pragma once
#include "http/field.h"

/* What the fields of one request say besides themselves. */
struct request_seen {
    unsigned expects, ws_versions;
    bool continues;    /* the first Expect is 100-continue */
    bool ws_13;        /* the first Sec-WebSocket-Version is 13 */
    uint16_t stripped; /* identity fields that were dropped */
};

/* Flags of fields that need more than a look at HF_SINGLE. */
enum { HF_SPECIAL = HF_HOP | HF_FRAMING | HF_IDENTITY | HF_OVERRIDE };

/* A known name that the door does not read itself. *keep: it belongs into the head. */
must_use static inline enum fault request_field(struct request_seen *s, const struct head *h,
                                                enum hdr_id id, struct span v, bool *keep) {
    unsigned flags = hdr_table[id].flags;
    *keep = !(flags & HF_SPECIAL);
    if (flags & HF_SINGLE && hdr_has(h, id))
        return FAULT_DUPLICATE_HEADER;
    if (id == HDR_SEC_WEBSOCKET_VERSION && s->ws_versions++ == 0)
        s->ws_13 = span_eq(v, SPAN("13"));
    else if (id == HDR_EXPECT)
        s->continues = s->expects++ == 0 && span_eq_nocase(v, SPAN("100-continue"));
    else if (flags & HF_IDENTITY)
        s->stripped++;
    return FAULT_NONE;
}

/* Sets h->method and method_text (which keeps `text` for a method that is not in the table). A
 * known method in another case is refused: something behind might take it for the method it is not.
 * CONNECT and TRACE: FAULT_METHOD_REFUSED. */
must_use enum fault request_method(struct head *h, struct span text);
/* RFC 6455 4.2.1: exactly one Sec-WebSocket-Version, and it is 13. */
must_use enum fault request_ws_version(const struct request_seen *s);
/* RFC 9110 6.5.1: nothing that frames, routes, authenticates or identifies comes after the fact. */
bool may_trail(enum hdr_id id);
