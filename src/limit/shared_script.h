/*
 * shared_script - what gateways ask the store about a rate limit, and how it answers.
 *
 * One Lua script judges all windows of a limit in one step, by the store's own clock: all of them
 * count, or none. A window is a text under a key of its own that is gone when nothing is left to
 * remember. Numbers in Lua are doubles, exact below 2^53, so a GCRA window counts its debt in ticks
 * of which a token and a microsecond are both whole numbers: "DEBT AT TICKS", the last being those
 * of a microsecond, so that debts stay what they are when a rate changes. The others are counts of
 * windows since the epoch: "WINDOW NOW BEFORE". Owner: the snapshot's arena. Thread: any.
 */
#pragma once
#include "core/limits.h"
#include "limit/limiter.h"
#include "limit/shared_key.h"
#include "shared/redis.h"

struct arena;

struct shared_window {
    char kind;           /* 'g' GCRA, 's' sliding, 'f' fixed */
    uint64_t x, y, z;    /* GCRA: ticks of a token, of a microsecond; burst. Else count, us of it */
    struct span word[4]; /* the four as texts, and the tail of its key: made once */
    struct span tail;
};

struct shared_windows {
    struct shared_window window[LIMIT_RATES_MAX];
    unsigned count;
};
void shared_windows_make(struct arena *a, struct shared_windows *w,
                         const struct rate_limit_conf *c);

struct shared_question {
    int64_t cost; /* 0: only look */
    uint64_t max_wait_us;
    uint64_t extra;             /* take so many more, or what there is of them (leases) */
    uint64_t owed, owed_age_us; /* was let pass while the store was away, so long ago */
    bool force;                 /* count it, whatever it comes to: corrections, refunds */
};
enum { SHARED_NUMBER_MAX = 24, SHARED_NUMBERS = 5 };
struct shared_words { /* what an ask points to until redis_ask has copied it */
    char number[SHARED_NUMBERS][SHARED_NUMBER_MAX];
    char key[LIMIT_RATES_MAX][SHARED_KEY_MAX];
};
/* Script, keys and arguments; `key` is the common part of the keys. */
void shared_question_fill(struct redis_ask *a, struct shared_words *w,
                          const struct shared_windows *windows, struct span key,
                          const struct shared_question *q);

struct shared_verdict {
    enum limit_verdict verdict;
    unsigned window;
    uint64_t left, wait_us, reset_us, taken;
};
/* False: that is no answer to this question. */
must_use bool shared_verdict_read(const struct redis_reply *r, unsigned windows,
                                  struct shared_verdict *v);
