#include "base/hash.h"

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 1 compression and 3 final rounds.
 */
static uint64_t key0 = 0x736c75696365ull, key1 = 0x67617465776179ull;

void hash_seed(uint64_t k0, uint64_t k1) {
    key0 = k0;
    key1 = k1;
}

static inline uint64_t rotl(uint64_t x, int b) {
    return x << b | x >> (64 - b);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *v) {
    v->a += v->b, v->b = rotl(v->b, 13) ^ v->a, v->a = rotl(v->a, 32);
    v->c += v->d, v->d = rotl(v->d, 16) ^ v->c;
    v->a += v->d, v->d = rotl(v->d, 21) ^ v->a;
    v->c += v->b, v->b = rotl(v->b, 17) ^ v->c, v->c = rotl(v->c, 32);
}

uint64_t hash_bytes(const void *p, size_t n) {
    struct sip v = {key0 ^ 0x736f6d6570736575ull, key1 ^ 0x646f72616e646f6dull,
                    key0 ^ 0x6c7967656e657261ull, key1 ^ 0x7465646279746573ull};
    const unsigned char *at = p;
    uint64_t m;
    for (size_t left = n; left >= 8; left -= 8, at += 8) {
        memcpy(&m, at, 8);
        v.d ^= m;
        sip_round(&v);
        v.a ^= m;
    }
    m = (uint64_t)n << 56;
    for (size_t i = 0; i < (n & 7); i++)
        m |= (uint64_t)at[i] << (8 * i);
    v.d ^= m;
    sip_round(&v);
    v.a ^= m;
    v.c ^= 0xff;
    sip_round(&v);
    sip_round(&v);
    sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}
