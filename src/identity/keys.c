/* Sources of keys as snapshots and threads see them. */
#include "base/hash.h"
#include "core/lasting.h"
#include "core/publish.h"
#include "identity/keys_in.h"

/* ---- what a thread knows ----------------------------------------------------------------------
 */

enum { UNKNOWN_KIDS = 64 };

struct unknown { /* a kid that no fetch brought */
    uint64_t hash, until;
};

struct keys_local {
    uint64_t serial; /* 0: free */
    struct key_set *set;
    uint64_t good_until, not_before;
    bool failing;
    bool asked; /* the control thread will answer */
    struct list waiting, due;
    struct reader more; /* goes on waking in the next turn */
    struct unknown unknown[UNKNOWN_KIDS];
};

struct keys_locals {
    uint32_t cap;
    struct keys_local **at;
};

static struct keys_local *local_at(struct thread *t, uint32_t slot) {
    struct keys_locals *all = t->local[LOCAL_KEYS];
    if (unlikely(!all))
        t->local[LOCAL_KEYS] = all = mem_alloc(sizeof *all);
    if (unlikely(slot >= all->cap)) {
        uint32_t cap = slot * 2 + 8;
        all->at = mem_realloc(all->at, all->cap * sizeof(void *), cap * sizeof(void *));
        all->cap = cap;
    }
    if (unlikely(!all->at[slot])) {
        struct keys_local *l = all->at[slot] = mem_alloc(sizeof *l);
        list_init(&l->waiting);
        list_init(&l->due);
    }
    return all->at[slot];
}

static void set_swap(struct keys_local *l, struct key_set *set) {
    if (l->set)
        key_set_unref(l->set);
    l->set = set;
}

static void local_take(struct keys_local *l, struct key_store *k) {
    pthread_mutex_lock(&k->lock);
    struct key_set *set = k->set;
    if (set)
        key_set_ref(set);
    l->good_until = k->good_until;
    l->not_before = k->not_before;
    l->failing = k->failing;
    pthread_mutex_unlock(&k->lock);
    set_swap(l, set);
}

