/*
 * relief - what client connections give up while memory is short (core/overload.h).
 *
 * From OVERLOAD_SPARE on: a connection that has been idle for two seconds is closed; each round
 * over all of them takes some turns, 256 a turn, and the next begins half a second later. At
 * OVERLOAD_STOP listeners accept nobody (who connects waits in the kernel's queue) until the level
 * is lower. The operator's listener is left out. Owner: the thread's listeners. Thread: their own.
 */
#pragma once
#include "front/listener.h"

void relief_start(struct thread *t); /* with each listener that is opened */
void relief_stop(struct thread *t);  /* after the last one */
void relief_forget(struct thread *t, const struct listener *l); /* it is about to go */
/* Nobody is accepted now: it is called again when that is over. */
static inline bool relief_holds(const struct listener *l) {
    return unlikely(l->thread->overload.level >= OVERLOAD_STOP) && !l->reserve;
}
/* The answer ends the connection. */
static inline bool relief_parts(const struct thread *t) {
    return unlikely(t->overload.level >= OVERLOAD_SPARE);
}
