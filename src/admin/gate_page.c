/* How services are protected, and who is under way, for /metrics, /status and its text. */
#include "admin/pages.h"
#include "core/snapshot.h"
#include "limit/concurrency.h"
#include "limit/gate.h"
#include "observe/metrics.h"

enum { LIMITS_MAX = 64 };

/* ---- services ---------------------------------------------------------------------------------
 */

struct service_family {
    const char *name, *type, *help, *reason; /* reason: of a label; NULL: none */
    uint64_t (*value)(const struct service_conf *, const struct gate_state *);
};

#define OF(name_, what_)                                                                           \
    static uint64_t name_(const struct service_conf *c, const struct gate_state *s) {              \
        (void)c, (void)s;                                                                          \
        return what_;                                                                              \
    }
OF(in_flight, s->in_flight)
OF(fixed_limit, c->gate.limit)
OF(asked, s->asked)
OF(adaptive_limit, c->gate.adaptive.off ? 0 : s->adaptive)
OF(limiting, s->limiting)
OF(waiting, s->waiting)
OF(queued, s->queued)
OF(by_limit, s->refused_limit)
OF(by_adaptive, s->refused_adaptive)
OF(by_rate, s->refused_rate)
OF(waited, s->waited_ns)

#define REFUSED "sluice_service_refused_total"
static const struct service_family families[] = {
    {"sluice_service_concurrency", "gauge",
     "Requests under way at a service with concurrency.limit", NULL, in_flight},
    {"sluice_service_concurrency_limit", "gauge", "concurrency.limit of a service; 0: none", NULL,
     fixed_limit},
    {"sluice_service_unanswered", "gauge",
     "Requests that wait for a service's answer, as its adaptive limit counts them", NULL, asked},
    {"sluice_service_adaptive_limit", "gauge", "The adaptive limit of a service now; 0: off", NULL,
     adaptive_limit},
    {"sluice_service_adaptive_limiting", "gauge",
     "1: the adaptive limit has found a service overloaded", NULL, limiting},
    {"sluice_service_queue", "gauge", "Requests that wait for their turn at a service", NULL,
     waiting},
    {"sluice_service_queued_total", "counter", "Requests that had to wait for their turn", NULL,
     queued},
    {"sluice_service_queue_seconds_total", "counter", "How long all of them waited", NULL, waited},
    {REFUSED, "counter", "Requests that were not let through to a service", "limit", by_limit},
    {REFUSED, NULL, NULL, "adaptive", by_adaptive},
    {REFUSED, NULL, NULL, "rate", by_rate},
};

static void service_sample(struct text *t, const struct service_family *f,
                           const struct service_conf *c) {
    struct gate_state s;
    struct metric_label label[] = {{"service", c->name},
                                   {"reason", f->reason ? span_z(f->reason) : SPAN_NONE}};
    gate_look(c, &s);
    unsigned labels = f->reason ? 2 : 1;
    if (f->value == waited)
        metric_seconds(t, f->name, label, labels, f->value(c, &s));
    else
        metric_u64(t, f->name, label, labels, f->value(c, &s));
}

static bool guarded(const struct snapshot *s, uint32_t i) {
    return i < s->service_count && i < METRIC_SERVICES && s->service[i].gate.lasting;
}

/* ---- the policy -------------------------------------------------------------------------------
 */

struct limit_family {
    const char *name, *type, *help, *reason;
    uint64_t (*value)(const struct concurrency_state *);
};

#define OF_LIMIT(name_, what_)                                                                     \
    static uint64_t name_(const struct concurrency_state *s) {                                     \
        return s->what_;                                                                           \
    }
OF_LIMIT(limit_in_flight, in_flight)
OF_LIMIT(limit_keys, keys_in_use)
OF_LIMIT(limit_busiest, busiest)
OF_LIMIT(limit_waiting, waiting)
OF_LIMIT(limit_queued, queued)
OF_LIMIT(limit_waited, waited_ns)
OF_LIMIT(limit_full, refused_full)
OF_LIMIT(limit_late, refused_late)
OF_LIMIT(limit_displaced, displaced)
OF_LIMIT(limit_shared, shared)

