/*
 * bearer - a token's one place in a request: Authorization with the scheme Bearer, another header,
 * a query parameter or a cookie; and the challenge that asks for it (RFC 6750).
 *
 * A token in two places is refused: nobody guesses which is meant (F14). Owner: the configuration.
 * Thread: any.
 */
#pragma once
#include "core/authenticator.h"
#include "identity/credential.h"

struct bearer_conf {
    /* as written */
    int in;           /* enum credential_in */
    struct span name; /* empty: by `in` */
    uint64_t max_size;
    /* what bearer_finish makes of it */
    struct span place;
    bool authorization;
    enum fault too_long; /* by its owner; FAULT_NONE: FAULT_BAD_CREDENTIALS */
};

enum { BEARER_SIZE_MAX = 16 * 1024 };
extern const struct schema_type bearer_in, bearer_name, bearer_size;
/* The rows of a table whose struct holds a struct bearer_conf. */
#define BEARER_ROWS(type_, member_)                                                                \
    {.key = "in",                                                                                  \
     .type = &bearer_in,                                                                           \
     FIELD(type_, member_.in),                                                                     \
     .shipped = "header",                                                                          \
     .doc = "Where the token stands: header, query or cookie."},                                   \
        {.key = "name",                                                                            \
         .type = &bearer_name,                                                                     \
         FIELD(type_, member_.name),                                                               \
         .doc = "Which: Authorization (`Bearer`) for headers, access_token for queries, if not "   \
                "said."},                                                                          \
    {                                                                                              \
        .key = "max_size", .type = &bearer_size, FIELD(type_, member_.max_size),                   \
        .shipped = "8KiB", .doc = "A longer token is refused unread."                              \
    }

const char *bearer_finish(struct arena *a, struct bearer_conf *c);
/* AUTH_OK: *out. Else AUTH_MISSING or AUTH_REFUSED. */
enum auth_result bearer_find(struct auth *a, const struct bearer_conf *c, struct span *out);
/* The query parameter that a token may come in, wherever it belongs. */
struct span bearer_parameter(const struct bearer_conf *c);
void bearer_conceal(const struct bearer_conf *c, struct exchange *x);
/* RFC 6750 3 and 3.1. `scopes`: those that are needed; empty: not said. */
void bearer_challenge(const struct authenticator *by, enum fault fault, struct span scopes,
                      struct str *out);
