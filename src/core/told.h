/*
 * told - what the limits of one exchange said: for the fields RateLimit and RateLimit-Policy of its
 * answer (draft-ietf-httpapi-ratelimit-headers) and for the access log.
 *
 *     RateLimit-Policy: "per-user";q=100;w=60, "default";q=20;w=1
 *     RateLimit: "per-user";r=93;t=5, "default";r=19;t=1
 *
 * Every policy that counts adds what it was told, in the order of the chain. The first of them
 * writes the fields for all when the answer comes back past it; who refuses writes them into
 * x->own. They replace what a service says of limits of its own. A limit without a name is called
 * "default" (the second one "default-2"): where it is written is nothing for clients. Owner: the
 * steps of the exchange. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

enum told_verdict { /* the later, the more there is to say of it */
                    TOLD_ALLOWED,
                    TOLD_DELAYED,
                    TOLD_OBSERVED, /* mode: observe let pass what it would have refused */
                    TOLD_REFUSED,
                    TOLD_UNAVAILABLE,
};

struct limit_window {
    struct span suffix;      /* "-1d": parts the windows of one limit; empty where it has one */
    uint64_t quota, seconds; /* so much in so long a time */
};
struct limit_told {
    struct limit_told *next;
    struct span id;   /* what counts together: for the log */
    struct span name; /* empty: it has none */
    const struct limit_window *window;
    uint32_t windows;
    uint32_t at;        /* the window that has least left, or refused */
    struct span policy; /* its part of RateLimit-Policy, where it is called as it says or stands
                         * first; may be empty: made when it is needed */
    uint64_t remaining, reset_s;
    enum told_verdict verdict;
    bool hidden; /* not among the fields: headers: false, mode: observe */
};

/* Its part of RateLimit-Policy, where it is told first (or has a name). */
struct span limit_told_policy(struct arena *a, struct span name, const struct limit_window *w,
                              uint32_t windows);
void limit_told_add(struct exchange *x, struct limit_told *t);
/* On the answer's way back, of every one that has added itself: writes the fields into x->resp once
 * it is the first one's turn. */
void limit_told_answer(struct exchange *x, const struct limit_told *t);
/* The same for the gateway's own answer to a fault that is about to be made. */
void limit_told_refusal(struct exchange *x);
/* What may be a limit's `name` (or none): it stands in header fields, logs, messages, and before a
 * "|" in the names of what lasts. */
enum { LIMIT_NAME_MAX = 64 };
bool limit_name_fits(struct span name);
/* A limit of any kind, or a busy service, refused it: those that let it pass give its cost back. */
bool limit_told_gives_back(const struct exchange *x);
/* The one to look at: who refused, else who has least left of what it gives; NULL: none was asked.
 */
const struct limit_told *limit_told_tightest(const struct exchange *x);
const char *told_verdict_name(enum told_verdict v);
