#include "core/publish.h"

static _Atomic(struct thread *) joined[THREADS_MAX];

void publish_join(struct thread *t) {
    must(t->index < THREADS_MAX && !atomic_load(&joined[t->index]));
    atomic_store(&joined[t->index], t);
}

void publish_leave(struct thread *t) {
    must(atomic_load(&joined[t->index]) == t);
    atomic_store(&joined[t->index], NULL);
    struct loop *before = me;
    while (atomic_load(&t->loop.inbox))
        loop_turn(&t->loop, 0);
    me = before;
}

struct thread *publish_thread(unsigned index) {
    return index < THREADS_MAX ? atomic_load(&joined[index]) : NULL;
}

struct thread *publish_control(void) {
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct thread *t = atomic_load(&joined[i]);
        if (t && t->control)
            return t;
    }
    return NULL;
}

void publish_each(struct message *(*make)(struct thread *to, void *ctx), void *ctx) {
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct thread *t = atomic_load(&joined[i]);
        struct message *m = t ? make(t, ctx) : NULL;
        if (m)
            loop_send(&t->loop, m);
    }
}

struct snapshot_news {
    struct message message;
    struct snapshot *snapshot;
};

static void use_snapshot(struct message *m) {
    struct snapshot_news *n = container_of(m, struct snapshot_news, message);
    thread_use_snapshot(thread_me(), n->snapshot);
    mem_free(n);
}

static struct message *snapshot_news(struct thread *to, void *s) {
    struct snapshot_news *n = mem_alloc(sizeof *n);
    (void)to;
    snapshot_ref_atomic(s);
    n->snapshot = s;
    n->message.receive = use_snapshot;
    return &n->message;
}

void publish_snapshot(struct snapshot *s) {
    publish_each(snapshot_news, s);
    snapshot_unref_atomic(s);
}
