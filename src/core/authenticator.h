/*
 * authenticator - who calls: the named authenticators of a configuration, their kinds, the
 * consumers, and what is known of the caller of one exchange.
 *
 * A kind (jwt, api_key, basic ...) is one const record that `identity` brings and main registers.
 * The filter `authenticate` asks the authenticators of its route in turn; each says what it found.
 * Missing and wrong credentials are different things: only missing ones let the next authenticator
 * try, or an `optional` route go on (F27). Everything fails closed: what cannot be judged is 503,
 * never "yes" and never 401.
 *
 * Owner: authenticators and consumers belong to the snapshot; a caller to its exchange. Thread: the
 * snapshot's are read by all, what lasts beyond it is each kind's own care.
 */
#pragma once
#include "core/canned.h"
#include "core/exchange.h"
#include "core/schema.h"
#include "data/value.h"

struct consumer_key {
    unsigned char hash[32]; /* SHA-256 of the key */
    int64_t not_after;      /* seconds since 1970; 0: never ends */
    struct where where;
};
enum signing_algorithm { /* of HTTP message signatures (RFC 9421 6.2.2), bound to the key */
                         SIGN_HMAC_SHA256,
                         SIGN_ED25519,
                         SIGN_ECDSA_P256_SHA256,
                         SIGN_ECDSA_P384_SHA384,
                         SIGN_RSA_PSS_SHA512,
                         SIGN_RSA_V1_5_SHA256,
};
struct consumer_signing { /* a key that requests are signed with */
    struct span id;       /* its `keyid` */
    enum signing_algorithm algorithm;
    struct span key; /* the shared secret's bytes, or a PEM */
    struct where where;
};
struct consumer {
    struct value claims;    /* {sub: NAME}: what `claim` is worth for its keys and passwords */
    struct span name, plan; /* plan empty: none */
    const struct span *group;
    uint32_t group_count;
    struct value tags; /* a map, perhaps empty */
    const struct consumer_key *key;
    uint32_t key_count;
    struct span password; /* hashed: "$2b$..", "$argon2id$..", "$y$.."; empty: none */
    const struct span
        *subject; /* of client certificates: subject, or "dns:..", "uri:..", "email:.." */
    uint32_t subject_count;
    const struct consumer_signing *signing;
    uint32_t signing_count;
    struct where where;
};

/* What `claim` and `consumer` are worth. Lies in the exchange's arena or in a step. */
struct caller {
    const struct authenticator *by;
    struct value claims; /* a map: token, introspection, forward's answer; NULL: there is none */
    struct span name;    /* consumer.name; empty: none */
    struct span plan;
    const struct span *group;
    uint32_t group_count;
    struct value tags;
    int64_t not_after; /* seconds since 1970, of the credential; 0: unknown */
};

enum auth_result {
    AUTH_OK,      /* a->caller is filled */
    AUTH_MISSING, /* no credential of this kind came along */
    AUTH_REFUSED, /* a->fault, a->detail say why: a wrong one, or (a 503) it can't be judged */
    AUTH_OTHER,   /* one came along that seems to be meant for another authenticator (another
                   * issuer's token): the next is asked; if none takes it, a->fault is the answer */
    AUTH_BODY,    /* the body is needed (x->collect_max of it): body() follows */
    AUTH_WAIT,    /* an op of the step is pending; auth_resume follows */
    AUTH_ANSWER,  /* the exchange's back was replaced (a login's redirect, forward's own answer) */
};

/* One authenticator at work for one exchange. The kind may keep its own in `part`. */
struct auth {
    struct exchange *x;
    struct step *step; /* holds the ops */
    const struct authenticator *by;
    struct caller caller;
    enum fault fault;
    const char *detail; /* for the log alone */
    void *part;         /* in the exchange's arena */
    /* Called by auth_resume, set by the filter. */
    void (*resume)(struct auth *a, enum auth_result r);
};
static inline void auth_resume(struct auth *a, enum auth_result r) {
    a->resume(a, r);
}
static inline enum auth_result auth_refuse(struct auth *a, enum fault why, const char *detail) {
    a->fault = why;
    a->detail = detail;
    return AUTH_REFUSED;
}

