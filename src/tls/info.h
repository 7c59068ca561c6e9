/*
 * tls/info - what a TLS connection turned out to be: what doors put into an exchange's facts, and
 * log, expressions and services read.
 *
 * Owner: the TLS stream; lives as long as the connection. Thread: that of the connection.
 */
#pragma once
#include "base/str.h"

struct tls_client_cert {
    struct span subject;     /* RFC 2253, "CN=ann,O=shop" */
    struct span issuer;      /* the same form */
    struct span san;         /* its first DNS, URI or e-mail name; empty: none */
    struct span sans;        /* all of them: "DNS:a,URI:spiffe://b" */
    struct span serial;      /* hexadecimal, lower-case */
    struct span fingerprint; /* SHA-256 of the certificate, hexadecimal, lower-case */
    struct span pem; /* URL-encoded PEM, as X-Client-Cert carries it; empty: nobody wants it */
    bool verified;   /* its chain leads to the CA of the configuration */
};

struct tls_info {
    const char *version; /* "TLSv1.3"; static */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256"; static */
    const char *alpn;    /* "h2", "http/1.1", "": none; static */
    struct span sni;     /* lower-case; empty: none was sent */
    bool resumed, early; /* early: its first request came as early data (not offered yet) */
    uint32_t policy;     /* of the virtual host that the SNI chose (tls/server.h) */
    const struct tls_client_cert *client; /* NULL: none was shown */
};
