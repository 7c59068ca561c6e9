/*
 * world - a real thread with a snapshot, a virtual clock and counted memory, and the proof that
 * nothing of a test is left at its end.
 */
#pragma once
#include "../must.h"
#include "base/env.h"
#include "core/thread.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MS = 1000000 };

static uint64_t clock_ns;
static size_t mem_live, mem_kept; /* kept: what may stay for the process's life; SIZE_MAX: any */
static uint64_t clock_now(void) {
    return clock_ns;
}
static void *mem_counted(size_t n) {
    void *p = malloc(n);
    mem_live += p != NULL;
    return p;
}
static void mem_given(void *p) {
    mem_live--;
    free(p);
}

static struct thread *thread;
static struct record last;
static char last_target[64];
static uint64_t records[4]; /* by enum x_end */
static void note_record(struct thread *t, const struct record *r) {
    assert_ptr_equal(t, thread);
    last = *r;
    last.x = NULL;
    snprintf(last_target, sizeof last_target, "%.*s", SPAN_ARG(r->x->req.target));
    records[r->end]++;
}

static void world_begin(void) {
    env.now_ns = clock_now;
    env.alloc = mem_counted;
    env.release = mem_given;
    clock_ns = 1000000000;
    mem_live = mem_kept = 0;
    memset(records, 0, sizeof records);
    thread = mem_alloc(sizeof *thread);
    assert_true(thread_init(thread, 0));
    me = &thread->loop;
    thread->sink[0] = note_record;
    struct snapshot *s = snapshot_create();
    s->limits.max_body = 1 << 20;
    s->limits.max_forwards_depth = 5;
    thread_use_snapshot(thread, s);
}

static bool timers_left(const struct timers *w) {
    for (int l = 0; l < TIMER_LEVELS; l++)
        for (int s = 0; s < TIMER_SLOTS; s++)
            if (list_linked(&w->slot[l][s]))
                return true;
    return list_linked(&w->due);
}

/* Everything is over: nothing is left, and the counts add up. */
static void world_end(void) {
    uint64_t ended = thread->counters.exchanges_completed + thread->counters.exchanges_aborted +
                     thread->counters.exchanges_rejected;
    loop_drain(&thread->loop);
    assert_int_equal(thread->exchange_count, 0);
    assert_int_equal(thread->counters.exchanges_accepted, ended);
    assert_int_equal(records[X_END_COMPLETED], thread->counters.exchanges_completed);
    assert_int_equal(records[X_END_ABORTED], thread->counters.exchanges_aborted);
    assert_int_equal(records[X_END_REJECTED], thread->counters.exchanges_rejected);
    assert_int_equal(records[X_END_NONE], 0);
    assert_null(thread->loop.pond.lent);
    assert_false(timers_left(&thread->loop.timers));
    thread_finish(thread);
    mem_free(thread);
    assert_true(mem_live == mem_kept || mem_kept == SIZE_MAX);
    env = env_os;
}
