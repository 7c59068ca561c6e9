#include "main/reload.h"
#include "base/log.h"
#include "front/listener.h"
#include "io/work.h"
#include "main/gateway.h"
#include "main/listening.h"
#include "main/rooms.h"
#include "observe/metrics.h"
#include <unistd.h>

struct reload_job {
    struct job job; /* first */
    struct gateway *gateway;
    struct diag_list diags;
    struct snapshot *next, *old; /* old: kept until all threads have swapped */
    unsigned unanswered;
    uint32_t failed; /* listeners that a worker could not open */
};

static uint64_t now_ms(const struct gateway *g) {
    return g->control.loop.now / 1000000;
}

static void append(void *ctx, struct span text) {
    struct str *s = ctx;
    size_t room = RELOAD_TEXT_MAX - s->n;
    if (text.n > room)
        text.n = room;
    if (text.n > s->max - s->n) {
        size_t max = (s->n + text.n) * 2 + 1024;
        s->p = mem_realloc(s->p, s->max, max);
        s->max = max;
    }
    str_add(s, text);
}

struct str reload_text(struct diag_list *l, enum diag_format f) {
    struct str s = {NULL, 0, 0, false};
    if (l)
        diag_print(l, f, false, append, &s);
    return s;
}

static void log_diags(struct diag_list *l) {
    struct str text = reload_text(l, DIAG_TEXT);
    struct span rest = str_span(&text);
    while (rest.p) {
        struct span line = span_split(&rest, '\n');
        if (line.n)
            log_event(l->errors ? LEVEL_ERROR : LEVEL_WARNING, "configuration", "%.*s",
                      SPAN_ARG(line));
    }
    mem_free(text.p);
}

static void tell_all(struct list *waiting, const struct reload_outcome *o) {
    for (struct list *n; (n = list_shift(waiting));) {
        struct reload_waiter *w = container_of(n, struct reload_waiter, node);
        w->done(w, o);
    }
}

static void begin(struct gateway *g);

static void begin_when_due(struct gateway *g) {
    struct reload *r = &g->reload;
    uint64_t since = now_ms(g) - r->begun_at;
    if (r->job || !r->wanted || g->life == LIFE_STARTING)
        return;
    if (r->begun_at && since < r->every_ms)
        timer_start(&g->control.loop.timers, &r->pause, now_ms(g), r->every_ms - since);
    else
        begin(g);
}

/* The end of every reload, however it went. */
static void finish(struct reload_job *j, enum reload_result result, const char *text) {
    struct gateway *g = j->gateway;
    struct reload_outcome o = {result, span_z(text), &j->diags};
    log_event(result == RELOAD_DONE ? LEVEL_INFO : LEVEL_ERROR, "reload", "%s", text);
    metrics_reload(result == RELOAD_DONE, result == RELOAD_DONE ? "" : text);
    channel_tell(&g->channel, CHANNEL_RELOADED);
    g->reload.job = NULL;
    tell_all(&g->reload.served, &o);
    snapshot_unref_atomic(j->next);
    snapshot_unref_atomic(j->old);
    diag_finish(&j->diags);
    mem_free(j);
    begin_when_due(g);
}

static void swapped(struct order *o) {
    struct gateway *g = o->worker->gateway;
    struct reload_job *j = g->reload.job;
    char text[128];
    j->failed += o->failed;
    if (--j->unanswered)
        return;
    listening_settle(g, j->old, j->next);
    struct str s = str_on(text, sizeof text - 1);
    str_fmt(&s, "configuration %llu is in force", (unsigned long long)j->next->generation);
    if (j->failed)
        str_fmt(&s, "; %u sockets could not be watched", j->failed);
    text[s.n] = 0;
    finish(j, j->failed ? RELOAD_FAILED : RELOAD_DONE, text);
}

static void limits(const struct gateway *g, struct snapshot *s) {
    if (!s->limits.max_connections)
        s->limits.max_connections = g->resources.max_connections;
    listener_limits(s->limits.max_connections, s->limits.per_ip_connections);
}

