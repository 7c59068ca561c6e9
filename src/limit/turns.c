#include "limit/turns.h"

enum waiter_state { WAITS, GRANTED, DISPLACED };

/* Lives on the heap: the message that tells it may still be under way when its exchange is gone. */
struct turn_waiter {
    struct list node;  /* in the queue, of its class */
    struct turn *turn; /* NULL: it has left. Its thread's alone */
    struct thread *thread;
    struct turns *turns;
    struct turn_cell *cell;
    uint64_t tag, number, since; /* number: in the order of arrival */
    uint32_t limit;
    const _Atomic uint32_t *moving;
    enum turn_class class;
    enum waiter_state state; /* with the lock */
    struct message message;
    struct task task;
};

struct turn_queue {
    struct list node; /* in turns->queues */
    struct turn_cell *cell;
    struct list class[TURN_CLASSES];
    uint32_t in_class[TURN_CLASSES], count;
    uint64_t numbers, grants;
    uint64_t granted_at, pace; /* ns between two grants, on average */
};

void turns_init(struct turns *t) {
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->queues);
}

void turns_finish(struct turns *t) {
    must(!list_linked(&t->queues));
    pthread_mutex_destroy(&t->lock);
}

enum turn_class turn_class_of(struct span word) {
    if (span_eq(word, SPAN("high")))
        return TURN_HIGH;
    return span_eq(word, SPAN("low")) ? TURN_LOW : TURN_NORMAL;
}

static uint32_t limit_of(uint32_t limit, const _Atomic uint32_t *moving) {
    uint32_t now = moving ? atomic_load_explicit(moving, memory_order_relaxed) : limit;
    return now < limit ? now : limit;
}

/* ---- the cell ---------------------------------------------------------------------------------
 */

/* One more, while the tag is this and fewer than `limit` are in. `waits` too: with the lock. */
static bool add_below(struct turn_cell *c, uint64_t tag, uint32_t limit, bool waits) {
    uint64_t w = atomic_load_explicit(&c->word, memory_order_relaxed);
    do
        if ((w & TURN_TAG_MASK) != tag || (w & TURN_COUNT_MASK) >= limit ||
            (!waits && (w & TURN_WAITS)))
            return false;
    while (!atomic_compare_exchange_weak(&c->word, &w, w + TURN_ONE));
    return true;
}

static uint64_t tag_of(const struct turn_cell *c) {
    return atomic_load(&((struct turn_cell *)(uintptr_t)c)->word) & TURN_TAG_MASK;
}

/* From now on who leaves takes the lock. False: there is room (or another key) after all. */
static bool mark_waited(struct turn_cell *c, uint64_t tag, uint32_t limit) {
    uint64_t w = atomic_load(&c->word);
    do
        if ((w & TURN_TAG_MASK) != tag || (w & TURN_COUNT_MASK) < limit)
            return false;
    while (!atomic_compare_exchange_weak(&c->word, &w, w | TURN_WAITS));
    return true;
}

bool turns_enter(struct turn_cell *cell, uint32_t limit) {
    return add_below(cell, 0, limit, false);
}

bool turn_force(struct turn *t) {
    t->held = add_below(t->cell, t->tag, (uint32_t)TURN_COUNT_MASK, true);
    return t->held;
}

/* ---- the queue, with the lock -------------------------------------------------------------------
 */

static struct turn_queue *queue_of(struct turns *t, const struct turn_cell *c) {
    for (struct list *n = t->queues.next; n != &t->queues; n = n->next) {
        struct turn_queue *q = container_of(n, struct turn_queue, node);
        if (q->cell == c)
            return q;
    }
    return NULL;
}

static struct turn_queue *queue_make(struct turns *t, struct turn_cell *c) {
    struct turn_queue *q = mem_try(sizeof *q);
    if (!q)
        return NULL;
    *q = (struct turn_queue){.cell = c};
    for (int i = 0; i < TURN_CLASSES; i++)
        list_init(&q->class[i]);
    list_append(&t->queues, &q->node);
    return q;
}

static void queue_drop(struct turn_queue *q) {
    atomic_fetch_and(&q->cell->word, ~TURN_WAITS);
    list_remove(&q->node);
    mem_free(q);
}

static void take_out(struct turn_queue *q, struct turn_waiter *w) {
    list_remove(&w->node);
    q->in_class[w->class]--;
    q->count--;
    atomic_fetch_sub_explicit(&w->turns->waiting, 1, memory_order_relaxed);
}

static struct turn_waiter *first_of(struct turn_queue *q, int class) {
    return list_linked(&q->class[class])
               ? container_of(q->class[class].next, struct turn_waiter, node)
               : NULL;
}

