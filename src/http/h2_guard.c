#include "http/h2_guard.h"

enum { OVERHEAD_FREE = 1 << 20, OVERHEAD_TIMES = 8 };

void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t rate, uint64_t now) {
    *b = (struct h2_bucket){.tokens = burst, .burst = burst, .rate = rate, .at = now};
}

void h2_bucket_earn(struct h2_bucket *b, uint32_t n) {
    b->tokens = n < b->burst - b->tokens ? b->tokens + n : b->burst;
}

/* Parts of a token stay in `at`. */
static void refill(struct h2_bucket *b, uint64_t now) {
    if (!b->rate || now <= b->at)
        return;
    uint64_t passed = now - b->at, each = 1000000000u / b->rate, n = passed / (each ? each : 1);
    if (n >= b->burst) {
        b->tokens = b->burst;
        b->at = now;
        return;
    }
    h2_bucket_earn(b, (uint32_t)n);
    b->at += n * each;
}

bool h2_bucket_spend(struct h2_bucket *b, uint32_t n, uint64_t now) {
    if (!b->burst)
        return true;
    if (n > b->burst) /* one is always borne */
        n = b->burst;
    if (b->tokens < n)
        refill(b, now);
    if (b->tokens < n)
        return false;
    b->tokens -= n;
    return true;
}

bool h2_bucket_low(struct h2_bucket *b, uint64_t now) {
    if (b->tokens < b->burst / 4)
        refill(b, now);
    return b->tokens < b->burst / 4;
}

static uint32_t cost(const nghttp2_frame_hd *hd, bool live) {
    switch (hd->type) {
    case NGHTTP2_DATA:
        return !live || (!hd->length && !(hd->flags & NGHTTP2_FLAG_END_STREAM));
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
        return !live;
    case NGHTTP2_SETTINGS:
        return hd->flags & NGHTTP2_FLAG_ACK ? 1 : H2_SETTINGS_COST;
    default:
        return 1;
    }
}

static bool too_many_empties(struct h2_guard *g, const nghttp2_frame_hd *hd) {
    bool empty = hd->type == NGHTTP2_DATA && !hd->length && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
    g->empties = empty ? g->empties + 1 : 0;
    return g->empties > H2_EMPTY_FRAMES_MAX;
}

const char *h2_guard_bytes(struct h2_guard *g, size_t n) {
    g->all += n;
    return g->all / OVERHEAD_TIMES > g->payload + OVERHEAD_FREE
               ? "frames with hardly anything in them"
               : NULL;
}

const char *h2_guard_frame(struct h2_guard *g, const nghttp2_frame_hd *hd, bool live,
                           uint64_t now) {
    if (too_many_empties(g, hd))
        return "too many empty frames";
    if (live && hd->type == NGHTTP2_HEADERS)
        g->payload += hd->length;
    uint32_t n = cost(hd, live);
    return n && !h2_bucket_spend(&g->glitches, n, now) ? "too many control frames" : NULL;
}
