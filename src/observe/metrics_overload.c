#include "core/pressure.h"
#include "observe/metrics_cells.h"

/* What stands between the gateway and too much: core/overload. */

static void gauge(struct text *out, const char *name, const char *help, uint64_t value) {
    metric_family(out, name, "gauge", help);
    metric_u64(out, name, NULL, 0, value);
}

void metrics_overload(struct text *out) {
    static const char delay[] = "sluice_loop_delay_seconds",
                      entered[] = "sluice_overloads_memory_total";
    struct pressure_figures p = pressure_figures();
    struct loop_figures l = overload_loops();
    metric_family(
        out, delay, "gauge",
        "How long what had come waited for a worker in the last tenth of a second; of the "
        "worst worker");
    metric_seconds(out, delay, NULL, 0, l.delay_ns);
    gauge(out, "sluice_workers_shedding", "Workers that refuse requests because they are behind",
          l.cutting);
    gauge(out, "sluice_memory_used_bytes", "Memory in use, as far as it is limited", p.used);
    gauge(out, "sluice_memory_budget_bytes", "Memory that may be used", p.budget);
    gauge(out, "sluice_memory_level",
          "0: enough; 1: connections close after their answer; 2: new requests get 503; 3: nobody "
          "is accepted",
          p.level);
    metric_family(out, entered, "counter", "How often memory became short");
    metric_u64(out, entered, NULL, 0, p.entered);
}
