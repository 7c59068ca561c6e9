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
    } else if (c->jwks) {
        l->source[0].fetched = key_source_fetched(s, c->jwks, false, c->accepted);
    }
    for (unsigned i = 0; discovered && i < l->count; i++)
        l->source[i].fetched = key_source_fetched(s, c->issuer[i], true, c->accepted);
    by->lasting = l;
}

void jwt_detach(struct snapshot *s, struct authenticator *by) {
    struct jwt_live *l = by->lasting;
    (void)s;
    for (unsigned i = 0; l && i < l->count; i++) {
        if (l->source[i].fetched)
            key_source_drop(l->source[i].fetched);
        key_set_unref(l->source[i].fixed);
    }
    mem_free(l);
    by->lasting = NULL;
}

struct key_set *source_fetched_set(struct source *s, struct thread *t) {
    return keys_now(s->fetched, t);
}

bool source_refresh(struct source *s, struct thread *t, struct list *ops, struct keys_wait *w,
                    struct span kid) {
    w->kid = kid;
    return s->fetched && keys_refresh(s->fetched, t, ops, w);
}

bool source_failing(struct source *s, struct thread *t) {
    return s->fetched && keys_failing(s->fetched, t);
}
