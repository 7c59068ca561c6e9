/*
 * tls_form - what the tables of `tls` fill before tls/server.h and tls/client.h judge it, and what
 * `proxy_protocol` fills. Thread: one at a time.
 */
#pragma once
#include "core/snapshot.h"

struct tls_client_form { /* client_certificate */
    struct span ca, crl;
    uint32_t depth;
    int mode; /* enum tls_client_mode */
    bool headers;
};

struct tls_cert_form { /* one of `certificates` */
    struct span certificate, private_key, ocsp;
    struct span *names;
    uint32_t name_count;
};

struct tls_server_form {
    struct tls_cert_form one; /* certificate, private_key, ocsp beside the rest */
    struct tls_client_form client;
    int min_version;
    struct span ciphers, cipher_suites, curves;
    bool tickets;
    uint64_t ticket_rotate_ms;
};

struct proxy_form {
    bool required;
    struct cidr *from;
    uint32_t from_count;
};
