#define OPENSSL_SUPPRESS_DEPRECATED /* the one-shot calls look the algorithm up every time */
#include "limit/shared_key.h"
#include <openssl/sha.h>

void shared_key_make(struct shared_key *k, const struct shared_name *name) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    uint64_t id_len = name->id.n; /* so that "ab" of "c" is not "a" of "bc" */
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, &id_len, sizeof id_len);
    SHA256_Update(&c, name->id.p, name->id.n);
    SHA256_Update(&c, name->key.p, name->key.n);
    SHA256_Final(hash, &c);
    must(name->prefix.n <= 64 && name->kind.n <= 8);
    struct str out = str_on(k->text, sizeof k->text);
    str_add(&out, name->prefix);
    str_add(&out, name->kind);
    str_lit(&out, ":{");
    for (unsigned i = 0; i < SHARED_KEY_HEX / 2; i++) {
        str_char(&out, "0123456789abcdef"[hash[i] >> 4]);
        str_char(&out, "0123456789abcdef"[hash[i] & 15]);
    }
    str_char(&out, '}');
    k->n = out.n;
}
