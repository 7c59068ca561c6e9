#include "base/slots.h"
#include "base/env.h"

uint32_t slots_take(struct slots *s, uint64_t *serial) {
    uint32_t i = 0;
    pthread_mutex_lock(&s->lock);
    while (i < s->cap && s->taken[i])
        i++;
    if (i == s->cap) {
        s->taken = mem_realloc(s->taken, s->cap, s->cap * 2 + 16);
        s->cap = s->cap * 2 + 16;
    }
    s->taken[i] = true;
    *serial = ++s->serial;
    pthread_mutex_unlock(&s->lock);
    return i;
}

void slots_give(struct slots *s, uint32_t slot) {
    uint32_t i = 0;
    pthread_mutex_lock(&s->lock);
    s->taken[slot] = false;
    while (i < s->cap && !s->taken[i])
        i++;
    if (i == s->cap) {
        mem_free(s->taken);
        s->taken = NULL;
        s->cap = 0;
    }
    pthread_mutex_unlock(&s->lock);
}
