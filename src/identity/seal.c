#include "identity/seal.h"
#include "base/env.h"
#include "data/base64.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { VERSION = 1, NONCE = 12, TAG = 16, EXTRA = 1 + NONCE + TAG };

bool base64url(struct arena *a, struct span bytes, struct span *out) {
    char *room = arena_try(a, base64_encode_max(bytes.n) + 1);
    if (!room)
        return false;
    *out = span_of(room, base64_encode(BASE64_URL, bytes, room));
    return true;
}

bool base64url_read(struct arena *a, struct span text, struct span *out) {
    size_t n = 0;
    unsigned char *room = arena_try(a, base64_decode_max(text.n));
    if (!room || !base64_decode(BASE64_URL, text, room, &n))
        return false;
    *out = span_of((char *)room, n);
    return true;
}

void seal_key_make(struct seal_key *out, struct span secret, struct span purpose) {
    unsigned n = sizeof out->key;
    must(secret.n <= INT32_MAX && purpose.n);
    must(HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)purpose.p, purpose.n,
              out->key, &n));
}

size_t seal_size(size_t n) {
    return (n + EXTRA + 2) / 3 * 4;
}

static bool encrypt(EVP_CIPHER_CTX *c, const struct seal_key *k, struct span label,
                    struct span plain, unsigned char *box) {
    int n = 0;
    return EVP_EncryptInit_ex2(c, EVP_aes_256_gcm(), k->key, box + 1, NULL) &&
           EVP_EncryptUpdate(c, NULL, &n, box, 1) &&
           EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)label.p, (int)label.n) &&
           EVP_EncryptUpdate(c, box + 1 + NONCE, &n, (const unsigned char *)plain.p,
                             (int)plain.n) &&
           EVP_EncryptFinal_ex(c, box + 1 + NONCE + n, &n) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, box + 1 + NONCE + plain.n);
}

bool seal(struct arena *a, const struct seal_key *k, struct span label, struct span plain,
          struct span *out) {
    size_t size = plain.n + EXTRA;
    unsigned char *box = plain.n < INT32_MAX / 2 ? arena_try(a, size) : NULL;
    EVP_CIPHER_CTX *c = box ? EVP_CIPHER_CTX_new() : NULL;
    if (!c)
        return false;
    box[0] = VERSION;
    env.random(box + 1, NONCE);
    bool fine = encrypt(c, k, label, plain, box);
    EVP_CIPHER_CTX_free(c);
    return fine && base64url(a, span_of((char *)box, size), out);
}

static bool decrypt(EVP_CIPHER_CTX *c, const struct seal_key *k, struct span label, struct span box,
                    unsigned char *plain) {
    const unsigned char *p = (const unsigned char *)box.p;
    unsigned char tag[TAG];
    int n = 0, size = (int)box.n - EXTRA;
    memcpy(tag, p + 1 + NONCE + size, TAG);
    return EVP_DecryptInit_ex2(c, EVP_aes_256_gcm(), k->key, p + 1, NULL) &&
           EVP_DecryptUpdate(c, NULL, &n, p, 1) &&
           EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)label.p, (int)label.n) &&
           EVP_DecryptUpdate(c, plain, &n, p + 1 + NONCE, size) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) &&
           EVP_DecryptFinal_ex(c, plain + size, &n) == 1;
}

bool seal_open(struct arena *a, const struct seal_key *k, struct span label, struct span sealed,
               struct span *plain) {
    struct span box;
    if (sealed.n > INT32_MAX / 2 || !base64url_read(a, sealed, &box) || box.n < EXTRA ||
        box.p[0] != VERSION)
        return false;
    unsigned char *room = arena_try(a, box.n);
    EVP_CIPHER_CTX *c = room ? EVP_CIPHER_CTX_new() : NULL;
    if (!c)
        return false;
    bool fine = decrypt(c, k, label, box, room);
    EVP_CIPHER_CTX_free(c);
    *plain = span_of((char *)room, box.n - EXTRA);
    return fine;
}
