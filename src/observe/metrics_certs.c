/* How long certificates are good for: the one figure of TLS that somebody must be woken up for. */
#include "base/env.h"
#include "observe/metrics.h"

struct certs {
    struct text *out;
    struct span listener;
    unsigned left;
    int64_t now;
};

static const char left_name[] = "sluice_certificate_expires_in_seconds",
                  end_name[] = "sluice_certificate_not_after_timestamp_seconds";

static void put(const struct certs *c, const char *name, const struct tls_cert_state *t,
                int64_t value) {
    const struct metric_label label[] = {{"listener", c->listener}, {"file", t->file}};
    metric_u64(c->out, name, label, array_len(label), value > 0 ? (uint64_t)value : 0);
}

static void expires(void *ctx, const struct tls_cert_state *t) {
    struct certs *c = ctx;
    if (c->left && c->left--)
        put(c, left_name, t, t->not_after - c->now);
}

static void ends(void *ctx, const struct tls_cert_state *t) {
    struct certs *c = ctx;
    if (c->left && c->left--)
        put(c, end_name, t, t->not_after);
}

static void each(struct text *out, const struct snapshot *s, tls_cert_fn fn) {
    struct certs c = {.out = out, .left = METRIC_CERTIFICATES, .now = env.wall_ns() / 1000000000};
    for (uint32_t i = 0; i < s->listener_count; i++) {
        c.listener = s->listener[i].name;
        if (s->listener[i].tls)
            tls_server_walk(s->listener[i].tls, fn, &c);
    }
}

void metrics_certificates(struct text *out, const struct snapshot *s) {
    metric_family(out, left_name, "gauge",
                  "How long each certificate of a listener is still good; 0: it has expired");
    each(out, s, expires);
    metric_family(out, end_name, "gauge", "When it ends to be good, since the epoch");
    each(out, s, ends);
}
