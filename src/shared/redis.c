#include "shared/redis.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/slots.h"
#include "core/lasting.h"
#include "core/publish.h"
#include "shared/redis_beat.h"
#include "shared/redis_cluster.h"
#include "shared/redis_sentinel.h"
#include <inttypes.h>
#include <openssl/sha.h>

/* ---- what lasts ------------------------------------------------------------------------------ */

struct entry { /* in the registry; threads may need the store a little longer */
    _Atomic(struct redis *) redis;
};

static struct slots slots = SLOTS_INIT;
static pthread_mutex_t attaching = PTHREAD_MUTEX_INITIALIZER;

static void redis_unref(struct redis *r) {
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    tls_client_unref(r->conf.tls);
    arena_finish(&r->arena);
    mem_free(r);
}

static struct redis *redis_ref(struct redis *r) {
    atomic_fetch_add(&r->refs, 1);
    return r;
}

struct news { /* to a thread: a store has come, or is to go */
    struct message message;
    struct redis *redis; /* a reference */
};

static struct message *news(struct redis *r, void (*receive)(struct message *)) {
    struct news *n = mem_alloc(sizeof *n);
    n->message.receive = receive;
    n->redis = redis_ref(r);
    return &n->message;
}

static struct redis *read_news(struct message *m) {
    struct news *n = container_of(m, struct news, message);
    struct redis *r = n->redis;
    mem_free(n);
    return r;
}

static void here_start(struct thread *t, struct redis *r);
static void here_end(struct thread *t, struct redis *r);

static void has_come(struct message *m) {
    struct redis *r = read_news(m);
    here_start(thread_me(), r);
    redis_unref(r);
}

static void is_to_go(struct message *m) {
    struct redis *r = read_news(m);
    here_end(thread_me(), r);
    redis_unref(r);
}

static struct message *say_come(struct thread *to, void *r) {
    (void)to;
    return news(r, has_come);
}

static struct message *say_go(struct thread *to, void *r) {
    (void)to;
    return news(r, is_to_go);
}

static void entry_close(void *obj) {
    struct entry *e = obj;
    struct redis *r = atomic_load(&e->redis);
    publish_each(say_go, r);
    slots_give(&slots, r->slot);
    redis_unref(r);
}

static const struct lasting_kind kind = {
    .name = "redis", .size = sizeof(struct entry), .close = entry_close};

static struct address *addresses(struct arena *a, const struct address *from, uint32_t n) {
    struct address *all = arena_zero(a, n * sizeof *all + 1);
    for (uint32_t i = 0; i < n; i++)
        all[i] = from[i];
    return all;
}

static void conf_copy(struct redis *r, const struct state_conf *c) {
    struct arena *a = &r->arena;
    struct state_conf *to = &r->conf;
    *to = *c;
    struct state_node *node = arena_alloc(a, c->nodes * sizeof *node + 1);
    for (uint32_t i = 0; i < c->nodes; i++) {
        node[i] = c->node[i];
        node[i].host = arena_span(a, c->node[i].host);
        node[i].text = arena_span(a, c->node[i].text);
    }
    to->node = node;
    to->dns_server = addresses(a, c->dns_server, c->dns_servers);
    struct span *text[] = {&to->master, &to->user, &to->password, &to->sentinel_password,
                           &to->prefix, &to->shown};
    for (size_t i = 0; i < array_len(text); i++)
        *text[i] = arena_span(a, *text[i]);
    to->store = SPAN_NONE;
    if (to->tls)
        tls_client_ref(to->tls);
}

static struct redis *redis_make(const struct state_conf *c) {
    struct redis *r = mem_alloc(sizeof *r);
    atomic_init(&r->refs, 1);
    arena_init(&r->arena, NULL);
    conf_copy(r, c);
    atomic_init(&r->gateways, 1);
    r->slot = slots_take(&slots, &r->serial);
    return r;
}

