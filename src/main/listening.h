/*
 * listening - which sockets a new configuration needs that the old one had not, and who serves
 * which.
 *
 * Every socket of an address is served by exactly one worker, and every worker serves at least one:
 * of n sockets worker w takes those with number i where i % workers == w; if there are fewer
 * sockets than workers, a copy of number w % n. Owner: the gateway. Thread: control.
 */
#pragma once
#include "main/worker.h"

/* Asks for all new sockets and notes in order[0..workers) what each worker opens and closes. False:
 * one cannot be had, nothing is left open; `message` says which listener and why. */
must_use bool listening_change(struct gateway *g, const struct snapshot *old,
                               const struct snapshot *next, struct order **order,
                               struct str *message);
/* After all workers have carried it out: addresses that `next` lacks are given up. */
void listening_settle(struct gateway *g, const struct snapshot *old, const struct snapshot *next);

/* The admin listener on the control thread. False: message says why. */
must_use bool listening_admin(struct gateway *g, const struct snapshot *old,
                              const struct snapshot *next, struct str *message);
