/*
 * quota_store - what quotas have counted, kept in the file that `state.store` names.
 *
 * Twice a second the control thread gathers what has changed, and a helper thread writes it in one
 * transaction; so the death of the process costs at most a second of counts, a graceful stop or a
 * reload none. What is written is added to what is there (used = used + n), and each writer learns
 * the sum: while an upgrade has two processes at work, both count what the other counts. What
 * cannot be written (a full disk, an error) stays in memory and is tried again; that is logged once
 * and counted. Rows whose period has long ended are deleted. Owner: the process. Thread: control;
 * the file is written by a helper.
 */
#pragma once
#include "core/thread.h"
#include "limit/quota_table.h"

enum { QUOTA_WRITE_MS = 500 };

/* At the start, before quotas are attached; no store: nothing is kept. False: `why` (DB_WHY_MAX)
 * says it. */
must_use bool quota_store_open(struct span path, char *why);
/* Begins to write (and to tidy up, store or not): a timer of this thread. */
void quota_store_start(struct thread *control);
/* After all threads' loops have ended: writes what is left. */
void quota_store_stop(void);
/* The path that is open; empty: none. */
struct span quota_store_path(void);
/* What the file has of a new table. */
void quota_store_load(struct quota_table *t);

struct quota_store_state {
    bool open, failing;
    uint64_t writes, failures, rows; /* transactions; rows written */
};
struct quota_store_state quota_store_state(void);
/* For tests: one round of what the timer does, written before it returns. */
bool quota_store_flush(int64_t now);
