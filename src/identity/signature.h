/*
 * signature - authenticators of the kind signature: requests signed by consumers (RFC 9421).
 *
 * A key (`signature_keys` of a consumer) is bound to one algorithm; what the request says of it is
 * only compared. What must be covered, how old a signature may be and whether it needs a nonce is
 * configured. Where a body came, Content-Digest must be covered, and the body is collected (up to
 * max_body) and compared before anything goes on. Owner: prepared keys belong to the snapshot.
 * Thread: any.
 */
#pragma once
#include "core/authenticator.h"

struct signature_conf {
    const struct span *component; /* must be covered */
    uint32_t component_count;
    uint64_t max_age_ms, skew_ms, max_body;
    bool nonce; /* required */
    bool body;  /* a body must be covered */
};

extern const struct auth_kind signature_kind;