struct auth_kind {
    const char *name;                 /* "jwt": its key in an authenticator */
    const struct schema_object *form; /* what it is written as */
    size_t size;                      /* of the struct that `form` fills: by->conf */
    bool keeps; /* its credential goes on to the service, unless the file says `forward: false` */
    /* Judges and completes; a sentence, or NULL. May be NULL. */
    const char *(*finish)(struct arena *a, void *conf);
    /* Judges what of a consumer is this kind's matter (its password); a sentence, or NULL. Asked
     * for every consumer of the file. May be NULL. */
    const char *(*consumer)(struct arena *a, const struct consumer *c);
    enum auth_result (*check)(struct auth *a);
    /* Nobody has shown anything, and the route asks for somebody: where a browser can be sent to
     * log in, AUTH_ANSWER (or AUTH_WAIT); AUTH_MISSING: not this client. May be NULL. */
    enum auth_result (*login)(struct auth *a);
    /* After AUTH_BODY: x->up_half.sink holds the whole body. */
    enum auth_result (*body)(struct auth *a);
    /* Its challenge for WWW-Authenticate (RFC 9110 11.6.1) after `fault`;
     * FAULT_MISSING_CREDENTIALS: without an error. NULL or nothing written: it has none. */
    void (*challenge)(const struct authenticator *by, enum fault fault, struct str *out);
    /* The query parameter that may hold its credential; {NULL, 0}: none. Logs hide its value. May
     * be NULL. */
    struct span (*parameter)(const void *conf);
    /* Takes its credential out of the request, for an exchange that goes on (forward: false). May
     * be NULL: there is none that could be taken out. */
    void (*conceal)(const struct authenticator *by, struct exchange *x);
    /* On the answer's way back, for an exchange that this authenticator let pass (a session cookie
     * renewed). May be NULL. */
    void (*answered)(struct auth *a);
    /* Headers that it sets for services (lower case): stripped from clients everywhere. May be
     * NULL.
     */
    const struct span *(*sets)(const void *conf, uint32_t *count);
    /* Once per snapshot, before it is published and when it is freed: takes and drops what lasts
     * (`lasting` below), starts background work. May be NULL. */
    void (*attach)(struct snapshot *s, struct authenticator *by);
    void (*detach)(struct snapshot *s, struct authenticator *by);
    void (*thread_finish)(struct thread *t); /* gives back what it keeps by thread; may be NULL */
};

struct authenticator {
    struct span name;
    const struct auth_kind *kind;
    void *conf;
    const struct answer_header
        *header; /* identity headers for the service: templates over the caller */
    uint32_t header_count;
    struct { /* consumer: {name, plan, groups}: from claims; NULL: not said */
        const struct template *name, *plan;
        const struct template *const *group; /* each a text, or a list of texts */
        uint32_t groups;
    } consumer;
    bool forward; /* the credential goes on to the service */
    void *stats;  /* statistics by name (observe/metrics); set before publishing */
    uint32_t row; /* of its statistics */
    void *lasting;
    const struct setting *settings; /* for explain */
    uint32_t setting_count;
    struct where where;
};

/* By name in the snapshot; NULL. */
const struct authenticator *authenticator_of(const struct snapshot *s, struct span name);

/* By key's SHA-256, name, certificate subject, keyid: O(1), and beyond the hash table's slot in a
 * time that does not depend on what was asked. */
const struct consumer *consumer_by_key(const struct snapshot *s, const unsigned char hash[32],
                                       const struct consumer_key **key);
const struct consumer *consumer_by_name(const struct snapshot *s, struct span name);
const struct consumer *consumer_by_subject(const struct snapshot *s, struct span subject);
const struct consumer *consumer_by_signing(const struct snapshot *s, struct span id,
                                           const struct consumer_signing **key);
/* Name, plan, groups, tags; claims where there are none yet. */
void caller_of_consumer(struct caller *out, const struct consumer *c);

/* Over the snapshot's consumers, into its arena: once, by the loader. What stands twice is told:
 * `what` is "name", "key", "certificate" or "signature key". */
typedef void (*consumer_twice)(void *ctx, const char *what, struct where first,
                               struct where second);
void consumers_index(struct snapshot *s, consumer_twice twice, void *ctx);
