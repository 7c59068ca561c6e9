#include "base/map.h"
#include "base/env.h"

void map_finish(struct map *m) {
    mem_free(m->entry);
    *m = (struct map){0};
}

static struct map_entry *slot(const struct map *m, uint64_t hash, struct span key) {
    size_t i = hash & (m->cap - 1);
    while (m->entry[i].value && (m->entry[i].hash != hash || !span_eq(m->entry[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return &m->entry[i];
}

void *map_get(const struct map *m, struct span key) {
    return m->cap ? slot(m, hash_span(key), key)->value : NULL;
}

static void grow(struct map *m) {
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : 16;
    m->entry = mem_alloc(m->cap * sizeof *m->entry);
    for (size_t i = 0; i < old.cap; i++)
        if (old.entry[i].value)
            *slot(m, old.entry[i].hash, old.entry[i].key) = old.entry[i];
    mem_free(old.entry);
}

void *map_put(struct map *m, struct span key, void *value) {
    must(value);
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    uint64_t hash = hash_span(key);
    struct map_entry *e = slot(m, hash, key);
    void *before = e->value;
    if (!before)
        m->count++;
    *e = (struct map_entry){hash, key, value};
    return before;
}
