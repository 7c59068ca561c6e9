/*
 * errlog - takes the error log's lines (base/log.h) to standard error by way of the log's writer
 * thread.
 *
 * Any thread may log an event and none waits for standard error: lines stand in a bounded queue
 * (ERRLOG_LINES, lock-free, many producers); when it is full they are dropped and counted. Before
 * errlog_start and after errlog_stop lines are written at once by whoever has them.
 * Owner: the log's writer. Thread: errlog_put any, errlog_flush one.
 */
#pragma once
#include "base/log.h"

enum { ERRLOG_LINES = 256 };

void errlog_start(void);
void errlog_stop(void); /* also writes what is left */
void errlog_put(const char *line, size_t n);
void errlog_flush(void);
uint64_t errlog_dropped(void);
