#include "back/pool.h"

enum { POOL_SLOTS = 256 };

static struct pool **table(struct thread *t) {
    if (!t->local[LOCAL_POOLS])
        t->local[LOCAL_POOLS] = mem_alloc(POOL_SLOTS * sizeof(struct pool *));
    return t->local[LOCAL_POOLS];
}

static struct pool **slot_of(struct thread *t, const struct endpoint *e) {
    uintptr_t h = (uintptr_t)e >> 6;
    return &table(t)[(h ^ h >> 8) & (POOL_SLOTS - 1)];
}

/* The first pool of this endpoint from `p` on; it may have several while old ones drain. */
static struct pool *of_endpoint(struct pool *p, const struct endpoint *e) {
    while (p && p->endpoint != e)
        p = p->next;
    return p;
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
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    list_remove(&p->wake.node);
    p->free.run = pool_free;
    loop_after_turn(&p->thread->loop, &p->free);
}

/* ---- closing what is not needed -------------------------------------------------------------- */

static struct client *oldest_idle(struct pool *p) {
    if (list_linked(&p->idle))
        return client_of(p->idle.prev);
    for (struct list *n = p->shared.next; n != &p->shared; n = n->next)
        if (!client_of(n)->streams)
            return client_of(n);
    return NULL;
}

/* The pool may go with its last connection: not before the caller is done with it. */
static void pool_hold(struct pool *p) {
    p->open++;
}
static void pool_release(struct pool *p) {
    p->open--;
    forget_if_empty(p);
}

enum { NO_EPOCH = -1 };

/* Those of another epoch than this are not used any more. */
static void retire(struct pool *p, int64_t epoch) {
    struct list *all[] = {&p->idle, &p->shared};
    pool_hold(p);
    for (size_t i = 0; i < array_len(all); i++)
        for (struct list *n = all[i]->next, *next; n != all[i]; n = next) {
            next = n->next;
            if (client_of(n)->epoch != epoch)
                client_of(n)->ops->retire(client_of(n));
        }
    pool_release(p);
}

/* Those of the same endpoint that speak to it in another way, from before a reload. */
static void retire_others(struct pool *than) {
    struct pool *p = *slot_of(than->thread, than->endpoint), *next;
    for (; (p = of_endpoint(p, than->endpoint)); p = next) {
        next = p->next;
        if (p != than)
            retire(p, NO_EPOCH);
    }
}

/* ---- a pool for an attempt ------------------------------------------------------------------- */

static void wake(struct task *t);

static struct pool *pool_create(struct thread *t, struct endpoint *e, uint64_t identity) {
    struct pool *p = mem_alloc(sizeof *p);
    endpoint_ref(e);
    *p = (struct pool){.endpoint = e, .identity = identity, .thread = t, .wake.run = wake};
    list_init(&p->idle);
    list_init(&p->busy);
    list_init(&p->shared);
    list_init(&p->waiting);
    return p;
}

static struct pool *pool_of(struct thread *t, struct attempt *a) {
    struct pool **slot = slot_of(t, a->endpoint), *p = *slot;
    uint64_t identity = service_identity(a->service);
    while (p && (p->endpoint != a->endpoint || p->identity != identity))
        p = p->next;
    if (p)
        return p;
    p = pool_create(t, a->endpoint, identity);
    p->next = *slot;
    *slot = p;
    retire_others(p);
    return p;
}

static struct client *take_idle(struct pool *p) {
    struct list *n = list_shift(&p->idle);
    if (!n)
        return NULL;
    p->idle_count--;
    list_append(&p->busy, n);
    return client_of(n);
}

static struct client *shared_with_room(struct pool *p, const void *but) {
    for (struct list *n = p->shared.next; n != &p->shared; n = n->next)
        if (client_has_room(client_of(n)) && client_of(n) != but)
            return client_of(n);
    return NULL;
}

/* A connection that begins with a PROXY header speaks for one client, and is nobody else's. */
static struct client *take_kept(struct pool *p, const struct attempt *a) {
    if (a->service->proxy_protocol)
        return NULL;
    const void *refused_on = a->fresh_only ? a->sent_on : NULL;
    struct client *c = a->unshared ? NULL : shared_with_room(p, refused_on);
    if (!c && !a->fresh_only)
        c = take_idle(p);
    if (c && c->requests)
        count_up(p->thread, upstream_connections_reused);
    return c;
}

/* Who may not use a kept connection trades the oldest for a new one. */
static bool trade_idle(struct pool *p, const struct attempt *a) {
    struct client *c = oldest_idle(p);
    if (!c)
        return false;
    pool_hold(p);
    c->ops->close(c);
    p->open--;
    return endpoint_connection_take(p->endpoint, a->service->max_connections);
}

static struct client *connect_new(struct pool *p, const struct attempt *a, enum fault *why) {
    bool shared;
    p->open++;
    struct client *c = client_open(p, a, &shared, why);
    if (c) {
        list_append(shared ? &p->shared : &p->busy, &c->node);
        return c;
    }
    p->open--;
    endpoint_connection_give(p->endpoint);
    return NULL;
}

/* Another one's handshake will tell whether its connection can carry this attempt, too. */
static bool await_decision(const struct pool *p, const struct attempt *a) {
    return p->deciding && !p->apart && !a->unshared && !a->service->proxy_protocol;
}

