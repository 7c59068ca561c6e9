/*
 * rooms - what the rooms want done per thread and per snapshot, in their order: the one place that
 * knows all. Owner: main. Thread: as said.
 */
#pragma once
#include "core/thread.h"

/* Their own threads (log writer, helpers), the store and discovery; privileges are dropped by then.
 * False: told. */
must_use bool rooms_start(struct thread *control, const struct snapshot *first);
/* After all threads' loops have ended; flushes the logs. */
void rooms_stop(void);
/* Once, before any thread is made. */
void rooms_init(void);
/* Before the thread runs. False: told. */
must_use bool rooms_thread_init(struct thread *t);
void rooms_thread_finish(struct thread *t);
/* Ties a snapshot that is not yet published to what lasts, until it is freed. Control thread. */
void rooms_attach(struct snapshot *s);
