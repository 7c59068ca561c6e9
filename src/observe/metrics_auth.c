#include "observe/metrics_cells.h"

/* What authenticators said. */

struct auth_sum {
    unsigned row;
    uint64_t accepted, waited, refused[AUTH_FAULTS];
};

static uint64_t load(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(const struct metrics_local *l, void *ctx) {
    struct auth_sum *sum = ctx;
    const struct auth_cell *c = &l->auth[sum->row];
    sum->accepted += load(&c->accepted);
    sum->waited += load(&c->waited);
    for (unsigned i = 0; i < AUTH_FAULTS; i++)
        sum->refused[i] += load(&c->refused[i]);
}

static const char results_name[] = "sluice_authentications_total";

static void write_results(struct text *out, struct metric_label by, const struct auth_sum *sum) {
    struct metric_label label[] = {by, {"result", SPAN("accepted")}};
    metric_u64(out, results_name, label, 2, sum->accepted);
    for (unsigned i = 0; i < AUTH_FAULTS; i++) {
        label[1].value = span_z(fault_table[AUTH_FAULT_FIRST + i].code);
        if (sum->refused[i])
            metric_u64(out, results_name, label, 2, sum->refused[i]);
    }
}

static void write_waits(struct text *out, struct metric_label by, const struct auth_sum *sum) {
    metric_u64(out, "sluice_authentication_waits_total", &by, 1, sum->waited);
}

static void each(struct text *out, const struct snapshot *s,
                 void (*put)(struct text *, struct metric_label, const struct auth_sum *)) {
    bool others = false;
    for (uint32_t i = 0; i < s->authenticator_count; i++) {
        struct auth_sum sum = {.row = metrics_auth_row(&s->authenticator[i])};
        others |= sum.row == ROW_OTHER;
        if (sum.row < ROW_NAMES)
            continue;
        metrics_each(add, &sum);
        put(out, (struct metric_label){"authenticator", s->authenticator[i].name}, &sum);
    }
    struct auth_sum sum = {.row = ROW_OTHER};
    metrics_each(add, &sum);
    if (others)
        put(out, (struct metric_label){"authenticator", SPAN("(other)")}, &sum);
}

void metrics_authenticators(struct text *out, const struct snapshot *s) {
    metric_family(out, results_name, "counter",
                  "Requests that an authenticator accepted, or the code that it refused them with; "
                  "credentials_missing stands with the first of its route");
    each(out, s, write_results);
    metric_family(out, "sluice_authentication_waits_total", "counter",
                  "Requests that waited for an authenticator: a password verified, keys fetched");
    each(out, s, write_waits);
}
