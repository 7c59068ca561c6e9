/*
 * jose - what the tests of tokens share: files of cases, and tokens made for the occasion.
 */
#pragma once
#include "base/env.h"
#include "data/base64.h"
#include "identity/jws.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The whole file, or p NULL. Freed by the caller. */
static inline struct span jose_file(const char *name) {
    char path[512];
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/../shared/cases/jose/%s", root ? root : ".", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return SPAN_NONE;
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(n + 1);
    assert_int_equal(fread(p, 1, n, f), n);
    fclose(f);
    return span_of(p, n);
}

static inline const struct value *jose_at(const struct value *v, const char *name) {
    const struct value *m = value_find(v, span_z(name));
    assert_non_null(m);
    return m;
}

/* Base64url of `text` behind what stands in `to`. */
static inline void jose_base64(struct str *to, struct span text) {
    assert_true(to->max - to->n > base64_encode_max(text.n));
    to->n += base64_encode(BASE64_URL, text, to->p + to->n);
}

/* header.payload.HS256 into memory of the caller. */
static inline struct span jose_hs256(char *buf, size_t max, const char *header, const char *payload,
                                     const char *secret) {
    struct str s = str_on(buf, max);
    unsigned char mac[32];
    unsigned n = sizeof mac;
    jose_base64(&s, span_z(header));
    str_char(&s, '.');
    jose_base64(&s, span_z(payload));
    assert_non_null(
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)s.p, s.n, mac, &n));
    str_char(&s, '.');
    jose_base64(&s, span_of((char *)mac, n));
    assert_false(s.full);
    return str_span(&s);
}

struct jose_verdict {
    enum fault fault;
    const char *why;
    bool newer, embeds;
    char payload[256];
};

/* A token against a set, from memory of exactly its size. */
static inline struct jose_verdict jose_judge(const struct key_set *s, struct span token) {
    struct jose_verdict v = {.fault = FAULT_NONE};
    struct jws_thread *t = jws_thread_create();
    struct arena a;
    struct jws j;
    const struct jwk *by;
    struct span payload;
    char *copy = malloc(token.n ? token.n : 1);
    memcpy(copy, token.n ? token.p : "", token.n);
    arena_init(&a, NULL);
    v.fault = jws_read(&a, span_of(copy, token.n), &j, &v.why);
    if (!v.fault)
        v.fault = jws_verify(t, s, &j, &by, &v.newer);
    if (!v.fault && !jws_payload(&a, &j, &payload))
        v.fault = FAULT_JWT_FORMAT;
    if (!v.fault)
        snprintf(v.payload, sizeof v.payload, "%.*s", SPAN_ARG(payload));
    v.embeds = j.embeds;
    arena_finish(&a);
    jws_thread_destroy(t);
    free(copy);
    return v;
}
