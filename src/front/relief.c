#include "front/relief.h"
#include "front/door.h"

enum { IDLE_MS = 2000, A_TURN = 256, PAUSE_MS = 500 };

/* A round: the listener and how many of its connections are still to be looked at. */
struct relief {
    struct thread *thread;
    struct reader go_on;
    struct timer pause;
    struct listener *at; /* NULL: the round is over, or has not begun */
    uint32_t left;
};

static struct listener *listener_of(struct list *n) {
    return container_of(n, struct listener, node);
}

static uint64_t now_ms(const struct thread *t) {
    return t->loop.now / 1000000;
}

/* `until` is when it would be closed anyway: keepalive_timeout after it became idle, or, where
 * nothing ever came, first_byte_timeout after it was opened. */
static bool long_idle(const struct door *d) {
    uint64_t until, now = now_ms(door_thread(d));
    if (!d->ops->idle(d, &until) || now < d->opened / 1000000 + IDLE_MS)
        return false;
    return until < now + door_limits(d)->keepalive_timeout_ms - IDLE_MS ||
           door_limits(d)->keepalive_timeout_ms <= IDLE_MS;
}

static void look_at(struct listener *l) {
    struct list *n = list_shift(&l->connections);
    if (!n)
        return;
    list_append(&l->connections, n);
    struct door *d = door_of(n);
    if (!long_idle(d))
        return;
    count_up(l->thread, client_connections_spared);
    d->ops->kill(d); /* nothing is under way; HTTP/2 says GOAWAY */
}

static void begin_listener(struct relief *r, struct list *n) {
    struct list *head = listener_list(r->thread);
    while (n != head && listener_of(n)->reserve)
        n = n->next;
    r->at = n == head ? NULL : listener_of(n);
    r->left = r->at ? r->at->open : 0;
}

static void some(struct relief *r) {
    for (unsigned i = 0; i < A_TURN && r->at; i++) {
        if (r->left == 0) {
            begin_listener(r, r->at->node.next);
            continue;
        }
        r->left--;
        look_at(r->at);
    }
    struct loop *l = &r->thread->loop;
    if (r->at)
        loop_unfinished(l, &r->go_on);
    else
        timer_start(&l->timers, &r->pause, now_ms(r->thread), PAUSE_MS);
}

static void go_on(struct reader *reader) {
    struct relief *r = container_of(reader, struct relief, go_on);
    if (relief_parts(r->thread))
        some(r);
    else
        r->at = NULL;
}

static void next_round(struct timer *timer) {
    struct relief *r = container_of(timer, struct relief, pause);
    if (!relief_parts(r->thread))
        return;
    begin_listener(r, listener_list(r->thread)->next);
    some(r);
}

static void let_in(struct thread *t) {
    struct list *head = listener_list(t);
    for (struct list *n = head->next; n != head; n = n->next)
        listener_go_on(listener_of(n));
}

static void told(struct thread *t) {
    struct relief *r = t->local[LOCAL_RELIEF];
    if (t->overload.level < OVERLOAD_STOP)
        let_in(t);
    if (!relief_parts(t))
        timer_stop(&r->pause);
    else if (!r->at && !timer_running(&r->pause))
        timer_start(&t->loop.timers, &r->pause, now_ms(t), 0);
}

void relief_start(struct thread *t) {
    struct relief *r = t->local[LOCAL_RELIEF];
    if (r)
        return;
    r = t->local[LOCAL_RELIEF] = mem_alloc(sizeof *r);
    *r = (struct relief){.thread = t, .go_on.again = go_on, .pause.fire = next_round};
    t->overload.told = told;
}

void relief_forget(struct thread *t, const struct listener *l) {
    struct relief *r = t->local[LOCAL_RELIEF];
    if (r && r->at == l)
        begin_listener(r, l->node.next);
}

void relief_stop(struct thread *t) {
    struct relief *r = t->local[LOCAL_RELIEF];
    if (!r)
        return;
    timer_stop(&r->pause);
    list_remove(&r->go_on.node);
    mem_free(r);
    t->local[LOCAL_RELIEF] = NULL;
    t->overload.told = NULL;
}
