/*
 * certificates - looks every few seconds whether files of certificates, keys and authorities have
 * changed, and puts new ones in force; turns ticket keys; reminds of certificates that end soon.
 *
 *     timer -> a helper looks at the files of the snapshot in force -> timer again
 *
 * Connections that are open keep what they began with. Files that are not usable change nothing and
 * are told once. Owner: the gateway. Thread: control; files are read by a helper thread.
 */
#pragma once
#include "core/snapshot.h"
#include "io/timer.h"

struct gateway;

enum { CERTIFICATES_EVERY_MS = 2000, CERTIFICATES_REMIND_MS = 24 * 3600 * 1000 };

struct certificates {
    struct timer timer;
    struct snapshot *looking; /* what the helper looks at; NULL: nothing */
    uint64_t reminded_at;     /* ms */
};

void certificates_start(struct gateway *g);
/* After helpers have stopped. */
void certificates_stop(struct gateway *g);
