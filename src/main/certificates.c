#include "main/certificates.h"
#include "base/log.h"
#include "io/work.h"
#include "main/gateway.h"
#include <stdio.h>

enum { DAY_S = 24 * 3600 };

struct look {
    struct job job; /* first */
    struct gateway *gateway;
    const struct snapshot *snapshot;
};

/* Whose files they are, for the log. */
struct owner {
    const char *kind; /* "listener", "service" */
    struct span name;
};

/* ---- in a helper ---- */

static void told(void *ctx, const struct tls_problem *p) {
    const struct owner *o = ctx;
    char which[24] = "";
    if (p->cert >= 0)
        snprintf(which, sizeof which, ", certificate %d", p->cert + 1);
    log_event(p->error ? LEVEL_ERROR : LEVEL_WARNING, "certificate", "%s %.*s%s, %s: %s", o->kind,
              SPAN_ARG(o->name), which, p->part, p->text);
}

static void outcome(const struct owner *o, int result) {
    if (result > 0)
        log_event(LEVEL_INFO, "certificate", "%s %.*s: files have changed and are in force",
                  o->kind, SPAN_ARG(o->name));
    else if (result < 0)
        log_event(LEVEL_ERROR, "certificate",
                  "%s %.*s: files have changed and are not usable; the former ones stay in force",
                  o->kind, SPAN_ARG(o->name));
}

static void look(struct job *job) {
    const struct snapshot *s = container_of(job, struct look, job)->snapshot;
    for (uint32_t i = 0; i < s->listener_count; i++) {
        struct owner o = {"listener", s->listener[i].name};
        if (s->listener[i].tls)
            outcome(&o, tls_server_refresh(s->listener[i].tls, told, &o));
    }
    for (uint32_t i = 0; i < s->service_count; i++) {
        struct owner o = {"service", s->service[i].name};
        if (s->service[i].tls)
            outcome(&o, tls_client_refresh(s->service[i].tls, told, &o));
    }
}

/* ---- in the control thread ---- */

static void again(struct gateway *g) {
    timer_start(&g->control.loop.timers, &g->certificates.timer, g->control.loop.now / 1000000,
                CERTIFICATES_EVERY_MS);
}

static void looked(struct job *job) {
    struct gateway *g = container_of(job, struct look, job)->gateway;
    snapshot_unref_atomic(g->certificates.looking);
    g->certificates.looking = NULL;
    mem_free(job);
    again(g);
}

static void remind(void *ctx, const struct tls_cert_state *c) {
    const struct span *listener = ctx;
    int64_t left = c->not_after - env.wall_ns() / 1000000000;
    if (left < 0)
        log_event(LEVEL_WARNING, "certificate", "listener %.*s: %.*s has expired",
                  SPAN_ARG(*listener), SPAN_ARG(c->file));
    else if (left < (int64_t)TLS_EXPIRES_SOON_DAYS * DAY_S)
        log_event(LEVEL_WARNING, "certificate", "listener %.*s: %.*s expires in %lld days",
                  SPAN_ARG(*listener), SPAN_ARG(c->file), (long long)(left / DAY_S));
}

/* Once a day; what was so at the start was told when the configuration was read. */
static void remind_all(struct gateway *g, const struct snapshot *s) {
    uint64_t now = g->control.loop.now / 1000000;
    if (now - g->certificates.reminded_at < CERTIFICATES_REMIND_MS)
        return;
    g->certificates.reminded_at = now;
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (s->listener[i].tls)
            tls_server_walk(s->listener[i].tls, remind, (void *)(uintptr_t)&s->listener[i].name);
}

static bool any(const struct snapshot *s) {
    bool found = false;
    for (uint32_t i = 0; i < s->listener_count; i++)
        found |= s->listener[i].tls != NULL;
    for (uint32_t i = 0; i < s->service_count; i++)
        found |= s->service[i].tls != NULL;
    return found;
}

static void due(struct timer *t) {
    struct gateway *g = container_of(t, struct gateway, certificates.timer);
    struct snapshot *s = g->control.snap->snapshot;
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (s->listener[i].tls)
            tls_server_rotate(s->listener[i].tls, g->control.loop.now);
    remind_all(g, s);
    struct look *l = any(s) ? mem_alloc(sizeof *l) : NULL;
    if (!l) {
        again(g);
        return;
    }
    *l = (struct look){.gateway = g, .snapshot = s};
    snapshot_ref_atomic(s);
    g->certificates.looking = s;
    if (work_give(&l->job, look, looked))
        return;
    g->certificates.looking = NULL;
    snapshot_unref_atomic(s);
    mem_free(l);
    again(g);
}

void certificates_start(struct gateway *g) {
    g->certificates.timer.fire = due;
    g->certificates.reminded_at = g->control.loop.now / 1000000;
    again(g);
}

void certificates_stop(struct gateway *g) {
    timer_stop(&g->certificates.timer);
    snapshot_unref_atomic(g->certificates.looking);
    g->certificates.looking = NULL;
}
