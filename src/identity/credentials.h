/*
 * credentials - how what a service is shown (core/credentials.h) is got.
 *
 * Tokens are remembered by each thread, up to a bound, and fetched by it: one fetch at a time for
 * each token, whose askers wait together. A token is renewed before it expires while the old one is
 * still used. A failed fetch is not repeated for a second (growing to ten); meanwhile requests get
 * 503 service_credentials_unavailable, unless a token is still good. What the issuer refuses to
 * exchange is the caller's matter: 403. Tokens outlive a reload that does not change what they
 * depend on. Owner: each thread its own. Thread: that of the exchange.
 */
#pragma once
#include "core/credentials.h"
#include "core/thread.h"
#include "identity/sha256.h"

extern const struct credentials_ops credentials_ops;

/* ---- between credentials*.c ---- */

enum { CREDENTIALS_TOKENS_MAX = 1024, CREDENTIALS_TOKEN_BYTES = 8192 };

struct grant {
    struct list lru, bucket; /* lru: the oldest first */
    unsigned char key[SHA256_SIZE];
    struct span value;            /* of the field: "Bearer .."; own memory; empty: none yet */
    uint64_t until, renew, pause; /* ns of the loop: good until; fetched anew from; not before */
    enum fault fault;             /* of the last fetch */
    const char *detail;
    unsigned fails;
    struct list waiters; /* struct credentials_need, by node */
    struct call *call;   /* under way */
    struct thread *thread;
    bool refusable; /* the issuer may refuse this very one: token exchange */
};

struct grants;
struct grants *grants_of(struct thread *t);    /* this thread's, made at first use */
struct list *grants_calls(struct grants *all); /* the ops of fetches */
/* Finds or makes; it is now the newest. NULL: all that are remembered are being fetched. */
struct grant *grant_get(struct grants *all, const unsigned char key[SHA256_SIZE]);
/* Takes a copy of `value`; `life` ms from now. */
void grant_keep(struct grant *k, struct span value, uint64_t life_ms);
void grants_thread_finish(struct thread *t);

/* Asks the token endpoint; the need waits, or (there is a token meanwhile) nobody does. */
enum credentials_result grant_fetch(struct credentials_need *n, struct grant *k,
                                    const struct credentials_token *c, struct span subject);
/* What a token is worth to this need now. */
enum credentials_result grant_use(struct credentials_need *n, const struct grant *k);

/* The gateway's own JWT. */
enum credentials_result grant_signed(struct credentials_need *n);
const char *grant_signer_judge(const struct credentials_jwt *c);
void signers_thread_finish(struct thread *t);
