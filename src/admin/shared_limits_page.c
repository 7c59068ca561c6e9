/* What limits of several gateways asked the shared state, and what they did not have to, for
 * /metrics. */
#include "admin/pages.h"
#include "limit/shared_limit.h"
#include "observe/metrics.h"

enum { LIMITS_MAX = 256 }; /* told one by one; more are a sum, labelled "(other)" */

enum {
#define C(name) AT_##name,
    SHARED_COUNTS(C)
#undef C
        AT_COUNT
};
_Static_assert(AT_COUNT == sizeof(struct shared_counts) / sizeof(uint64_t), "one place each");

struct visit {
    struct text *t;
    void (*sample)(struct text *t, struct span limit, const struct shared_limit_state *s);
    unsigned told;
    struct shared_limit_state other; /* the sum of those that are not told */
};

static void visit_one(void *ctx, const struct shared_limit_state *s) {
    struct visit *v = ctx;
    if (v->told++ < LIMITS_MAX) {
        v->sample(v->t, s->id, s);
        return;
    }
    for (unsigned i = 0; i < AT_COUNT; i++)
        v->other.count[i] += s->count[i];
    v->other.lost += s->lost;
}

static void family(struct text *t,
                   void (*sample)(struct text *, struct span, const struct shared_limit_state *)) {
    struct visit v = {.t = t, .sample = sample};
    shared_limit_walk(visit_one, &v);
    if (v.told > LIMITS_MAX)
        sample(t, SPAN("(other)"), &v.other);
}

static void sample(struct text *t, const char *name, struct metric_label limit,
                   struct metric_label what, uint64_t v) {
    const struct metric_label label[] = {limit, what};
    metric_u64(t, name, label, 2, v);
}

static void asks(struct text *t, struct span limit, const struct shared_limit_state *s) {
    struct metric_label l = {"limit", limit};
    const char *name = "sluice_limit_store_asks_total";
    uint64_t failed = s->count[AT_failed], asked = s->count[AT_asked];
    sample(t, name, l, (struct metric_label){"outcome", SPAN("failed")}, failed);
    sample(t, name, l, (struct metric_label){"outcome", SPAN("answered")},
           asked > failed ? asked - failed : 0);
}
static void here(struct text *t, struct span limit, const struct shared_limit_state *s) {
    struct metric_label l = {"limit", limit};
    const char *name = "sluice_limit_answered_here_total";
    sample(t, name, l, (struct metric_label){"by", SPAN("lease")}, s->count[AT_from_lease]);
    sample(t, name, l, (struct metric_label){"by", SPAN("refusal")}, s->count[AT_refused_here]);
}
static void leases(struct text *t, struct span limit, const struct shared_limit_state *s) {
    const struct metric_label l = {"limit", limit};
    metric_u64(t, "sluice_limit_leases_total", &l, 1, s->count[AT_leases]);
}
static void tokens(struct text *t, struct span limit, const struct shared_limit_state *s) {
    struct metric_label l = {"limit", limit};
    const char *name = "sluice_limit_lease_tokens_total";
    sample(t, name, l, (struct metric_label){"what", SPAN("taken")}, s->count[AT_leased]);
    sample(t, name, l, (struct metric_label){"what", SPAN("unused")}, s->lost);
}

void page_shared_limits_metrics(struct text *t) {
    metric_family(t, "sluice_limit_store_asks_total", "counter",
                  "Questions of limits to the shared state; failed: it was away, late, or full");
    family(t, asks);
    metric_family(t, "sluice_limit_answered_here_total", "counter",
                  "Requests judged without a question: by a token of a lease, or a refusal that "
                  "still held");
    family(t, here);
    metric_family(t, "sluice_limit_leases_total", "counter",
                  "How often tokens were taken from the shared state ahead of need");
    family(t, leases);
    metric_family(t, "sluice_limit_lease_tokens_total", "counter",
                  "Tokens so taken; unused: their time ran out");
    family(t, tokens);
}
