/* What became of requests that limits counted, for /metrics. */
#include "admin/pages.h"
#include "limit/limiter.h"
#include "observe/metrics.h"

enum { LIMITS_MAX = 256 }; /* told one by one; more are a sum, labelled "(other)" */

/* In the order of LIMIT_COUNTS; those that are no outcome have families of their own. */
enum {
#define C(name) AT_##name,
    LIMIT_COUNTS(C)
#undef C
        AT_COUNT
};
_Static_assert(AT_COUNT == sizeof(struct limit_counts) / sizeof(uint64_t), "one place each");

static const struct {
    const char *outcome;
    unsigned at;
} outcomes[] = {{"allowed", AT_allowed},
                {"refused", AT_refused},
                {"delayed", AT_delayed},
                {"observed", AT_observed},
                {"away", AT_away}};

struct visit {
    struct text *t;
    void (*sample)(struct text *t, struct span limit, const struct limiter_state *s);
    unsigned told;
    struct limiter_state other; /* the sum of those that are not told */
};

static void add(struct limiter_state *sum, const struct limiter_state *s) {
    for (unsigned i = 0; i < AT_COUNT; i++)
        sum->count[i] += s->count[i];
    sum->memory += s->memory;
    sum->keys += s->keys;
}

static void visit_one(void *ctx, const struct limiter_state *s) {
    struct visit *v = ctx;
    if (v->told++ < LIMITS_MAX)
        v->sample(v->t, s->id, s);
    else
        add(&v->other, s);
}

static void family(struct text *t,
                   void (*sample)(struct text *, struct span, const struct limiter_state *)) {
    struct visit v = {.t = t, .sample = sample};
    limiter_walk(visit_one, &v);
    if (v.told > LIMITS_MAX)
        sample(t, SPAN("(other)"), &v.other);
}

static void requests(struct text *t, struct span limit, const struct limiter_state *s) {
    for (unsigned i = 0; i < array_len(outcomes); i++) {
        const struct metric_label label[] = {{"limit", limit},
                                             {"outcome", span_z(outcomes[i].outcome)}};
        metric_u64(t, "sluice_limit_requests_total", label, 2, s->count[outcomes[i].at]);
    }
}
static void one(struct text *t, const char *name, struct span limit, uint64_t v) {
    const struct metric_label label = {"limit", limit};
    metric_u64(t, name, &label, 1, v);
}
static void waiting(struct text *t, struct span limit, const struct limiter_state *s) {
    one(t, "sluice_limit_waiting", limit, s->count[AT_waiting]);
}
static void shared_cells(struct text *t, struct span limit, const struct limiter_state *s) {
    one(t, "sluice_limit_shared_cells_total", limit, s->count[AT_shared_cells]);
}
static void memory(struct text *t, struct span limit, const struct limiter_state *s) {
    one(t, "sluice_limit_memory_bytes", limit, s->memory);
}

void page_limits_metrics(struct text *t) {
    metric_family(t, "sluice_limit_requests_total", "counter",
                  "What rate limits said of requests; away: judged without the shared state");
    family(t, requests);
    metric_family(t, "sluice_limit_waiting", "gauge", "Delayed requests whose turn is to come");
    family(t, waiting);
    metric_family(t, "sluice_limit_shared_cells_total", "counter",
                  "Keys that found their limit's table full and began with another's count");
    family(t, shared_cells);
    metric_family(t, "sluice_limit_memory_bytes", "gauge", "Memory of the limit's tables");
    family(t, memory);
}
