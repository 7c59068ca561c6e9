/*
 * log - the access log: a line per ended exchange, made by the worker, written by one thread of its
 * own.
 *
 *     worker: record -> line in this thread's ring (1 MiB) ~~~> writer: 64 KiB or 100 ms -> file
 *
 * A worker never waits and never allocates for its log: no room in the ring, and the line is
 * dropped and counted (counters.log_dropped). The writer takes from all rings, writes in big
 * pieces, opens its files again on log_reopen, and when a disk is full or a directory gone it says
 * so once in the error log, keeps what it can (LOG_HELD_MAX per destination), counts the rest as
 * lost and tries again with growing pauses. Every text from outside is escaped and cut at
 * LOG_TEXT_MAX bytes, then "…": a line is one line and valid JSON. Fields and formats:
 * core/log_conf.h. Owner: main. Thread: log_line that of the exchange; start, attach, reopen, stop
 * the control thread.
 */
#pragma once
#include "core/log_conf.h"
#include "core/schema.h"
#include "core/thread.h"

enum {
    LOG_TEXT_MAX = 1024,
    LOG_RING = 1024 * 1024,
    LOG_LINE_MAX = 128 * 1024, /* more than all fields of all texts at their worst */
    LOG_PIECE = 64 * 1024,
    LOG_HELD_MAX = 1024 * 1024,
    LOG_FILES_MAX = 32,
    LOG_PERIOD_MS = 100,
};

/* `log: {file or stream, format, fields}`: its form fills a struct log_conf. */
extern const struct policy log_policy;

/* Gives the thread its ring (local[LOG]). False: no memory. Before the thread runs. */
must_use bool log_thread_init(struct thread *t);
void log_thread_finish(struct thread *t); /* after log_stop */

/* Starts the writer thread; it also takes over the error log (observe/errlog.h). */
must_use bool log_start(void);
/* Writes what there is and ends the writer; gives up after `grace_ms` when a reader is stuck. */
void log_stop(unsigned grace_ms);
void log_reopen(void); /* rotation; may be called from a signal's handler in the loop */

/* Finds or makes the destinations of a snapshot's logs; before it is published. False: more than
 * LOG_FILES_MAX destinations; those beyond it do not log. */
must_use bool log_attach(struct snapshot *s);
void log_detach(struct snapshot *s); /* when it is freed */

/* The sink of a thread: thread->sink[i] = log_line. */
void log_line(struct thread *t, const struct record *r);

/* One line without newline, for tests and `explain`. `full` in *out: it did not fit. */
void log_format(const struct log_conf *conf, const struct record *r, struct str *out);

/* For the metrics: bytes and lines written, lines lost behind the ring (disk full ...), failures.
 */
struct log_counts {
    uint64_t lines, bytes, lost, failures;
};
struct log_counts log_counts(void);

/* For tests without a writer thread: one pass over all rings and files; true: something was
 * written. */
bool log_pass(bool flush);
