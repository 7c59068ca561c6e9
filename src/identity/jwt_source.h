/*
 * jwt_source - where the keys of one jwt authenticator come from while its snapshot lives.
 *
 * Keys that stand in the file or beside it are one fixed set; those of a URL are one source, those
 * of discovered issuers one source each. Owner: the authenticator (`lasting`). Thread: made and
 * dropped by one, then read by all.
 */
#pragma once
#include "identity/jwt.h"
#include "identity/keys.h"

struct source {
    struct key_set *fixed;      /* keys that are there already; else: */
    struct key_source *fetched; /* by a URL or an issuer's discovery */
};
struct jwt_live {
    uint64_t number; /* no two of a process share one: remembered tokens are of one */
    unsigned count;  /* of sources: one, or one for each issuer */
    struct source source[];
};

void jwt_attach(struct snapshot *s, struct authenticator *by);
void jwt_detach(struct snapshot *s, struct authenticator *by);

/* This thread's set; NULL: none can be had just now. */
struct key_set *source_fetched_set(struct source *s, struct thread *t);
static inline struct key_set *source_set(struct source *s, struct thread *t) {
    return likely(s->fixed != NULL) ? s->fixed : source_fetched_set(s, t);
}
/* A newer set is asked for: w waits in `ops`. False: judge by what is there. */
must_use bool source_refresh(struct source *s, struct thread *t, struct list *ops,
                             struct keys_wait *w, struct span kid);
/* What is not in the set may be there all the same: it could not be fetched. */
bool source_failing(struct source *s, struct thread *t);
