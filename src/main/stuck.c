#include "main/stuck.h"
#include "base/log.h"
#include "main/gateway.h"
#include <signal.h>

enum { LOOK_MS = 100, TEXT_MAX = 64 };

/* What a worker notes of itself, in its signal handler. */
struct note {
    char request[TEXT_MAX], route[TEXT_MAX], filter[TEXT_MAX];
    unsigned char request_len, route_len, filter_len;
    atomic_bool ready;
};

static struct {
    struct timer look;
    struct gateway *gateway;
    struct note note[WORKERS_MAX];
    uint64_t progress[WORKERS_MAX]; /* at the last look; 0: it was waiting */
    bool asked[WORKERS_MAX];
} stuck;

/* ---- in the worker: nothing but copies -------------------------------------------------------
 */

static unsigned char copy(char to[TEXT_MAX], struct span from) {
    size_t n = from.n < TEXT_MAX ? from.n : TEXT_MAX;
    for (size_t i = 0; i < n; i++)
        to[i] = from.p[i];
    return (unsigned char)n;
}

static struct span filter_of(const struct exchange *x) {
    if (!x->calling || !x->plan)
        return SPAN_NONE;
    unsigned at = x->state == X_REQUEST ? x->depth - 1u : x->up;
    return at < x->plan->count ? span_z(x->plan->filter[at].ops->name) : SPAN_NONE;
}

static void look_at_oneself(int signal) {
    (void)signal;
    const struct thread *t = thread_me();
    if (!t || t->control || t->index >= WORKERS_MAX)
        return;
    struct note *n = &stuck.note[t->index];
    const struct exchange *x = atomic_load_explicit(&t->doing, memory_order_relaxed);
    n->request_len = n->route_len = n->filter_len = 0;
    if (x) {
        n->request_len = copy(n->request, span_of(x->facts.request_id, x->facts.request_id_len));
        n->route_len = x->route ? copy(n->route, x->route->name) : 0;
        n->filter_len = copy(n->filter, filter_of(x));
    }
    atomic_store_explicit(&n->ready, true, memory_order_release);
}

/* ---- in the control thread -------------------------------------------------------------------
 */

static void tell(unsigned w, struct note *n) {
    char id[LOG_QUOTED_MAX], route[LOG_QUOTED_MAX];
    struct span filter = span_of(n->filter, n->filter_len);
    if (!n->request_len)
        log_event(LEVEL_WARNING, "worker_stuck", "worker %u is busy for over %d ms with one thing",
                  w, LOOK_MS);
    else
        log_event(LEVEL_WARNING, "worker_stuck",
                  "worker %u is busy for over %d ms with one request%s%.*s request_id=%s route=%s",
                  w, LOOK_MS, filter.n ? ", in " : "", SPAN_ARG(filter),
                  log_quoted(span_of(n->request, n->request_len), id),
                  log_quoted(span_of(n->route, n->route_len), route));
}

static void look_at(unsigned w) {
    struct worker *worker = &stuck.gateway->worker[w];
    const struct loop *l = &worker->thread.loop;
    struct note *n = &stuck.note[w];
    if (atomic_load_explicit(&n->ready, memory_order_acquire)) {
        tell(w, n);
        atomic_store_explicit(&n->ready, false, memory_order_relaxed);
    }
    bool busy = atomic_load_explicit(&l->busy, memory_order_relaxed);
    uint64_t now = busy ? atomic_load_explicit(&l->progress, memory_order_relaxed) + 1 : 0;
    bool hangs = now && now == stuck.progress[w];
    if (hangs && !stuck.asked[w] && worker->running) {
        count_up(&stuck.gateway->control, workers_stuck);
        pthread_kill(worker->id, SIGURG);
    }
    stuck.asked[w] = hangs;
    stuck.progress[w] = now;
}

static void look(struct timer *timer) {
    struct loop *l = &stuck.gateway->control.loop;
    for (unsigned w = 0; w < stuck.gateway->workers; w++)
        look_at(w);
    timer_start(&l->timers, timer, l->now / 1000000, LOOK_MS);
}

/* SIGURG: nobody else sends it, and where nobody waits for it, it is ignored. */
void stuck_start(struct gateway *g) {
    struct sigaction act = {.sa_handler = look_at_oneself, .sa_flags = SA_RESTART};
    sigemptyset(&act.sa_mask);
    memset(stuck.progress, 0, sizeof stuck.progress);
    memset(stuck.asked, 0, sizeof stuck.asked);
    stuck.gateway = g;
    stuck.look.fire = look;
    if (sigaction(SIGURG, &act, NULL) == 0)
        timer_start(&g->control.loop.timers, &stuck.look, g->control.loop.now / 1000000, LOOK_MS);
}

void stuck_stop(void) {
    timer_stop(&stuck.look);
}
