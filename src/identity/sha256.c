#define OPENSSL_SUPPRESS_DEPRECATED /* the one-shot calls look the algorithm up every time */
#include "identity/sha256.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>

void sha256_of(struct span text, unsigned char out[SHA256_SIZE]) {
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, text.p, text.n);
    SHA256_Final(out, &c);
    OPENSSL_cleanse(&c, sizeof c);
}
