/*
 * decisions - what somebody else said of a credential: asked once however many wait for it, and
 * remembered for a while (introspection, forward auth).
 *
 * Found by a keyed SHA-256 of authenticator and credential, so the credential itself is not kept.
 * Bounded by count and bytes; the one that was used longest ago goes first. One call is under way
 * for each key and thread; who asks meanwhile waits for it, and when the last one has gone it is
 * cancelled. A decision without a key is nobody's but its asker's. Owner: counted; the table and
 * who waits or uses it. Thread: one.
 */
#pragma once
#include "core/authenticator.h"
#include "core/call.h"

enum {
    DECISIONS_MAX = 4096,
    DECISIONS_BYTES_MAX = 8 * 1024 * 1024,
    DECISIONS_PENDING_MAX = 1024,
    DECISION_KEY = 32,
    DECISION_WAKES = 64, /* waiters in one turn */
};

struct decision {
    struct arena arena; /* its own memory too */
    uint32_t refs;
    bool kept;    /* in the table */
    bool pending; /* its call is under way */
    bool keyed;
    unsigned char key[DECISION_KEY];
    uint64_t until;        /* ns on the loop's clock */
    struct list node;      /* of the table, used last first */
    struct decision *next; /* of its bucket */
    struct thread *thread;
    struct list ops; /* of its call */
    struct list waiting, due;
    struct reader more;

    /* What was said: filled by its owner before decision_made. */
    enum auth_result result;
    enum fault fault;
    const char *detail; /* static, or in the arena */
    struct value claims;
    int64_t not_after;
    void *part; /* the kind's own, in the arena */
};

struct decision_wait { /* zeroed but for ready */
    struct op op;
    struct list node;
    struct decision *decision;
    void (*ready)(struct decision_wait *w, struct decision *d);
};

/* `parts`: what stands for the credential. */
void decision_key(struct thread *t, uint64_t owner, const struct span *parts, unsigned count,
                  unsigned char out[DECISION_KEY]);
/* Lends: made, or pending. NULL: not known. */
struct decision *decision_find(struct thread *t, const unsigned char key[DECISION_KEY]);
/* Pending, to be found by others (key NULL: by nobody). The caller starts a call in d->ops and
 * waits. NULL: no memory, or too many are pending. */
must_use struct decision *decision_begin(struct thread *t, const unsigned char *key);
void decision_wait(struct decision *d, struct list *ops, struct decision_wait *w);
/* The step of an authenticator waits; `apply` says what the decision means for it. AUTH_WAIT. */
typedef enum auth_result (*decision_apply)(struct auth *a, struct decision *d);
enum auth_result decision_await(struct auth *a, struct decision *d, decision_apply apply);
/* Nobody waits, and the call could not be started. */
void decision_drop(struct decision *d);
/* The call has been answered: wakes who waits; remembered for so long (0: not at all). */
void decision_made(struct decision *d, uint64_t keep_ms);
/* The exchange uses what lies in the decision, to its end. */
void decision_hold(struct decision *d, struct exchange *x);
void decisions_thread_finish(struct thread *t);
uint32_t decisions_count(struct thread *t);
/* auth_kind.attach and detach: what is remembered is so for this configuration alone. */
void decisions_attach(struct snapshot *s, struct authenticator *by);
void decisions_detach(struct snapshot *s, struct authenticator *by);
static inline uint64_t decisions_number(const struct authenticator *by) { /* for decision_key */
    return *(const uint64_t *)by->lasting;
}
