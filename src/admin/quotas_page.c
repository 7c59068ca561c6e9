/* What quotas counted, and the store that keeps it, for /metrics. */
#include "admin/pages.h"
#include "limit/quota.h"
#include "limit/quota_store.h"
#include "observe/metrics.h"

enum { QUOTAS_MAX = 256 }; /* told one by one; more are a sum, labelled "(other)" */

enum {
#define C(name) AT_##name,
    QUOTA_COUNTS(C)
#undef C
        AT_COUNT
};
static const char *const outcome[AT_COUNT] = {
#define C(name) #name,
    QUOTA_COUNTS(C)
#undef C
};

struct visit {
    struct text *t;
    void (*sample)(struct text *t, const struct quota_sum *s);
    unsigned told;
    struct quota_sum other;
};

static void visit_one(void *ctx, const struct quota_sum *s) {
    struct visit *v = ctx;
    if (v->told++ < QUOTAS_MAX) {
        v->sample(v->t, s);
        return;
    }
    for (unsigned i = 0; i < AT_COUNT; i++)
        v->other.count[i] += s->count[i];
    v->other.keys += s->keys;
    v->other.overflows += s->overflows;
}

static void family(struct text *t, void (*sample)(struct text *, const struct quota_sum *)) {
    struct visit v = {.t = t, .sample = sample, .other = {.id = SPAN("(other)")}};
    quota_sums(visit_one, &v);
    if (v.told > QUOTAS_MAX)
        sample(t, &v.other);
}

static void requests(struct text *t, const struct quota_sum *s) {
    for (unsigned i = 0; i < AT_COUNT; i++) {
        const struct metric_label label[] = {{"quota", s->id}, {"outcome", span_z(outcome[i])}};
        metric_u64(t, "sluice_quota_requests_total", label, 2, s->count[i]);
    }
}
static void keys(struct text *t, const struct quota_sum *s) {
    const struct metric_label label = {"quota", s->id};
    metric_u64(t, "sluice_quota_keys", &label, 1, s->keys);
}
static void overflows(struct text *t, const struct quota_sum *s) {
    const struct metric_label label = {"quota", s->id};
    metric_u64(t, "sluice_quota_overflows_total", &label, 1, s->overflows);
}

static void one(struct text *t, const char *name, const char *type, const char *help, uint64_t v) {
    metric_family(t, name, type, help);
    metric_u64(t, name, NULL, 0, v);
}

void page_quotas_metrics(struct text *t) {
    struct quota_store_state s = quota_store_state();
    metric_family(t, "sluice_quota_requests_total", "counter",
                  "What quotas said of requests; away: judged without the shared state");
    family(t, requests);
    metric_family(t, "sluice_quota_keys", "gauge", "Keys that have used something of the quota");
    family(t, keys);
    metric_family(t, "sluice_quota_overflows_total", "counter",
                  "Requests of keys that the quota's table had no place for: counted together");
    family(t, overflows);
    one(t, "sluice_store_writes_total", "counter", "Transactions of state.store", s.writes);
    one(t, "sluice_store_rows_total", "counter", "Rows written to state.store", s.rows);
    one(t, "sluice_store_failures_total", "counter", "Writes of state.store that failed",
        s.failures);
    one(t, "sluice_store_failing", "gauge", "1 while state.store cannot be written", s.failing);
}
