/*
 * db - the embedded store: an SQLite file for what survives a restart.
 *
 * A connection is one thread's at a time. The journal is a write-ahead log with synchronous=NORMAL:
 * what was committed survives the end of the process, however that comes (the pages are the
 * kernel's by then, so kill -9 loses nothing of it); a power cut may lose the last commits but
 * never damages the file. Its schema has a number; a file that is older is brought up to date, one
 * that is newer, damaged or somebody else's is refused with help: nothing is thrown away. Calls
 * block: helper threads and the start use them, never a worker. Owner: who opened it. Thread: one
 * at a time.
 */
#pragma once
#include "base/str.h"

struct db;
struct db_query;

struct db_schema {
    const char *const *step; /* SQL from each version to the next, from nothing on */
    unsigned steps;
};

enum { DB_WHY_MAX = 512, DB_BUSY_MS = 2000 };

/* Opens, makes, checks and brings up to date. NULL: `why` (DB_WHY_MAX bytes) says it, with help. */
must_use struct db *db_open(const char *path, const struct db_schema *schema, char *why);
/* Another connection to the same file, to read what is there. NULL likewise. */
must_use struct db *db_open_reader(const char *path, char *why);
void db_close(struct db *db);      /* NULL is fine */
const char *db_why(struct db *db); /* what went wrong last */

must_use bool db_run(struct db *db, const char *sql);
/* Has another connection changed the file since this was asked last? */
bool db_changed_by_others(struct db *db);

/* Kept by the connection, found by its text: a literal. NULL: db_why. */
must_use struct db_query *db_query(struct db *db, const char *sql);
void db_text(struct db_query *q, int at, struct span value); /* parameters count from 1; the
                                                              * bytes live until db_done */
void db_number(struct db_query *q, int at, int64_t value);
enum db_result { DB_ROW, DB_END, DB_FAILED };
enum db_result db_next(struct db_query *q);
int64_t db_column(struct db_query *q, int at); /* columns count from 0 */
struct span db_column_text(struct db_query *q, int at);
void db_done(struct db_query *q); /* ready for the next round */
