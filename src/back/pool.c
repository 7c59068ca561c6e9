#include "back/pool.h"
#include "back/h1_client.h"

enum { POOL_SLOTS = 256 };

static struct pool **table(struct thread *t) {
    if (!t->local[LOCAL_POOLS])
        t->local[LOCAL_POOLS] = mem_alloc(POOL_SLOTS * sizeof(struct pool *));
    return t->local[LOCAL_POOLS];
}

static struct pool **slot_of(struct thread *t, const struct endpoint *e) {
    uintptr_t h = (uintptr_t)e >> 6;
    struct pool **at = &table(t)[(h ^ h >> 8) & (POOL_SLOTS - 1)];
    while (*at && (*at)->endpoint != e)
        at = &(*at)->next;
    return at;
}

static void pool_free(struct deferred *d) {
    struct pool *p = container_of(d, struct pool, free);
    endpoint_unref(p->endpoint);
    mem_free(p);
}

static void forget_if_empty(struct pool *p) {
    if (p->open || p->waiting_count || p->free.node.next)
        return;
    struct pool **at = slot_of(p->thread, p->endpoint);
    must(*at == p);
    *at = p->next;
    list_remove(&p->wake.node);
    p->free.run = pool_free;
    loop_after_turn(&p->thread->loop, &p->free);
}

static void wake(struct task *t);

static struct pool *pool_of(struct thread *t, struct endpoint *e) {
    struct pool **at = slot_of(t, e);
    if (*at)
        return *at;
    struct pool *p = mem_alloc(sizeof *p);
    endpoint_ref(e);
    *p = (struct pool){.endpoint = e, .thread = t, .wake.run = wake};
    list_init(&p->idle);
    list_init(&p->busy);
    list_init(&p->waiting);
    *at = p;
    return p;
}

static struct h1_client *take_idle(struct pool *p) {
    struct list *n = list_shift(&p->idle);
    if (!n)
        return NULL;
    p->idle_count--;
    list_append(&p->busy, n);
    return h1_client_of(n);
}

/* Who may not use a kept connection trades the oldest for a new one. */
static bool trade_idle(struct pool *p, const struct attempt *a) {
    if (!list_linked(&p->idle))
        return false;
    p->open++; /* stays meanwhile */
    h1_client_close(h1_client_of(p->idle.prev));
    p->open--;
    return endpoint_connection_take(p->endpoint, a->service->max_connections);
}

/* A kept connection, or a new one where the endpoint's limit allows it. NULL with FAULT_NONE: the
 * limit. */
static struct h1_client *find(struct pool *p, struct attempt *a, enum fault *why) {
    struct h1_client *c = a->fresh_only ? NULL : take_idle(p);
    *why = FAULT_NONE;
    if (c) {
        count_up(p->thread, upstream_connections_reused);
        return c;
    }
    if (!endpoint_connection_take(p->endpoint, a->service->max_connections) && !trade_idle(p, a))
        return NULL;
    p->open++;
    c = h1_client_connect(p, a->service, why);
    if (c) {
        list_append(&p->busy, h1_client_node(c));
        return c;
    }
    p->open--;
    endpoint_connection_give(p->endpoint);
    return NULL;
}

static void queue_timeout(struct timer *t) {
    struct attempt *a = container_of(t, struct attempt, queue_timer);
    pool_leave_queue(a);
    attempt_failed(a, FAULT_QUEUE_TIMEOUT, NULL);
}

static enum pool_got enqueue(struct pool *p, struct attempt *a, enum fault *why) {
    if (p->waiting_count >= a->service->max_pending) {
        *why = FAULT_QUEUE_FULL;
        return POOL_REFUSED;
    }
    struct loop *l = &p->thread->loop;
    list_append(&p->waiting, &a->waiting);
    p->waiting_count++;
    a->queue_timer.fire = queue_timeout;
    timer_start(&l->timers, &a->queue_timer, l->now / 1000000,
                exchange_time_left_ms(a->x, a->service->queue_timeout_ms));
    return POOL_QUEUED;
}

