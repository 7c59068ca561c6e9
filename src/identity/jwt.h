/*
 * jwt - authenticators of the kind jwt: a signed token (RFC 7519) in one place of the request.
 *
 * A token is taken apart, its key is looked up in the sets of this authenticator, its signature and
 * then its claims are judged; what it says becomes `claim`. Verified tokens are remembered by each
 * thread (tokens.h), so one that comes again costs a look-up: a change of the configuration forgets
 * them all, a key that left its set forgets those that it signed. Where keys are missing they are
 * asked for and the request waits; where they cannot be had it is 503, for nobody knows whether the
 * token is good.
 *
 * A token of an issuer that is not among ours may be meant for another authenticator of the route
 * (AUTH_OTHER), as may one that is no JWT at all. Owner: conf belongs to the snapshot, jwt_live to
 * its authenticator. Thread: checks run in the exchange's.
 */
#pragma once
#include "core/authenticator.h"
#include "core/outbound.h"
#include "identity/claims.h"
#include "identity/bearer.h"
#include "identity/jwks.h"

enum { JWT_SIZE_MAX = 16 * 1024, JWT_ISSUERS_MAX = 16 };

struct jwt_conf {
    /* as written */
    const struct outbound *const *issuer; /* each its discovery document, where keys come by it */
    uint32_t issuer_count, audience_count, algorithm_count, require_count;
    const struct span *audience, *require;
    const struct outbound *jwks; /* a URL, a service's path or a file */
    struct span key;             /* a secret, PEM, JWK or JWKS */
    const int *algorithm;        /* enum jwa */
    uint64_t leeway_ms, max_age_ms;
    bool require_exp;
    struct span type; /* `typ` that the header must have; empty: any */
    struct bearer_conf token;

    /* what finish() makes of it */
    uint32_t accepted; /* bit per enum jwa */
    struct claims_rules rules;
    struct span text; /* keys that are there already: of `key`, or of the file; p NULL: fetched */
};

extern const struct schema_object jwt_form;
const char *jwt_finish(struct arena *a, void *conf);

extern const struct auth_kind jwt_kind;
