/*
 * h1_hop - what Connection says: close, keep-alive, upgrade, and which fields end at this hop.
 * Owner: the caller's stack. Thread: any.
 */
#pragma once
#include "http/head.h"

enum { HOP_TOKENS_MAX = 32 };

struct hop {
    bool close, keep_alive, upgrade;
    unsigned tokens, others;
    uint64_t named[2];                 /* known names, a bit per id */
    struct span other[HOP_TOKENS_MAX]; /* unknown ones, in the sender's spelling */
};

/* One Connection field. FAULT_BAD_CONNECTION_TOKEN: more than 32 tokens in all, something that is
 * no token, or a name that is never hop-by-hop (RFC 9110 7.6.1 leaves that to the sender; it is an
 * attack). */
must_use enum fault hop_read(struct hop *hop, struct span value);
/* Drops what was named. */
void hop_apply(const struct hop *hop, struct head *h);
