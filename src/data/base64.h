/*
 * base64 - RFC 4648: the standard alphabet with padding, and base64url without (RFC 7515).
 *
 * Decoding is strict, so that a text has one meaning and a meaning one text: no white space, no
 * bytes of the other alphabet, no bits left over. (gRPC-Web's, which comes in pieces and is padded
 * in the middle, is in http/grpc.h.) Owner: none. Thread: any.
 */
#pragma once
#include "base/str.h"

enum base64_form {
    BASE64,         /* + and /, padded with = */
    BASE64_LENIENT, /* the same, but padding may be missing: what people write by hand */
    BASE64_URL      /* - and _, never padded */
};

/* Bytes that are enough for the result of `n` bytes. */
static inline size_t base64_decode_max(size_t n) {
    return n / 4 * 3 + 3;
}
static inline size_t base64_encode_max(size_t n) {
    return (n + 2) / 3 * 4;
}

/* Into `out` (base64_decode_max; may be the text's own memory). False: it is not canonical. */
must_use bool base64_decode(enum base64_form form, struct span text, unsigned char *out, size_t *n);
/* Into `out` (base64_encode_max); returns the length. */
size_t base64_encode(enum base64_form form, struct span bytes, char *out);
