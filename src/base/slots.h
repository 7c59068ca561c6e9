/*
 * slots - small numbers for long-lived things that every thread keeps a table of: the lowest that
 * is free, and a serial that no two things share, so that a thread sees when a slot has changed
 * hands. Owner: the process (a static); what it holds goes with the last slot. Thread: any (a lock;
 * never on the request path).
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct slots {
    pthread_mutex_t lock;
    uint64_t serial;
    uint32_t cap;
    bool *taken;
};
#define SLOTS_INIT                                                                                 \
    { .lock = PTHREAD_MUTEX_INITIALIZER }

uint32_t slots_take(struct slots *s, uint64_t *serial);
void slots_give(struct slots *s, uint32_t slot);
