#include "main/worker.h"
#include "base/log.h"
#include "front/listener.h"
#include "main/gateway.h"
#include "main/rooms.h"
#include "tls/stream.h"
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

enum { DRAIN_LOOK_MS = 10, JOIN_SECONDS = 2 };

static uint64_t now_ms(const struct thread *t) {
    return t->loop.now / 1000000;
}

struct order *order_create(struct worker *w, void (*act)(struct order *),
                           void (*done)(struct order *)) {
    struct order *o = mem_alloc(sizeof *o);
    *o = (struct order){.worker = w, .act = act, .done = done};
    return o;
}

void order_drop(struct order *o) {
    mem_free(o->close);
    mem_free(o->open);
    mem_free(o);
}

static void carry_out(struct message *m) {
    struct order *o = container_of(m, struct order, message);
    o->act(o);
}

static void come_back(struct message *m) {
    struct order *o = container_of(m, struct order, message);
    if (o->done)
        o->done(o);
    order_drop(o);
}

void order_send(struct order *o) {
    o->message.receive = carry_out;
    loop_send(&o->worker->thread.loop, &o->message);
}

void order_done(struct order *o) {
    o->message.receive = come_back;
    loop_send(&o->worker->gateway->control.loop, &o->message);
}

/* Too many old configurations are alive: what still runs with the oldest gets little time. */
static void drain_oldest(struct thread *t) {
    unsigned old = 0;
    struct snapshot_ref *oldest = t->snap;
    for (; oldest->next; oldest = oldest->next)
        old++;
    if (old <= OLD_SNAPSHOTS_MAX)
        return;
    uint64_t at = t->loop.now + OLD_SNAPSHOT_GRACE_MS * 1000000ull;
    for (struct list *n = t->exchanges.next; n != &t->exchanges; n = n->next) {
        struct exchange *x = container_of(n, struct exchange, node);
        if (x->snap != oldest || (x->deadline_at && x->deadline_at <= at))
            continue;
        x->deadline_at = at;
        timer_start(&t->loop.timers, &x->deadline, now_ms(t), OLD_SNAPSHOT_GRACE_MS);
    }
}

void snapshot_take(struct thread *t, struct snapshot *s) {
    thread_use_snapshot(t, s);
    drain_oldest(t);
}

void order_use_snapshot(struct order *o) {
    struct thread *t = &o->worker->thread;
    for (uint32_t i = 0; i < o->closes; i++)
        listener_close(t, o->close[i]);
    snapshot_take(t, o->snapshot);
    for (uint32_t i = 0; i < o->opens; i++)
        o->failed += !listener_open(t, o->open[i].name, o->open[i].fd, NULL);
    order_done(o);
}

static uint64_t open_connections(const struct thread *t) {
    return atomic_load_explicit(&t->counters.client_connections_accepted, memory_order_relaxed) -
           atomic_load_explicit(&t->counters.client_connections_closed, memory_order_relaxed);
}

/* Connections end in many places, so they are counted now and then instead of telling each end. */
static void look_drained(struct timer *timer) {
    struct worker *w = container_of(timer, struct worker, drain_look);
    struct thread *t = &w->thread;
    if (open_connections(t) || list_linked(&t->exchanges)) {
        timer_start(&t->loop.timers, timer, now_ms(t), DRAIN_LOOK_MS);
        return;
    }
    order_done(w->draining);
    w->draining = NULL;
}

void order_drain(struct order *o) {
    struct worker *w = o->worker;
    listeners_drain(&w->thread);
    w->draining = o;
    w->drain_look.fire = look_drained;
    look_drained(&w->drain_look);
}

void order_stop(struct order *o) {
    struct thread *t = &o->worker->thread;
    timer_stop(&o->worker->drain_look);
    if (o->worker->draining)
        order_drop(o->worker->draining);
    listeners_stop(t);
    t->loop.stop = true;
    order_drop(o);
}

void order_ping(struct order *o) {
    order_done(o);
}

bool gateway_thread_init(struct thread *t, unsigned index, bool control) {
    if (!thread_init(t, index)) {
        log_event(LEVEL_ERROR, "start", "no descriptors or memory for thread %u: %s", index,
                  strerror(errno));
        return false;
    }
    t->control = control;
    return rooms_thread_init(t);
}

void gateway_thread_finish(struct thread *t) {
    me = &t->loop;
    rooms_thread_finish(t);
    thread_finish(t);
}

static void *serve(void *arg) {
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "sluice-%u", w->thread.index);
    prctl(PR_SET_NAME, name);
    me = &w->thread.loop;
    loop_run(&w->thread.loop);
    tls_thread_finish();
    return NULL;
}

bool worker_start(struct worker *w) {
    int err = pthread_create(&w->id, NULL, serve, w);
    w->running = err == 0;
    if (err)
        log_event(LEVEL_ERROR, "start", "cannot start worker %u: %s", w->thread.index,
                  strerror(err));
    return w->running;
}

bool worker_join(struct worker *w) {
    struct timespec until;
    if (!w->running)
        return true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += JOIN_SECONDS;
    if (pthread_timedjoin_np(w->id, NULL, &until) != 0)
        return false;
    w->running = false;
    return true;
}
