/*
 * supervisor - the small process that owns the listening sockets and keeps a serving process
 * running.
 *
 * It reads no configuration and no byte of a client. The serving process is a child that executes
 * the same binary anew (not a bare fork): every start has its own address layout and stack canary,
 * so a crash teaches an attacker nothing about the next one, and nothing of the supervisor's memory
 * is in reach. It costs 1-2 ms.
 *
 * A serving process that dies is replaced at once; the fifth time within 60 s after a growing
 * pause, up to 1 s. Before the first one has served, its end is the end of both. TERM, INT (as
 * TERM), HUP and USR1 are passed on. USR2 upgrades: the supervisor executes the binary that now
 * stands at its path, with the sockets; that starts a new serving process, and once it serves the
 * old one is told to drain.
 *
 * What it does is decided in small steps that a test can ask: see restart_delay_ms.
 * Owner: main. Thread: one.
 */
#pragma once
#include "cli/cli.h"
#include <stdint.h>

/* Returns the exit code of the gateway. */
int supervisor_run(const struct cli_call *call);

/* The last crashes, for the pause before the next start. */
enum { CRASHES_MAX = 5, CRASHES_WITHIN_S = 60, RESTART_MAX_MS = 1000, RESTART_FIRST_MS = 100 };
struct crashes {
    uint64_t at_ms[CRASHES_MAX];
    unsigned count; /* ever */
    unsigned pause_ms;
};
/* Notes a crash; returns how long to wait before the next start. */
unsigned restart_delay_ms(struct crashes *c, uint64_t now_ms);
