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
    /* A newer set came, or (false) the fetch failed or brought nothing new. */
    void (*ready)(struct keys_wait *w, bool newer);
};
/* Asks for a newer set than the current one (NULL set, unknown kid). False: not now (cool-down, its
 * last failure is recent): judge by what is there. Else w waits in `ops` (a step's). */
must_use bool keys_refresh(struct key_source *k, struct thread *t, struct list *ops,
                           struct keys_wait *w);
void keys_thread_finish(struct thread *t);
