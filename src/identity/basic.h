/*
 * basic - authenticators of the kind basic: user name and password (RFC 7617).
 *
 * Users are the consumers with a password, and the lines of a htpasswd file. Hashes of passwords
 * are slow by intention: a helper thread verifies, the exchange waits, and what came of it is
 * remembered for some minutes by a keyed hash of the credentials, so a client pays once. An unknown
 * user costs as much as a wrong password. How many may wait is bounded; beyond that it is 503
 * (F22). Owner: what is remembered belongs to the thread. Thread: the exchange's, and helpers.
 */
#pragma once
#include "core/authenticator.h"

struct basic_user {
    struct span name, hash;
};
struct basic_conf {
    struct span realm, file;
    const struct basic_user *user; /* of the file; by place in a table of `mask` + 1 slots */
    size_t mask;
};

enum { BASIC_PENDING_MAX = 32 };

extern const struct auth_kind basic_kind;
