#include "main/rooms.h"
#include "back/pool.h"
#include "base/log.h"
#include "core/outbound.h"
#include "core/pressure.h"
#include "core/publish.h"
#include "core/state.h"
#include "identity/keys.h"
#include "identity/credentials.h"
#include "io/work.h"
#include "limit/quota_store.h"
#include "limit/shared_limit.h"
#include "limit/gate.h"
#include "main/registry.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "observe/nearest.h"
#include "service/discovery.h"
#include "service/service.h"
#include "shared/db.h"
#include "shared/redis.h"

enum { HELPERS = 2, LOG_GRACE_MS = 1000 };

static const struct outbound_hooks own_services = {service_attach_one, service_detach_one};

void rooms_init(void) {
    metrics_start();
    pools_init();
    outbound_set_hooks(&own_services);
    limiter_set_shared(&shared_limits);
}

/* A gateway whose quotas would begin anew does not start. */
static bool open_store(const struct snapshot *s) {
    char why[DB_WHY_MAX];
    if (quota_store_open(s->state->store, why))
        return true;
    log_event(LEVEL_ERROR, "store", "%s", why);
    return false;
}

bool rooms_start(struct thread *control, const struct snapshot *s) {
    if (!log_start() || !work_start(HELPERS)) {
        log_event(LEVEL_ERROR, "start", "cannot start the threads for logs and files");
        return false;
    }
    if (!open_store(s)) {
        log_stop(LOG_GRACE_MS);
        return false;
    }
    quota_store_start(control);
    discovery_start(control);
    pressure_start(control);
    return true;
}

void rooms_stop(void) {
    pressure_stop();
    discovery_stop();
    quota_store_stop();
    log_stop(LOG_GRACE_MS);
}

bool rooms_thread_init(struct thread *t) {
    if (!metrics_thread_init(t) || !log_thread_init(t)) {
        log_event(LEVEL_ERROR, "start", "no memory for thread %u", t->index);
        return false;
    }
    if (!t->control) { /* the admin listener's requests are in no route and in no log */
        t->sink[0] = metrics_record;
        t->sink[1] = log_line;
        t->sink[2] = nearest_record;
    }
    publish_join(t);
    redis_thread_start(t);
    return true;
}

void rooms_thread_finish(struct thread *t) {
    publish_leave(t);
    keys_thread_finish(t);
    pools_finish(t);
    service_thread_finish(t);
    credentials_ops.thread_finish(t);
    for (unsigned i = 0; i < registry.auths; i++)
        if (registry.auth[i]->thread_finish)
            registry.auth[i]->thread_finish(t);
    redis_thread_finish(t);
    log_thread_finish(t);
    metrics_thread_finish(t);
}

static void authenticators_detach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->authenticator_count; i++)
        if (s->authenticator[i].kind && s->authenticator[i].kind->detach)
            s->authenticator[i].kind->detach(s, &s->authenticator[i]);
}

static void authenticators_attach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->authenticator_count; i++)
        if (s->authenticator[i].kind && s->authenticator[i].kind->attach)
            s->authenticator[i].kind->attach(s, &s->authenticator[i]);
}

static void filters_each(struct snapshot *s, bool attach) {
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct plan *p = route_whole(&s->route[i]);
        for (unsigned k = 0; k < p->count; k++) {
            const struct filter_ops *ops = p->filter[k].ops;
            void (*tell)(struct snapshot *, const struct filter *) =
                attach ? ops->attach : ops->detach;
            if (tell)
                tell(s, &p->filter[k]);
        }
    }
}

/* The store that gateways share is kept up, and shown, whether a limit uses it or not. */
static void state_attach(struct snapshot *s) {
    ((struct state_conf *)(uintptr_t)s->state)->attached = redis_attach(s->state);
}

static void rooms_detach(struct snapshot *s) {
    gate_detach(s);
    filters_each(s, false);
    redis_detach(s->state->attached);
    authenticators_detach(s);
    log_detach(s);
    metrics_detach(s);
    service_detach(s);
}

void rooms_attach(struct snapshot *s) {
    s->detach = rooms_detach;
    if (!span_eq(s->state->store, quota_store_path()))
        log_event(LEVEL_WARNING, "store", "state.store changed: that needs a restart");
    service_attach(s);
    state_attach(s);
    authenticators_attach(s);
    filters_each(s, true);
    gate_attach(s);
    metrics_attach(s);
    if (!log_attach(s))
        log_event(LEVEL_WARNING, "log", "more than %d log files; the others are not written",
                  LOG_FILES_MAX);
}
