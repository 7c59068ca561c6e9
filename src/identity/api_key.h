/*
 * api_key - authenticators of the kind api_key: a key of a consumer, in one place of the request.
 *
 * The file holds SHA-256s of keys; what a client sends is hashed and looked up by that, so neither
 * time nor answer tells how near a guess came (F21). Keys are random and long, so no salt and no
 * slow hash is needed. The query parameter's value is hidden in logs. Thread: any.
 */
#pragma once
#include "core/authenticator.h"
#include "identity/credential.h"

struct api_key_conf {
    const int *in; /* enum credential_in: the places where it may stand, in one of them */
    uint32_t in_count;
    struct span name;   /* as written: of a parameter or cookie */
    struct span header; /* lower-case */
};

extern const struct auth_kind api_key_kind;
