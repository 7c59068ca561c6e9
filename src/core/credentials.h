/*
 * credentials - what the gateway shows a service of itself, or of the caller in its own words.
 *
 * A service may want a key that never changes, a token that is fetched and renewed (OAuth2 client
 * credentials, RFC 6749 4.4), one for each caller (token exchange, RFC 8693), or one that the
 * gateway signs. `proxy` asks for it when the service is chosen, before a connection is; what comes
 * is a field of the attempt, in place of the client's own field of that name. It is no part of the
 * request's head: neither log nor expressions see it. How it is got is identity's matter (struct
 * credentials_ops, which main hands to the loader). Owner: conf in the snapshot; a need in its
 * attempt. Thread: that of the exchange.
 */
#pragma once
#include "core/op.h"
#include "http/fault.h"

struct arena;
struct exchange;
struct outbound;
struct schema_type;
struct template;
struct thread;

enum credentials_way { /* computed: which of the forms below is given */
                       CREDENTIALS_NONE,
                       CREDENTIALS_FIXED,    /* header, bearer, basic */
                       CREDENTIALS_CLIENT,   /* client_credentials */
                       CREDENTIALS_EXCHANGE, /* token_exchange */
                       CREDENTIALS_SIGNED    /* jwt */
};
enum credentials_caller { CALLER_UNSAID, CALLER_PASS, CALLER_DROP };

struct credentials_token { /* client_credentials, token_exchange */
    const struct outbound *url;
    struct span client_id, client_secret;
    const struct span *scope;
    uint32_t scopes;
    struct span audience, resource, subject_type;
    int how; /* the client says who it is: 0 by basic authentication, 1 in the body */
};
struct credentials_jwt {
    struct span key; /* PEM, or the secret */
    int algorithm;   /* enum jwa + 1; 0: unsaid */
    struct span kid, issuer;
    const struct span *audience;
    uint32_t audiences;
    const struct template *subject, *claims; /* claims: JSON */
    uint64_t ttl_ms;
    struct span header; /* empty: Authorization, with "Bearer" */
};
struct credentials_conf {
    struct {
        struct span name, value;
    } header;
    struct span bearer;
    struct {
        struct span user, password;
    } basic;
    struct credentials_token client, exchange;
    struct credentials_jwt jwt;
    int caller; /* enum credentials_caller */

    /* what finish makes of it */
    enum credentials_way way;
    struct span field;        /* name of the field that it sets, lower-case; empty: none */
    uint16_t field_id;        /* enum hdr_id of it */
    struct span value;        /* CREDENTIALS_FIXED */
    unsigned char digest[32]; /* of all that its tokens depend on */
    const struct credentials_ops *ops;
};
extern const struct schema_type credentials_type;

enum credentials_result { CREDENTIALS_READY, CREDENTIALS_WAIT, CREDENTIALS_FAILED };

struct credentials_need {
    struct op op; /* in `ops` while it waits */
    struct list *ops;
    struct list node; /* of those who wait for one token */
    struct exchange *x;
    const struct credentials_conf *conf;
    struct span value; /* of conf->field; in the exchange's arena, or the snapshot's */
    enum fault fault;  /* CREDENTIALS_FAILED */
    const char *detail;
    void (*ready)(struct credentials_need *n, bool ok); /* after CREDENTIALS_WAIT */
};

struct credentials_ops {
    /* Judges and completes; a sentence, or NULL. */
    const char *(*finish)(struct arena *a, struct credentials_conf *c);
    enum credentials_result (*get)(struct credentials_need *n);
    void (*thread_finish)(struct thread *t);
};
