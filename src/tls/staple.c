#include "tls/staple.h"
#include "base/env.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>

/* Without a time of its next update it is believed for so long. */
enum { BELIEVED_S = 7 * 24 * 3600, SKEW_S = 300 };

static void stale(struct teller *t, const char *why) {
    tell(t, TLS_OCSP_STALE, "ocsp", "the OCSP response is not stapled: %s", why);
}

/* Signed by the issuer itself, or by a responder that it named. */
static const char *judge_signer(OCSP_BASICRESP *basic, const struct certificate *c) {
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *chain = sk_X509_new_null();
    const char *why = "it is not signed by the issuer of the certificate";
    if (store && chain && X509_STORE_add_cert(store, c->issuer) && sk_X509_push(chain, c->issuer)) {
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        if (OCSP_basic_verify(basic, chain, store, OCSP_TRUSTOTHER) > 0)
            why = NULL;
    }
    sk_X509_free(chain);
    X509_STORE_free(store);
    return why;
}

static const char *judge_times(struct certificate *c, ASN1_GENERALIZEDTIME *from,
                               ASN1_GENERALIZEDTIME *until) {
    int64_t now = pem_now(), since = pem_time(from);
    c->staple_until = until ? pem_time(until) : since + BELIEVED_S;
    if (since > now + SKEW_S)
        return "it is of the future";
    return c->staple_until <= now ? "it is stale" : NULL;
}

static const char *judge_status(OCSP_BASICRESP *basic, struct certificate *c) {
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, c->leaf, c->issuer);
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status = -1, reason;
    bool found = id && OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &until);
    OCSP_CERTID_free(id);
    if (!found)
        return "it is about another certificate";
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return status == V_OCSP_CERTSTATUS_REVOKED ? "it says that the certificate is revoked"
                                                   : "it does not know the certificate";
    return from ? judge_times(c, from, until) : "it tells no time";
}

static const char *judge(OCSP_RESPONSE *r, struct certificate *c) {
    if (!c->issuer)
        return "the issuer's certificate is not in the file, so it cannot be checked";
    OCSP_BASICRESP *basic = OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(r)
                                : NULL;
    if (!basic)
        return "it tells of an error";
    const char *why = judge_status(basic, c);
    if (!why)
        why = judge_signer(basic, c);
    OCSP_BASICRESP_free(basic);
    return why;
}

void staple_load(struct certificate *c, struct span path, struct stamps *seen, struct teller *t) {
    struct span der = pem_read(path, "ocsp", seen, t);
    if (!der.p)
        return;
    const unsigned char *p = (const unsigned char *)der.p;
    OCSP_RESPONSE *r = der.n <= INT_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)der.n) : NULL;
    const char *why = NULL;
    if (!r || p != (const unsigned char *)der.p + der.n)
        tell(t, TLS_FILE_MALFORMED, "ocsp", "this is not an OCSP response in DER");
    else if ((why = judge(r, c)))
        stale(t, why);
    if (r && !why && !t->failed)
        c->staple = der;
    else
        mem_free((void *)(uintptr_t)der.p);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
}
