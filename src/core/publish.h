/*
 * publish - hands immutable, counted things to every thread through its inbox: snapshots, endpoint
 * sets.
 *
 * Nobody waits and nobody reads a shared pointer: each thread gets a message with a reference of
 * its own, swaps what it holds and drops the old. So a reader pays nothing, and every thread sees
 * new things in the order in which they were published. Threads join before they run and leave
 * after they have stopped; between, the register is only read. Owner: the process. Thread: any, but
 * for join and leave (main).
 */
#pragma once
#include "core/thread.h"

enum { THREADS_MAX = 64 }; /* one bit each in a mask of threads */

void publish_join(struct thread *t);
/* Its loop has stopped, in this or an ended thread. What waits in its inbox is received first. */
void publish_leave(struct thread *t);
struct thread *publish_thread(unsigned index); /* NULL: none */
struct thread *publish_control(void);          /* the control thread; NULL: none joined */

/* Calls make() for every thread that joined and sends what it returns (NULL: nothing). */
void publish_each(struct message *(*make)(struct thread *to, void *ctx), void *ctx);
/* Makes s the snapshot of all threads' new exchanges. Takes over one reference. */
void publish_snapshot(struct snapshot *s);
