#include "io/loop.h"
#include "io/pipe.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { TRIM_MS = 1000, SCRATCH_BATCH = SCRATCH_MIN };

_Thread_local struct loop *me;

static uint64_t now_ms(const struct loop *l) {
    return l->now / 1000000;
}

static void woken(struct watch *w, uint32_t events) {
    struct loop *l = container_of(w, struct loop, wake);
    uint64_t n;
    (void)events;
    if (env.read(l->wake_fd, &n, sizeof n) < 0)
        must(errno == EAGAIN || errno == EINTR);
    if (unlikely(l->marked_at != 0)) {
        l->lap.queued = env.now_ns() - l->marked_at;
        l->marked_at = 0;
    }
    /* Takes over what its setter had sent before: a plain store would let messages() look too
     * early. */
    atomic_exchange(&l->signalled, false);
}

/* Runs on as long as more pages are warm than are worth keeping; a turn starts it again. */
static void trim(struct timer *t) {
    struct loop *l = container_of(t, struct loop, trim);
    pages_trim(&l->arenas.pages);
}

bool loop_init(struct loop *l) {
    *l = (struct loop){.ep = -1, .wake_fd = -1};
    struct list *all[] = {&l->tasks,   &l->outputs,     &l->late_outputs,
                          &l->readers, &l->after_drain, &l->after_turn};
    for (size_t i = 0; i < array_len(all); i++)
        list_init(all[i]);
    arena_cache_init(&l->arenas);
    l->now = env.now_ns();
    timers_init(&l->timers, now_ms(l));
    /* Reserved, not touched: what small reads never use costs no memory. */
    l->scratch = mmap(NULL, SCRATCH_MAX, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (l->scratch == MAP_FAILED)
        l->scratch = NULL;
    l->ep = env.epoll_create();
    l->wake_fd = env.event_fd();
    l->wake.ready = woken;
    l->trim.fire = trim;
    return l->scratch && l->ep >= 0 && l->wake_fd >= 0 && loop_watch(l, &l->wake, l->wake_fd);
}

void loop_finish(struct loop *l) {
    for (struct message *m = atomic_exchange(&l->inbox, NULL), *next; m; m = next) {
        next = m->next;
        mem_free(m); /* nobody will receive it; messages are plain memory */
    }
    if (l->wake_fd >= 0)
        env.close(l->wake_fd);
    if (l->ep >= 0)
        env.close(l->ep);
    if (l->scratch)
        munmap(l->scratch, SCRATCH_MAX);
    pond_finish(&l->pond);
    pipes_finish(l);
    arena_cache_finish(&l->arenas);
}

bool loop_watch(struct loop *l, struct watch *w, int fd) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                             .data.ptr = w};
    w->fd = fd;
    w->closed = false;
    return env.epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) == 0;
}

void loop_unwatch(struct loop *l, struct watch *w) {
    (void)l; /* closing the only descriptor of a socket takes it out of epoll */
    if (w->closed)
        return;
    w->closed = true;
    env.close(w->fd);
}

bool loop_rewatch(struct loop *l, struct watch *from, struct watch *to) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                             .data.ptr = to};
    if (env.epoll_ctl(l->ep, EPOLL_CTL_MOD, from->fd, &ev) < 0)
        return false;
    to->fd = from->fd;
    to->closed = false;
    from->closed = true;
    return true;
}

void loop_send(struct loop *to, struct message *m) {
    m->next = atomic_load(&to->inbox);
    while (!atomic_compare_exchange_weak(&to->inbox, &m->next, m))
        ;
    if (!atomic_exchange(&to->signalled, true)) {
        uint64_t one = 1;
        if (env.write(to->wake_fd, &one, sizeof one) < 0)
            must(errno == EAGAIN || errno == EINTR);
    }
}

/* After the drain nobody may point into the scratch: in test builds it is overwritten. */
static void settle(struct loop *l) {
    pond_settle(&l->pond);
#ifdef SLUICE_TEST_BUILD
    memset(l->scratch, 0xEE, l->scratch_used > l->scratch_top ? l->scratch_used : l->scratch_top);
#endif
    l->scratch_used = l->scratch_top = 0;
}

/* One writer: no locked instruction. */
static inline void progress(struct loop *l) {
    uint64_t n = atomic_load_explicit(&l->progress, memory_order_relaxed);
    atomic_store_explicit(&l->progress, n + 1, memory_order_relaxed);
}

static void drain_outputs(struct loop *l) {
    /* Only those marked by now: whoever marks himself again is called after the tasks it caused. */
    struct list todo;
    list_init(&todo);
    list_splice(&todo, &l->outputs);
    for (struct list *n; (n = list_shift(&todo));) {
        struct output *o = container_of(n, struct output, node);
        progress(l);
        o->flush(o);
    }
}

static bool busy(const struct loop *l) {
    return list_linked(&l->tasks) || list_linked(&l->outputs) || list_linked(&l->after_drain);
}

