/*
 * grpc - gRPC over HTTP/2 and gRPC-Web (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md): content
 * types, timeouts, status codes, message frames, base64 in pieces. Owner: the caller's. Thread:
 * any.
 */
#pragma once
#include "http/head.h"

enum grpc_kind { GRPC_NONE, GRPC_PLAIN, GRPC_WEB, GRPC_WEB_TEXT };
/* By content-type ("application/grpc", "+proto", ";charset"...), in any case. */
enum grpc_kind grpc_kind(struct span content_type);
/* The content type of the same message as `kind`: "application/grpc-web-text+proto" becomes
 * "application/grpc+proto", and back; what stands behind the type stays. GRPC_NONE as it is. */
struct span grpc_content_type(struct span content_type, enum grpc_kind kind, struct arena *a);

/* "100m" -> ns. At most 8 digits and a unit of H M S m u n. False: malformed. What is too long to
 * be told in ns is UINT64_MAX. */
must_use bool grpc_timeout(struct span value, uint64_t *ns);
/* The shortest unit that 8 digits allow, rounded up. */
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
/* "0" to "16"; else GRPC_UNKNOWN. */
enum grpc_code grpc_code_read(struct span grpc_status);
/* Percent-encoded as grpc-message is (printable ASCII but '%'). At most three times as long. */
void grpc_message(struct str *out, struct span text);

/* Message frames, looked at as they pass: five bytes of head, then the message. A head is held back
 * until it is whole and judged, so no byte of a refused frame passes: at most 4 bytes are held, and
 * they wait where they came in (see ws.h). Verdict and what passes do not depend on the cut. */
struct grpc_scan {
    uint64_t left, messages;
    uint32_t max;  /* of one message; 0: no limit */
    bool encoding; /* grpc-encoding was said: the compressed flag is legal */
    bool web;      /* gRPC-Web answers: flag 0x80 is the trailers' frame, which is the last */
    bool trailed;  /* the trailers' frame has begun */
    unsigned char head[5], head_len; /* head_len: bytes held */
    enum grpc_code fault; /* GRPC_OK: fine; INTERNAL: malformed; RESOURCE_EXHAUSTED: too long */
};
void grpc_scan_start(struct grpc_scan *s, uint32_t max, bool encoding);
/* Shows the next bytes. Returns how many may pass now, counted from the first that was held back;
 * once s->fault is set, those before the frame that is not legal, and nothing behind them ever. */
size_t grpc_scan(struct grpc_scan *s, struct span bytes);
/* The stream may end here: between two messages. */
bool grpc_scan_between(const struct grpc_scan *s);
/* Trailers as a gRPC-Web frame: flag 0x80, length, "name: value\r\n"...; {NULL,0}: no memory.
 * NULL or none: a frame without any. */
struct span grpc_web_trailers(const struct head *trailers, struct arena *a);

/* Base64 (RFC 4648 section 4) in pieces, for gRPC-Web text: padding may come in the middle (each
 * flush of a client pads). Decoding returns how many bytes were written, at most as many as came
 * in, so `out` may be where `in` is; bad: a byte that is not of the alphabet, a pad at the wrong
 * place, bits behind the last byte. */
struct base64_in {
    uint32_t bits;
    unsigned char have, pads; /* digits of a group; pads that must follow */
    bool bad;
};
size_t base64_decode_some(struct base64_in *b, struct span in, char *out);
bool base64_ended(const struct base64_in *b); /* nothing of a group is open */
struct base64_out {
    unsigned char held[3], have;
};
/* Writes whole groups and holds the rest: at most 4 * ((n + 2) / 3) bytes. */
size_t base64_encode_some(struct base64_out *b, struct span in, char *out);
/* The rest, padded: 0 or 4 bytes. More may follow. */
size_t base64_encode_end(struct base64_out *b, char out[4]);
