#include "limit/gate.h"
#include "rig.h"
#include "back/pool.h"
#include "back/proxy.h"
#include "base/log.h"
#include "core/publish.h"
#include "core/route.h"
#include "front/listener.h"
#include "identity/decisions.h"
#include "service/service.h"
#include "tls/stream.h"
#include <stdio.h>
#include <stdlib.h>

static struct rig *current; /* of the sink */

uint64_t rig_sum_at(const struct rig *r, size_t at) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->workers; i++)
        sum += atomic_load((_Atomic uint64_t *)(void *)((char *)&r->worker[i]->counters + at));
    return sum;
}

static void count_record(struct thread *t, const struct record *rec) {
    (void)t;
    current->records++;
    current->last_status = rec->status;
    current->last_grpc = rec->grpc_status;
    current->last_fault = rec->fault;
    current->last_end = rec->end;
}

static void set_limits(struct limits_conf *l) { /* LIMITS.md */
    *l = (struct limits_conf){
        .h1_request = h1_request_limits,
        .h1_response = h1_response_limits,
        .h1_trailers = h1_trailer_limits,
        .query_params_max = 1000,
        .max_body = 10 << 20,
        .first_byte_timeout_ms = 10000,
        .header_timeout_ms = 10000,
        .keepalive_timeout_ms = 60000,
        .body_idle_timeout_ms = 30000,
        .send_stall_timeout_ms = 30000,
        .body_min_rate = 240,
        .keepalive_requests = 10000,
        .max_connection_age_ms = 200000,
        .interim_responses_max = 16,
        .max_forwards_depth = 5,
        .h2_max_concurrent_streams = 100,
        .h2_initial_window = 65535,
        .h2_connection_window = 1 << 20,
        .h2_max_total_streams = 10000,
        .h2_reset_burst = 200,
        .h2_reset_rate = 33,
        .h2_glitch_burst = 1000,
        .h2_glitch_rate = 100,
        .h2_header_table = 4096,
    };
}

static struct service_conf *make_service(struct arena *a, unsigned endpoints) {
    struct service_conf *c = arena_zero(a, sizeof *c);
    struct endpoint_conf *e = arena_zero(a, endpoints * sizeof *e);
    for (unsigned i = 0; i < endpoints; i++) {
        e[i].address_text = span_z(arena_fmt(a, "10.0.0.%u:80", i + 1));
        e[i].weight = 1;
        must(address_parse(e[i].address_text, &e[i].address));
    }
    *c = (struct service_conf){
        .name = SPAN("shop"),
        .endpoint = e,
        .endpoint_count = endpoints,
        .connect_timeout_ms = 3000,
        .first_byte_timeout_ms = 15000,
        .idle_timeout_ms = 30000,
        .keepalive_idle_ms = 55000,
        .keepalive_requests = 10000,
        .max_connections = 1024,
        .max_pending = 1024,
        .queue_timeout_ms = 1000,
    };
    return c;
}

/* One route, for every request. */
static void make_route(struct snapshot *s, const struct service_conf *c) {
    struct target *t = arena_zero(&s->arena, sizeof *t);
    struct forward_conf *f = arena_zero(&s->arena, sizeof *f);
    struct route *r = arena_zero(&s->arena, sizeof *r);
    *t = (struct target){.service = c, .weight = 1};
    *f = (struct forward_conf){.target = t, .target_count = 1, .weight_sum = 1};
    *r = (struct route){
        .name = SPAN("all"),
        .match = arena_zero(&s->arena, sizeof(struct route_match)),
        .plan = {.back = &proxy_back, .back_conf = f},
        .max_body = s->limits.max_body,
        .request_timeout_ms = 300000,
        .limits = &s->limits,
    };
    s->route = r;
    s->route_count = 1;
}

/* As main does (rooms.c). */
static void filters_each(struct snapshot *s, bool attach) {
    const struct plan *p = &s->route->plan;
    for (unsigned i = 0; i < p->count; i++) {
        const struct filter_ops *o = p->filter[i].ops;
        if (attach ? o->attach : o->detach)
            (attach ? o->attach : o->detach)(s, &p->filter[i]);
    }
}

static void detach_all(struct snapshot *s) {
    gate_detach(s);
    filters_each(s, false);
    service_detach(s);
}

static struct snapshot *make_snapshot(struct rig *r) {
    const struct rig_conf *conf = &r->conf;
    struct snapshot *s = snapshot_create();
    struct service_conf *c = make_service(&s->arena, conf->endpoints ? conf->endpoints : 1);
    struct listener_conf *l = arena_zero(&s->arena, sizeof *l);
    set_limits(&s->limits);
    s->service = c;
    s->service_count = 1;
    *l = (struct listener_conf){.name = SPAN("door"), .scheme = SPAN("http"), .routes_bit = 1};
    must(address_parse(SPAN("127.0.0.1:8080"), &l->address));
    s->listener = l;
    s->listener_count = 1;
    make_route(s, c);
    if (conf->tune)
        conf->tune(c, s);
    s->router = router_build(&s->arena, s->route, s->route_count, NULL);
    s->detach = detach_all;
    service_attach(s);
    filters_each(s, true);
    gate_attach(s);
    return s;
}

