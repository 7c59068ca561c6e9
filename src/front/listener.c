#include "front/door.h"
#include "base/hash.h"
#include "base/log.h"
#include "front/relief.h"
#include "io/tcp.h"
#include <errno.h>
#include <pthread.h>

enum {
    ACCEPTS_PER_TURN = 64,
    LAST_ACCEPTS = 64,
    ADDRESS_SHARDS = 64,
    ADDRESS_SLOTS = 1024,
    BACKOFF_MAX_MS = 100,
    REAP_SAMPLE = 64
};

static atomic_uint total, total_max, address_max;

/* Connections per address: fixed memory, one short lock per accept and close. A shard that is full
 * (more than 1,024 addresses hash there at once) lets further addresses pass uncounted; the total
 * limit still holds. */
struct address_count {
    unsigned char ip[16];
    uint32_t count;
    bool used; /* ever: a look-up goes on behind it */
};
struct shard {
    pthread_mutex_t lock;
    struct address_count *slot;
};
static struct shard shards[ADDRESS_SHARDS] = {
    [0 ... ADDRESS_SHARDS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

void listener_limits(uint32_t max_connections, uint32_t per_address) {
    atomic_store(&total_max, max_connections);
    atomic_store(&address_max, per_address);
}

uint32_t listener_total(void) {
    return atomic_load(&total);
}

/* An IPv6 client has a whole /64 to itself. */
static void address_key(const unsigned char ip[16], unsigned char key[16]) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(key, ip, 16);
    if (memcmp(ip, mapped, 12) != 0)
        memset(key + 8, 0, 8);
}

static struct address_count *address_slot(struct shard *s, const unsigned char key[16],
                                          uint64_t hash) {
    if (!s->slot)
        s->slot = mem_alloc(ADDRESS_SLOTS * sizeof *s->slot);
    struct address_count *free = NULL;
    for (size_t i = 0; i < ADDRESS_SLOTS; i++) {
        struct address_count *a = &s->slot[(hash + i) & (ADDRESS_SLOTS - 1)];
        if (a->count && memcmp(a->ip, key, 16) == 0)
            return a;
        if (!a->count && !free)
            free = a;
        if (!a->used)
            break;
    }
    if (free) {
        memcpy(free->ip, key, 16);
        free->used = true;
    }
    return free;
}

/* False: this address has as many as it may have. *counted: it took a place. */
static bool address_take(const unsigned char ip[16], bool *counted) {
    unsigned char key[16];
    uint32_t max = atomic_load_explicit(&address_max, memory_order_relaxed);
    *counted = false;
    if (!max)
        return true;
    address_key(ip, key);
    uint64_t hash = hash_bytes(key, 16);
    struct shard *s = &shards[hash >> 58];
    pthread_mutex_lock(&s->lock);
    struct address_count *a = address_slot(s, key, hash);
    bool ok = !a || a->count < max;
    if (a && ok) {
        a->count++;
        *counted = true;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static void address_give(const unsigned char ip[16]) {
    unsigned char key[16];
    address_key(ip, key);
    uint64_t hash = hash_bytes(key, 16);
    struct shard *s = &shards[hash >> 58];
    pthread_mutex_lock(&s->lock);
    struct address_count *a = address_slot(s, key, hash);
    must(a && a->count);
    a->count--;
    pthread_mutex_unlock(&s->lock);
}

static void listener_free(struct deferred *d) {
    mem_free(container_of(d, struct listener, free));
}

static void listener_forget(struct listener *l) {
    if (l->closing && l->open == 0 && !l->free.node.next) {
        relief_forget(l->thread, l);
        list_remove(&l->node);
        l->free.run = listener_free;
        loop_after_turn(&l->thread->loop, &l->free);
    }
}

void listener_released(struct listener *l, const unsigned char ip[16], bool counted) {
    if (counted)
        address_give(ip);
    if (!l->reserve)
        atomic_fetch_sub(&total, 1);
    l->open--;
    listener_forget(l);
}

/* *scarce: more than nine tenths are taken. */
static bool total_take(bool *scarce) {
    uint32_t max = atomic_load_explicit(&total_max, memory_order_relaxed);
    uint32_t had = atomic_fetch_add(&total, 1);
    *scarce = had < max && had >= max - max / 10;
    if (had < max || !max)
        return true;
    atomic_fetch_sub(&total, 1);
    return false;
}

struct list *listener_list(struct thread *t) {
    struct list *l = t->local[LOCAL_LISTENERS];
    if (!l) {
        l = t->local[LOCAL_LISTENERS] = mem_alloc(sizeof *l);
        list_init(l);
    }
    return l;
}

static struct listener *of(struct list *n) {
    return container_of(n, struct listener, node);
}

/* Of those that the hand passes: the idle one that would have been closed first. */
static struct door *longest_idle(struct listener *l) {
    struct door *found = NULL;
    uint64_t at, least = UINT64_MAX;
    for (unsigned i = 0; i < REAP_SAMPLE && i < l->open; i++) {
        struct list *n = list_shift(&l->connections);
        if (!n)
            break;
        list_append(&l->connections, n);
        struct door *d = door_of(n);
        if (d->ops->idle(d, &at) && at < least) {
            least = at;
            found = d;
        }
    }
    return found;
}

static void make_room(struct thread *t) {
    struct list *head = listener_list(t);
    for (struct list *n = head->next; n != head; n = n->next) {
        struct door *d = of(n)->reserve ? NULL : longest_idle(of(n));
        if (d) {
            count_up(t, client_connections_reaped);
            d->ops->kill(d);
            return;
        }
    }
}

bool listener_count_address(struct listener *l, const unsigned char ip[16], bool *counted) {
    if (l->reserve || address_take(ip, counted))
        return true;
    count_up(l->thread, client_connections_refused_address);
    return false;
}

/* Takes the places of a new connection (ip NULL: in the total alone). False: it is refused. */
static bool admit(struct listener *l, const unsigned char *ip, bool *counted) {
    struct thread *t = l->thread;
    *counted = false;
    if (l->reserve)
        return true;
    bool scarce, taken = total_take(&scarce);
    if (scarce)
        make_room(t);
    if (!taken) {
        count_up(t, client_connections_refused_total);
        return false;
    }
    if (!ip || listener_count_address(l, ip, counted))
        return true;
    atomic_fetch_sub(&total, 1);
    return false;
}

/* A balancer's address stands for many clients: who is behind it is counted when that is known. */
static bool counts_peer(struct listener *l) {
    const struct listener_conf *c = listener_conf(l, l->thread->snap->snapshot);
    return !c || !c->proxy.on;
}

static void accepted(struct listener *l, int fd, const struct address *peer) {
    unsigned char ip[16] = {0};
    bool counted, has_ip = address_ip16(peer, ip); /* who comes by a unix socket has none */
    if (!admit(l, has_ip && counts_peer(l) ? ip : NULL, &counted)) {
        env.close(fd);
        return;
    }
    l->open++;
    struct door *d = door_accept(l, fd, peer);
    if (!d) {
        env.close(fd);
        listener_released(l, ip, counted);
        return;
    }
    d->counted = counted;
    count_up(l->thread, client_connections_accepted);
}

static void pause_accepting(struct listener *l) {
    l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : 1;
    if (l->backoff_ms > BACKOFF_MAX_MS)
        l->backoff_ms = BACKOFF_MAX_MS;
    count_up(l->thread, client_connections_refused_descriptors);
    timer_start(&l->thread->loop.timers, &l->pause, l->thread->loop.now / 1000000, l->backoff_ms);
}

static void accept_some(struct listener *l) {
    if (relief_holds(l)) {
        l->held = true;
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct address peer = {.len = sizeof peer.un};
        int fd = env.accept(l->watch.fd, &peer.sa, &peer.len);
        if (fd >= 0) {
            l->backoff_ms = 0;
            accepted(l, fd, &peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
            log_event(LEVEL_ERROR, "accept_failed", "accepting at listener %.*s failed: %s",
                      SPAN_ARG(l->name), strerror(errno));
            pause_accepting(l);
            return;
        }
    }
    loop_unfinished(&l->thread->loop, &l->again);
}

static void ready(struct watch *w, uint32_t events) {
    (void)events;
    accept_some(container_of(w, struct listener, watch));
}
static void again(struct reader *r) {
    accept_some(container_of(r, struct listener, again));
}
void listener_go_on(struct listener *l) {
    bool held = l->held;
    l->held = false;
    if (held && !l->closing)
        loop_unfinished(&l->thread->loop, &l->again);
}
static void pause_over(struct timer *t) {
    accept_some(container_of(t, struct listener, pause));
}

bool listener_open(struct thread *t, struct span name, int fd, const struct plan *plan) {
    struct listener *l = mem_alloc(sizeof *l + name.n + 1);
    char *text = (char *)(l + 1);
    if (name.n)
        memcpy(text, name.p, name.n);
    *l = (struct listener){.watch.ready = ready,
                           .again.again = again,
                           .pause.fire = pause_over,
                           .thread = t,
                           .plan = plan,
                           .reserve = plan != NULL,
                           .name = span_of(text, name.n)};
    list_init(&l->connections);
    tcp_no_delay(fd); /* what is accepted inherits it */
    if (!loop_watch(&t->loop, &l->watch, fd)) {
        env.close(fd);
        mem_free(l);
        return false;
    }
    list_append(listener_list(t), &l->node);
    relief_start(t);
    return true;
}

static const struct listener_conf *conf_find(const struct listener *l, const struct snapshot *s) {
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (span_eq(s->listener[i].name, l->name))
            return &s->listener[i];
    return NULL;
}

/* Asked at every request, looked for once a configuration. */
const struct listener_conf *listener_conf(struct listener *l, const struct snapshot *s) {
    if (!l->conf || l->conf_generation != s->generation || !s->generation) {
        l->conf = conf_find(l, s);
        l->conf_generation = s->generation;
    }
    return l->conf;
}

/* Whoever waits in the queue has connected to us: he is taken in. Others may hold the same socket
 * (a supervisor, the next process), so closing it does not take it out of epoll. */
static void stop_accepting(struct listener *l) {
    if (l->closing)
        return;
    for (int i = 0; i < LAST_ACCEPTS; i++) {
        list_remove(&l->again.node);
        accept_some(l);
        if (!l->again.node.next)
            break;
    }
    l->closing = true;
    list_remove(&l->again.node);
    timer_stop(&l->pause);
    env.epoll_ctl(l->thread->loop.ep, EPOLL_CTL_DEL, l->watch.fd, NULL);
    loop_unwatch(&l->thread->loop, &l->watch);
}

void listener_close(struct thread *t, struct span name) {
    for (struct list *head = listener_list(t), *n = head->next, *next; n != head; n = next) {
        next = n->next;
        if (name.p && !span_eq(of(n)->name, name))
            continue;
        stop_accepting(of(n));
        listener_forget(of(n));
    }
}

static void each_connection(struct thread *t, void (*fn)(struct door *)) {
    for (struct list *head = listener_list(t), *n = head->next, *next; n != head; n = next) {
        struct listener *l = of(n);
        next = n->next;
        l->open++; /* stays while its list is walked */
        for (struct list *c = l->connections.next, *after; c != &l->connections; c = after) {
            after = c->next;
            fn(door_of(c));
        }
        l->open--;
        listener_forget(l);
    }
}

static void drain(struct door *d) {
    d->ops->drain(d);
}
static void kill_door(struct door *d) {
    d->ops->kill(d);
}

void listeners_drain(struct thread *t) {
    t->draining = true;
    listener_close(t, SPAN_NONE);
    drain_tell(t);
    each_connection(t, drain);
    loop_drain(&t->loop);
}

void listeners_stop(struct thread *t) {
    t->draining = true;
    listener_close(t, SPAN_NONE);
    each_connection(t, kill_door);
    loop_drain(&t->loop);
    relief_stop(t);
    loop_turn(&t->loop, 0); /* what waited for the end of a turn */
    mem_free(t->local[LOCAL_LISTENERS]);
    t->local[LOCAL_LISTENERS] = NULL;
    h2_server_finish(t);
}
