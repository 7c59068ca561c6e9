/* The store that gateways share, for /metrics, /status and its text. */
#include "admin/pages.h"
#include "observe/metrics.h"
#include "shared/redis.h"

struct family {
    const char *name, *type, *help;
    uint64_t (*value)(const struct redis_state *);
};

static uint64_t up(const struct redis_state *s) {
    return !s->away;
}
static uint64_t gateways(const struct redis_state *s) {
    return s->gateways;
}
static uint64_t connections(const struct redis_state *s) {
    return s->connections;
}
static uint64_t connects(const struct redis_state *s) {
    return s->connects;
}
static uint64_t asks(const struct redis_state *s) {
    return s->asks;
}
static uint64_t dropped(const struct redis_state *s) {
    return s->dropped;
}
static uint64_t away(const struct redis_state *s) {
    return s->away_total;
}

static const struct family families[] = {
    {"sluice_state_up", "gauge", "1: the shared state answers; 0: it is away for some thread", up},
    {"sluice_state_gateways", "gauge", "Gateways that were seen in the shared state lately",
     gateways},
    {"sluice_state_connections", "gauge", "Connections to it", connections},
    {"sluice_state_connects_total", "counter", "Connections to it that were begun", connects},
    {"sluice_state_asks_total", "counter", "What it was asked, whatever became of it", asks},
    {"sluice_state_dropped_total", "counter", "Answers that nobody waited for any more", dropped},
    {"sluice_state_away_total", "counter", "How often it went away", away},
};
/* Of REDIS_FINE there are none. */
static const char *const failures[REDIS_FAILURES] = {[REDIS_AWAY] = "away",
                                                     [REDIS_LATE] = "late",
                                                     [REDIS_REFUSED] = "refused",
                                                     [REDIS_FULL] = "full",
                                                     [REDIS_BROKEN] = "broken"};

struct visit {
    struct text *t;
    const struct family *family;
};

static void sample(void *ctx, const struct redis_state *s) {
    const struct visit *v = ctx;
    const struct metric_label label = {"store", s->name};
    metric_u64(v->t, v->family->name, &label, 1, v->family->value(s));
}

static void failed(void *ctx, const struct redis_state *s) {
    for (unsigned i = 0; i < REDIS_FAILURES; i++) {
        const struct metric_label label[] = {{"store", s->name}, {"reason", span_z(failures[i])}};
        if (failures[i])
            metric_u64(ctx, "sluice_state_failures_total", label, 2, s->failed[i]);
    }
}

static void away_seconds(void *ctx, const struct redis_state *s) {
    const struct metric_label label = {"store", s->name};
    metric_seconds(ctx, "sluice_state_away_seconds_total", &label, 1, s->away_ns);
}

void page_state_metrics(struct text *t) {
    for (unsigned i = 0; i < array_len(families); i++) {
        metric_family(t, families[i].name, families[i].type, families[i].help);
        redis_walk(sample, &(struct visit){t, &families[i]});
    }
    metric_family(t, "sluice_state_failures_total", "counter",
                  "Of them, those that were not answered well");
    redis_walk(failed, t);
    metric_family(t, "sluice_state_away_seconds_total", "counter", "How long it was away, in all");
    redis_walk(away_seconds, t);
}

static uint64_t failed_in_all(const struct redis_state *s) {
    uint64_t n = 0;
    for (unsigned i = 0; i < REDIS_FAILURES; i++)
        n += s->failed[i];
    return n;
}

static void object(void *ctx, const struct redis_state *s) {
    struct text *t = ctx;
    json_open(t, NULL, '{');
    json_str(t, "store", s->name);
    json_bool(t, "away", s->away);
    json_u64(t, "gateways", s->gateways);
    json_u64(t, "connections", s->connections);
    json_u64(t, "asks", s->asks);
    for (unsigned i = 0; i < REDIS_FAILURES; i++)
        if (failures[i])
            json_u64(t, failures[i], s->failed[i]);
    json_u64(t, "away_total", s->away_total);
    json_close(t, '}');
}

void page_state_status(struct text *t) {
    json_open(t, "shared_state", '[');
    redis_walk(object, t);
    json_close(t, ']');
}

static void line(void *ctx, const struct redis_state *s) {
    struct text *t = ctx;
    text_lit(t, "\n  shared state ");
    text_add(t, s->name);
    text_z(t, s->away ? ": AWAY, " : ": ");
    text_u64(t, s->gateways);
    text_z(t, s->gateways == 1 ? " gateway, " : " gateways, ");
    text_u64(t, s->connections);
    text_z(t, s->connections == 1 ? " connection, " : " connections, ");
    text_u64(t, s->asks);
    text_lit(t, " asks, ");
    text_u64(t, failed_in_all(s));
    text_lit(t, " failed, ");
    text_u64(t, s->away_total);
    text_lit(t, " times away\n");
}

void page_state_text(struct text *t) {
    redis_walk(line, t);
}
