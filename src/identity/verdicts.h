/*
 * verdicts - whether user and password fit a slow hash: remembered, or found out by a helper.
 *
 * A thread remembers some hundred verdicts by a keyed SHA-256 of user, password and stored hash
 * (so a changed password is a new question): right ones for five minutes, wrong ones for ten
 * seconds. The same question is asked once, however many wait for it; at most BASIC_PENDING_MAX
 * different ones are under way per thread. Owner: the thread. Thread: one.
 */
#pragma once
#include "core/op.h"
#include "core/thread.h"

enum verdict_word { VERDICT_UNKNOWN, VERDICT_RIGHT, VERDICT_WRONG, VERDICT_BUSY };

struct verdict_ask {
    struct span user, password, hash;
    bool known; /* false: the user is not known, the hash is somebody's; it never fits */
};

struct verdict_wait { /* zeroed but for `ready` */
    struct op op;
    struct list node;
    void (*ready)(struct verdict_wait *w, enum verdict_word v);
};

/* VERDICT_UNKNOWN: ask. */
enum verdict_word verdicts_now(struct thread *t, const struct verdict_ask *ask);
/* ready() follows, with RIGHT or WRONG. False: too many are asked already. */
must_use bool verdicts_ask(struct thread *t, struct list *ops, const struct verdict_ask *ask,
                           struct verdict_wait *w);
void verdicts_thread_finish(struct thread *t);
