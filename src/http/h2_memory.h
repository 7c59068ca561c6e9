/*
 * h2_memory - nghttp2's memory, from env: what a peer drives, so it may be refused
 * (NGHTTP2_ERR_NOMEM).
 *
 * Every frame, stream and table entry is an allocation; small ones that are given back are kept for
 * the next, a bounded number of each size. Owner: a thread, for all of its sessions. Thread: its
 * own.
 */
#pragma once
#include <nghttp2/nghttp2.h>
#include <stdbool.h>

enum { H2_MEMORY_STEP = 64, H2_MEMORY_SIZES = 8, H2_MEMORY_KEPT = 512 };

struct h2_memory {
    bool keeps;                  /* false (tests): every piece goes back at once */
    void *kept[H2_MEMORY_SIZES]; /* linked through their first word */
    unsigned count[H2_MEMORY_SIZES];
    nghttp2_mem calls;
};

void h2_memory_init(struct h2_memory *m, bool keeps);
void h2_memory_finish(struct h2_memory *m); /* no session is left */
/* nghttp2 copies it; its parameter is not const. */
static inline nghttp2_mem *h2_memory(struct h2_memory *m) {
    return &m->calls;
}
