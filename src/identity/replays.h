/*
 * replays - nonces that were used: one memory for the process, bounded.
 *
 * A nonce is kept until its signature has grown too old to be accepted anyhow, so none is forgotten
 * too early; when there is no room (more than some hundred signed requests a second with nonces),
 * the request is refused with 503 rather than let pass. Thread: any (a lock, for a hundred
 * nanoseconds; only verified signatures come here).
 */
#pragma once
#include "base/str.h"

enum { REPLAYS_MAX = 1 << 18 };

enum replay { REPLAY_NEW, REPLAY_SEEN, REPLAY_NO_ROOM };

/* `until`, `now`: seconds since 1970. */
enum replay replays_take(struct span keyid, struct span nonce, int64_t now, int64_t until);
void replays_finish(void); /* forgets all, gives the memory back */
