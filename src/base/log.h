/*
 * log - the error log's door: one line per event, from any thread, before and after there are
 * threads.
 *
 *     2026-11-25T01:20:16.123Z warning no_route: GET "/ap" matches no route nearest="orders"
 *
 * The code is stable and greppable, the text is for people, key=value pairs stand at its end. A
 * line is made on the caller's stack (LOG_EVENT_MAX, cut with a mark) and control bytes in it are
 * escaped, so that nothing from outside starts a line of its own. At most LOG_EVENT_RATE lines per
 * code and second pass; what was held back is told with the next one ("suppressed=37"), or by
 * log_event_tick. Lines go to standard error until log_event_output says otherwise
 * (observe/errlog.h: a ring, so that a worker never waits). Thread: any; the two setters before
 * threads start.
 */
#pragma once
#include "base/str.h"

enum level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

enum { LOG_EVENT_MAX = 1024, LOG_EVENT_RATE = 10, LOG_EVENT_CODES = 128 };

/* `code` is a literal. */
void log_event(enum level level, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes from outside as a quoted, escaped value for "%s": at most 128 bytes of it, then a mark. */
enum { LOG_QUOTED_MAX = 800 };
const char *log_quoted(struct span v, char out[LOG_QUOTED_MAX]);

/* Tells suppressed counts of codes that have become quiet. About once a second, by one thread. */
void log_event_tick(void);
uint64_t log_events_suppressed(void);

typedef void (*log_event_sink)(const char *line, size_t n); /* with its newline */
void log_event_output(log_event_sink sink);                 /* NULL: standard error */
void log_event_level(enum level least);                     /* as shipped: LEVEL_INFO */
bool log_event_wanted(enum level level);

/* "2026-11-25T01:20:16.123Z": RFC 3339, UTC, exactly 24 bytes. Years 1970 to 9999. */
enum { TIME_TEXT = 24 };
void time_text(int64_t wall_ns, char out[TIME_TEXT]);
struct civil {
    unsigned year, month, day, hour, minute, second;
};
struct civil time_civil(int64_t seconds);
