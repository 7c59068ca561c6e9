/*
 * Key sets, as an issuer or whoever stands in its place may answer, and as an operator may write
 * them. What must hold: bounds; every key that is left is bound to algorithms of its own family and
 * has what they need; no set holds secrets beside public keys; what is fetched is JSON alone; a
 * token that nobody signed verifies by none of them.
 */
#include "identity/jws.h"

static void judge_key(const struct jwk *k) {
    uint32_t a = k->algorithms;
    must(a && !(a & ~(uint32_t)JWA_ALL) && k->kid.n <= KID_MAX);
    if (!k->pkey) {
        must(!(a & ~(uint32_t)JWA_HS));
        for (unsigned i = JWA_HS256; i <= JWA_HS512; i++)
            must(!(a >> i & 1) ||
                 (k->pads[jwa_hash((enum jwa)i)].inner && k->pads[jwa_hash((enum jwa)i)].outer));
        return;
    }
    must(!(a & JWA_HS) && k->signature_len);
    must(!(a & ~(uint32_t)(JWA_RS | JWA_PS)) || !(a & (a - 1)));
    must(!(a & (JWA_RS | JWA_PS)) || EVP_PKEY_get_bits(k->pkey) >= 2048);
}

static void judge(const struct key_set *s) {
    bool public = false, shared = false;
    must(s->count <= JWKS_KEYS_MAX && s->count + s->refused <= 2 * JWKS_KEYS_MAX);
    must(!s->refused || s->refused_why);
    for (uint32_t i = 0; i < s->count; i++) {
        judge_key(&s->key[i]);
        public |= s->key[i].pkey != NULL;
        shared |= !s->key[i].pkey;
    }
    must(!public || !shared);
}

/* A signature of 64 zeros for each algorithm that has such a length. */
static void nobody_signed(struct jws_thread *t, const struct key_set *s) {
    char zeros[87];
    memset(zeros, 'A', 86);
    for (int i = 0; i < JWA_COUNT; i++) {
        struct jws j = {.signed_part = SPAN("e30.e30"), .algorithm = (enum jwa)i};
        const struct jwk *by;
        bool newer;
        j.signature64 = span_of(zeros, i == JWA_HS256 ? 43 : 86);
        must(jws_verify(t, s, &j, &by, &newer) != FAULT_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct jws_thread *t;
    struct span text = {(const char *)data, n};
    const char *why = NULL;
    t = t ? t : jws_thread_create();
    struct key_set *s = key_set_read(text, JWA_ALL, &why);
    must(s || why);
    if (s) {
        judge(s);
        nobody_signed(t, s);
        struct key_set *public = key_set_read(text, JWA_PUBLIC, &why);
        must(public);
        judge(public);
        for (uint32_t i = 0; i < public->count; i++)
            must(public->key[i].pkey);
        key_set_unref(public);
    }
    key_set_unref(s);
    s = key_set_read_local(text, JWA_ALL, &why);
    if (s)
        judge(s);
    key_set_unref(s);
    return 0;
}
