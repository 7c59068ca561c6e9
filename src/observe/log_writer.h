/*
 * log_writer - the thread behind observe/log: takes pieces from all rings and writes them to their
 * files.
 *
 * A file is a number from open to close; its lines that are still in rings when it closes are
 * written first. Owner: the process. Thread: as said at each; the writer's own state is touched by
 * log_pass alone.
 */
#pragma once
#include "observe/ring.h"

/* What a destination's key begins with; behind LOG_KEY_FILE stands the path. */
enum { LOG_KEY_STDOUT = '1', LOG_KEY_STDERR = '2', LOG_KEY_FILE = 'f' };

/* Control thread. LOG_FILES_MAX: none left. */
uint32_t log_writer_open(struct span key);
void log_writer_close(uint32_t file); /* any thread */

must_use bool log_writer_add(struct ring *r); /* a thread's ring, before it runs */
void log_writer_remove(struct ring *r);

/* The ring's producer: wakes the writer once when `bytes` or more wait in it. */
void log_writer_wake_if(struct ring *r, size_t bytes);
