#include "observe/metrics.h"
#include "core/lasting.h"
#include "observe/metrics_cells.h"
#include <pthread.h>
#include <sys/mman.h>

static struct {
    struct metrics_state state;
    pthread_mutex_t lock; /* of the next two and of the rows; never on the request path */
    struct thread *thread[METRIC_THREADS];
    unsigned threads;
} metrics = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void) {
    pthread_mutex_lock(&metrics.lock);
}
static void unlock(void) {
    pthread_mutex_unlock(&metrics.lock);
}

void metrics_start(void) {
    metrics.state = (struct metrics_state){.started_at = env.wall_ns(), .reload_ok = true};
}

const struct metrics_state *metrics_state(void) {
    return &metrics.state;
}

void metrics_reload(bool ok, const char *text) {
    struct metrics_state *s = &metrics.state;
    struct str line = str_on(s->reload_text, sizeof s->reload_text - 1);
    size_t n = strcspn(text, "\n");
    str_put(&line, text, n < line.max ? n : line.max);
    s->reload_text[line.n] = 0;
    s->reloaded_at = env.wall_ns();
    s->reload_ok = ok;
    if (ok)
        s->reloads_ok++;
    else
        s->reloads_failed++;
}

bool metrics_thread_init(struct thread *t) {
    lock();
    bool room = metrics.threads < METRIC_THREADS;
    /* Untouched pages cost nothing: a row is memory once its route was asked for. */
    void *p = room ? mmap(NULL, sizeof(struct metrics_local), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                   : MAP_FAILED;
    if (p != MAP_FAILED) {
        t->local[LOCAL_METRICS] = p;
        metrics.thread[metrics.threads++] = t;
        metrics.state.workers += !t->control;
    }
    unlock();
    return p != MAP_FAILED;
}

void metrics_thread_finish(struct thread *t) {
    if (!t->local[LOCAL_METRICS])
        return;
    lock();
    for (unsigned i = 0; i < metrics.threads; i++)
        if (metrics.thread[i] == t) {
            metrics.thread[i] = metrics.thread[--metrics.threads];
            break;
        }
    metrics.state.workers -= !t->control;
    unlock();
    munmap(t->local[LOCAL_METRICS], sizeof(struct metrics_local));
    t->local[LOCAL_METRICS] = NULL;
}

void metrics_each(void (*fn)(const struct metrics_local *l, void *ctx), void *ctx) {
    lock();
    for (unsigned i = 0; i < metrics.threads; i++)
        fn(metrics.thread[i]->local[LOCAL_METRICS], ctx);
    unlock();
}

/* Rows */

struct row {
    unsigned number;
};
struct rows {
    unsigned count;
    bool *taken;
    void (*clear)(struct metrics_local *l, unsigned row);
};

static void clear_route(struct metrics_local *l, unsigned row) {
    struct route_cell *c = &l->route[row];
    for (unsigned i = 0; i < CLASSES; i++)
        atomic_store_explicit(&c->answered[i], 0, memory_order_relaxed);
    atomic_store_explicit(&c->request_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&c->response_bytes, 0, memory_order_relaxed);
    histogram_clear(&c->duration);
}
static void clear_service(struct metrics_local *l, unsigned row) {
    atomic_store_explicit(&l->service[row].failed, 0, memory_order_relaxed);
    histogram_clear(&l->service[row].answer);
}

static void clear_auth(struct metrics_local *l, unsigned row) {
    struct auth_cell *c = &l->auth[row];
    atomic_store_explicit(&c->accepted, 0, memory_order_relaxed);
    atomic_store_explicit(&c->waited, 0, memory_order_relaxed);
    for (unsigned i = 0; i < AUTH_FAULTS; i++)
        atomic_store_explicit(&c->refused[i], 0, memory_order_relaxed);
}

static bool route_taken[ROUTE_ROWS], service_taken[SERVICE_ROWS], auth_taken[AUTH_ROWS];
static bool route_used[ROUTE_ROWS], service_used[SERVICE_ROWS], auth_used[AUTH_ROWS];
static struct rows routes = {ROUTE_ROWS, route_taken, clear_route};
static struct rows services = {SERVICE_ROWS, service_taken, clear_service};
static struct rows auths = {AUTH_ROWS, auth_taken, clear_auth};

/* A row that had another name before is cleared: with its last snapshot its last writer is gone. */
static unsigned row_take(struct rows *rows, bool *used) {
    unsigned n = ROW_NAMES;
    lock();
    while (n < rows->count && rows->taken[n])
        n++;
    if (n < rows->count) {
        rows->taken[n] = true;
        for (unsigned i = 0; used[n] && i < metrics.threads; i++)
            rows->clear(metrics.thread[i]->local[LOCAL_METRICS], n);
        used[n] = true;
    }
    unlock();
    return n < rows->count ? n : ROW_OTHER;
}

static void row_give(struct rows *rows, unsigned n) {
    if (n < ROW_NAMES)
        return;
    lock();
    rows->taken[n] = false;
    unlock();
}

static void route_make(void *obj, struct span key) {
    (void)key;
    ((struct row *)obj)->number = row_take(&routes, route_used);
}
static void route_close(void *obj) {
    row_give(&routes, ((struct row *)obj)->number);
}
static void service_make(void *obj, struct span key) {
    (void)key;
    ((struct row *)obj)->number = row_take(&services, service_used);
}
static void service_close(void *obj) {
    row_give(&services, ((struct row *)obj)->number);
}

static void auth_make(void *obj, struct span key) {
    (void)key;
    ((struct row *)obj)->number = row_take(&auths, auth_used);
}
static void auth_close(void *obj) {
    row_give(&auths, ((struct row *)obj)->number);
}

static const struct lasting_kind auth_kind = {"authenticator statistics", sizeof(struct row),
                                              auth_make, auth_close};
static const struct lasting_kind route_kind = {"route statistics", sizeof(struct row), route_make,
                                               route_close};
static const struct lasting_kind service_kind = {"service statistics", sizeof(struct row),
                                                 service_make, service_close};

/* Until it is published the snapshot is its builder's, who may write. */
void metrics_attach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->route_count; i++) {
        struct route *r = (struct route *)(uintptr_t)&s->route[i];
        r->lasting = lasting_get(&route_kind, r->name);
        r->row = ((const struct row *)r->lasting)->number;
    }
    for (uint32_t i = 0; i < s->service_count; i++) {
        struct service_conf *c = (struct service_conf *)(uintptr_t)&s->service[i];
        c->stats = lasting_get(&service_kind, c->name);
    }
    for (uint32_t i = 0; i < s->authenticator_count; i++) {
        struct authenticator *by = &s->authenticator[i];
        by->stats = lasting_get(&auth_kind, by->name);
        by->row = ((const struct row *)by->stats)->number;
    }
}