/* All that makes a store another one; of secrets only a hash. */
static struct span key_of(struct arena *a, const struct state_conf *c) {
    char *p =
        arena_fmt(a, "%.*s|%.*s|%" PRIu64 "|%016" PRIx64 "|%016" PRIx64 "|%" PRIu64,
                  SPAN_ARG(c->shown), SPAN_ARG(c->prefix), c->timeout_ms, hash_span(c->password),
                  hash_span(c->sentinel_password), c->tls ? tls_client_identity(c->tls) : 0);
    for (uint32_t i = 0; i < c->dns_servers; i++) {
        char text[ADDRESS_TEXT_MAX];
        p = arena_fmt(a, "%s|%.*s", p, SPAN_ARG(address_text(&c->dns_server[i], text, true)));
    }
    return span_z(p);
}

struct redis *redis_attach(const struct state_conf *conf) {
    if (conf->kind == STATE_MEMORY)
        return NULL;
    struct arena a;
    arena_init(&a, NULL);
    pthread_mutex_lock(&attaching);
    struct entry *e = lasting_get(&kind, key_of(&a, conf));
    struct redis *r = atomic_load(&e->redis), *made = NULL;
    if (!r) {
        r = made = redis_make(conf);
        r->entry = e;
        atomic_store(&e->redis, r);
    }
    pthread_mutex_unlock(&attaching);
    arena_finish(&a);
    if (made)
        publish_each(say_come, made);
    return r;
}

void redis_detach(struct redis *r) {
    if (r)
        lasting_unref(r->entry);
}

/* ---- a thread's part ------------------------------------------------------------------------- */

struct table {
    uint32_t max;
    struct redis_here **at; /* by slot */
};

static struct redis_here **place(struct thread *t, uint32_t slot) {
    struct table *all = t->local[LOCAL_REDIS];
    if (unlikely(!all))
        t->local[LOCAL_REDIS] = all = mem_alloc(sizeof *all);
    if (unlikely(slot >= all->max)) {
        uint32_t max = slot * 2 + 4;
        all->at = mem_realloc(all->at, all->max * sizeof(*all->at), max * sizeof(*all->at));
        all->max = max;
    }
    return &all->at[slot];
}

static void here_drop(struct redis_here *h) {
    h->ending = true;
    timer_stop(&h->deadline);
    redis_beat_stop(h);
    redis_sentinel_stop(h);
    redis_cluster_stop(h);
    for (struct list *n; (n = h->nodes.next) != &h->nodes;)
        redis_node_drop(container_of(n, struct redis_node, node));
    if (h->dns)
        dns_destroy(h->dns);
    redis_unref(h->redis);
    mem_free(h);
}

static void fire_deadline(struct timer *t);

struct dns *redis_dns(struct redis_here *h) {
    const struct state_conf *conf = &h->redis->conf;
    if (!h->dns)
        h->dns = dns_create(&h->thread->loop, conf->dns_server, conf->dns_servers);
    return h->dns;
}

/* The only server, as far as the settings say where it is. */
static void the_only(struct redis_here *h, const struct state_node *conf) {
    h->only = redis_node_make(h);
    if (h->redis->conf.kind == STATE_SENTINEL)
        return;
    h->only->host = conf->host.n ? conf->host : SPAN("localhost");
    h->only->port = conf->port;
    address_copy(&h->only->address, &conf->address);
}

static struct redis_here *here_make(struct thread *t, struct redis *r) {
    struct redis_here *h = mem_alloc(sizeof *h);
    h->redis = redis_ref(r);
    h->thread = t;
    h->counts = &r->thread[t->index % REDIS_THREADS].counts;
    h->deadline.fire = fire_deadline;
    list_init(&h->waiting);
    list_init(&h->nodes);
    if (r->conf.kind == STATE_CLUSTER)
        redis_cluster_start(h);
    else
        the_only(h, r->conf.node);
    if (r->conf.kind == STATE_SENTINEL)
        redis_sentinel_start(h);
    if (t->control)
        redis_beat_start(h);
    return h;
}

struct redis_here *redis_here_of(struct thread *t, struct redis *r) {
    struct redis_here **at = place(t, r->slot);
    if (likely(*at && (*at)->redis == r))
        return *at;
    if (*at) /* of one that is gone, and whose place it was */
        here_drop(*at);
    *at = NULL;
    return *at = here_make(t, r);
}

