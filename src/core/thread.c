#include "core/thread.h"
#include "base/env.h"

bool thread_init(struct thread *t, unsigned index) {
    *t = (struct thread){.index = index};
    list_init(&t->exchanges);
    list_init(&t->drains);
    uint64_t seed;
    env.random(&seed, sizeof seed);
    struct str id = str_on(t->id_prefix, sizeof t->id_prefix);
    str_fmt(&id, "%016llx", (unsigned long long)seed);
    t->id_prefix[id.n] = 0;
    if (!loop_init(&t->loop))
        return false;
    t->loop.on_drained = exchanges_settled;
    overload_init(t);
    h2_memory_init(&t->h2, !t->loop.arenas.pages.single);
    return true;
}

static void ref_drop(struct thread *t, struct snapshot_ref *r) {
    for (struct snapshot_ref **p = &t->snap; *p; p = &(*p)->next) {
        if (*p != r)
            continue;
        *p = r->next;
        snapshot_unref_atomic(r->snapshot);
        mem_free(r);
        return;
    }
    must_failed("a snapshot reference of this thread", __FILE__, __LINE__);
}

void thread_finish(struct thread *t) {
    must(!list_linked(&t->exchanges));
    while (t->snap)
        ref_drop(t, t->snap);
    if (t->connections.pages)
        slab_finish(&t->connections);
    h2_memory_finish(&t->h2);
    overload_finish(t);
    loop_finish(&t->loop);
}

void thread_use_snapshot(struct thread *t, struct snapshot *s) {
    struct snapshot_ref *old = t->snap, *r = mem_alloc(sizeof *r);
    *r = (struct snapshot_ref){.snapshot = s, .next = old};
    t->snap = r;
    if (old && !old->refs)
        ref_drop(t, old);
}

struct snapshot_ref *thread_hold(struct thread *t) {
    t->snap->refs++;
    return t->snap;
}

void thread_release(struct thread *t, struct snapshot_ref *r) {
    must(r->refs > 0);
    if (--r->refs == 0 && r != t->snap)
        ref_drop(t, r);
}

/* The wall clock is asked once a second; in between the monotonic one tells. */
static void second(struct thread *t) {
    int64_t wall = env.wall_ns();
    http_date(wall / 1000000000, t->date);
    t->wall_offset = wall - (int64_t)t->loop.now;
    t->date_until = t->loop.now + 1000000000u - (uint64_t)(wall % 1000000000);
}

struct span thread_date(struct thread *t) {
    if (t->loop.now >= t->date_until)
        second(t);
    return span_of(t->date, sizeof t->date);
}

int64_t thread_wall_ns(struct thread *t, uint64_t at) {
    if (t->loop.now >= t->date_until)
        second(t);
    return (int64_t)at + t->wall_offset;
}

/* ---- drains ---- */

void drain_watch(struct thread *t, struct drain_op *d) {
    if (!list_linked(&d->node))
        list_append(&t->drains, &d->node);
}

void drain_tell(struct thread *t) {
    for (struct list *n; (n = list_shift(&t->drains));)
        container_of(n, struct drain_op, node)->drain(container_of(n, struct drain_op, node));
}
