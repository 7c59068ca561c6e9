/*
 * authorize - may he do this? Asked once it is known who calls.
 *
 * `allow` is a condition (CEL) over claim, consumer, request, client and all else that is known
 * before the service is asked; `scopes`, `roles` and `groups` are short for what is asked most. All
 * that is given must hold, and each level of the configuration asks its own: a child cannot loosen
 * its group's. `methods` asks more of some methods. It fails closed: a condition that fails, or is
 * no bool, refuses. Who is not known at all (optional authentication) gets 401, who lacks a scope
 * 403 insufficient_scope with RFC 6750's challenge, everybody else 403 forbidden. A condition over
 * request.body waits for the body, up to COLLECT_MAX. Conf: struct authorize_conf. Thread: that of
 * the exchange.
 */
#pragma once
#include "core/authenticator.h"
#include "core/schema.h"

struct authorize_rule {
    const struct expr *allow;
    const struct span *scope; /* every one is needed */
    const struct span *role;  /* likewise; "a|b": one of these */
    const struct span *group;
    uint32_t scopes, roles, groups;
};
struct authorize_method {
    struct span name; /* "POST"; "*": every method that is not named */
    struct authorize_rule rule;
};
struct authorize_conf {
    struct authorize_rule rule;
    const struct authorize_method *method;
    uint32_t methods;
    const struct span *roles_claim; /* where roles stand: "realm_access.roles" */
    uint32_t roles_claims;
    bool reads_body, known; /* known: authenticate stands on the route */
};

/* Whether the texts of `v` (one, parted by blanks, or a list) hold `word` or one of its
 * alternatives. */
bool authorize_has(const struct value *v, struct span word, bool alternatives);
/* The member at "a.b.c" of claims; a name may itself hold dots. NULL: not there. */
const struct value *authorize_claim(const struct value *claims, struct span path);

extern const struct policy authorize_policy;