#define LIMIT_REFUSED "sluice_concurrency_refused_total"
static const struct limit_family limits[] = {
    {"sluice_concurrency", "gauge", "Requests under way that a concurrency policy counts", NULL,
     limit_in_flight},
    {"sluice_concurrency_keys", "gauge", "Keys with requests under way", NULL, limit_keys},
    {"sluice_concurrency_busiest", "gauge", "Requests under way of the busiest key", NULL,
     limit_busiest},
    {"sluice_concurrency_queue", "gauge", "Requests that wait for their turn", NULL, limit_waiting},
    {"sluice_concurrency_queued_total", "counter", "Requests that had to wait for their turn", NULL,
     limit_queued},
    {"sluice_concurrency_queue_seconds_total", "counter", "How long all of them waited", NULL,
     limit_waited},
    {LIMIT_REFUSED, "counter",
     "Requests over the limit: full (no place in the queue), late (no turn in time), displaced",
     "full", limit_full},
    {LIMIT_REFUSED, NULL, NULL, "late", limit_late},
    {LIMIT_REFUSED, NULL, NULL, "displaced", limit_displaced},
    {"sluice_concurrency_shared_total", "counter",
     "Requests that counted together with another key, because there were too many keys", NULL,
     limit_shared},
};

struct visit {
    struct text *t;
    const struct limit_family *family;
    unsigned told;
};

static void limit_sample(void *ctx, const struct concurrency_state *s) {
    struct visit *v = ctx;
    const struct limit_family *f = v->family;
    struct metric_label label[] = {{"limit", s->id},
                                   {"reason", f->reason ? span_z(f->reason) : SPAN_NONE}};
    if (v->told++ >= LIMITS_MAX)
        return;
    if (f->value == limit_waited)
        metric_seconds(v->t, f->name, label, 1, f->value(s));
    else
        metric_u64(v->t, f->name, label, f->reason ? 2 : 1, f->value(s));
}

void page_gates_metrics(struct text *t, const struct snapshot *s) {
    for (unsigned i = 0; i < array_len(families); i++) {
        if (families[i].help)
            metric_family(t, families[i].name, families[i].type, families[i].help);
        for (uint32_t k = 0; k < s->service_count; k++)
            if (guarded(s, k))
                service_sample(t, &families[i], &s->service[k]);
    }
    for (unsigned i = 0; i < array_len(limits); i++) {
        if (limits[i].help)
            metric_family(t, limits[i].name, limits[i].type, limits[i].help);
        concurrency_walk(limit_sample, &(struct visit){t, &limits[i], 0});
    }
}

/* ---- /status ----------------------------------------------------------------------------------
 */

void page_gate_status(struct text *t, const struct service_conf *c) {
    struct gate_state s;
    if (!c->gate.lasting)
        return;
    gate_look(c, &s);
    json_open(t, "concurrency", '{');
    if (c->gate.limit)
        json_u64(t, "limit", c->gate.limit);
    if (c->gate.limit)
        json_u64(t, "in_flight", s.in_flight);
    if (!c->gate.adaptive.off) {
        json_u64(t, "unanswered", s.asked);
        json_u64(t, "adaptive_limit", s.adaptive);
        json_bool(t, "adaptive_limiting", s.limiting);
        json_u64(t, "usual_us", s.usual_ns / 1000);
    }
    json_u64(t, "waiting", s.waiting);
    json_u64(t, "refused_limit", s.refused_limit);
    json_u64(t, "refused_adaptive", s.refused_adaptive);
    json_u64(t, "refused_rate", s.refused_rate);
    json_close(t, '}');
}

static void number(struct text *t, uint64_t v, const char *behind) {
    text_u64(t, v);
    text_z(t, behind);
}

void page_gate_text(struct text *t, const struct service_conf *c) {
    struct gate_state s;
    if (!c->gate.lasting)
        return;
    gate_look(c, &s);
    text_lit(t, "    ");
    if (c->gate.limit) {
        number(t, s.in_flight, " of ");
        number(t, c->gate.limit, " under way, ");
    }
    if (!c->gate.adaptive.off) {
        number(t, s.asked, " of ");
        number(t, s.adaptive,
               s.limiting ? " (lowered: too slow) wait for an answer, " : " wait for an answer, ");
    }
    number(t, s.waiting, " in the queue; ");
    number(t, s.refused_limit + s.refused_adaptive + s.refused_rate, " refused\n");
}