static void publish(struct reload_job *j, struct order **order) {
    struct gateway *g = j->gateway;
    j->next->generation = ++g->generation;
    if (j->next->workers != j->old->workers && !g->call->workers)
        log_event(LEVEL_WARNING, "reload", "workers changed: that needs a restart");
    limits(g, j->next);
    rooms_attach(j->next);
    j->unanswered = g->workers;
    for (unsigned w = 0; w < g->workers; w++) {
        snapshot_ref_atomic(j->next);
        order[w]->snapshot = j->next;
        order_send(order[w]);
    }
    snapshot_ref_atomic(j->next);
    snapshot_take(&g->control, j->next);
}

static void drop_orders(struct gateway *g, struct order **order) {
    for (unsigned w = 0; w < g->workers; w++)
        order_drop(order[w]);
}

/* All that can still fail comes before the first thread is told. */
static void apply(struct reload_job *j) {
    struct gateway *g = j->gateway;
    struct order *order[WORKERS_MAX];
    char text[512];
    struct str why = str_on(text, sizeof text - 1);
    j->old = g->control.snap->snapshot;
    snapshot_ref_atomic(j->old);
    for (unsigned w = 0; w < g->workers; w++)
        order[w] = order_create(&g->worker[w], order_use_snapshot, swapped);
    bool good = g->life == LIFE_SERVING;
    if (!good)
        str_lit(&why, "the gateway is draining");
    good = good && listening_change(g, j->old, j->next, order, &why) &&
           listening_admin(g, j->old, j->next, &why);
    text[why.n] = 0;
    if (good) {
        publish(j, order);
        return;
    }
    drop_orders(g, order);
    finish(j, RELOAD_FAILED, text);
}

static void read_it(struct job *job) {
    struct reload_job *j = container_of(job, struct reload_job, job);
    j->next = conf_load(&j->gateway->call->conf, &j->diags);
}

static void has_read(struct job *job) {
    struct reload_job *j = container_of(job, struct reload_job, job);
    char text[96];
    if (j->diags.errors || j->diags.warnings)
        log_diags(&j->diags);
    if (j->next) {
        apply(j);
        return;
    }
    struct str s = str_on(text, sizeof text - 1);
    str_fmt(&s, "the configuration has %u error%s; nothing was changed", j->diags.errors,
            j->diags.errors == 1 ? "" : "s");
    text[s.n] = 0;
    finish(j, RELOAD_REFUSED, text);
}

static void begin(struct gateway *g) {
    struct reload *r = &g->reload;
    struct reload_job *j = mem_alloc(sizeof *j);
    j->gateway = g;
    diag_init(&j->diags, true);
    r->begun_at = now_ms(g);
    r->wanted = false;
    r->job = j;
    list_splice(&r->served, &r->waiting);
    channel_tell(&g->channel, CHANNEL_RELOADING);
    if (!work_give(&j->job, read_it, has_read))
        finish(j, RELOAD_FAILED, "too much work is waiting for helper threads");
}

static void pause_over(struct timer *t) {
    begin_when_due(container_of(t, struct gateway, reload.pause));
}

void reload_init(struct gateway *g) {
    list_init(&g->reload.waiting);
    list_init(&g->reload.served);
    g->reload.pause.fire = pause_over;
    g->reload.every_ms = g->call->reload_every_ms ? g->call->reload_every_ms : RELOAD_EVERY_MS;
}

void reload_request(struct gateway *g, struct reload_waiter *w) {
    if (w)
        list_append(&g->reload.waiting, &w->node);
    g->reload.wanted = true;
    begin_when_due(g);
}

void reload_ready(struct gateway *g) {
    begin_when_due(g);
}

void reload_stop(struct gateway *g) {
    static const char text[] = "the gateway is stopping";
    struct reload_outcome o = {RELOAD_FAILED, span_z(text), NULL};
    timer_stop(&g->reload.pause);
    g->reload.wanted = false;
    tell_all(&g->reload.waiting, &o);
    tell_all(&g->reload.served, &o);
}

static void to_stderr(void *ctx, struct span text) {
    (void)ctx;
    (void)!write(STDERR_FILENO, text.p, text.n);
}

struct snapshot *reload_first(struct gateway *g) {
    struct diag_list diags;
    diag_init(&diags, true);
    struct snapshot *s = conf_load(&g->call->conf, &diags);
    diag_print(&diags, DIAG_TEXT, isatty(STDERR_FILENO), to_stderr, NULL);
    diag_finish(&diags);
    if (s) {
        s->generation = ++g->generation;
        limits(g, s);
    }
    return s;
}
