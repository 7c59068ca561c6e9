#include "tls/verify.h"
#include "tls/peer.h"
#include "tls/pem.h"
#include "tls/session.h"
#include <openssl/x509v3.h>

enum { WORDS_MAX = 200 };

static struct session *session_in(X509_STORE_CTX *c) {
    const SSL *ssl = X509_STORE_CTX_get_ex_data(c, SSL_get_ex_data_X509_STORE_CTX_idx());
    return ssl ? session_of(ssl) : NULL;
}

/* What is not plain text is left out: this goes into a log. */
static void put_plain(struct str *s, const char *p, int n) {
    for (int i = 0; i < n; i++)
        str_char(s, p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?');
}

static void put_names(struct str *s, X509 *x) {
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    unsigned shown = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        int type;
        const ASN1_STRING *v = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
        if (type != GEN_DNS || ASN1_STRING_length(v) > 64)
            continue;
        if (++shown > 2)
            break;
        if (shown > 1)
            str_lit(s, ", ");
        put_plain(s, (const char *)ASN1_STRING_get0_data(v), ASN1_STRING_length(v));
    }
    if (shown > 2)
        str_lit(s, " and others");
    if (!shown)
        str_lit(s, "no DNS name at all");
    GENERAL_NAMES_free(all);
}

static void put_mismatch(struct str *s, X509_STORE_CTX *c, const char *expected) {
    str_fmt(s, "it is not for %.64s, but for ", expected ? expected : "this address");
    put_names(s, X509_STORE_CTX_get0_cert(c));
}

static void put_issuer(struct str *s, X509 *x) {
    char name[256];
    X509_NAME_oneline(X509_get_issuer_name(x), name, sizeof name);
    str_lit(s, "its issuer (");
    put_plain(s, name, (int)strnlen(name, 80));
    str_lit(s, ") is not among those trusted, or a certificate in between was not sent");
}

/* The times of what is being judged, which may be a certificate further up. */
static void put_time(struct str *s, X509_STORE_CTX *c, const char *what, const ASN1_TIME *t) {
    char day[DAY_TEXT];
    str_fmt(s, "%s %s %s",
            X509_STORE_CTX_get_error_depth(c) ? "the certificate of its issuer" : "it", what,
            day_text(pem_time(t), day));
}

static const char *in_short(int why) {
    switch (why) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "it is self-signed, and not itself trusted";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "the authority at the end of its chain is not trusted";
    case X509_V_ERR_INVALID_PURPOSE:
        return "its purpose is another one (extended key usage)";
    case X509_V_ERR_CERT_REVOKED:
        return "it was revoked";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "there is no revocation list of its issuer";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "the revocation list of its issuer should have been replaced by now";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        return "its chain is longer than is accepted";
    default:
        return X509_verify_cert_error_string(why);
    }
}

static void put_reason(struct str *s, X509_STORE_CTX *c, const char *expected) {
    X509 *x = X509_STORE_CTX_get_current_cert(c);
    int why = X509_STORE_CTX_get_error(c);
    if (why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH)
        put_mismatch(s, c, expected);
    else if (x && why == X509_V_ERR_CERT_HAS_EXPIRED)
        put_time(s, c, "expired on", X509_get0_notAfter(x));
    else if (x && why == X509_V_ERR_CERT_NOT_YET_VALID)
        put_time(s, c, "is not valid before", X509_get0_notBefore(x));
    else if (x && (why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                   why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
                   why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT))
        put_issuer(s, x);
    else
        str_add(s, span_z(in_short(why)));
}

static void tell_session(X509_STORE_CTX *c, const char *reason) {
    struct session *t = session_in(c);
    if (!t)
        return;
    char words[WORDS_MAX];
    struct str s = str_on(words, sizeof words);
    if (reason)
        str_add(&s, span_z(reason));
    else
        put_reason(&s, c, t->server ? NULL : SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
    t->verify_failed = true;
    session_failed_as(t, "the %s's certificate was not accepted: %.*s",
                      t->server ? "client" : "service", SPAN_ARG(str_span(&s)));
}

int verify_told(int good, X509_STORE_CTX *c) {
    if (!good) {
        tell_session(c, NULL);
    } else if (X509_STORE_CTX_get_error_depth(c) == 0 &&
               peer_deceives(X509_STORE_CTX_get_current_cert(c))) {
        X509_STORE_CTX_set_error(c, X509_V_ERR_APPLICATION_VERIFICATION);
        tell_session(c, "a NUL stands in one of its names");
        good = 0;
    }
    return good;
}
