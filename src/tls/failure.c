#include "base/env.h"
#include "tls/session.h"
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>

enum { FAILURE_MAX = 300 };

void session_failed_as(struct session *t, const char *fmt, ...) {
    va_list ap;
    if (t->failure || !(t->failure = mem_try(FAILURE_MAX)))
        return;
    va_start(ap, fmt);
    vsnprintf(t->failure, FAILURE_MAX, fmt, ap);
    va_end(ap);
}

/* What OpenSSL calls by its own names and operators meet often. */
static const struct {
    int reason;
    const char *text;
} known[] = {
    {SSL_R_HTTP_REQUEST, "plain HTTP was sent to a TLS port"},
    {SSL_R_HTTPS_PROXY_REQUEST, "a CONNECT request in plain HTTP was sent to a TLS port"},
    {SSL_R_WRONG_VERSION_NUMBER, "what came is not TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the TLS versions of the two sides have nothing in common"},
    {SSL_R_NO_SHARED_CIPHER, "the ciphers of the two sides have nothing in common"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "the application protocols (ALPN) have nothing in common"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client showed no certificate"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "a handshake message is too long"},
    {SSL_R_NO_SHARED_GROUPS, "the curves of the two sides have nothing in common"},
};

/* Sent by the other side: its words for what it did not like. */
static bool from_peer(struct session *t, int reason) {
    if (reason < SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + 255)
        return false;
    int alert = reason - SSL_AD_REASON_OFFSET;
    session_failed_as(t, "the %s refused: %s", t->server ? "client" : "service",
                      alert == TLS13_AD_CERTIFICATE_REQUIRED ? "it wants a certificate"
                                                             : SSL_alert_desc_string_long(alert));
    return true;
}

static void verification(struct session *t) {
    long why = SSL_get_verify_result(t->ssl);
    t->verify_failed = true;
    session_failed_as(t, "the %s's certificate was not accepted: %s",
                      t->server ? "client" : "service", X509_verify_cert_error_string(why));
}

static void explain(struct session *t, unsigned long e) {
    int reason = ERR_GET_REASON(e);
    const char *text = ERR_reason_error_string(e);
    if (ERR_GET_LIB(e) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            verification(t);
            return;
        }
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            t->verify_failed = true;
        if (from_peer(t, reason))
            return;
        for (size_t i = 0; i < array_len(known); i++)
            if (known[i].reason == reason)
                session_failed_as(t, "%s", known[i].text);
    }
    session_failed_as(t, "%s", text ? text : "TLS failed");
}

void session_failed(struct session *t) {
    unsigned long e = ERR_peek_last_error();
    if (!t->failure)
        explain(t, e);
    ERR_clear_error();
}
