/*
 * message_signature - HTTP message signatures of requests (RFC 9421): from the fields Signature and
 * Signature-Input to the bytes that were signed, and whether a key signed them.
 *
 * Pure: bytes in, verdict out; nothing here knows consumers, clocks or memory of replays. Covered
 * components: fields (also `;key`), @method @target-uri @authority @scheme @request-target @path
 * @query @query-param; others, of answers or of a related request, are refused. The target is the
 * one that the client sent. Owner: the caller's arena. Thread: any.
 */
#pragma once
#include "core/authenticator.h"
#include "http/head.h"
#include "http/structured.h"
#include <openssl/evp.h>
#include <sys/uio.h>

enum { COMPONENTS_MAX = 32, LABELS_MAX = 4 };

struct signature_input { /* one label */
    struct span label;
    struct span list, params;           /* of the member of Signature-Input */
    struct span signature;              /* the bytes */
    int64_t created, expires;           /* -1: not there */
    struct span keyid, alg, nonce, tag; /* {NULL, 0}: not there */
};

enum signature_step {
    SIGNATURE_NONE, /* no (more) label */
    SIGNATURE_ONE,
    SIGNATURE_MALFORMED
};

/* The `at`th label of the request; *why says what is malformed (static). */
enum signature_step signature_read(const struct head *h, struct arena *a, unsigned at,
                                   struct signature_input *out, const char **why);

/* Whether it covers the component (without parameters) of this name. */
bool signature_covers(const struct signature_input *in, struct span name);

/* The signature base (2.5). False: *why says which component cannot be had. `length`: of the body,
 * -1: unknown. */
must_use bool signature_base(const struct signature_input *in, const struct head *h, int64_t length,
                             struct arena *a, struct span *out, const char **why);

/* A key as it stands in the file; HMAC has none. NULL: *why. EVP_PKEY_free. */
EVP_PKEY *signature_key(enum signing_algorithm algorithm, struct span pem, const char **why);
bool signature_verify(const struct consumer_signing *key, EVP_PKEY *pkey, struct span base,
                      struct span signature);
struct span signing_name(enum signing_algorithm algorithm);

/* Whether every digest of Content-Digest (RFC 9530) that is known here is the body's; false also
 * where none is known. */
bool content_digest_fits(const struct head *h, struct arena *a, const struct iovec *body, int n);
