/*
 * tokens - mints JWTs for the benchmark: one header field a line.
 *
 *   tokens hs256 SECRET N        tokens rs256 PRIVATE-KEY.pem N
 *
 * Each is of another subject: iss https://id.test, aud bench, an hour from now.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 1024, SIGNATURE_MAX = 1024 };

static void die(const char *what) {
    fprintf(stderr, "tokens: %s\n", what);
    exit(1);
}

/* base64url without padding */
static size_t encode(char *out, const unsigned char *p, size_t n) {
    size_t len = (size_t)EVP_EncodeBlock((unsigned char *)out, p, (int)n);
    while (len && out[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return len;
}

static size_t sign(EVP_PKEY *key, const char *secret, const char *text, size_t n,
                   unsigned char *out) {
    unsigned hs = 0;
    size_t rs = SIGNATURE_MAX;
    if (!key) {
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, n, out, &hs);
        return hs;
    }
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) ||
        !EVP_DigestSign(c, out, &rs, (const unsigned char *)text, n))
        die("cannot sign");
    EVP_MD_CTX_free(c);
    return rs;
}

static void mint(EVP_PKEY *key, const char *secret, unsigned long i) {
    char part[TEXT_MAX], text[2 * TEXT_MAX];
    unsigned char signature[SIGNATURE_MAX];
    int n = snprintf(part, sizeof part, "{\"alg\":\"%s\",\"typ\":\"JWT\"%s}",
                     key ? "RS256" : "HS256", key ? ",\"kid\":\"bench\"" : "");
    size_t at = encode(text, (unsigned char *)part, (size_t)n);
    text[at++] = '.';
    n = snprintf(part, sizeof part,
                 "{\"iss\":\"https://id.test\",\"aud\":\"bench\",\"sub\":\"user-%lu\",\"iat\":%ld,"
                 "\"exp\":%ld,\"scope\":\"orders:read orders:write\",\"name\":\"A. Customer\"}",
                 i, (long)time(NULL), (long)time(NULL) + 3600);
    at += encode(text + at, (unsigned char *)part, (size_t)n);
    size_t len = sign(key, secret, text, at, signature);
    text[at++] = '.';
    at += encode(text + at, signature, len);
    printf("Authorization: Bearer %.*s\n", (int)at, text);
}

int main(int argc, char **argv) {
    if (argc != 4)
        die("usage: tokens hs256 SECRET N | tokens rs256 PRIVATE-KEY.pem N");
    EVP_PKEY *key = NULL;
    if (strcmp(argv[1], "rs256") == 0) {
        FILE *f = fopen(argv[2], "r");
        key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
        if (!key)
            die("cannot read the key");
        fclose(f);
    }
    unsigned long n = strtoul(argv[3], NULL, 10);
    for (unsigned long i = 0; i < n; i++)
        mint(key, argv[2], i);
    EVP_PKEY_free(key);
    return 0;
}
