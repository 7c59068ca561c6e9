/*
 * keys - where a jwt authenticator's keys come from, and how they stay fresh.
 *
 * A source is a file or an inline key (read with the configuration, always there), a JWKS URL, or
 * an OIDC issuer whose discovery document names one. The control thread fetches: at once when the
 * first configuration needs it, then before the set grows old (max-age of the answer, clamped; 10
 * minutes else), and once for an unknown kid, at most every 10 s per source. One fetch at a time
 * per gateway. A failed fetch keeps the last good set up to 24 h and is tried again with growing
 * pauses. New sets are published to every thread. THREATS.md F15, F16. Owner: lasting by URL.
 * Thread: as said.
 */
#pragma once
#include "core/call.h"
#include "identity/jwks.h"

struct key_source;

/* With a snapshot that is not yet published (auth_kind.attach): the source for this outbound; the
 * caller drops it with key_source_drop (detach). `issuer`: `to` is its discovery document. The
 * outbound must live as long as the snapshot; the newest snapshot's is used. */
struct key_source *key_source_fetched(struct snapshot *s, const struct outbound *to, bool issuer,
                                      uint32_t accepted);
/* Keys that are there already; takes over one reference. */
struct key_source *key_source_fixed(struct key_set *set);
void key_source_drop(struct key_source *k);

/* This thread's current set; NULL: none was ever had, or the last one is too old. Valid until the
 * next turn; take a reference to keep it. */
struct key_set *keys_now(struct key_source *k, struct thread *t);

struct keys_wait {
    struct op op;
    struct list node;
    /* The kid that is asked for, good until keys_refresh returns; empty: none. One that a fetch did
     * not bring is not asked for again for 30 s (KEYS_UNKNOWN_S). */
    struct span kid;
    bool newer;    /* its own: what ready() will be told */
    uint64_t hash; /* its own: of the kid */
    /* A newer set came, or (false) the fetch failed or brought nothing new. */
    void (*ready)(struct keys_wait *w, bool newer);
};
/* Asks for a newer set than the current one (NULL set, unknown kid). False: not now (cool-down, its
 * last failure is recent): judge by what is there. Else w waits in `ops` (a step's). */
must_use bool keys_refresh(struct key_source *k, struct thread *t, struct list *ops,
                           struct keys_wait *w);
/* The last fetch failed: what the set does not hold may be there all the same (503, not 401). */
bool keys_failing(struct key_source *k, struct thread *t);
void keys_thread_finish(struct thread *t);

enum {
    KEYS_FETCH_S = 5,          /* a document may take */
    KEYS_REFRESH_S = 600,      /* a set is fetched anew, unless its max-age says another time */
    KEYS_REFRESH_MIN_S = 60,   /* .. between this */
    KEYS_REFRESH_MAX_S = 3600, /* .. and that */
    KEYS_APART_S = 10,         /* fetches that requests ask for, and those after a failure */
    KEYS_STALE_S = 24 * 3600,  /* a set is used while no other can be had */
    KEYS_UNKNOWN_S = 30,
    KEYS_RETRY_MAX_S = 60,
    KEYS_WAKES = 64, /* waiters in one turn */
};

/* Every fetched source, for status and metrics. Spans are good during the call. */
struct keys_state {
    struct span source; /* URL without its query, or "service NAME /path" */
    uint64_t fetches, failures;
    uint32_t keys, refused;
    bool had;       /* a set was ever had */
    uint64_t age_s; /* of the set */
    bool failing;
};
void keys_walk(void (*fn)(void *ctx, const struct keys_state *), void *ctx);