static struct keys_local *local_of(struct key_store *k, struct thread *t) {
    struct keys_local *l = local_at(t, k->slot);
    if (unlikely(l->serial != k->serial)) {
        l->serial = k->serial;
        l->asked = false;
        memset(l->unknown, 0, sizeof l->unknown);
        local_take(l, k);
    }
    return l;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static struct unknown *unknown_at(struct keys_local *l, uint64_t hash) {
    return &l->unknown[hash % UNKNOWN_KIDS];
}

static bool has_kid(const struct key_set *set, uint64_t hash) {
    for (uint32_t i = 0; set && i < set->count; i++)
        if (hash_span(set->key[i].kid) == hash)
            return true;
    return false;
}

/* Many wait for one fetch: so many a turn that the others get their turn. */
static void wake_some(struct keys_local *l) {
    struct list *n;
    for (unsigned i = 0; i < KEYS_WAKES && (n = list_shift(&l->due)); i++) {
        struct keys_wait *w = container_of(n, struct keys_wait, node);
        op_end(&w->op);
        if (w->hash && !l->failing && !has_kid(l->set, w->hash))
            *unknown_at(l, w->hash) =
                (struct unknown){w->hash, me->now + KEYS_UNKNOWN_S * 1000000000ull};
        w->ready(w, w->newer);
    }
    if (list_linked(&l->due))
        loop_unfinished(me, &l->more);
}

static void wake_more(struct reader *r) {
    wake_some(container_of(r, struct keys_local, more));
}

static void wake(struct keys_local *l, bool newer) {
    for (struct list *n; (n = list_shift(&l->waiting));) {
        container_of(n, struct keys_wait, node)->newer = newer;
        list_append(&l->due, n);
    }
    l->more.again = wake_more;
    if (!l->more.node.next)
        wake_some(l);
}

static void wait_cancel(struct op *op) {
    list_remove(&container_of(op, struct keys_wait, op)->node);
}

struct key_set *keys_now(struct key_source *k, struct thread *t) {
    if (k->fixed)
        return k->fixed;
    struct keys_local *l = local_of(k->store, t);
    return l->set && t->loop.now < l->good_until ? l->set : NULL;
}

bool keys_failing(struct key_source *k, struct thread *t) {
    return !k->fixed && local_of(k->store, t)->failing;
}

bool keys_refresh(struct key_source *k, struct thread *t, struct list *ops, struct keys_wait *w) {
    if (k->fixed)
        return false;
    struct keys_local *l = local_of(k->store, t);
    w->hash = w->kid.n ? hash_span(w->kid) : 0;
    const struct unknown *u = unknown_at(l, w->hash);
    if (w->hash && u->hash == w->hash && t->loop.now < u->until)
        return false;
    if (!l->asked && t->loop.now < l->not_before)
        return false;
    if (!l->asked) {
        l->asked = true;
        key_store_look(k->store, true, t->index);
    }
    op_start(ops, &w->op, wait_cancel);
    list_append(&l->waiting, &w->node);
    return true;
}

/* ---- news -------------------------------------------------------------------------------------
 */

struct key_news {
    struct message message;
    uint64_t serial;
    uint32_t slot;
    bool gone, newer, failing;
    struct key_set *set; /* a reference */
    uint64_t good_until, not_before;
};

static void receive(struct message *m) {
    struct key_news *n = container_of(m, struct key_news, message);
    struct keys_local *l = local_at(thread_me(), n->slot);
    if (l->serial != n->serial) {
        if (n->set)
            key_set_unref(n->set);
    } else {
        set_swap(l, n->set);
        l->good_until = n->good_until;
        l->not_before = n->not_before;
        l->failing = n->failing;
        l->asked = false;
        if (n->newer) /* what was unknown may be known now */
            memset(l->unknown, 0, sizeof l->unknown);
        if (n->gone)
            l->serial = 0;
        wake(l, n->newer);
    }
    mem_free(n);
}

struct telling {
    struct key_store *store;
    bool newer;
};

static struct message *news(struct thread *to, void *ctx) {
    const struct telling *c = ctx;
    struct key_store *k = c->store;
    struct key_news *n = mem_alloc(sizeof *n);
    (void)to;
    pthread_mutex_lock(&k->lock);
    *n = (struct key_news){.message.receive = receive,
                           .serial = k->serial,
                           .slot = k->slot,
                           .gone = k->closed,
                           .newer = c->newer,
                           .failing = k->failing,
                           .set = k->closed ? NULL : k->set,
                           .good_until = k->good_until,
                           .not_before = k->not_before};
    if (n->set)
        key_set_ref(n->set);
    pthread_mutex_unlock(&k->lock);
    return &n->message;
}

void key_store_publish(struct key_store *k, struct thread *to, bool newer) {
    struct telling c = {k, newer};
    if (to)
        loop_send(&to->loop, news(to, &c));
    else
        publish_each(news, &c);
}

void keys_thread_finish(struct thread *t) {
    struct keys_locals *all = t->local[LOCAL_KEYS];
    if (t->control)
        keys_control_finish(t);
    for (uint32_t i = 0; all && i < all->cap; i++) {
        if (!all->at[i])
            continue;
        list_remove(&all->at[i]->more.node);
        set_swap(all->at[i], NULL);
        mem_free(all->at[i]);
    }
    if (all)
        mem_free(all->at);
    mem_free(all);
    t->local[LOCAL_KEYS] = NULL;
}

/* ---- sources ----------------------------------------------------------------------------------
 */

struct key_source *key_source_fixed(struct key_set *set) {
    struct key_source *k = mem_alloc(sizeof *k);
    k->fixed = set;
    return k;
}

struct key_source *key_source_fetched(struct snapshot *s, const struct outbound *to, bool issuer,
                                      uint32_t accepted) {
    must(to->service && to->plan.back);
    struct key_source *k = mem_alloc(sizeof *k);
    k->anchor = key_store_get(to, issuer, accepted);
    k->store = key_store_of(k->anchor);
    k->use = (struct key_use){.snapshot = s, .to = to};
    pthread_mutex_lock(&k->store->lock);
    list_prepend(&k->store->uses, &k->use.node);
    pthread_mutex_unlock(&k->store->lock);
    key_store_look(k->store, false, 0);
    return k;
}

void key_source_drop(struct key_source *k) {
    if (!k)
        return;
    if (k->fixed)
        key_set_unref(k->fixed);
    if (k->store) {
        pthread_mutex_lock(&k->store->lock);
        list_remove(&k->use.node);
        pthread_mutex_unlock(&k->store->lock);
        lasting_unref(k->anchor);
    }
    mem_free(k);
}