void metrics_detach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->route_count; i++)
        lasting_unref(s->route[i].lasting);
    for (uint32_t i = 0; i < s->service_count; i++)
        lasting_unref(s->service[i].stats);
    for (uint32_t i = 0; i < s->authenticator_count; i++)
        lasting_unref(s->authenticator[i].stats);
}

unsigned metrics_route_row(const struct route *r) {
    return r && r->lasting ? r->row : ROW_NONE;
}
unsigned metrics_service_row(const struct service_conf *s) {
    return s && s->stats ? ((const struct row *)s->stats)->number : ROW_NONE;
}

unsigned metrics_auth_row(const struct authenticator *by) {
    return by->stats ? by->row : ROW_NONE;
}

/* Counting */

static void count_auth(struct metrics_local *l, const struct exchange *x) {
    struct auth_cell *c = &l->auth[metrics_auth_row(x->asked)];
    unsigned fault = x->auth_fault;
    if (x->caller)
        count_add(c->accepted, 1);
    else if (fault >= AUTH_FAULT_FIRST && fault - AUTH_FAULT_FIRST < AUTH_FAULTS)
        count_add(c->refused[fault - AUTH_FAULT_FIRST], 1);
    if (x->auth_waited)
        count_add(c->waited, 1);
}

void metrics_record(struct thread *t, const struct record *r) {
    struct metrics_local *l = t->local[LOCAL_METRICS];
    if (!l)
        return;
    struct route_cell *c = &l->route[metrics_route_row(r->x->route)];
    unsigned class = r->status >= 100 && r->status < 600 ? (unsigned)r->status / 100 : 0;
    count_add(c->answered[class], 1);
    count_add(c->request_bytes, r->request_body);
    count_add(c->response_bytes, r->response_body);
    histogram_add(&c->duration, r->total_ns);
    if (r->x->asked)
        count_auth(l, r->x);
    if (r->fault != FAULT_NONE)
        count_add(l->fault[r->fault], 1);
    struct service_cell *s = &l->service[metrics_service_row(r->x->service)];
    if (r->upstream_ns >= 0)
        histogram_add(&s->answer, (uint64_t)r->upstream_ns);
    if (r->x->service && fault_table[r->fault].who == FAULT_WHO_UPSTREAM)
        count_add(s->failed, 1);
}

/* Reading */

static uint64_t load(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_seq_cst);
}

struct flow { /* what conservation is about */
    uint64_t accepted, completed, aborted, rejected, live;
};
static struct flow flow_of(const struct thread *t) {
    const struct counters *c = &t->counters;
    return (struct flow){load(&c->exchanges_accepted), load(&c->exchanges_completed),
                         load(&c->exchanges_aborted), load(&c->exchanges_rejected),
                         atomic_load(&t->exchange_count)};
}

/* The five belong together: read again while the thread was writing them. */
static struct flow steady_flow(const struct thread *t) {
    struct flow f;
    uint32_t before, after;
    unsigned tries = 0;
    do {
        before = atomic_load(&t->books);
        f = flow_of(t);
        after = atomic_load(&t->books);
    } while ((before != after || before & 1) && ++tries < 100000);
    return f;
}

/* Where each counter lies in struct counters. */
static const unsigned short counter_at[] = {
#define C(name, help) [METRIC_##name] = offsetof(struct counters, name),
    COUNTER_LIST(C)
#undef C
};

static void add_thread(const struct thread *t, struct metrics_totals *out) {
    const struct metrics_local *l = t->local[LOCAL_METRICS];
    struct flow f = steady_flow(t);
    for (unsigned i = 0; i < array_len(counter_at); i++)
        if (i < METRIC_exchanges_accepted || i > METRIC_exchanges_rejected)
            out->value[i] +=
                load((const _Atomic uint64_t *)(const void *)((const char *)&t->counters +
                                                              counter_at[i]));
    out->value[METRIC_exchanges_accepted] += f.accepted;
    out->value[METRIC_exchanges_completed] += f.completed;
    out->value[METRIC_exchanges_aborted] += f.aborted;
    out->value[METRIC_exchanges_rejected] += f.rejected;
    out->in_flight += f.live;
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        out->fault[i] += load(&l->fault[i]);
}

void metrics_totals(struct metrics_totals *out) {
    *out = (struct metrics_totals){0};
    lock();
    for (unsigned i = 0; i < metrics.threads; i++)
        add_thread(metrics.thread[i], out);
    unlock();
}
