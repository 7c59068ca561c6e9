#include "tls/pem.h"
#include "base/env.h"
#include "tls/staple.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY = 24 * 3600, SECURITY_BITS = 112 /* RSA 2048, P-224 */ };

int64_t pem_now(void) {
    return env.wall_ns() / 1000000000;
}

int64_t pem_time(const ASN1_TIME *t) {
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool good = epoch && ASN1_TIME_diff(&days, &seconds, epoch, t);
    ASN1_TIME_free(epoch);
    return good ? (int64_t)days * DAY + seconds : 0;
}

/* ---- certificates ---- */

static BIO *bio_over(struct span text) {
    BIO *b = text.n <= INT_MAX ? BIO_new_mem_buf(text.p, (int)text.n) : NULL;
    must(b); /* of the size of a pointer */
    return b;
}

static STACK_OF(X509) * read_certificates(struct span text, unsigned max) {
    BIO *b = bio_over(text);
    STACK_OF(X509) *all = sk_X509_new_null();
    for (X509 *x;
         (unsigned)sk_X509_num(all) <= max && (x = PEM_read_bio_X509(b, NULL, NULL, NULL));)
        sk_X509_push(all, x);
    /* The end of the file looks like a missing first line; all else is a broken block. */
    unsigned long e = ERR_peek_last_error();
    bool good = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(b);
    if (good && sk_X509_num(all) > 0)
        return all;
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

static bool self_signed(X509 *x) {
    return X509_check_issued(x, x) == X509_V_OK;
}

static X509 *issuer_of(X509 *x, const STACK_OF(X509) * all) {
    for (int i = 0; i < sk_X509_num(all); i++)
        if (sk_X509_value(all, i) != x && X509_check_issued(sk_X509_value(all, i), x) == X509_V_OK)
            return sk_X509_value(all, i);
    return NULL;
}

/* In whatever order they stand in the file. A root at the end is left out: who trusts it has it. */
static void build_chain(struct certificate *c, const STACK_OF(X509) * all) {
    X509 *top = c->leaf;
    c->chain = sk_X509_new_null();
    for (int i = 0; i < sk_X509_num(all) && !self_signed(top); i++) {
        X509 *next = issuer_of(top, all);
        if (!next)
            break;
        if (top == c->leaf && X509_up_ref(next))
            c->issuer = next;
        if (!self_signed(next) && X509_up_ref(next))
            sk_X509_push(c->chain, next);
        top = next;
    }
}

static bool load_chain(struct certificate *c, struct span path, struct stamps *seen,
                       struct teller *t) {
    struct span text = pem_read(path, "certificate", seen, t);
    if (!text.p)
        return false;
    STACK_OF(X509) *all = read_certificates(text, PEM_CHAIN_MAX);
    mem_free((void *)(uintptr_t)text.p);
    if (!all) {
        tell(t, TLS_FILE_MALFORMED, "certificate", "there is no readable PEM certificate in it");
        return false;
    }
    if (sk_X509_num(all) > PEM_CHAIN_MAX) {
        tell(t, TLS_FILE_MALFORMED, "certificate", "there are more than %d certificates in it",
             PEM_CHAIN_MAX);
    } else {
        c->leaf = sk_X509_value(all, 0);
        X509_up_ref(c->leaf);
        build_chain(c, all);
    }
    sk_X509_pop_free(all, X509_free);
    return c->leaf != NULL;
}

static void judge_certificate(struct certificate *c, struct teller *t) {
    char day[DAY_TEXT];
    unsigned n;
    int64_t now = pem_now();
    c->not_before = pem_time(X509_get0_notBefore(c->leaf));
    c->not_after = pem_time(X509_get0_notAfter(c->leaf));
    X509_digest(c->leaf, EVP_sha256(), c->digest, &n);
    day_text(c->not_after, day);
    if (c->not_after < now)
        tell(t, TLS_EXPIRED, "certificate", "the certificate expired on %s", day);
    else if (c->not_after - now < (int64_t)TLS_EXPIRES_SOON_DAYS * DAY)
        tell(t, TLS_EXPIRES_SOON, "certificate", "the certificate expires on %s, in %lld day%s",
             day, (long long)((c->not_after - now) / DAY),
             (c->not_after - now) / DAY == 1 ? "" : "s");
    if (c->not_before > now)
        tell(t, TLS_NOT_YET_VALID, "certificate", "the certificate is not valid before %s",
             day_text(c->not_before, day));
    if (!self_signed(c->leaf) && !c->issuer)
        tell(t, TLS_CHAIN_INCOMPLETE, "certificate",
             "the certificate of the issuer is not in the file: clients that do not know it "
             "refuse the connection");
}

/* ---- keys ---- */

static int ask_no_one(char *p, int n, int writing, void *asked) {
    (void)p, (void)n, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool load_key(struct certificate *c, struct span path, struct stamps *seen,
                     struct teller *t) {
    struct span text = pem_read(path, "private_key", seen, t);
    bool asked = false;
    if (!text.p)
        return false;
    BIO *b = bio_over(text);
    c->key = PEM_read_bio_PrivateKey(b, NULL, ask_no_one, &asked);
    BIO_free(b);
    ERR_clear_error();
    OPENSSL_cleanse((void *)(uintptr_t)text.p, text.n);
    mem_free((void *)(uintptr_t)text.p);
    if (!c->key && asked)
        tell(t, TLS_KEY_ENCRYPTED, "private_key",
             "the key is encrypted, and nobody is there to give its passphrase");
    else if (!c->key)
        tell(t, TLS_FILE_MALFORMED, "private_key", "there is no readable PEM key in it");
    return c->key != NULL;
}

void certificate_kind(const struct certificate *c, char *out, size_t n) {
    EVP_PKEY *k = X509_get0_pubkey(c->leaf);
    struct str s = str_on(out, n - 1);
    char group[64] = "";
    size_t len;
    if (!k) {
        str_lit(&s, "unknown");
    } else if (EVP_PKEY_is_a(k, "EC")) {
        EVP_PKEY_get_group_name(k, group, sizeof group, &len);
        str_fmt(&s, "ECDSA %s",
                strcmp(group, "prime256v1") == 0  ? "P-256"
                : strcmp(group, "secp384r1") == 0 ? "P-384"
                : strcmp(group, "secp521r1") == 0 ? "P-521"
                                                  : group);
    } else {
        const char *name = EVP_PKEY_get0_type_name(k);
        str_fmt(&s, "%s %d", name ? name : "unknown", EVP_PKEY_get_bits(k));
    }
    out[s.n] = 0;
}

static void judge_key(struct certificate *c, struct teller *t) {
    EVP_PKEY *k = X509_get0_pubkey(c->leaf);
    char kind[64];
    certificate_kind(c, kind, sizeof kind);
    if (!k)
        tell(t, TLS_FILE_MALFORMED, "certificate", "its public key is of an unknown kind");
    else if (EVP_PKEY_get_security_bits(k) < SECURITY_BITS)
        tell(t, TLS_KEY_WEAK, "certificate",
             "the key (%s) is too weak: at least RSA 2048 or ECDSA P-256 is needed", kind);
    else if (!X509_check_private_key(c->leaf, c->key))
        tell(t, TLS_KEY_MISMATCH, "private_key", "the key does not fit the certificate (%s)", kind);
    ERR_clear_error();
}

bool certificate_load(struct certificate *c, const struct tls_cert_conf *conf, struct stamps *seen,
                      struct teller *t) {
    *c = (struct certificate){0};
    bool chain = load_chain(c, conf->certificate, seen, t);
    bool key = load_key(c, conf->private_key, seen, t);
    if (chain)
        judge_certificate(c, t);
    if (chain && key)
        judge_key(c, t);
    if (chain && conf->ocsp.n)
        staple_load(c, conf->ocsp, seen, t);
    return !t->failed;
}

void certificate_finish(struct certificate *c) {
    X509_free(c->leaf);
    X509_free(c->issuer);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    mem_free((void *)(uintptr_t)c->staple.p);
    *c = (struct certificate){0};
}
