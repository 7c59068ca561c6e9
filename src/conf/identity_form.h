/*
 * identity_form - what the tables of authenticators and consumers fill, before build_identity.c
 * makes the snapshot's structs of it. Owner: the loader. Thread: one at a time.
 */
#pragma once
#include "core/authenticator.h"
#include "core/facts.h"

/* What identity headers and `consumer` may use. */
enum { SCOPE_IDENTITY = SCOPE_REQUEST | SCOPE_CALLER };

struct key_form {
    struct span key, not_after;
};
struct tag_form { /* tags are a map for expressions: read from the tree */
    struct span name, value;
};
struct signing_form {
    struct span id, key;
    int algorithm; /* enum signing_algorithm */
};
struct consumer_form {
    struct span plan, password;
    const struct span *group;
    uint32_t group_count;
    const struct key_form *key;
    uint32_t key_count;
    const struct span *subject;
    uint32_t subject_count;
    const struct signing_form *signing;
    uint32_t signing_count;
};
