/*
 * keys_in - the inside of keys: what lasts of a source, and what each thread knows of it.
 *
 * A store is counted: by its anchor in the registry of what lasts, by the control thread while it
 * keeps it fresh, by messages. It is named to threads by slot and serial, never by pointer. Owner:
 * as said. Thread: as said; the lock is held for short straight work.
 */
#pragma once
#include "core/thread.h"
#include "identity/keys.h"
#include <pthread.h>

struct key_use { /* a snapshot's outbound */
    struct list node;
    const struct snapshot *snapshot;
    const struct outbound *to;
};

struct key_store {
    atomic_uint refs;
    uint64_t serial;
    uint32_t slot;
    uint32_t accepted;
    bool issuer;
    struct span source; /* for people */

    pthread_mutex_t lock; /* of what follows, up to the next comment */
    struct list uses;     /* newest first */
    bool closed;          /* no snapshot names it any more */
    struct key_set *set;
    uint64_t good_until; /* ns: the set is too old from then on */
    uint64_t not_before; /* ns: no request makes a fetch before that */
    uint64_t fetched_at;
    uint64_t fetches, failures;
    bool failing;

    /* The control thread's alone. */
    struct list node; /* followed */
    struct thread *control;
    struct list ops;
    struct call *call;
    struct timer timer;
    struct span document;      /* the discovery document, as it came */
    struct span etag, etag_of; /* the validator, and the URL that it is of */
    struct outbound *own;      /* of a jwks_uri; NULL: not known */
    uint64_t discovered_at;    /* ns; 0: the document is asked for anew */
    bool changed;    /* the configuration: a jwks_uri may lead elsewhere under its rules */
    unsigned failed; /* in a row */
};

struct key_source { /* what a snapshot holds */
    struct key_set *fixed;
    void *anchor;
    struct key_store *store;
    struct key_use use;
};

void key_store_ref(struct key_store *k);
void key_store_unref(struct key_store *k);
/* keys_store.c: its anchor, with a reference. */
void *key_store_get(const struct outbound *to, bool issuer, uint32_t accepted);
struct key_store *key_store_of(void *anchor);

/* keys_fetch.c: in any thread; the control thread looks at it. `asked`: a request wants newer keys;
 * its thread is told in any case. */
void key_store_look(struct key_store *k, bool asked, unsigned thread);
void keys_control_finish(struct thread *t);

/* keys.c: tells every thread, or one (to != NULL), what there is now. */
void key_store_publish(struct key_store *k, struct thread *to, bool newer);