/* A kept connection, or a new one where the endpoint's limit allows it. NULL with FAULT_NONE: it
 * has to wait. */
static struct client *find(struct pool *p, const struct attempt *a, enum fault *why) {
    struct client *c = take_kept(p, a);
    *why = FAULT_NONE;
    if (c || await_decision(p, a))
        return c;
    if (endpoint_connection_take(p->endpoint, a->service->max_connections) || trade_idle(p, a))
        return connect_new(p, a, why);
    /* Rather where it was refused before than nowhere. */
    bool anywhere = a->fresh_only && !a->unshared && !a->service->proxy_protocol;
    return anywhere ? shared_with_room(p, NULL) : NULL;
}

/* ---- the queue ------------------------------------------------------------------------------- */

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
    a->waits_in = p;
    a->queue_timer.fire = queue_timeout;
    timer_start(&l->timers, &a->queue_timer, l->now / 1000000,
                exchange_time_left_ms(a->x, a->service->queue_timeout_ms));
    return POOL_QUEUED;
}

enum pool_got pool_get(struct thread *t, struct attempt *a, enum fault *why) {
    struct pool *p = pool_of(t, a);
    a->conn = find(p, a, why);
    if (a->conn)
        return POOL_READY;
    enum pool_got got = *why ? POOL_REFUSED : enqueue(p, a, why);
    if (got == POOL_REFUSED)
        forget_if_empty(p);
    return got;
}

static void unqueue(struct attempt *a) {
    list_remove(&a->waiting);
    timer_stop(&a->queue_timer);
    a->waits_in->waiting_count--;
}

void pool_leave_queue(struct attempt *a) {
    if (!list_linked(&a->waiting))
        return;
    unqueue(a);
    forget_if_empty(a->waits_in);
}

/* Who waited longest looks again; while there is something to be had. */
static void wake(struct task *t) {
    struct pool *p = container_of(t, struct pool, wake);
    for (uint32_t left = p->waiting_count; left && p->waiting_count; left--) {
        struct attempt *a = container_of(p->waiting.next, struct attempt, waiting);
        enum fault why;
        struct client *c = find(p, a, &why);
        if (!c && !why)
            return;
        unqueue(a);
        a->conn = c;
        a->reused = c && client_kept(c);
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

/* ---- what the clients tell ------------------------------------------------------------------- */

void pool_put_idle(struct client *c) {
    struct pool *p = c->pool;
    list_remove(&c->node);
    list_prepend(&p->idle, &c->node);
    p->idle_count++;
    call_waiters(p);
}

void pool_unidle(struct pool *p) {
    p->idle_count--;
}

void pool_has_room(struct pool *p) {
    call_waiters(p);
}

void pool_closed(struct pool *p) {
    p->open--;
    endpoint_connection_give(p->endpoint);
    call_waiters(p);
    forget_if_empty(p);
}

void pool_deciding(struct pool *p) {
    p->deciding++;
}

void pool_undecided(struct pool *p) {
    p->deciding--;
    call_waiters(p);
}

void pool_decided(struct pool *p, bool shared) {
    p->apart = !shared;
    pool_undecided(p);
}

/* ---- hooks of the endpoints ------------------------------------------------------------------ */

static struct pool *first_of(struct thread *t, const struct endpoint *e) {
    return of_endpoint(*slot_of(t, e), e);
}

static void connection_free(struct thread *t, struct endpoint *e) {
    for (struct pool *p = first_of(t, e); p; p = of_endpoint(p->next, e))
        call_waiters(p);
}

static void connection_wanted(struct thread *t, struct endpoint *e) {
    for (struct pool *p = first_of(t, e); p; p = of_endpoint(p->next, e)) {
        struct client *c = oldest_idle(p);
        if (c) {
            c->ops->close(c);
            return;
        }
    }
}

static void drain(struct thread *t, struct endpoint *e) {
    for (struct pool *p = first_of(t, e), *next; p; p = of_endpoint(next, e)) {
        next = p->next;
        retire(p, endpoint_epoch(e));
    }
}

void pools_init(void) {
    static const struct endpoint_hooks hooks = {connection_free, connection_wanted, drain};
    endpoint_set_hooks(&hooks);
}

void pools_finish(struct thread *t) {
    for (int i = 0; i < POOL_SLOTS; i++)
        for (struct pool *p; (p = table(t)[i]);) {
            pool_hold(p);
            for (struct client *c; (c = oldest_idle(p));)
                c->ops->close(c);
            must(!list_linked(&p->busy) && !list_linked(&p->shared) && !p->waiting_count);
            pool_release(p);
        }
    mem_free(t->local[LOCAL_POOLS]);
    t->local[LOCAL_POOLS] = NULL;
    loop_turn(&t->loop, 0);
}

uint32_t pool_idle(struct thread *t, const struct endpoint *e) {
    uint32_t n = 0;
    for (struct pool *p = first_of(t, e); p; p = of_endpoint(p->next, e)) {
        n += p->idle_count;
        for (struct list *l = p->shared.next; l != &p->shared; l = l->next)
            n += !client_of(l)->streams;
    }
    return n;
}
