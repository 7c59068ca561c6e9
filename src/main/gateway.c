#include "main/gateway.h"
#include "admin/admin.h"
#include "base/log.h"
#include "front/listener.h"
#include "io/work.h"
#include "main/listening.h"
#include "main/pidfile.h"
#include "main/rooms.h"
#include "main/stuck.h"
#include "observe/log.h"
#include "tls/stream.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static uint64_t now_ms(const struct gateway *g) {
    return g->control.loop.now / 1000000;
}

static void all_workers(struct gateway *g, void (*act)(struct order *),
                        void (*done)(struct order *)) {
    for (unsigned w = 0; w < g->workers; w++)
        order_send(order_create(&g->worker[w], act, done));
}

/* The end. */

static void stop(struct gateway *g) {
    if (g->life == LIFE_STOPPING)
        return;
    g->life = LIFE_STOPPING;
    timer_stop(&g->grace);
    timer_stop(&g->watchdog);
    stuck_stop();
    g->control.loop.stop = true;
}

static void drained(struct order *o) {
    struct gateway *g = o->worker->gateway;
    if (--g->undrained == 0)
        stop(g);
}

static void grace_over(struct timer *t) {
    struct gateway *g = container_of(t, struct gateway, grace);
    log_event(LEVEL_WARNING, "stop", "shutdown_grace is over; %u connections break off",
              listener_total());
    stop(g);
}

void gateway_drain(struct gateway *g, const char *why) {
    if (g->life == LIFE_DRAINING) {
        log_event(LEVEL_WARNING, "stop", "%s again: stopping at once", why);
        stop(g);
        return;
    }
    if (g->life == LIFE_STOPPING)
        return;
    log_event(LEVEL_INFO, "stop", "%s: draining %u connections", why, listener_total());
    g->life = LIFE_DRAINING;
    g->undrained = g->workers;
    channel_tell(&g->channel, CHANNEL_STOPPING);
    control_close(g);
    all_workers(g, order_drain, drained);
    sockets_close_all(&g->channel.own, true); /* workers have their own copies */
    g->grace.fire = grace_over;
    timer_start(&g->control.loop.timers, &g->grace, now_ms(g),
                gateway_snapshot(g)->shutdown_grace_ms);
}

/* Signals and the supervisor. */

static void on_signal(struct gateway *g, int number) {
    if (number == SIGTERM || number == SIGINT)
        gateway_drain(g, number == SIGTERM ? "SIGTERM" : "SIGINT");
    else if (number == SIGHUP)
        reload_request(g, NULL);
    else if (number == SIGUSR1)
        log_reopen();
    else
        log_event(LEVEL_WARNING, "signal", "without a supervisor there is no upgrade (signal %d)",
                  number);
}

static void signals_ready(struct watch *w, uint32_t events) {
    struct gateway *g = container_of(w, struct gateway, signals);
    struct signalfd_siginfo i;
    (void)events;
    while (read(w->fd, &i, sizeof i) == (ssize_t)sizeof i)
        on_signal(g, (int)i.ssi_signo);
}

