/*
 * resume - sessions with services that can be resumed: the newest for each name and trust.
 *
 * A few hundred per thread; the one that was not needed for longest gives way. Owner: the thread.
 * Thread: its own.
 */
#pragma once
#include "base/str.h"
#include <openssl/ssl.h>

enum { RESUME_MAX = 256 };

struct resume_key {
    uint64_t trust; /* whom the session was verified by (trust.h) */
    size_t n;
    char name[];
};
struct resume_key *resume_key_create(uint64_t trust, struct span name); /* NULL: no memory */
void resume_key_free(struct resume_key *k);

SSL_SESSION *resume_get(const struct resume_key *k);         /* lent; NULL: none */
void resume_put(const struct resume_key *k, SSL_SESSION *s); /* takes a reference over */
void resume_finish(void);
