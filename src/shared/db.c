#include "shared/db.h"
#include "base/env.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>

enum { QUERIES_MAX = 16, APPLICATION = 0x736c6364 /* "slcd" */ };

struct db_query {
    struct db *db;
    const char *sql;
    sqlite3_stmt *stmt;
};
struct db {
    sqlite3 *sqlite;
    struct db_query query[QUERIES_MAX];
    unsigned queries;
    int64_t version; /* PRAGMA data_version as it was seen last */
};

const char *db_why(struct db *db) {
    return sqlite3_errmsg(db->sqlite);
}

bool db_run(struct db *db, const char *sql) {
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* The first column of the first row; -1: it failed. */
static int64_t number_of(struct db *db, const char *sql) {
    sqlite3_stmt *stmt;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool say(char *why, const char *path, const char *what, const char *help) {
    snprintf(why, DB_WHY_MAX, "%s %s; %s", path, what, help);
    return false;
}

static const char *const restore = "put a backup in its place, or move it aside (with -wal and "
                                   "-shm) to begin with nothing counted";

static bool say_error(struct db *db, char *why, const char *path) {
    char what[256];
    int code = sqlite3_errcode(db->sqlite);
    snprintf(what, sizeof what, "cannot be used: %s", db_why(db));
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
        return say(why, path, "is damaged", restore);
    case SQLITE_NOTADB:
        return say(why, path, "is no database", restore);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return say(why, path, "cannot be written",
                   "file and directory must be writable for the user that the gateway runs as");
    case SQLITE_BUSY:
        return say(why, path, "is locked by another program", "end that, or name another file");
    case SQLITE_FULL:
        return say(why, path, "cannot be written: there is no room", "make some on that disk");
    default:
        return say(why, path, what, "is the directory there, and writable for the gateway's user?");
    }
}

/* Only its owner reads it: keys may be names of people. */
static bool make_file(const char *path, char *why) {
    int fd = env.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    int err = errno;
    if (fd >= 0) {
        env.close(fd);
        return true;
    }
    char what[128];
    snprintf(what, sizeof what, "cannot be opened: %s", strerror(err));
    return say(why, path, what,
               err == ENOENT ? "its directory must be there, writable for the gateway's user"
               : err == ELOOP
                   ? "it is a symbolic link; name the file itself"
                   : "file and directory must be writable for the user that the gateway runs as");
}

static bool is_ours(struct db *db, const char *path, char *why, int64_t known) {
    int64_t application = number_of(db, "PRAGMA application_id");
    int64_t form = number_of(db, "PRAGMA user_version");
    int64_t things = number_of(db, "SELECT count(*) FROM sqlite_schema");
    char what[128];
    if (application < 0 || form < 0 || things < 0)
        return say_error(db, why, path);
    if (things && application != APPLICATION)
        return say(why, path, "is a database of another program", "name another file");
    if (form <= known)
        return true;
    snprintf(what, sizeof what, "was written by a newer sluice (form %lld, this one knows %lld)",
             (long long)form, (long long)known);
    return say(why, path, what, "run that one, or name another file");
}

static bool is_sound(struct db *db, const char *path, char *why) {
    sqlite3_stmt *stmt;
    bool sound = false;
    if (sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
        return say_error(db, why, path);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        sound = text && strcmp(text, "ok") == 0;
    }
    sqlite3_finalize(stmt);
    return sound || say(why, path, "is damaged", restore);
}

static bool upgrade(struct db *db, const struct db_schema *schema) {
    char sql[96];
    if (!db_run(db, "BEGIN IMMEDIATE"))
        return false;
    int64_t form = number_of(db, "PRAGMA user_version"); /* nobody changes it from here on */
    bool good = form >= 0;
    for (int64_t i = form; good && i < (int64_t)schema->steps; i++)
        good = db_run(db, schema->step[i]);
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%u", APPLICATION,
             schema->steps);
    good = good && (form == (int64_t)schema->steps || db_run(db, sql));
    if (good)
        return db_run(db, "COMMIT");
    return false; /* the connection closes, and takes all back */
}

static struct db *connect_to(const char *path, int flags, char *why) {
    struct db *db = mem_alloc(sizeof *db);
    if (sqlite3_open_v2(path, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(db->sqlite, DB_BUSY_MS) == SQLITE_OK)
        return db;
    (void)say_error(db, why, path);
    db_close(db);
    return NULL;
}

static const char setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                            "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON";

struct db *db_open(const char *path, const struct db_schema *schema, char *why) {
    struct db *db = make_file(path, why) ? connect_to(path, SQLITE_OPEN_READWRITE, why) : NULL;
    if (!db)
        return NULL;
    if (is_ours(db, path, why, schema->steps) && is_sound(db, path, why)) {
        if (db_run(db, setup) && upgrade(db, schema)) {
            (void)db_changed_by_others(db);
            return db;
        }
        (void)say_error(db, why, path);
    }
    db_close(db);
    return NULL;
}

struct db *db_open_reader(const char *path, char *why) {
    return connect_to(path, SQLITE_OPEN_READWRITE, why);
}

void db_close(struct db *db) {
    if (!db)
        return;
    for (unsigned i = 0; i < db->queries; i++)
        sqlite3_finalize(db->query[i].stmt);
    sqlite3_close(db->sqlite);
    mem_free(db);
}

bool db_changed_by_others(struct db *db) {
    int64_t now = number_of(db, "PRAGMA data_version");
    bool changed = now != db->version;
    db->version = now;
    return changed;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

struct db_query *db_query(struct db *db, const char *sql) {
    for (unsigned i = 0; i < db->queries; i++)
        if (db->query[i].sql == sql)
            return &db->query[i];
    must(db->queries < QUERIES_MAX);
    struct db_query *q = &db->query[db->queries];
    if (sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL) !=
        SQLITE_OK)
        return NULL;
    q->db = db;
    q->sql = sql;
    db->queries++;
    return q;
}

void db_text(struct db_query *q, int at, struct span value) {
    must(sqlite3_bind_text(q->stmt, at, value.n ? value.p : "", (int)value.n, SQLITE_STATIC) ==
         SQLITE_OK);
}

void db_number(struct db_query *q, int at, int64_t value) {
    must(sqlite3_bind_int64(q->stmt, at, value) == SQLITE_OK);
}

enum db_result db_next(struct db_query *q) {
    switch (sqlite3_step(q->stmt)) {
    case SQLITE_ROW:
        return DB_ROW;
    case SQLITE_DONE:
        return DB_END;
    default:
        return DB_FAILED;
    }
}

int64_t db_column(struct db_query *q, int at) {
    return sqlite3_column_int64(q->stmt, at);
}

struct span db_column_text(struct db_query *q, int at) {
    const char *p = (const char *)sqlite3_column_text(q->stmt, at);
    return span_of(p, p ? (size_t)sqlite3_column_bytes(q->stmt, at) : 0);
}

void db_done(struct db_query *q) {
    sqlite3_reset(q->stmt);
    sqlite3_clear_bindings(q->stmt);
}
