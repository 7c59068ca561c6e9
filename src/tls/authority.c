#include "base/env.h"
#include "tls/pem.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

static bool ends_well(void) {
    unsigned long e = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static unsigned add_authorities(struct authority *a, BIO *b) {
    unsigned n = 0;
    for (X509 *x; (x = PEM_read_bio_X509(b, NULL, NULL, NULL)); n++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));
        X509_STORE_add_cert(a->store, x);
        if (!name || !sk_X509_NAME_push(a->names, name))
            X509_NAME_free(name);
        X509_free(x);
    }
    return ends_well() ? n : 0;
}

static void judge_list(const X509_CRL *crl, struct teller *t) {
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    char day[DAY_TEXT];
    if (next && pem_time(next) < pem_now())
        tell(t, TLS_EXPIRED, "crl",
             "the revocation list was to be replaced on %s: until then every certificate of its "
             "issuer is refused",
             day_text(pem_time(next), day));
}

static unsigned add_lists(struct authority *a, BIO *b, struct teller *t) {
    unsigned n = 0;
    for (X509_CRL *crl; (crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)); n++) {
        X509_STORE_add_crl(a->store, crl);
        judge_list(crl, t);
        X509_CRL_free(crl);
    }
    return ends_well() ? n : 0;
}

static bool load_into(struct authority *a, struct span path, const char *part, struct stamps *seen,
                      struct teller *t) {
    struct span text = pem_read(path, part, seen, t);
    if (!text.p)
        return false;
    bool ca = strcmp(part, "ca") == 0;
    BIO *b = BIO_new_mem_buf(text.p, (int)text.n);
    must(b);
    unsigned n = ca ? add_authorities(a, b) : add_lists(a, b, t);
    BIO_free(b);
    unsigned char both[64];
    memcpy(both, a->digest, 32);
    SHA256((const unsigned char *)text.p, text.n, both + 32);
    SHA256(both, sizeof both, a->digest);
    mem_free((void *)(uintptr_t)text.p);
    if (!n)
        tell(t, TLS_FILE_MALFORMED, part, "there is no readable PEM %s in it",
             ca ? "certificate" : "revocation list");
    return n > 0;
}

bool authority_load(struct authority *a, struct span ca, struct span crl, struct stamps *seen,
                    struct teller *t) {
    *a = (struct authority){.store = X509_STORE_new(), .names = sk_X509_NAME_new_null()};
    must(a->store && a->names);
    if (!load_into(a, ca, "ca", seen, t))
        return false;
    if (!crl.n)
        return true;
    /* Of every certificate of the chain, so a missing list refuses instead of letting pass. */
    X509_STORE_set_flags(a->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return load_into(a, crl, "crl", seen, t);
}

void authority_finish(struct authority *a) {
    X509_STORE_free(a->store);
    sk_X509_NAME_pop_free(a->names, X509_NAME_free);
    *a = (struct authority){0};
}
