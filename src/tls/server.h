/*
 * tls/server - what a listener needs to speak TLS: certificates by server name, versions, ciphers,
 * tickets, and who clients must be.
 *
 * Built when the configuration is read (tls_server_create: everything that can be wrong is found
 * there, with the place of the file in the configuration), used by all threads. Its files can be
 * read again while it is in use (tls_server_refresh): new handshakes see the new certificates,
 * connections keep theirs. Ticket keys belong to the listener's name and last over reloads
 * (lasting: tickets issued before still resume). Owner: counted. Thread: any.
 */
#pragma once
#include "base/str.h"
#include <stdatomic.h>

struct tls_server;

enum tls_client_mode { TLS_CLIENT_NONE, TLS_CLIENT_REQUEST, TLS_CLIENT_REQUIRE };
enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304, TLS_NAMES_MAX = 1024, TLS_EXPIRES_SOON_DAYS = 30 };

/* Whom a virtual host lets in by certificate. All files PEM; paths are absolute or relative to the
 * working directory (the loader has resolved them). */
struct tls_client_conf {
    enum tls_client_mode mode;
    struct span ca, crl; /* crl empty: none is checked */
    uint32_t depth;      /* of the chain above the certificate; 0: 4 */
    bool no_pem;         /* services need not see it: tls_client_cert.pem stays empty */
};

struct tls_cert_conf {
    struct span certificate, private_key; /* files */
    struct span ocsp;                     /* file of a DER response to staple; empty: none */
    const struct span *names;             /* server names; count 0: those of the certificate */
    uint32_t name_count;
    const struct tls_client_conf *client; /* NULL: the listener's */
};

struct tls_server_conf {
    struct span name;                 /* of the listener: what lasts is found by it */
    const struct tls_cert_conf *cert; /* the first is used for unknown and missing names. An ECDSA
                                       * and an RSA certificate for the same names stand side by
                                       * side: the client's offer decides */
    uint32_t cert_count;
    struct tls_client_conf client;
    int min_version;     /* 0: TLS_1_2 */
    struct span ciphers; /* TLS 1.2, OpenSSL's names with ':'; empty: Mozilla's intermediate */
    struct span cipher_suites; /* TLS 1.3; empty: AES-128-GCM, AES-256-GCM, CHACHA20 */
    struct span curves;        /* empty: X25519:P-256:P-384 */
    bool no_h2;                /* ALPN offers http/1.1 alone */
    bool no_tickets;
    uint64_t ticket_rotate_ms; /* 0: 12 h */
};

/* What is wrong with the files, or soon will be. */
enum tls_problem_kind {
    TLS_FILE_UNREADABLE,  /* error: certificate, key, CA, CRL or OCSP file cannot be read */
    TLS_FILE_MALFORMED,   /* error: no PEM certificate, no key, no DER response in it */
    TLS_KEY_MISMATCH,     /* error: the key does not fit the certificate */
    TLS_KEY_ENCRYPTED,    /* error: it asks for a passphrase */
    TLS_KEY_WEAK,         /* error: RSA under 2048 bits and the like */
    TLS_CIPHERS_UNKNOWN,  /* error: none of the ciphers, suites or curves is known */
    TLS_NAME_TWICE,       /* error: two certificates of one kind claim a name */
    TLS_EXPIRED,          /* warning: a certificate; a CRL that should have been replaced */
    TLS_EXPIRES_SOON,     /* warning: within 30 days */
    TLS_NOT_YET_VALID,    /* warning */
    TLS_CHAIN_INCOMPLETE, /* warning: not self-signed, and its issuer is not in the file */
    TLS_OCSP_STALE,       /* warning: not stapled */
    TLS_KEY_READABLE,     /* warning: everybody may read the key file */
    TLS_NAME_NOT_COVERED, /* warning: a configured server name that the certificate is not for */
};
struct tls_problem {
    enum tls_problem_kind kind;
    bool error;
    int cert;         /* place in conf.cert; -1: the listener's or client's own settings */
    const char *part; /* "certificate", "private_key", "ca", "crl", "ocsp", "ciphers" ..; static */
    char text[240];   /* a sentence for people, without the path */
};
typedef void (*tls_problem_fn)(void *ctx, const struct tls_problem *);

/* NULL: an error was told (every problem is told, warnings too). One reference. */
must_use struct tls_server *tls_server_create(const struct tls_server_conf *c, tls_problem_fn told,
                                              void *ctx);
void tls_server_ref(struct tls_server *s);
void tls_server_unref(struct tls_server *s);
/* Looks whether a file has changed (size, time, inode) and reads them again. 1: new ones are in
 * use; 0: nothing has changed; -1: they are not usable, the old ones stay. Blocks: for helper
 * threads. */
int tls_server_refresh(struct tls_server *s, tls_problem_fn told, void *ctx);
/* New ticket keys where they are due; now: ns of the monotonic clock. Cheap; called about once a
 * minute by the control thread. */
void tls_server_rotate(struct tls_server *s, uint64_t now_ns);

/* The policy of the virtual host that answers for `host` (lower-case, no port): the same number
 * means that a connection made for one may carry requests for the other (else 421). */
uint32_t tls_server_policy(struct tls_server *s, struct span host);

/* For metrics, status, check and explain: certificates as they are now. Spans are good during the
 * call. */
struct tls_cert_state {
    struct span names, file, issuer; /* names: joined by ',' */
    const char *kind;                /* "ECDSA P-256", "RSA 2048" */
    int64_t not_before, not_after;   /* seconds since the epoch */
    bool stapled;
    enum tls_client_mode client; /* whether its clients show certificates */
};
typedef void (*tls_cert_fn)(void *ctx, const struct tls_cert_state *);
void tls_server_walk(struct tls_server *s, tls_cert_fn fn, void *ctx); /* all of them */
/* Those that answer for `host` (lower-case, no port): one of each kind of key. */
void tls_server_answering(struct tls_server *s, struct span host, tls_cert_fn fn, void *ctx);
int tls_server_min_version(const struct tls_server *s);
