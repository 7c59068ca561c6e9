/*
 * pem - certificates, keys and revocation lists out of files, and what is wrong with them. Inside
 * of this room. Owner: the caller. Thread: any; blocks on files.
 */
#pragma once
#include "tls/problem.h"
#include <openssl/x509.h>
#include <sys/stat.h>

enum { PEM_FILE_MAX = 16 * 1024 * 1024, PEM_CHAIN_MAX = 16, PEM_DEPTH = 4 };

/* A file as it was when it was read: whether it has changed since. */
struct stamp {
    char *path;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed, renamed;
    bool missing;
};
struct stamps {
    struct stamp *at;
    unsigned n;
};
bool stamps_same(const struct stamps *s); /* nothing has changed on disk */
bool stamps_equal(const struct stamps *a, const struct stamps *b);
void stamps_finish(struct stamps *s);

/* New files that were not usable. Somebody may just be writing them (the certificate is new, the
 * key is not yet), so they are news when a second look finds them as they were. */
struct refused {
    struct stamps files;
    bool told;
};
bool refused_known(const struct refused *r); /* told, and nothing has changed since */
/* Takes *seen over. */
bool refused_is_news(struct refused *r, struct stamps *seen);

struct certificate {
    X509 *leaf;
    STACK_OF(X509) * chain; /* from its issuer up, without a root at the end */
    X509 *issuer;           /* in chain, or a root that is not sent; NULL: not in the file */
    EVP_PKEY *key;
    struct span staple;   /* OCSP, DER; empty: none */
    int64_t staple_until; /* seconds since the epoch */
    int64_t not_before, not_after;
    unsigned char digest[32]; /* of the leaf */
};

/* Fills *c from the files, judges both and how they fit together. False: told. */
must_use bool certificate_load(struct certificate *c, const struct tls_cert_conf *conf,
                               struct stamps *seen, struct teller *t);
void certificate_finish(struct certificate *c);
/* "ECDSA P-256", "RSA 2048" */
void certificate_kind(const struct certificate *c, char *out, size_t n);

/* The bytes of a file. {NULL, 0}: told. mem_free(p). */
struct span pem_read(struct span path, const char *part, struct stamps *seen, struct teller *t);
/* CA certificates and revocation lists into a store; *digest over both files. NULL: told. `names`:
 * may be NULL; what a server asks clients for. */
struct authority {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names;
    unsigned char digest[32];
};
must_use bool authority_load(struct authority *a, struct span ca, struct span crl,
                             struct stamps *seen, struct teller *t);
void authority_finish(struct authority *a);
/* Seconds since the epoch. */
int64_t pem_time(const ASN1_TIME *t);
int64_t pem_now(void);
