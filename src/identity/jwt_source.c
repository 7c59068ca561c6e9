#include "identity/jwt_source.h"
#include "base/env.h"

static struct jwt_live *live_create(unsigned count) {
    static atomic_uint_fast64_t numbers;
    struct jwt_live *l = mem_alloc(sizeof *l + count * sizeof *l->source);
    l->number = atomic_fetch_add(&numbers, 1) + 1;
    l->count = count;
    return l;
}

void jwt_attach(struct snapshot *s, struct authenticator *by) {
    const struct jwt_conf *c = by->conf;
    bool discovered = !c->text.p && !c->jwks;
    struct jwt_live *l = live_create(discovered ? c->issuer_count : 1);
    const char *why;
    if (c->text.p) {
        l->source[0].fixed = key_set_read_local(c->text, c->accepted, &why);
        must(l->source[0].fixed); /* finish() has read it */
    }
    (void)s;
    by->lasting = l;
}

void jwt_detach(struct snapshot *s, struct authenticator *by) {
    struct jwt_live *l = by->lasting;
    (void)s;
    for (unsigned i = 0; l && i < l->count; i++) {
        key_set_unref(l->source[i].fixed);
    }
    mem_free(l);
    by->lasting = NULL;
}

struct key_set *source_fetched_set(struct source *s, struct thread *t) {
    (void)s;
    (void)t;
    return NULL;
}

bool source_refresh(struct source *s, struct thread *t, struct list *ops, struct keys_wait *w,
                    struct span kid) {
    (void)s, (void)t, (void)ops, (void)w, (void)kid;
    return false;
}

bool source_failing(struct source *s, struct thread *t) {
    (void)s, (void)t;
    return false;
}
