/* Fetched keys, for /metrics, /status and its text. */
#include "admin/pages.h"
#include "identity/keys.h"
#include "observe/metrics.h"

enum { SOURCES_MAX = 64 };

struct family {
    const char *name, *type, *help;
    uint64_t (*value)(const struct keys_state *);
};

static uint64_t fetches(const struct keys_state *s) {
    return s->fetches;
}
static uint64_t failures(const struct keys_state *s) {
    return s->failures;
}
static uint64_t keys(const struct keys_state *s) {
    return s->keys;
}
static uint64_t refused(const struct keys_state *s) {
    return s->refused;
}
static uint64_t age(const struct keys_state *s) {
    return s->age_s;
}
static uint64_t up(const struct keys_state *s) {
    return s->had && !s->failing;
}

static const struct family families[] = {
    {"sluice_keys_fetches_total", "counter", "Requests for keys, discovery documents included",
     fetches},
    {"sluice_keys_failures_total", "counter", "Of them, those that brought no keys", failures},
    {"sluice_keys", "gauge", "Keys of a source that verify tokens", keys},
    {"sluice_keys_refused", "gauge", "Keys of a source that must not verify", refused},
    {"sluice_keys_age_seconds", "gauge", "Since the keys of a source were last fetched", age},
    {"sluice_keys_up", "gauge", "1: the last request for keys brought some", up},
};

struct visit {
    struct text *t;
    const struct family *family;
    unsigned told;
};

static void sample(void *ctx, const struct keys_state *s) {
    struct visit *v = ctx;
    const struct metric_label label = {"source", s->source};
    if (v->told++ < SOURCES_MAX)
        metric_u64(v->t, v->family->name, &label, 1, v->family->value(s));
}

void page_keys_metrics(struct text *t) {
    for (unsigned i = 0; i < array_len(families); i++) {
        metric_family(t, families[i].name, families[i].type, families[i].help);
        keys_walk(sample, &(struct visit){t, &families[i], 0});
    }
}

static void object(void *ctx, const struct keys_state *s) {
    struct text *t = ctx;
    json_open(t, NULL, '{');
    json_str(t, "source", s->source);
    json_u64(t, "keys", s->keys);
    json_u64(t, "refused", s->refused);
    json_u64(t, "fetches", s->fetches);
    json_u64(t, "failures", s->failures);
    json_bool(t, "ok", up(s));
    if (s->had)
        json_u64(t, "age_seconds", s->age_s);
    json_close(t, '}');
}

void page_keys_status(struct text *t) {
    json_open(t, "keys", '[');
    keys_walk(object, t);
    json_close(t, ']');
}

static void count(struct text *t, uint64_t n, const char *what) {
    text_u64(t, n);
    text_z(t, what);
}

static void line(void *ctx, const struct keys_state *s) {
    struct text *t = ctx;
    text_lit(t, "\n  keys of ");
    text_add(t, s->source);
    text_lit(t, ": ");
    if (s->had) {
        count(t, s->keys, " keys, ");
        count(t, s->refused, " refused, ");
        count(t, s->age_s, " s old, ");
    } else {
        text_lit(t, "never had, ");
    }
    count(t, s->fetches, " fetches, ");
    count(t, s->failures, s->failing ? " failed, the last one too\n" : " failed\n");
}

void page_keys_text(struct text *t) {
    keys_walk(line, t);
}
