/* What lasts of a source of keys, by where it leads. */
#include "base/slots.h"
#include "core/lasting.h"
#include "identity/keys_in.h"

static struct slots slots = SLOTS_INIT;

void key_store_ref(struct key_store *k) {
    atomic_fetch_add(&k->refs, 1);
}

void key_store_unref(struct key_store *k) {
    if (atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    must(!list_linked(&k->uses) && !k->call);
    if (k->set)
        key_set_unref(k->set);
    outbound_destroy(k->own);
    slots_give(&slots, k->slot);
    pthread_mutex_destroy(&k->lock);
    mem_free((char *)(uintptr_t)k->document.p);
    mem_free((char *)(uintptr_t)k->etag.p);
    mem_free((char *)(uintptr_t)k->etag_of.p);
    mem_free((char *)(uintptr_t)k->source.p);
    mem_free(k);
}

/* ---- the anchor -------------------------------------------------------------------------------
 */

struct anchor {
    struct key_store *store;
};

static void make(void *obj, struct span key) {
    struct key_store *k = mem_alloc(sizeof *k);
    (void)key;
    ((struct anchor *)obj)->store = k;
    atomic_init(&k->refs, 1);
    pthread_mutex_init(&k->lock, NULL);
    list_init(&k->uses);
    list_init(&k->ops);
    k->slot = slots_take(&slots, &k->serial);
}

static void closed(void *obj) {
    struct key_store *k = ((struct anchor *)obj)->store;
    pthread_mutex_lock(&k->lock);
    k->closed = true;
    pthread_mutex_unlock(&k->lock);
    key_store_publish(k, NULL, false);
    key_store_look(k, false, 0);
    key_store_unref(k);
}

static const struct lasting_kind kind = {
    .name = "keys", .size = sizeof(struct anchor), .make = make, .close = closed};

struct key_store *key_store_of(void *anchor) {
    return ((struct anchor *)anchor)->store;
}

/* A query may hold a secret: it is not shown. */
static struct span shown(const struct outbound *to) {
    char *text;
    size_t n = to->url.n;
    if (n) {
        ptrdiff_t query = span_find(to->url, '?');
        n = query >= 0 ? (size_t)query : n;
        return span_of(mem_text(to->url.p, n), n);
    }
    ptrdiff_t query = span_find(to->path, '?');
    struct span path = query >= 0 ? span_cut(to->path, 0, (size_t)query) : to->path;
    n = to->service->name.n + path.n + 9;
    text = mem_alloc(n + 1);
    struct str s = str_on(text, n);
    str_fmt(&s, "service %.*s %.*s", SPAN_ARG(to->service->name), SPAN_ARG(path));
    return span_of(text, s.n);
}

void *key_store_get(const struct outbound *to, bool issuer, uint32_t accepted) {
    struct arena a;
    arena_init(&a, NULL);
    const char *key =
        arena_fmt(&a, "%s %x %.*s %.*s %.*s", issuer ? "issuer" : "keys", accepted,
                  SPAN_ARG(to->service->name), SPAN_ARG(to->host), SPAN_ARG(to->path));
    if (issuer) /* with or without a slash at its end: two issuers */
        key = arena_fmt(&a, "%s %.*s", key, SPAN_ARG(to->url));
    void *anchor = lasting_get(&kind, span_z(key));
    struct key_store *k = key_store_of(anchor);
    arena_finish(&a);
    pthread_mutex_lock(&k->lock);
    if (!k->source.p) {
        k->issuer = issuer;
        k->accepted = accepted;
        k->source = shown(to);
    }
    pthread_mutex_unlock(&k->lock);
    return anchor;
}

/* ---- for people -------------------------------------------------------------------------------
 */

struct walk {
    void (*fn)(void *ctx, const struct keys_state *);
    void *ctx;
};

static void tell(void *obj, void *ctx) {
    const struct walk *w = ctx;
    struct key_store *k = ((struct anchor *)obj)->store;
    pthread_mutex_lock(&k->lock);
    struct keys_state s = {.source = k->source,
                           .fetches = k->fetches,
                           .failures = k->failures,
                           .failing = k->failing,
                           .had = k->set != NULL};
    if (k->set) {
        uint64_t now = env.now_ns();
        s.keys = k->set->count;
        s.refused = k->set->refused;
        s.age_s = now > k->fetched_at ? (now - k->fetched_at) / 1000000000 : 0;
    }
    pthread_mutex_unlock(&k->lock);
    if (s.source.p)
        w->fn(w->ctx, &s);
}

void keys_walk(void (*fn)(void *ctx, const struct keys_state *), void *ctx) {
    lasting_each(&kind, tell, &(struct walk){fn, ctx});
}
