#include "tls/resume.h"
#include "base/env.h"
#include "base/list.h"

struct entry {
    struct list node; /* used last: at the end */
    SSL_SESSION *session;
    struct resume_key *key;
};

static _Thread_local struct kept_sessions {
    struct list all;
    unsigned n;
} kept;

struct resume_key *resume_key_create(uint64_t trust, struct span name) {
    struct resume_key *k = mem_try(sizeof *k + name.n);
    if (!k)
        return NULL;
    k->trust = trust;
    k->n = name.n;
    if (name.n)
        memcpy(k->name, name.p, name.n);
    return k;
}

void resume_key_free(struct resume_key *k) {
    mem_free(k);
}

static bool same(const struct resume_key *a, const struct resume_key *b) {
    return a->trust == b->trust && a->n == b->n && memcmp(a->name, b->name, a->n) == 0;
}

static struct entry *find(const struct resume_key *k) {
    if (!kept.all.next)
        list_init(&kept.all);
    for (struct list *n = kept.all.next; n != &kept.all; n = n->next) {
        struct entry *e = container_of(n, struct entry, node);
        if (same(e->key, k))
            return e;
    }
    return NULL;
}

static void forget(struct entry *e) {
    list_remove(&e->node);
    kept.n--;
    SSL_SESSION_free(e->session);
    resume_key_free(e->key);
    mem_free(e);
}

SSL_SESSION *resume_get(const struct resume_key *k) {
    struct entry *e = find(k);
    if (e && !SSL_SESSION_is_resumable(e->session)) {
        forget(e);
        e = NULL;
    }
    if (!e)
        return NULL;
    list_remove(&e->node);
    list_append(&kept.all, &e->node);
    return e->session;
}

static struct entry *add(const struct resume_key *k) {
    struct entry *e = mem_try(sizeof *e);
    struct resume_key *copy = e ? resume_key_create(k->trust, span_of(k->name, k->n)) : NULL;
    if (!copy) {
        mem_free(e);
        return NULL;
    }
    if (kept.n == RESUME_MAX)
        forget(container_of(kept.all.next, struct entry, node));
    *e = (struct entry){.key = copy};
    list_append(&kept.all, &e->node);
    kept.n++;
    return e;
}

void resume_put(const struct resume_key *k, SSL_SESSION *s) {
    struct entry *e = find(k);
    if (!e && !(e = add(k))) {
        SSL_SESSION_free(s);
        return;
    }
    SSL_SESSION_free(e->session);
    e->session = s;
}

void resume_finish(void) {
    while (kept.n)
        forget(container_of(kept.all.next, struct entry, node));
}