/* Whose turn it is next. */
static struct turn_waiter *next_of(struct turn_queue *q) {
    struct turn_waiter *found = NULL;
    bool fair = q->grants % TURN_FAIR == TURN_FAIR - 1;
    for (int i = TURN_CLASSES - 1; i >= 0; i--) {
        struct turn_waiter *w = first_of(q, i);
        if (w && (!found || (fair && w->number < found->number)))
            found = w;
    }
    return found;
}

static void receive(struct turn_waiter *w);
static void receive_message(struct message *m) {
    receive(container_of(m, struct turn_waiter, message));
}
static void receive_task(struct task *t) {
    receive(container_of(t, struct turn_waiter, task));
}

/* Its thread hears of it; the lock may be held: neither of these runs anything here. */
static void tell(struct turn_waiter *w, enum waiter_state state) {
    w->state = state;
    if (w->thread == thread_me())
        loop_post(&w->thread->loop, &w->task);
    else
        loop_send(&w->thread->loop, &w->message);
}

static void keep_pace(struct turn_queue *q) {
    uint64_t now = thread_me()->loop.now;
    uint64_t step = now > q->granted_at ? now - q->granted_at : 0;
    if (q->grants)
        q->pace = q->pace ? q->pace - q->pace / 8 + step / 8 : step;
    q->granted_at = now;
    q->grants++;
}

/* Gives what there is to those whose turn it is. The queue may be gone afterwards. */
static void settle(struct turn_queue *q) {
    while (q->count) {
        struct turn_waiter *w = next_of(q);
        if (!add_below(q->cell, w->tag, limit_of(w->limit, w->moving), true))
            return;
        take_out(q, w);
        keep_pace(q);
        tell(w, GRANTED);
    }
    queue_drop(q);
}

/* The youngest of the lowest class below this one. */
static bool make_room(struct turn_queue *q, enum turn_class for_class) {
    for (unsigned i = 0; i < for_class; i++) {
        if (!list_linked(&q->class[i]))
            continue;
        struct turn_waiter *w = container_of(q->class[i].prev, struct turn_waiter, node);
        take_out(q, w);
        atomic_fetch_add_explicit(&w->turns->displaced, 1, memory_order_relaxed);
        tell(w, DISPLACED);
        return true;
    }
    return false;
}

/* When a turn comes to one who queues now, by the pace so far; 0: unknown. */
static uint64_t due(const struct turn_queue *q, enum turn_class class) {
    uint64_t ahead = 1;
    if (!q || q->grants < TURN_PACE_KNOWN)
        return 0;
    for (unsigned i = class; i < TURN_CLASSES; i++)
        ahead += q->in_class[i];
    return ahead * q->pace;
}

static struct turn_waiter *waiter_make(struct turn *t, const struct turn_ask *ask) {
    struct turn_waiter *w = mem_try(sizeof *w);
    if (w)
        *w = (struct turn_waiter){.turn = t,
                                  .thread = thread_me(),
                                  .turns = t->turns,
                                  .cell = t->cell,
                                  .tag = t->tag,
                                  .since = thread_me()->loop.now,
                                  .limit = ask->limit,
                                  .moving = ask->moving,
                                  .class = ask->class,
                                  .message.receive = receive_message,
                                  .task.run = receive_task};
    return w;
}

static bool queue_up(struct turn_queue *q, struct turn *t, const struct turn_ask *ask) {
    struct turn_waiter *w = t->waiter = waiter_make(t, ask);
    if (!w)
        return false;
    struct list *line = &q->class[w->class];
    must(line->prev);
    w->number = q->numbers++;
    list_append(line, &w->node);
    q->in_class[w->class]++;
    q->count++;
    atomic_fetch_add_explicit(&t->turns->waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->turns->queued, 1, memory_order_relaxed);
    return true;
}

/* Somebody may wait already. */
static enum turn_result join(struct turn_queue *q, struct turn *t, const struct turn_ask *ask) {
    uint64_t at = due(q, ask->class);
    t->pace = at;
    if (!ask->wait_ms || at / 1000000 > ask->wait_ms)
        return TURN_LATE;
    if (!ask->queue || (q->count >= ask->queue && !make_room(q, ask->class)))
        return TURN_FULL;
    return queue_up(q, t, ask) ? TURN_WAIT : TURN_FULL;
}

static enum turn_result at_limit(struct turn *t, const struct turn_ask *ask) {
    uint32_t limit = limit_of(ask->limit, ask->moving);
    struct turn_queue *q = queue_of(t->turns, t->cell);
    if (q) {
        enum turn_result r = join(q, t, ask);
        settle(q); /* a larger limit than that of who waits, or an emptied queue */
        return r;
    }
    do {
        if (add_below(t->cell, t->tag, limit, true))
            return TURN_TAKEN;
        if (tag_of(t->cell) != t->tag)
            return TURN_MOVED;
        if (!ask->queue)
            return TURN_FULL;
        if (!ask->wait_ms)
            return TURN_LATE;
    } while (!mark_waited(t->cell, t->tag, limit)); /* there was room after all */
    q = queue_make(t->turns, t->cell);
    enum turn_result r = q ? join(q, t, ask) : TURN_FULL;
    if (q)
        settle(q);
    else
        atomic_fetch_and(&t->cell->word, ~TURN_WAITS);
    return r;
}

