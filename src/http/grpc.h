/*
 * grpc - gRPC over HTTP/2 and gRPC-Web (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md): content
 * types, timeouts, status codes, message frames. Thread: any.
 */
#pragma once
#include "http/head.h"

enum grpc_kind { GRPC_NONE, GRPC_PLAIN, GRPC_WEB, GRPC_WEB_TEXT };
/* By content-type ("application/grpc", "+proto", ";charset"...). */
enum grpc_kind grpc_kind(struct span content_type);
/* "application/grpc-web-text+proto" -> "application/grpc+proto", and back to `kind`. */
struct span grpc_content_type(struct span content_type, enum grpc_kind kind, struct arena *a);

/* "100m" -> ns. At most 8 digits and a unit of H M S m u n. False: malformed. */
must_use bool grpc_timeout(struct span value, uint64_t *ns);
struct span grpc_timeout_print(uint64_t ns, char out[16]);

enum grpc_code {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
    GRPC_CODES
};
/* Of an HTTP answer that is not gRPC's (grpc/doc/http-grpc-status-mapping.md). */
enum grpc_code grpc_code_of_status(int status);
/* Of a fault: more exact than its status (deadline, limits, cancelled). */
enum grpc_code grpc_code_of_fault(enum fault f);
const char *grpc_code_name(enum grpc_code c); /* "UNAVAILABLE" */
/* Percent-encoded as grpc-message is (printable ASCII but '%'). */
void grpc_message(struct str *out, struct span text);

/* Message frames, looked at as they pass: five bytes of head, then the message. */
struct grpc_scan {
    uint64_t left, messages;
    uint32_t max;  /* of one message; 0: no limit */
    bool encoding; /* grpc-encoding was said: the compressed flag is legal */
    bool web;      /* gRPC-Web answers: flag 0x80 is the trailers' frame */
    unsigned char head[5], head_len;
    enum grpc_code fault; /* GRPC_OK: fine; INTERNAL: malformed; RESOURCE_EXHAUSTED: too long */
};
void grpc_scan_start(struct grpc_scan *s, uint32_t max, bool encoding);
/* Returns how many bytes may pass. */
size_t grpc_scan(struct grpc_scan *s, struct span bytes);
/* The stream may end here: between two messages. */
bool grpc_scan_between(const struct grpc_scan *s);
/* Trailers as a gRPC-Web frame: flag 0x80, length, "name: value\r\n"...; {NULL,0}: no memory. */
struct span grpc_web_trailers(const struct head *trailers, struct arena *a);

/* Base64 in pieces, for gRPC-Web text: padding may come in the middle (each flush of a client
 * pads). Decoding returns how many bytes were written; bad: a byte that is not of the alphabet. */
struct base64_in {
    uint32_t bits;
    unsigned char have, pads;
    bool bad;
};
size_t base64_decode_some(struct base64_in *b, struct span in, char *out);
bool base64_ended(const struct base64_in *b); /* nothing of a group is open */
struct base64_out {
    unsigned char held[3], have;
};
size_t base64_encode_some(struct base64_out *b, struct span in,
                          char *out); /* 4 * ((n + 2) / 3) + 4 */
size_t base64_encode_end(struct base64_out *b, char out[4]);
