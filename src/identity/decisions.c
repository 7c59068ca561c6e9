#include "identity/decisions.h"
#include "core/thread.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { BUCKETS = 4096 };

struct decisions {
    unsigned char secret[32];
    struct decision *bucket[BUCKETS];
    struct list all; /* those that are kept, used last first */
    uint32_t count, pending;
    size_t bytes;
};

static struct decisions *local(struct thread *t) {
    struct decisions *d = t->local[LOCAL_DECISIONS];
    if (likely(d != NULL))
        return d;
    d = t->local[LOCAL_DECISIONS] = mem_alloc(sizeof *d);
    env.random(d->secret, sizeof d->secret);
    list_init(&d->all);
    return d;
}

static uint64_t decisions_owner(void) {
    static _Atomic uint64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

void decisions_attach(struct snapshot *s, struct authenticator *by) {
    uint64_t *number = mem_alloc(sizeof *number);
    (void)s;
    *number = decisions_owner();
    by->lasting = number;
}

void decisions_detach(struct snapshot *s, struct authenticator *by) {
    (void)s;
    mem_free(by->lasting);
    by->lasting = NULL;
}

/* ---- an authenticator that waits ---- */

struct awaiting { /* in the exchange's arena */
    struct decision_wait wait;
    struct auth *a;
    decision_apply apply;
};

static void came(struct decision_wait *w, struct decision *d) {
    struct awaiting *k = container_of(w, struct awaiting, wait);
    auth_resume(k->a, k->apply(k->a, d));
}

enum auth_result decision_await(struct auth *a, struct decision *d, decision_apply apply) {
    struct awaiting *k = arena_zero(&a->x->arena, sizeof *k);
    k->a = a;
    k->apply = apply;
    k->wait.ready = came;
    decision_wait(d, &a->step->ops, &k->wait);
    return AUTH_WAIT;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

/* The secret first and lengths before each part: nobody outside can compute it or shift its parts.
 */
void decision_key(struct thread *t, uint64_t owner, const struct span *parts, unsigned count,
                  unsigned char out[DECISION_KEY]) {
    struct decisions *d = local(t);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    must(EVP_DigestUpdate(c, d->secret, sizeof d->secret) == 1);
    must(EVP_DigestUpdate(c, &owner, sizeof owner) == 1);
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = parts[i].p ? parts[i].n : UINT64_MAX; /* absent is not empty */
        must(EVP_DigestUpdate(c, &n, sizeof n) == 1);
        must(EVP_DigestUpdate(c, parts[i].n ? parts[i].p : "", parts[i].n) == 1);
    }
    must(EVP_DigestFinal_ex(c, out, NULL) == 1);
    EVP_MD_CTX_free(c);
}

static struct decision **bucket_of(struct decisions *all, const unsigned char *key) {
    uint32_t n;
    memcpy(&n, key, sizeof n);
    return &all->bucket[n % BUCKETS];
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void unref(struct decision *d) {
    if (--d->refs)
        return;
    must(!d->kept && !list_linked(&d->ops));
    list_remove(&d->more.node);
    struct arena a = d->arena;
    arena_finish(&a);
}

/* Out of the table; who holds it goes on with it. */
static void forget(struct decision *d) {
    struct decisions *all = local(d->thread);
    if (!d->kept)
        return;
    d->kept = false;
    struct decision **at = bucket_of(all, d->key);
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    list_remove(&d->node);
    all->count--;
    if (!d->pending)
        all->bytes -= d->arena.used;
    unref(d);
}

/* Pending ones are bounded apart; they do not stand in the way of those that are made. */
static void make_room(struct decisions *all) {
    struct list *n = all->all.prev;
    while (n != &all->all && (all->count > DECISIONS_MAX || all->bytes > DECISIONS_BYTES_MAX)) {
        struct decision *d = container_of(n, struct decision, node);
        n = n->prev;
        if (!d->pending)
            forget(d);
    }
}

struct decision *decision_find(struct thread *t, const unsigned char key[DECISION_KEY]) {
    struct decisions *all = local(t);
    struct decision *d = *bucket_of(all, key);
    while (d && CRYPTO_memcmp(d->key, key, DECISION_KEY) != 0)
        d = d->next;
    if (d && !d->pending && t->loop.now >= d->until) {
        forget(d);
        return NULL;
    }
    if (d) {
        list_remove(&d->node);
        list_prepend(&all->all, &d->node);
    }
    return d;
}

static void wake_more(struct reader *r);

struct decision *decision_begin(struct thread *t, const unsigned char *key) {
    struct decisions *all = local(t);
    if (all->pending >= DECISIONS_PENDING_MAX)
        return NULL;
    struct decision *d = arena_create(&t->loop.arenas, sizeof *d, offsetof(struct decision, arena),
                                      offsetof(struct decision, arena));
    if (!d)
        return NULL;
    struct arena a = d->arena;
    *d = (struct decision){.arena = a, .refs = 1, .pending = true, .thread = t};
    d->more.again = wake_more;
    list_init(&d->ops);
    list_init(&d->waiting);
    list_init(&d->due);
    all->pending++;
    if (!key)
        return d;
    memcpy(d->key, key, DECISION_KEY);
    d->keyed = d->kept = true;
    d->refs++;
    struct decision **at = bucket_of(all, key);
    d->next = *at;
    *at = d;
    list_prepend(&all->all, &d->node);
    all->count++;
    return d;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* The first reference is that of being pending. */
static void settle(struct decision *d, bool keep) {
    struct decisions *all = local(d->thread);
    must(d->pending);
    all->pending--;
    if (!keep)
        forget(d);
    d->pending = false;
    if (keep)
        all->bytes += d->arena.used;
}

void decision_drop(struct decision *d) {
    ops_cancel(&d->ops);
    settle(d, false);
    unref(d);
}

static void wait_cancel(struct op *op) {
    struct decision_wait *w = container_of(op, struct decision_wait, op);
    struct decision *d = w->decision;
    list_remove(&w->node);
    if (d->pending && !list_linked(&d->waiting))
        decision_drop(d);
    unref(d);
}

void decision_wait(struct decision *d, struct list *ops, struct decision_wait *w) {
    must(d->pending);
    w->decision = d;
    d->refs++;
    op_start(ops, &w->op, wait_cancel);
    list_append(&d->waiting, &w->node);
}

static void wake_some(struct decision *d) {
    struct list *n;
    d->refs++;
    for (unsigned i = 0; i < DECISION_WAKES && (n = list_shift(&d->due)); i++) {
        struct decision_wait *w = container_of(n, struct decision_wait, node);
        op_end(&w->op);
        w->ready(w, d);
        unref(d);
    }
    if (list_linked(&d->due))
        loop_unfinished(me, &d->more);
    unref(d);
}

static void wake_more(struct reader *r) {
    wake_some(container_of(r, struct decision, more));
}

void decision_made(struct decision *d, uint64_t keep_ms) {
    struct decisions *all = local(d->thread);
    bool keep = d->kept && keep_ms && !d->arena.failed;
    if (d->arena.failed) {
        d->result = AUTH_REFUSED;
        d->fault = FAULT_OUT_OF_MEMORY;
    }
    d->until = d->thread->loop.now + keep_ms * 1000000;
    settle(d, keep);
    for (struct list *n; (n = list_shift(&d->waiting));)
        list_append(&d->due, n);
    if (keep)
        make_room(all);
    wake_some(d);
    unref(d);
}

/* ---- using ------------------------------------------------------------------------------------
 */

struct hold { /* in the exchange's arena */
    struct op op;
    struct deferred later;
    struct exchange *x;
    struct decision *decision;
};

static void let_go(struct deferred *d) {
    unref(container_of(d, struct hold, later)->decision);
}

/* The log still reads claims after the exchange's ops are gone. */
static void exchange_ends(struct op *op) {
    struct hold *h = container_of(op, struct hold, op);
    h->later.run = let_go;
    loop_after_drain(&h->x->thread->loop, &h->later);
}

void decision_hold(struct decision *d, struct exchange *x) {
    struct hold *h = arena_zero(&x->arena, sizeof *h);
    *h = (struct hold){.x = x, .decision = d};
    d->refs++;
    op_start(&x->ops, &h->op, exchange_ends);
}

uint32_t decisions_count(struct thread *t) {
    return local(t)->count;
}

void decisions_thread_finish(struct thread *t) {
    struct decisions *all = t->local[LOCAL_DECISIONS];
    if (!all)
        return;
    while (list_linked(&all->all))
        forget(container_of(all->all.next, struct decision, node));
    OPENSSL_cleanse(all->secret, sizeof all->secret);
    mem_free(all);
    t->local[LOCAL_DECISIONS] = NULL;
}
