/*
 * h2_guard - what a peer may do that is legal and useless: how much of it a connection bears.
 *
 * Every frame that comes is shown to it. Control frames and empty ones cost a token of the glitch
 * budget (SETTINGS more), which time refills and which DATA that we send refills, too: who reads it
 * answers with WINDOW_UPDATE. More than ten empty DATA frames in a row are too much at once, and so
 * are far more bytes than those of messages (padding, frames of no known type, which nghttp2 shows
 * to nobody). RST_STREAM has a budget of its own. Owner: the connection. Thread: that of the
 * connection.
 */
#pragma once
#include "base/str.h"
#include <nghttp2/nghttp2.h>

enum { H2_EMPTY_FRAMES_MAX = 10, H2_SETTINGS_COST = 16, H2_SENT_EARNS = 20 };

struct h2_bucket {
    uint32_t tokens, burst, rate; /* burst 0: no limit; rate: per second */
    uint64_t at;                  /* ns: filled until then */
};
void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t rate, uint64_t now);
/* False: there are not so many. */
must_use bool h2_bucket_spend(struct h2_bucket *b, uint32_t n, uint64_t now);
void h2_bucket_earn(struct h2_bucket *b, uint32_t n);
/* Three quarters are spent: time to go, before it comes to an error. */
bool h2_bucket_low(struct h2_bucket *b, uint64_t now);

struct h2_guard {
    struct h2_bucket glitches, resets;
    uint32_t empties;      /* empty DATA frames in a row */
    uint64_t all, payload; /* bytes: that came; of bodies and heads */
};

/* A frame begins. `live`: it is of a stream that is under way. NULL: fine; else why the connection
 * ends with ENHANCE_YOUR_CALM. */
const char *h2_guard_frame(struct h2_guard *g, const nghttp2_frame_hd *hd, bool live, uint64_t now);
/* Bytes have come and were parsed. The same. */
const char *h2_guard_bytes(struct h2_guard *g, size_t n);
/* Of them, bytes of a body, without padding. */
static inline void h2_guard_payload(struct h2_guard *g, size_t n) {
    g->payload += n;
}
/* We have sent DATA or HEADERS. */
static inline void h2_guard_sent(struct h2_guard *g) {
    h2_bucket_earn(&g->glitches, H2_SENT_EARNS);
}