/* ---- the waiter's side --------------------------------------------------------------------------
 */

static void count_refusal(struct turns *t, enum turn_result r) {
    if (r == TURN_FULL)
        atomic_fetch_add_explicit(&t->full, 1, memory_order_relaxed);
    else if (r == TURN_LATE)
        atomic_fetch_add_explicit(&t->late, 1, memory_order_relaxed);
}

static void waited(struct turn *t) {
    uint64_t now = thread_me()->loop.now;
    timer_stop(&t->timer);
    op_end(&t->op);
    t->waiter = NULL;
    atomic_fetch_add_explicit(&t->turns->waited_ns, now - t->since, memory_order_relaxed);
}

static void receive(struct turn_waiter *w) {
    struct turn *t = w->turn;
    enum waiter_state state = w->state;
    if (!t && state == GRANTED)
        turns_leave(w->turns, w->cell);
    mem_free(w);
    if (!t)
        return;
    waited(t);
    if (state == GRANTED)
        t->held = true;
    t->ready(t, state == GRANTED ? TURN_TAKEN : TURN_DISPLACED);
}

/* Out of the queue, if it still is in it. */
static bool withdraw(struct turn *t) {
    struct turn_waiter *w = t->waiter;
    pthread_mutex_lock(&t->turns->lock);
    bool waits = w->state == WAITS;
    if (waits) {
        struct turn_queue *q = queue_of(t->turns, t->cell);
        must(q);
        take_out(q, w);
        settle(q);
    }
    pthread_mutex_unlock(&t->turns->lock);
    return waits;
}

static void cancel(struct op *op) {
    struct turn *t = container_of(op, struct turn, op);
    struct turn_waiter *w = t->waiter;
    if (withdraw(t))
        mem_free(w);
    else
        w->turn = NULL; /* what it was given is under way, and goes on from there */
    waited(t);
}

static void time_over(struct timer *timer) {
    struct turn *t = container_of(timer, struct turn, timer);
    struct turn_waiter *w = t->waiter;
    if (!withdraw(t))
        return; /* the answer is under way */
    mem_free(w);
    waited(t);
    count_refusal(t->turns, TURN_LATE);
    t->ready(t, TURN_LATE);
}

static void wait_for(struct turn *t, const struct turn_ask *ask) {
    struct loop *l = &thread_me()->loop;
    t->since = l->now;
    t->timer.fire = time_over;
    op_start(ask->ops, &t->op, cancel);
    timer_start(&l->timers, &t->timer, l->now / 1000000, ask->wait_ms);
}

enum turn_result turn_take(struct turn *t, const struct turn_ask *ask) {
    t->pace = 0;
    if (likely(add_below(t->cell, t->tag, limit_of(ask->limit, ask->moving), false))) {
        t->held = true;
        return TURN_TAKEN;
    }
    if (tag_of(t->cell) != t->tag)
        return TURN_MOVED;
    pthread_mutex_lock(&t->turns->lock);
    enum turn_result r = at_limit(t, ask);
    pthread_mutex_unlock(&t->turns->lock);
    if (r == TURN_TAKEN)
        t->held = true;
    else if (r == TURN_WAIT)
        wait_for(t, ask);
    else
        count_refusal(t->turns, r);
    return r;
}

/* ---- leaving ------------------------------------------------------------------------------------
 */

static void subtract(struct turn_cell *c) {
    uint64_t before = atomic_fetch_sub(&c->word, TURN_ONE);
    must(before & TURN_COUNT_MASK);
}

void turns_leave(struct turns *turns, struct turn_cell *cell) {
    uint64_t w = atomic_load_explicit(&cell->word, memory_order_relaxed);
    must(w & TURN_COUNT_MASK);
    while (!(w & TURN_WAITS))
        if (likely(atomic_compare_exchange_weak(&cell->word, &w, w - TURN_ONE)))
            return;
    pthread_mutex_lock(&turns->lock);
    subtract(cell);
    struct turn_queue *q = queue_of(turns, cell);
    if (q)
        settle(q);
    pthread_mutex_unlock(&turns->lock);
}

void turn_leave(struct turn *t) {
    must(!t->waiter);
    if (!t->held)
        return;
    t->held = false;
    turns_leave(t->turns, t->cell);
}

void turns_look_again(struct turns *t, struct turn_cell *cell) {
    if (!(atomic_load(&cell->word) & TURN_WAITS))
        return;
    pthread_mutex_lock(&t->lock);
    struct turn_queue *q = queue_of(t, cell);
    if (q)
        settle(q);
    pthread_mutex_unlock(&t->lock);
}
