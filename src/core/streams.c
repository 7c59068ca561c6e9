#include "core/streams.h"
#include "core/thread.h"

static const uint64_t never = UINT64_MAX;

static uint64_t after(uint64_t from, uint64_t ms) {
    return ms && ms < (never - from) / 1000000 ? from + ms * 1000000 : never;
}

/* When the exchange ends if nothing happens until then, and why. */
static uint64_t ends_at(const struct exchange *x, enum fault *why) {
    const struct route *r = x->route;
    uint64_t idle = after(x->moved_at, r ? r->idle_timeout_ms : 0);
    uint64_t longest = after(x->t.head, r ? r->max_duration_ms : 0);
    uint64_t said = x->deadline_at ? x->deadline_at : never;
    *why = said <= longest && said <= idle ? FAULT_REQUEST_TIMEOUT
           : longest <= idle               ? FAULT_MAX_DURATION
                                           : FAULT_STREAM_IDLE;
    uint64_t first = longest < idle ? longest : idle;
    return said < first ? said : first;
}

static void watch(struct exchange *x) {
    enum fault why;
    uint64_t at = ends_at(x, &why), now = x->thread->loop.now;
    if (at == never)
        timer_stop(&x->deadline);
    else
        timer_start(&x->thread->loop.timers, &x->deadline, now / 1000000,
                    at > now ? (at - now) / 1000000 : 0);
}

static bool event_stream(const struct head *resp) {
    static const char type[] = "text/event-stream";
    struct span s = hdr_get(resp, HDR_CONTENT_TYPE);
    size_t n = sizeof type - 1;
    if (s.n < n || !span_eq_nocase(span_cut(s, 0, n), span_of(type, n)))
        return false;
    return s.n == n || s.p[n] == ';' || s.p[n] == ' ' || s.p[n] == '\t';
}

void streams_head(struct exchange *x) {
    if (likely(!x->tunnel && !x->grpc && !event_stream(&x->resp)))
        return;
    if (x->tunnel)
        count_up(x->thread, tunnels);
    x->streams = true;
    x->deadline_at = x->call_until;
    x->moved_at = x->thread->loop.now;
    watch(x);
}

void streams_timer(struct exchange *x) {
    enum fault why;
    if (ends_at(x, &why) > x->thread->loop.now)
        watch(x);
    else
        exchange_fail(x, why, NULL);
}
