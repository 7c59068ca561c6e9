#include "tls/peer.h"
#include "base/env.h"
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { TEXT_MAX = 128 * 1024 };

static struct span since(const struct str *s, size_t at) {
    return span_of(s->p + at, s->n - at);
}

static void hex(struct str *s, const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        str_fmt(s, "%02x", p[i]);
}

static void bio_text(struct str *s, BIO *b) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    if (n > 0)
        str_put(s, p, (size_t)n);
    BIO_free(b);
}

static struct span put_name(struct str *s, const X509_NAME *name) {
    size_t at = s->n;
    BIO *b = BIO_new(BIO_s_mem());
    /* RFC 2253: what is not printable is escaped, so no NUL and no line end is left in it. */
    if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        bio_text(s, b);
    else
        BIO_free(b);
    return since(s, at);
}

/* NULL: of a kind that is not an identity. */
static const char *kind_of(int type) {
    return type == GEN_DNS     ? "DNS:"
           : type == GEN_URI   ? "URI:"
           : type == GEN_EMAIL ? "email:"
                               : NULL;
}

/* In the list, so that a name with a comma in it does not look like two. */
static void put_escaped(struct str *s, struct span v) {
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c <= 0x20 || c >= 0x7f || c == ',' || c == '"' || c == '\\')
            str_fmt(s, "%%%02X", c);
        else
            str_char(s, (char)c);
    }
}

static void put_sans(struct str *s, X509 *x, struct tls_client_cert *c) {
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t at = s->n;
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        int type;
        const ASN1_STRING *v = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
        const char *kind = kind_of(type);
        if (!kind)
            continue;
        if (s->n > at)
            str_char(s, ',');
        str_add(s, span_z(kind));
        size_t from = s->n;
        put_escaped(s,
                    span_of((const char *)ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v)));
        if (!c->san.n)
            c->san = since(s, from);
    }
    c->sans = since(s, at);
    GENERAL_NAMES_free(all);
}

static struct span put_serial(struct str *s, const X509 *x) {
    const ASN1_INTEGER *n = X509_get0_serialNumber(x);
    size_t at = s->n;
    hex(s, ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n));
    return since(s, at);
}

static struct span put_fingerprint(struct str *s, const X509 *x) {
    unsigned char d[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    size_t at = s->n;
    if (X509_digest(x, EVP_sha256(), d, &n))
        hex(s, d, n);
    return since(s, at);
}

static struct span put_pem(struct str *s, X509 *x) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    size_t at = s->n;
    char *p;
    BIO *b = BIO_new(BIO_s_mem());
    long n = b && PEM_write_bio_X509(b, x) ? BIO_get_mem_data(b, &p) : 0;
    for (long i = 0; i < n; i++) {
        if (memchr(plain, p[i], sizeof plain - 1))
            str_char(s, p[i]);
        else
            str_fmt(s, "%%%02X", (unsigned char)p[i]);
    }
    BIO_free(b);
    return since(s, at);
}

static void move(struct span *s, const char *from, const char *to) {
    if (s->n)
        s->p = to + (s->p - from);
}

/* The texts were made in a large buffer; they go on in one of their size. */
static struct tls_client_cert *pack(struct tls_client_cert c, const struct str *text) {
    struct tls_client_cert *out = mem_try(sizeof *out + text->n);
    char *to = out ? (char *)(out + 1) : NULL;
    if (!out)
        return NULL;
    memcpy(to, text->p, text->n);
    struct span *all[] = {&c.subject, &c.issuer,      &c.san, &c.sans,
                          &c.serial,  &c.fingerprint, &c.pem};
    for (size_t i = 0; i < array_len(all); i++)
        move(all[i], text->p, to);
    *out = c;
    return out;
}

struct tls_client_cert *peer_describe(X509 *x, bool verified, bool pem) {
    char *room = mem_try(TEXT_MAX);
    if (!room)
        return NULL;
    struct str s = str_on(room, TEXT_MAX);
    struct tls_client_cert c = {.verified = verified};
    c.subject = put_name(&s, X509_get_subject_name(x));
    c.issuer = put_name(&s, X509_get_issuer_name(x));
    put_sans(&s, x, &c);
    c.serial = put_serial(&s, x);
    c.fingerprint = put_fingerprint(&s, x);
    if (pem)
        c.pem = put_pem(&s, x);
    struct tls_client_cert *out = s.full ? NULL : pack(c, &s);
    mem_free(room);
    return out;
}

bool peer_deceives(X509 *x) {
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool bad = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && !bad; i++) {
        int type;
        const ASN1_STRING *v = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
        if (kind_of(type))
            bad = memchr(ASN1_STRING_get0_data(v), 0, (size_t)ASN1_STRING_length(v)) != NULL;
    }
    GENERAL_NAMES_free(all);
    return bad;
}