static void supervisor_ready(struct watch *w, uint32_t events) {
    struct gateway *g = container_of(w, struct gateway, supervisor);
    char c;
    (void)events;
    if (recv(w->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return;
    loop_unwatch(&g->control.loop, w);
    g->channel.fd = -1;
    /* Nobody would restart this process, and the next gateway needs its addresses. */
    if (g->life == LIFE_SERVING)
        gateway_drain(g, "the supervisor is gone");
}

static int take_signals(void) {
    static const int number[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < array_len(number); i++)
        sigaddset(&set, number[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error of the writer, no end */
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* systemd is told that we live while every worker still turns. */

static void pong(struct order *o) {
    struct gateway *g = o->worker->gateway;
    if (--g->unanswered == 0)
        channel_tell(&g->channel, CHANNEL_ALIVE);
}

static void watchdog(struct timer *t) {
    struct gateway *g = container_of(t, struct gateway, watchdog);
    if (g->unanswered) {
        log_event(LEVEL_ERROR, "watchdog", "%u workers do not answer", g->unanswered);
    } else {
        g->unanswered = g->workers;
        all_workers(g, order_ping, pong);
    }
    timer_start(&g->control.loop.timers, t, now_ms(g), g->channel.systemd.watchdog_us / 2000 + 1);
}

/* The hooks of the admin listener. */

struct admin_waiter {
    struct reload_waiter waiter;
    struct admin_reload *asked;
};

static void admin_told(struct reload_waiter *w, const struct reload_outcome *o) {
    struct admin_waiter *a = container_of(w, struct admin_waiter, waiter);
    bool json = admin_reload_json(a->asked);
    struct str text = reload_text(o->diags, json ? DIAG_JSON : DIAG_TEXT);
    admin_reload_done(a->asked, o->result == RELOAD_DONE, o->message, str_span(&text));
    mem_free(text.p);
    mem_free(a);
}

static void admin_asks(void *ctx, struct admin_reload *r) {
    struct admin_waiter *a = mem_alloc(sizeof *a);
    *a = (struct admin_waiter){.waiter.done = admin_told, .asked = r};
    reload_request(ctx, &a->waiter);
}

static const char *not_ready(void *ctx) {
    static const char *const why[] = {"starting", NULL, "draining", "stopping"};
    return why[((struct gateway *)ctx)->life];
}

/* The start: what can be refused comes first, threads last. */

static unsigned worker_count(const struct gateway *g, const struct snapshot *s) {
    cpu_set_t set;
    unsigned n = g->call->workers ? g->call->workers : s->workers;
    if (!n)
        n = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    if (n > WORKERS_MAX)
        log_event(LEVEL_WARNING, "start", "%u workers are too many; %d are started", n,
                  WORKERS_MAX);
    return n > WORKERS_MAX ? WORKERS_MAX : n;
}

static const char *plural(uint32_t n) {
    return n == 1 ? "" : "s";
}

static void ready(struct gateway *g) {
    const struct snapshot *s = gateway_snapshot(g);
    g->life = LIFE_SERVING;
    channel_tell(&g->channel, CHANNEL_READY);
    log_event(LEVEL_INFO, "start",
              "serving: %u listener%s, %u route%s, %u worker%s, at most %u connections",
              s->listener_count, plural(s->listener_count), s->route_count, plural(s->route_count),
              g->workers, plural(g->workers), s->limits.max_connections);
    if (geteuid() == 0)
        log_event(LEVEL_WARNING, "start", "running as root; --user NAME gives that up");
    g->watchdog.fire = watchdog;
    if (g->channel.systemd.watchdog_us)
        watchdog(&g->watchdog);
    certificates_start(g);
    stuck_start(g);
    reload_ready(g);
}

static void opened(struct order *o) {
    struct gateway *g = o->worker->gateway;
    if (g->life != LIFE_STARTING)
        return;
    g->failed += o->failed;
    if (--g->undrained)
        return;
    if (!g->failed) {
        ready(g);
        return;
    }
    log_event(LEVEL_ERROR, "start", "%u listening sockets cannot be watched", g->failed);
    stop(g);
}

static bool open_listeners(struct gateway *g, struct snapshot *s) {
    struct order **order = g->opening;
    char text[512];
    struct str why = str_on(text, sizeof text - 1);
    for (unsigned w = 0; w < g->workers; w++)
        order[w] = order_create(&g->worker[w], order_use_snapshot, opened);
    if (listening_change(g, NULL, s, order, &why) && listening_admin(g, NULL, s, &why))
        return true;
    log_event(LEVEL_ERROR, "start", "%.*s", SPAN_ARG(str_span(&why)));
    return false;
}

static bool init_threads(struct gateway *g) {
    g->worker = mem_alloc(g->workers * sizeof *g->worker);
    if (!gateway_thread_init(&g->control, g->workers, true))
        return false;
    for (unsigned w = 0; w < g->workers; w++) {
        g->worker[w].gateway = g;
        if (!gateway_thread_init(&g->worker[w].thread, w, false))
            return false;
    }
    me = &g->control.loop;
    g->control.loop.now = env.now_ns();
    return true;
}

static bool watch_outside(struct gateway *g, int signals) {
    const struct admin_hooks hooks = {g, admin_asks, not_ready};
    g->signals.ready = signals_ready;
    g->supervisor.ready = supervisor_ready;
    admin_set_hooks(&hooks);
    reload_init(g);
    control_init(g);
    control_open(g);
    return loop_watch(&g->control.loop, &g->signals, signals) &&
           (g->channel.fd < 0 || loop_watch(&g->control.loop, &g->supervisor, g->channel.fd));
}

static bool start_serving(struct gateway *g, struct snapshot *s) {
    struct order **order = g->opening;
    if (!rooms_start(&g->control, s))
        return false;
    rooms_attach(s);
    g->undrained = g->workers;
    for (unsigned w = 0; w < g->workers; w++) {
        snapshot_ref_atomic(s);
        order[w]->snapshot = s;
        order_send(order[w]);
    }
    snapshot_ref_atomic(s);
    snapshot_take(&g->control, s);
    unsigned running = 0;
    while (running < g->workers && worker_start(&g->worker[running]))
        running++;
    if (running < g->workers)
        rooms_stop(); /* tells why */
    return running == g->workers;
}

static int start(struct gateway *g, struct snapshot *s) {
    struct user user;
    int signals = take_signals();
    g->workers = worker_count(g, s);
    if (signals < 0 || (g->call->user && !user_find(g->call->user, &user)))
        return CLI_FAILED;
    if (!init_threads(g) || !watch_outside(g, signals) || !open_listeners(g, s) ||
        !privileges_drop(g->call->user ? &user : NULL) || !start_serving(g, s))
        return CLI_FAILED;
    return CLI_FINE;
}

/* Everything is given back, so that a leak check of a test build has nothing to say. */
static void finish(struct gateway *g) {
    all_workers(g, order_stop, NULL);
    for (unsigned w = 0; w < g->workers; w++)
        if (!worker_join(&g->worker[w])) {
            log_event(LEVEL_ERROR, "stop", "worker %u does not stop", w);
            rooms_stop();
            _exit(CLI_FAILED);
        }
    work_stop();
    loop_turn(&g->control.loop, 0); /* what came back meanwhile */
    reload_stop(g);
    certificates_stop(g);
    control_close(g);
    loop_unwatch(&g->control.loop, &g->signals);
    listeners_stop(&g->control);
    rooms_stop();
    for (unsigned w = 0; w < g->workers; w++)
        gateway_thread_finish(&g->worker[w].thread);
    gateway_thread_finish(&g->control);
    tls_thread_finish(); /* workers have done it at their end */
    sockets_close_all(&g->channel.own, true);
    mem_free(g->worker);
}

/* Alone: what a supervisor would have done. */
static bool begin_alone(struct gateway *g, struct pidfile *p) {
    p->fd = -1;
    if (g->channel.fd >= 0)
        return true;
    return (!g->call->pid_file || pidfile_take(p, g->call->pid_file)) &&
           systemd_sockets(&g->channel.own);
}

int gateway_run(const struct cli_call *call) {
    static struct gateway gateway; /* a process is one gateway */
    struct gateway *g = &gateway;
    struct pidfile pidfile;
    g->call = call;
    prctl(PR_SET_NAME, "sluice");
    if (!channel_inherit(&g->channel.fd))
        g->channel.fd = -1;
    systemd_init(&g->channel.systemd);
    resources_take(&g->resources);
    rooms_init();
    g->first = reload_first(g);
    if (!g->first)
        return CLI_CONFIG;
    int code = begin_alone(g, &pidfile) ? start(g, g->first) : CLI_FAILED;
    if (code) /* nothing serves yet: the process's end cleans up */
        return code;
    snapshot_unref_atomic(g->first);
    loop_run(&g->control.loop);
    code = g->failed ? CLI_FAILED : CLI_FINE;
    finish(g);
    pidfile_drop(&pidfile);
    return code;
}