static bool start_worker(struct rig *r, unsigned i) {
    struct thread *t = mem_alloc(sizeof *t);
    if (!thread_init(t, i)) {
        loop_finish(&t->loop);
        mem_free(t);
        return false;
    }
    r->worker[r->workers++] = t;
    t->sink[0] = count_record;
    me = &t->loop;
    publish_join(t);
    sim_loop_add(&t->loop);
    snapshot_ref_atomic(r->snapshot);
    thread_use_snapshot(t, r->snapshot);
    int fd = tcp_listen(&r->door, 64);
    return fd >= 0 && listener_open(t, SPAN("door"), fd, NULL);
}

void rig_reload(struct rig *r) {
    sim_hold(true); /* a configuration is not read on behalf of traffic */
    snapshot_unref_atomic(r->snapshot);
    r->snapshot = make_snapshot(r);
    snapshot_ref_atomic(r->snapshot);
    publish_snapshot(r->snapshot);
    sim_hold(false);
}

void rig_drain(struct rig *r) {
    r->drained = true;
    for (unsigned i = 0; i < r->workers; i++) {
        me = &r->worker[i]->loop;
        listeners_drain(r->worker[i]);
    }
}

struct rig *rig_start(const struct rig_conf *conf) {
    struct rig *r = calloc(1, sizeof *r);
    must(r);
    current = r;
    r->conf = *conf;
    log_event_level(LEVEL_ERROR);
    sim_begin(&conf->sim);
    pools_init();
    must(address_parse(SPAN("127.0.0.1:8080"), &r->door));
    for (unsigned i = 0; i < RIG_ENDPOINTS_MAX; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.0.%u:80", i + 1);
        must(address_parse(span_z(text), &r->endpoint[i]));
    }
    r->snapshot = make_snapshot(r);
    for (unsigned i = 0; i < (conf->workers ? conf->workers : 1); i++)
        if (!start_worker(r, i)) {
            rig_stop(r);
            return NULL;
        }
    r->calls_before = sim_count_all();
    r->allocs_before = sim_count(SIM_alloc);
    return r;
}

static void wrong(char *text, size_t max, const char *what, uint64_t n) {
    if (!*text)
        snprintf(text, max, "%s: %llu", what, (unsigned long long)n);
}

const char *rig_check_idle(const struct rig *r) {
    static char text[200];
    *text = 0;
    uint64_t accepted = rig_sum(r, exchanges_accepted);
    uint64_t ended = rig_sum(r, exchanges_completed) + rig_sum(r, exchanges_aborted) +
                     rig_sum(r, exchanges_rejected);
    if (accepted != ended)
        wrong(text, sizeof text, "exchanges that were accepted and did not end", accepted - ended);
    if (accepted != r->records)
        wrong(text, sizeof text, "exchanges without their one record", accepted - r->records);
    if (rig_sum(r, client_connections_accepted) != rig_sum(r, client_connections_closed))
        wrong(text, sizeof text, "client connections left", listener_total());
    for (unsigned i = 0; i < r->workers; i++) {
        if (r->worker[i]->exchange_count)
            wrong(text, sizeof text, "live exchanges", r->worker[i]->exchange_count);
        if (r->worker[i]->loop.pond.lent)
            wrong(text, sizeof text, "slices lent in worker", i);
    }
    return *text ? text : NULL;
}

static void count_endpoint(void *obj, void *ctx) {
    struct endpoint *e = obj;
    *(uint64_t *)ctx += 1 + atomic_load(&e->connections) + atomic_load(&e->in_flight);
}

static void stop_worker(struct rig *r, unsigned i) {
    struct thread *t = r->worker[i];
    me = &t->loop;
    listeners_stop(t);
    pools_finish(t);
    decisions_thread_finish(t);
    service_thread_finish(t);
    publish_leave(t);
    tls_thread_finish();
    sim_loop_remove(&t->loop);
    thread_finish(t);
}

const char *rig_stop(struct rig *r) {
    static char text[200];
    uint64_t endpoints = 0;
    const char *idle;
    *text = 0;
    sim_fail_any(0); /* failures are for traffic */
    for (int c = 0; c < SIM_CALL_COUNT; c++)
        sim_fail((enum sim_call)c, 0, 0);
    for (unsigned i = 0; i < r->workers; i++)
        stop_worker(r, i);
    idle = rig_check_idle(r);
    uint64_t up = rig_sum(r, upstream_connections_opened) - rig_sum(r, upstream_connections_closed);
    if (up)
        wrong(text, sizeof text, "connections to services left", up);
    for (unsigned i = 0; i < r->workers; i++)
        mem_free(r->worker[i]);
    snapshot_unref_atomic(r->snapshot);
    lasting_each(&endpoint_kind, count_endpoint, &endpoints);
    if (endpoints)
        wrong(text, sizeof text, "endpoints, their connections and requests left", endpoints);
    if (sim_open())
        wrong(text, sizeof text, "descriptors left", sim_open());
    if (sim_stale_calls())
        wrong(text, sizeof text, "calls on closed descriptors", sim_stale_calls());
    me = NULL;
    sim_end();
    free(r);
    return idle ? idle : *text ? text : NULL;
}