static struct redis_here *here(struct redis *r) {
    return redis_here_of(thread_me(), r);
}

/* Connects ahead of the first ask. */
static void here_start(struct thread *t, struct redis *r) {
    struct redis_here *h = redis_here_of(t, r);
    if (h->only)
        (void)redis_node_conn(h->only);
}

static void here_end(struct thread *t, struct redis *r) {
    struct redis_here **at = place(t, r->slot);
    if (!*at || (*at)->redis != r)
        return;
    here_drop(*at);
    *at = NULL;
}

static void start_each(void *obj, void *t) {
    struct entry *e = obj;
    struct redis *r = atomic_load(&e->redis);
    if (r)
        here_start(t, r);
}

void redis_thread_start(struct thread *t) {
    lasting_each(&kind, start_each, t);
}

void redis_thread_finish(struct thread *t) {
    struct table *all = t->local[LOCAL_REDIS];
    for (uint32_t i = 0; all && i < all->max; i++)
        if (all->at[i])
            here_drop(all->at[i]);
    if (all)
        mem_free(all->at);
    mem_free(all);
    t->local[LOCAL_REDIS] = NULL;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void sha1_hex(struct span text, char out[40]) {
    unsigned char hash[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)text.p, text.n, hash);
    for (unsigned i = 0; i < sizeof hash; i++) {
        out[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
}

int redis_script_place(struct redis_here *h, const struct redis_script *s) {
    for (unsigned i = 0; i < h->scripts; i++)
        if (h->known[i].script == s)
            return (int)i;
    if (h->scripts == REDIS_SCRIPTS_MAX)
        return -1;
    struct redis_known *k = &h->known[h->scripts];
    k->script = s;
    k->source = span_z(s->source);
    sha1_hex(k->source, k->sha1);
    return (int)h->scripts++;
}

static void count_failure(struct redis_here *h, enum redis_failure why) {
    switch (why) {
    case REDIS_AWAY:
        redis_count(h, away);
        break;
    case REDIS_LATE:
        redis_count(h, late);
        break;
    case REDIS_REFUSED:
        redis_count(h, refused);
        break;
    case REDIS_FULL:
        redis_count(h, full);
        break;
    case REDIS_BROKEN:
        redis_count(h, broken);
        break;
    case REDIS_FINE:
    case REDIS_FAILURES:
        break;
    }
}

void redis_done(struct redis_here *h, struct redis_ask *a, enum redis_failure why,
                const struct redis_reply *r) {
    list_remove(&a->node);
    op_end(&a->op);
    a->conn = NULL;
    if (why != REDIS_FINE)
        count_failure(h, why);
    a->ready(a, why, r);
}

static void cancelled(struct op *op) {
    struct redis_ask *a = container_of(op, struct redis_ask, op);
    redis_conn_leave(a->conn, a);
    list_remove(&a->node);
    a->conn = NULL;
}

static void deadline_next(struct redis_here *h) {
    if (!list_linked(&h->waiting))
        return; /* the next ask starts it */
    const struct redis_ask *a = container_of(h->waiting.next, struct redis_ask, node);
    uint64_t now = redis_now_ms(h), at = a->deadline_at / 1000000 + 1;
    timer_start(&h->thread->loop.timers, &h->deadline, now, at > now ? at - now : 0);
}

static void fire_deadline(struct timer *t) {
    struct redis_here *h = container_of(t, struct redis_here, deadline);
    uint64_t now = h->thread->loop.now;
    char why[REDIS_WHY_MAX];
    struct str s = str_on(why, sizeof why - 1);
    str_fmt(&s, "asks were not answered within %" PRIu64 " ms", h->redis->conf.timeout_ms);
    why[s.n] = 0;
    while (list_linked(&h->waiting)) {
        struct redis_ask *a = container_of(h->waiting.next, struct redis_ask, node);
        struct redis_conn *c = a->conn;
        if (a->deadline_at > now)
            break;
        redis_conn_leave(c, a);
        redis_node_failed(c->owner, why);
        redis_done(h, a, REDIS_LATE, NULL);
    }
    deadline_next(h);
}

bool redis_ask(struct redis *r, struct redis_ask *a, enum redis_failure *why) {
    struct redis_here *h = here(r);
    memset(&a->op, 0, sizeof a->op);
    memset(&a->node, 0, sizeof a->node);
    a->tries = 0;
    a->here = h;
    redis_count(h, asks);
    struct redis_conn *c = h->only ? redis_node_conn(h->only) : redis_cluster_conn(h, a);
    *why = !c ? REDIS_AWAY : redis_conn_ask(c, a) ? REDIS_FINE : REDIS_FULL;
    if (*why != REDIS_FINE) {
        count_failure(h, *why);
        return false;
    }
    a->deadline_at = h->thread->loop.now + h->redis->conf.timeout_ms * 1000000;
    list_append(&h->waiting, &a->node);
    if (!timer_running(&h->deadline))
        deadline_next(h);
    if (a->ops)
        op_start(a->ops, &a->op, cancelled);
    return true;
}

bool redis_usable(struct redis *r) {
    struct redis_here *h = here(r);
    return h->only ? !h->only->away : redis_cluster_usable(h);
}

uint64_t redis_returned_at(struct redis *r) {
    return atomic_load_explicit(&r->returned_at, memory_order_relaxed);
}

struct span redis_prefix(const struct redis *r) {
    return r->conf.prefix;
}

uint32_t redis_gateways(struct redis *r) {
    return atomic_load_explicit(&r->gateways, memory_order_relaxed);
}

/* ---- away and back --------------------------------------------------------------------------- */

void redis_went_away(struct redis *r, uint64_t now, const char *why) {
    if (atomic_fetch_add(&r->away, 1))
        return;
    atomic_store(&r->away_since, now);
    atomic_fetch_add(&r->away_total, 1);
    log_event(LEVEL_WARNING, "redis_away",
              "the shared state %.*s is away: %s; limits go by their on_failure until it is back",
              SPAN_ARG(r->conf.shown), why);
}

void redis_came_back(struct redis *r, uint64_t now) {
    atomic_store_explicit(&r->returned_at, now, memory_order_relaxed);
    if (atomic_fetch_sub(&r->away, 1) != 1)
        return;
    uint64_t since = atomic_load(&r->away_since), ns = now > since ? now - since : 0;
    atomic_fetch_add(&r->away_ns, ns);
    log_event(LEVEL_INFO, "redis_returned", "the shared state %.*s is back away_ms=%" PRIu64,
              SPAN_ARG(r->conf.shown), ns / 1000000);
}

struct walking {
    void (*fn)(void *ctx, const struct redis_state *);
    void *ctx;
};

static uint64_t get(const _Atomic uint64_t *v) {
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void add_counts(struct redis_state *s, const struct redis_counts *c) {
    s->asks += get(&c->asks);
    s->failed[REDIS_AWAY] += get(&c->away);
    s->failed[REDIS_LATE] += get(&c->late);
    s->failed[REDIS_REFUSED] += get(&c->refused);
    s->failed[REDIS_FULL] += get(&c->full);
    s->failed[REDIS_BROKEN] += get(&c->broken);
    s->dropped += get(&c->dropped);
    s->connects += get(&c->connects);
    s->connections += (uint32_t)get(&c->connections);
}

static void walk_one(void *obj, void *ctx) {
    const struct walking *w = ctx;
    struct entry *e = obj;
    struct redis *r = atomic_load(&e->redis);
    if (!r)
        return;
    struct redis_state s = {.name = r->conf.shown,
                            .gateways = redis_gateways(r),
                            .away = atomic_load(&r->away) != 0,
                            .away_total = get(&r->away_total),
                            .away_ns = get(&r->away_ns)};
    uint64_t now = env.now_ns(), since = get(&r->away_since);
    if (s.away && now > since)
        s.away_ns += now - since;
    for (unsigned i = 0; i < REDIS_THREADS; i++)
        add_counts(&s, &r->thread[i].counts);
    w->fn(w->ctx, &s);
}

void redis_walk(void (*fn)(void *ctx, const struct redis_state *), void *ctx) {
    lasting_each(&kind, walk_one, &(struct walking){fn, ctx});
}