enum pool_got pool_get(struct thread *t, struct attempt *a, enum fault *why) {
    struct pool *p = pool_of(t, a->endpoint);
    a->conn = find(p, a, why);
    if (a->conn)
        return POOL_READY;
    enum pool_got got = *why ? POOL_REFUSED : enqueue(p, a, why);
    if (got == POOL_REFUSED)
        forget_if_empty(p);
    return got;
}

void pool_leave_queue(struct attempt *a) {
    if (!list_linked(&a->waiting))
        return;
    struct pool *p = *slot_of(a->x->thread, a->endpoint);
    list_remove(&a->waiting);
    timer_stop(&a->queue_timer);
    p->waiting_count--;
    forget_if_empty(p);
}

/* Who waited longest looks again; while there is something to be had. */
static void wake(struct task *t) {
    struct pool *p = container_of(t, struct pool, wake);
    for (uint32_t left = p->waiting_count; left && p->waiting_count; left--) {
        struct attempt *a = container_of(p->waiting.next, struct attempt, waiting);
        enum fault why;
        struct h1_client *c = find(p, a, &why);
        if (!c && !why)
            return;
        list_remove(&a->waiting);
        timer_stop(&a->queue_timer);
        p->waiting_count--;
        a->conn = c;
        a->reused = c && h1_client_kept(c);
        if (c)
            attempt_send(a);
        else
            attempt_failed(a, why, NULL);
    }
    forget_if_empty(p);
}

static void call_waiters(struct pool *p) {
    if (p->waiting_count)
        loop_post(&p->thread->loop, &p->wake);
}

void pool_put_idle(struct pool *p, struct list *node) {
    list_remove(node);
    list_prepend(&p->idle, node);
    p->idle_count++;
    call_waiters(p);
}

void pool_closed(struct pool *p) {
    p->open--;
    endpoint_connection_give(p->endpoint);
    call_waiters(p);
    forget_if_empty(p);
}

void pool_unidle(struct pool *p) {
    p->idle_count--;
}

/* ---- hooks of the endpoints ------------------------------------------------------------------ */

static void connection_free(struct thread *t, struct endpoint *e) {
    struct pool *p = *slot_of(t, e);
    if (p)
        call_waiters(p);
}

static void connection_wanted(struct thread *t, struct endpoint *e) {
    struct pool *p = *slot_of(t, e);
    if (p && list_linked(&p->idle))
        h1_client_close(h1_client_of(p->idle.prev)); /* the oldest */
}

static void drain(struct thread *t, struct endpoint *e) {
    struct pool *p = *slot_of(t, e);
    if (!p)
        return;
    uint32_t epoch = endpoint_epoch(e);
    p->open++; /* stays while its list is walked */
    for (struct list *n = p->idle.next, *next; n != &p->idle; n = next) {
        next = n->next;
        h1_client_close_older(h1_client_of(n), epoch);
    }
    p->open--;
    forget_if_empty(p);
}

void pools_init(void) {
    static const struct endpoint_hooks hooks = {connection_free, connection_wanted, drain};
    endpoint_set_hooks(&hooks);
}

void pools_finish(struct thread *t) {
    for (int i = 0; i < POOL_SLOTS; i++)
        for (struct pool *p; (p = table(t)[i]);) {
            p->open++;
            while (list_linked(&p->idle))
                h1_client_close(h1_client_of(p->idle.next));
            must(!list_linked(&p->busy) && !p->waiting_count);
            p->open--;
            forget_if_empty(p);
        }
    mem_free(t->local[LOCAL_POOLS]);
    t->local[LOCAL_POOLS] = NULL;
    loop_turn(&t->loop, 0);
}

uint32_t pool_idle(struct thread *t, const struct endpoint *e) {
    struct pool *p = *slot_of(t, e);
    return p ? p->idle_count : 0;
}
