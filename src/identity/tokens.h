/*
 * tokens - the verified tokens that a thread remembers, so that one that comes again costs a
 * look-up.
 *
 * Bounded by count and bytes; who has not been asked for since the hand last passed goes first.
 * Found by a keyed hash of the token's tail (its signature) and then compared whole, in a time that
 * does not tell where it differs. A token is remembered for one authenticator of one snapshot and
 * one key: whoever finds it asks whether that key still stands. Only what was verified is kept, so
 * what does not verify never takes a place. Owner: the thread; a token is counted, and an exchange
 * that uses its claims holds it. Thread: its own, no locks.
 */
#pragma once
#include "data/value.h"
#include "identity/claims.h"
#include "base/list.h"

enum { TOKENS_MAX = 8192, TOKENS_BYTES_MAX = 16 * 1024 * 1024 };

struct token {
    struct arena arena; /* its own memory too */
    uint32_t refs;
    bool asked;                       /* since the hand last passed */
    struct token *next;               /* of its bucket */
    struct list node;                 /* of the ring; unlinked: not remembered */
    uint64_t hash, owner, generation; /* generation: of the key set that its key was last seen in */
    struct span text;
    unsigned source;       /* the owner's: which of its key sources */
    unsigned char key[16]; /* print of the key that verified it */
    struct claims_time time;
    int64_t expires; /* seconds since 1970; 0: never */
    struct value claims;
};

struct tokens;
must_use struct tokens *tokens_create(struct arena_cache *cache);
void tokens_destroy(struct tokens *t); /* NULL is fine; tokens that are held live on */

/* With one reference, not yet remembered; its text is a copy. NULL: no memory. */
must_use struct token *token_create(struct tokens *t, struct span text);
void token_unref(struct token *k);
static inline void token_ref(struct token *k) {
    k->refs++;
}

/* Lends. NULL: not remembered. */
struct token *tokens_get(struct tokens *t, uint64_t owner, struct span text);
void tokens_put(struct tokens *t, struct token *k); /* shares */
void tokens_drop(struct tokens *t, struct token *k);

uint32_t tokens_count(const struct tokens *t);
size_t tokens_bytes(const struct tokens *t);
