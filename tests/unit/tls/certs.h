/*
 * certs - certificates made while a test runs, in a folder of its own. For the tests of tls.
 *
 * An authority, what it issues, and files of both. Everything that can be wrong with a certificate
 * is a field of `struct wish`. Owner: the test. Thread: one.
 */
#pragma once
#include "base/str.h"
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>

enum { CERTS_DAY = 24 * 3600 };

struct wish {
    const char *cn, *san; /* san: OpenSSL's spelling, "DNS:a.test,IP:127.0.0.1"; NULL: none */
    const char *usage;    /* "serverAuth"; NULL: any */
    int rsa;              /* bits; 0: ECDSA P-256 */
    long since, until;    /* seconds from now; both 0: a day ago, 90 days */
    bool ca, nul_in_san;
};
struct made {
    X509 *x;
    EVP_PKEY *key;
    char cert_file[128], key_file[128];
};

static char certs_folder[64];

static inline void certs_begin(void) {
    snprintf(certs_folder, sizeof certs_folder, "/tmp/sluice-tls-XXXXXX");
    must(mkdtemp(certs_folder));
}

static inline const char *certs_path(const char *name) {
    static char path[8][128];
    static unsigned at;
    char *p = path[at++ % 8];
    snprintf(p, 128, "%s/%s", certs_folder, name);
    return p;
}

/* In one step, as a careful operator would. */
static inline void certs_write(const char *path, const void *p, size_t n, mode_t mode) {
    char tmp[160];
    must(snprintf(tmp, sizeof tmp, "%.120s.new", path) < 130);
    FILE *f = fopen(tmp, "wb");
    must(f && fwrite(p, 1, n, f) == n && fchmod(fileno(f), mode) == 0 && fclose(f) == 0);
    must(rename(tmp, path) == 0);
}

static inline void certs_write_bio(const char *path, BIO *b, mode_t mode) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    certs_write(path, p, (size_t)n, mode);
    BIO_free(b);
}

static inline void certs_extension(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX c;
    X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    must(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

/* "good.test\0.evil.test" */
static inline void certs_nul_name(X509 *x) {
    static const char name[] = "good.test\0.evil.test";
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    must(all && g && s && ASN1_STRING_set(s, name, sizeof name - 1));
    GENERAL_NAME_set0_value(g, GEN_DNS, s);
    sk_GENERAL_NAME_push(all, g);
    must(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1);
    GENERAL_NAMES_free(all);
}

/* by NULL: self-signed */
static inline struct made certs_issue(const struct wish *w, const struct made *by) {
    static long serial;
    struct made m = {X509_new(), w->rsa ? EVP_RSA_gen((unsigned)w->rsa) : EVP_EC_gen("P-256"), "",
                     ""};
    X509_NAME *name = X509_get_subject_name(m.x);
    must(m.key && X509_set_version(m.x, 2));
    ASN1_INTEGER_set(X509_get_serialNumber(m.x), 0x1000 + ++serial);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->cn, -1, -1, 0);
    X509_set_issuer_name(m.x, by ? X509_get_subject_name(by->x) : name);
    X509_gmtime_adj(X509_getm_notBefore(m.x), w->since || w->until ? w->since : -CERTS_DAY);
    X509_gmtime_adj(X509_getm_notAfter(m.x), w->since || w->until ? w->until : 90 * CERTS_DAY);
    X509_set_pubkey(m.x, m.key);
    X509 *issuer = by ? by->x : m.x;
    certs_extension(m.x, issuer, NID_basic_constraints, w->ca ? "critical,CA:TRUE" : "CA:FALSE");
    certs_extension(m.x, issuer, NID_subject_key_identifier, "hash");
    certs_extension(m.x, issuer, NID_authority_key_identifier, "keyid");
    if (w->san)
        certs_extension(m.x, issuer, NID_subject_alt_name, w->san);
    if (w->nul_in_san)
        certs_nul_name(m.x);
    if (w->usage)
        certs_extension(m.x, issuer, NID_ext_key_usage, w->usage);
    must(X509_sign(m.x, by ? by->key : m.key, EVP_sha256()));
    return m;
}

/* Certificate, then those of the chain; the key beside it. */
static inline void certs_save(struct made *m, const char *name, const struct made *const *chain) {
    BIO *b = BIO_new(BIO_s_mem());
    snprintf(m->cert_file, sizeof m->cert_file, "%s/%s.pem", certs_folder, name);
    snprintf(m->key_file, sizeof m->key_file, "%s/%s.key", certs_folder, name);
    must(PEM_write_bio_PrivateKey(b, m->key, NULL, NULL, 0, NULL, NULL));
    certs_write_bio(m->key_file, b, 0600);
    b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(b, m->x));
    for (; chain && *chain; chain++)
        must(PEM_write_bio_X509(b, (*chain)->x));
    certs_write_bio(m->cert_file, b, 0644);
}

static inline struct made certs_make(const char *name, const struct wish *w,
                                     const struct made *by) {
    struct made m = certs_issue(w, by);
    certs_save(&m, name, NULL);
    return m;
}

static inline void certs_free(struct made *m) {
    X509_free(m->x);
    EVP_PKEY_free(m->key);
    *m = (struct made){0};
}

/* The list of revoked ones of an authority; until: seconds from now. */
static inline void certs_revoke(const char *path, const struct made *by, const struct made *revoked,
                                long until) {
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_new();
    must(crl && t && X509_CRL_set_version(crl, 1));
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->x));
    X509_CRL_set1_lastUpdate(crl, X509_gmtime_adj(t, -CERTS_DAY * 2));
    X509_CRL_set1_nextUpdate(crl, X509_gmtime_adj(t, until));
    if (revoked) {
        X509_REVOKED *r = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->x));
        X509_REVOKED_set_revocationDate(r, X509_gmtime_adj(t, -CERTS_DAY));
        X509_CRL_add0_revoked(crl, r);
    }
    ASN1_TIME_free(t);
    X509_CRL_sort(crl);
    must(X509_CRL_sign(crl, by->key, EVP_sha256()));
    BIO *b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509_CRL(b, crl));
    certs_write_bio(path, b, 0644);
    X509_CRL_free(crl);
}

static inline void certs_finish(void) {
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", certs_folder);
    must(system(cmd) == 0);
}
