#define OPENSSL_SUPPRESS_DEPRECATED /* the one-shot calls look the algorithm up every time */
#include "limit/shared_key.h"
#include <openssl/sha.h>

void shared_key_make(struct shared_key *k, struct span kind, struct span id, struct span key) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    uint64_t id_len = id.n; /* so that "ab" of "c" is not "a" of "bc" */
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, &id_len, sizeof id_len);
    SHA256_Update(&c, id.p, id.n);
    SHA256_Update(&c, key.p, key.n);
    SHA256_Final(hash, &c);
    must(kind.n <= 8);
    struct str out = str_on(k->text, sizeof k->text);
    str_add(&out, kind);
    str_lit(&out, ":{");
    for (unsigned i = 0; i < SHARED_KEY_HEX / 2; i++) {
        str_char(&out, "0123456789abcdef"[hash[i] >> 4]);
        str_char(&out, "0123456789abcdef"[hash[i] & 15]);
    }
    str_char(&out, '}');
    k->n = out.n;
}

struct span shared_key_with(const struct shared_key *k, struct span tail, char *buf) {
    must(k->n + tail.n <= SHARED_KEY_MAX);
    struct str out = str_on(buf, SHARED_KEY_MAX);
    str_add(&out, shared_key_span(k));
    str_add(&out, tail);
    return str_span(&out);
}
