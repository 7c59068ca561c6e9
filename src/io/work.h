/*
 * work - helper threads for what blocks: reading files, compiling a configuration, hashing
 * passwords.
 *
 * A loop gives a job; a helper runs it; then the job comes back to that loop as a message and
 * `finished` is called there. So run() owns the job and may touch nothing of the loop (it owns
 * copies), finished() owns it afterwards and frees it. Who gave the job and goes away in between
 * clears his pointer in the job. The queue is bounded: false, and the caller refuses or tries
 * later. Owner: whoever has it at the moment. Thread: work_give in a loop; run in a helper;
 * finished in the loop.
 */
#pragma once
#include "io/loop.h"

enum { WORK_QUEUE_MAX = 1024, WORK_THREADS_MAX = 16 };

struct job {                /* begins a block of mem_alloc */
    struct message message; /* first: a loop that ends frees what nobody will receive */
    struct loop *from;
    struct job *next;
    void (*run)(struct job *);
    void (*finished)(struct job *);
};

must_use bool work_start(unsigned threads);
/* Waits for running jobs, drops those that have not begun (freed, finished is not called). Before
 * the loops that gave them end. */
void work_stop(void);
must_use bool work_give(struct job *j, void (*run)(struct job *), void (*finished)(struct job *));