void loop_drain(struct loop *l) {
    do {
        while (list_linked(&l->tasks) || list_linked(&l->outputs)) {
            for (struct list *n; (n = list_shift(&l->tasks));) {
                struct task *t = container_of(n, struct task, node);
                progress(l);
                t->run(t);
            }
            drain_outputs(l);
        }
        settle(l);
        if (unlikely(l->on_drained != NULL))
            l->on_drained(l);
        for (struct list *n; (n = list_shift(&l->after_drain));) {
            struct deferred *d = container_of(n, struct deferred, node);
            d->run(d);
        }
    } while (busy(l));
}

static void refresh(struct loop *l) {
    l->now = env.now_ns();
}

static void messages(struct loop *l) {
    if (!atomic_load_explicit(&l->inbox, memory_order_relaxed))
        return;
    struct message *m = atomic_exchange(&l->inbox, NULL), *in_order = NULL;
    while (m) {
        struct message *next = m->next;
        m->next = in_order;
        in_order = m;
        m = next;
    }
    while (in_order) {
        m = in_order;
        in_order = m->next;
        refresh(l);
        progress(l);
        m->receive(m);
        loop_drain(l);
    }
}

static void fire_timers(struct loop *l) {
    timers_turn(&l->timers, now_ms(l));
    for (struct timer *t; (t = timers_next_due(&l->timers));) {
        if (t->at > now_ms(l)) { /* moved since it was filed */
            timer_start(&l->timers, t, t->at - 1, 0);
            continue;
        }
        progress(l);
        t->fire(t);
        loop_drain(l);
    }
}

static void unfinished(struct loop *l, struct list *todo) {
    for (struct list *n; (n = list_shift(todo));) {
        struct reader *r = container_of(n, struct reader, node);
        refresh(l);
        progress(l);
        r->again(r);
        loop_drain(l);
    }
}

int loop_wait_ms(const struct loop *l, uint64_t now_ns, int max) {
    if (list_linked(&l->readers) || list_linked(&l->late_outputs) ||
        atomic_load_explicit(&l->inbox, memory_order_relaxed))
        return 0;
    int64_t ms = timers_wait(&l->timers, now_ns / 1000000, max);
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static void end_turn(struct loop *l) {
    struct list todo;
    list_init(&todo);
    list_splice(&todo, &l->late_outputs); /* who marks himself again is called in the next turn */
    for (struct list *n; (n = list_shift(&todo));) {
        struct output *o = container_of(n, struct output, node);
        o->flush(o);
    }
    if (busy(l)) /* what they caused does not wait for the next event */
        loop_drain(l);
    for (struct list *n; (n = list_shift(&l->after_turn));) {
        struct deferred *d = container_of(n, struct deferred, node);
        d->run(d);
    }
}

/* The kernel hands out what is ready in the order in which it became so: a mark at the end of that
 * queue tells how long it is. */
static void mark_queue(struct loop *l) {
    uint64_t one = 1;
    if (l->marked_at || env.write(l->wake_fd, &one, sizeof one) < 0)
        return;
    l->marked_at = l->now;
}

static void begin_turn(struct loop *l, int events) {
    refresh(l);
    l->turns++;
    l->lap.began = l->now;
    l->lap.events = events > 0 ? (unsigned)events : 0;
    l->lap.queued = 0;
    atomic_store_explicit(&l->busy, true, memory_order_relaxed);
    if (unlikely(events == LOOP_EVENTS))
        mark_queue(l);
}

static void turn_over(struct loop *l) {
    refresh(l);
    l->lap.ended = l->now;
    if (l->on_turn)
        l->on_turn(l);
    atomic_store_explicit(&l->busy, false, memory_order_relaxed);
}

void loop_turn(struct loop *l, int max_wait_ms) {
    struct epoll_event ev[LOOP_EVENTS] unzeroed;
    struct list todo;
    me = l;
    list_init(&todo);
    int n = env.epoll_wait(l->ep, ev, LOOP_EVENTS, loop_wait_ms(l, l->now, max_wait_ms));
    begin_turn(l, n);
    list_splice(&todo, &l->readers); /* those of the last turn; new ones wait */
    for (int i = 0; i < n; i++) {
        struct watch *w = ev[i].data.ptr;
        if (w->closed)
            continue;
        if ((i & 3) == 3) /* a handler takes some 10 us: good enough for clocks of ms */
            refresh(l);
        progress(l);
        w->ready(w, ev[i].events);
        if (l->scratch_used > SCRATCH_BATCH)
            loop_drain(l);
    }
    loop_drain(l);
    messages(l);
    unfinished(l, &todo);
    fire_timers(l);
    end_turn(l);
    if (unlikely(l->arenas.pages.warm_count > PAGES_WARM) && !timer_running(&l->trim))
        timer_start(&l->timers, &l->trim, now_ms(l), TRIM_MS);
    turn_over(l);
}

void loop_run(struct loop *l) {
    while (!l->stop)
        loop_turn(l, -1);
}
