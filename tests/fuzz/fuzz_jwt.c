/*
 * Tokens, as a client may send them, against a set of every kind of key. What must hold: nobody but
 * the holder of a key makes one that verifies (all valid ones are known: none); what is taken apart
 * can be put together again; what the header embeds makes no difference; claims are judged whatever
 * they hold.
 */
#include "identity/claims.h"
#include "identity/jws.h"
#include <stdlib.h>

static const char keys[] =
    "{\"keys\":["
    "{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
    "{\"kty\":\"OKP\",\"kid\":\"o\",\"crv\":\"Ed25519\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
    "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\","
    "\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
    "4qPCJrcS2mJPMEzP1Pt0"
    "Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
    "bSf63kpaSHSXndS5z5rexMdb"
    "BYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
    "DWNmou"
    "dF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}]}";

static struct key_set *set, *secret;
static struct jws_thread *thread;

static void once(void) {
    const char *why;
    if (set)
        return;
    set = key_set_read(span_z(keys), JWA_ALL, &why);
    /* Its bytes stand in no input. */
    secret = key_set_read_local(SPAN("\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\1\2\3\4\5"
                                     "\6\7\11"),
                                JWA_ALL, &why);
    thread = jws_thread_create();
    must(set && set->count == 3 && secret && thread);
}

static void judge(struct arena *a, struct span payload) {
    static const struct span us = {"us", 2};
    static const struct claims_rules rules = {
        .issuer = &us, .issuer_count = 1, .audience = &us, .audience_count = 1, .max_age_s = 9};
    static const struct json_limits limits = {.depth = JWS_DEPTH_MAX, .unique = true};
    struct claims_time t;
    struct value v;
    struct json_error err;
    const char *why = NULL;
    if (!json_read(a, payload, &limits, &v, &err) || v.kind != VALUE_MAP)
        return;
    enum fault f = claims_judge(&rules, &v, 1000000, &t, &why);
    must(f ? why != NULL : t.from <= 1000000 && 1000000 < t.until);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct arena a;
    struct jws j;
    struct span payload, token = {(const char *)data, n};
    const struct jwk *by;
    const char *why = NULL;
    bool newer;
    once();
    arena_init(&a, NULL);
    judge(&a, token); /* claims of all kinds without the wrapping */
    enum fault f = jws_read(&a, token, &j, &why);
    must(f == FAULT_NONE || why);
    if (f == FAULT_NONE) {
        must(j.header64.n + j.payload64.n + j.signature64.n + 2 == n);
        must(jws_verify(thread, set, &j, &by, &newer) != FAULT_NONE && !by);
        must(jws_verify(thread, secret, &j, &by, &newer) != FAULT_NONE && !by);
        if (jws_payload(&a, &j, &payload))
            judge(&a, payload);
    }
    arena_finish(&a);
    return 0;
}
