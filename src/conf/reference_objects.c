#include "conf/reference_objects.h"
#include "conf/tables.h"

struct todo {
    const struct schema_type *type;
    unsigned flags;
    bool later;
};

enum { TODO_MAX = 2048 };

struct walk {
    struct objects *o;
    struct todo todo[TODO_MAX];
    unsigned from, to;
};

int objects_find(const struct objects *o, const struct schema_type *t) {
    for (unsigned i = 0; i < o->count; i++)
        if (o->type[i]->object == t->object)
            return (int)i;
    return -1;
}

static void put(struct walk *w, const struct schema_type *t, unsigned flags, bool later) {
    must(w->to < TODO_MAX);
    w->todo[w->to++] = (struct todo){t, flags, later};
}

static void object(struct walk *w, const struct todo *t) {
    int at = objects_find(w->o, t->type);
    if (at >= 0) {
        w->o->later[at] &= t->later;
        return;
    }
    must(w->o->count < OBJECTS_MAX);
    for (unsigned i = 0; i < w->o->count; i++) /* names are anchors and keys of $defs */
        must(strcmp(w->o->type[i]->object->name, t->type->object->name) != 0);
    w->o->type[w->o->count] = t->type;
    w->o->flags[w->o->count] = t->flags;
    w->o->later[w->o->count++] = t->later;
    for (unsigned i = 0; i < t->type->object->fields; i++) {
        const struct schema_field *f = &t->type->object->field[i];
        put(w, schema_type_of(f), f->flags, t->later || schema_later(f));
    }
}

void objects_collect(struct objects *o) {
    static struct walk w; /* large, and called by one thread */
    w = (struct walk){.o = o};
    *o = (struct objects){.count = 0};
    put(&w, &schema_root_type, 0, false);
    while (w.from < w.to) {
        struct todo t = w.todo[w.from++];
        if (t.type->kind == SCHEMA_OBJECT)
            object(&w, &t);
        else if (t.type->kind == SCHEMA_LIST || t.type->kind == SCHEMA_MAP)
            put(&w, t.type->of, t.flags, t.later);
        else if (t.type->kind == SCHEMA_ONE_OF)
            for (const struct schema_type *const *c = t.type->choice; *c; c++)
                put(&w, *c, t.flags, t.later);
    }
}
