/*
 * pressure - how much memory the process uses of what it may, looked at by the control thread, and
 * the level that all workers are told (core/overload.h).
 *
 * What it uses: its resident set against `overload: {memory}`; and in a cgroup with a limit (a
 * container; v2 or v1, the groups around it too) what is charged to the group without the file
 * pages that the kernel drops first, against that limit. Without either: the resident set against
 * the machine's memory. The worst of them counts. It looks four times a second, and more often the
 * less is left, down to 20 ms: what could be used up in between, at a gigabyte a second, shall not
 * pass the first level.
 *
 * Levels are entered at 80, 90 and 95 per cent and left five points lower. While there is one, free
 * memory that the C library keeps is given back about once a second; else the resident set would
 * stay as high as it has been. Owner: the control thread. Thread: that one, but for the figures.
 */
#pragma once
#include "core/thread.h"

struct memory_use {
    uint64_t used, budget; /* of the worst */
    unsigned permille;
};
/* `configured` 0: nothing said. */
void memory_look(uint64_t configured, struct memory_use *out);

enum overload_level pressure_level(enum overload_level now, unsigned permille);

void pressure_start(struct thread *control);
void pressure_stop(void);

struct pressure_figures { /* for status and metrics */
    uint64_t used, budget;
    enum overload_level level;
    uint64_t entered; /* times that a level was entered from none */
};
struct pressure_figures pressure_figures(void);
const char *overload_level_name(enum overload_level l);
struct loop_figures {
    uint64_t delay_ns; /* of the worst worker, in its last window */
    unsigned cutting;  /* workers that refuse by share */
};
struct loop_figures overload_loops(void);
