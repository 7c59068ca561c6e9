/* limit/quota_table, limit/quota_store: what is counted, by all threads, and what is kept. */
#include "limit/quota_store.h"
#include "base/env.h"
#include "base/hash.h"
#include "expr/lib_zone.h"
#include "shared/db.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { DAY = 86400, NOON = 20000 * DAY + DAY / 2 };

static struct arena arena;

static struct quota_table *table(const char *id, uint32_t keys) {
    const char *why;
    struct period_rule r = {.unit = PER_DAY, .zone = zone_get(&arena, SPAN("UTC"), &why)};
    assert_null(period_anchor(SPAN(""), &r));
    struct quota_table *t = quota_table_get(span_z(id), SPAN("day"), keys, &r, SPAN("UTC"));
    if (!t->loaded)
        quota_store_load(t);
    return t;
}

static struct quota_key key(const char *text) {
    return quota_key_make(&arena, span_z(text));
}

static bool take(struct quota_table *t, const char *who, int64_t now, uint64_t n, uint64_t limit) {
    struct quota_key k = key(who);
    struct period p = quota_table_period(t, 0, now);
    uint64_t used;
    return quota_table_take(t, &k, &p, n, limit, &used);
}

static uint64_t used(struct quota_table *t, const char *who, int64_t now) {
    struct quota_key k = key(who);
    struct period p = quota_table_period(t, 0, now);
    uint64_t out;
    (void)quota_table_take(t, &k, &p, 0, UINT64_MAX, &out);
    return out;
}

static uint64_t add(struct quota_table *t, const char *who, int64_t now, int64_t n) {
    struct quota_key k = key(who);
    struct period p = quota_table_period(t, 0, now);
    return quota_table_add(t, &k, &p, n);
}

/* ---- counting ---- */

static void up_to_the_limit(void **state) {
    struct quota_table *t = table("limit", 64);
    (void)state;
    assert_true(take(t, "ann", NOON, 2, 5));
    assert_true(take(t, "ann", NOON, 3, 5));
    assert_false(take(t, "ann", NOON, 1, 5));
    assert_true(take(t, "bob", NOON, 5, 5));
    assert_false(take(t, "cid", NOON, 6, 5));
    assert_int_equal(used(t, "ann", NOON), 5);
    assert_int_equal(used(t, "cid", NOON), 0);
    assert_int_equal(add(t, "ann", NOON, -2), 3);
    assert_int_equal(add(t, "ann", NOON, -9), 0);
    assert_int_equal(add(t, "ann", NOON, 100), 100); /* cost_after: whatever the limit says */
    assert_false(take(t, "ann", NOON, 1, 100));
    quota_table_leave(t);
}

static void periods_begin_once(void **state) {
    struct quota_table *t = table("periods", 64);
    (void)state;
    assert_true(take(t, "ann", NOON, 5, 5));
    assert_false(take(t, "ann", NOON, 1, 5));
    assert_true(take(t, "ann", NOON + DAY, 4, 5)); /* the next day */
    assert_false(take(t, "ann", NOON, 1, 5));      /* the clock is set back over midnight */
    assert_int_equal(used(t, "ann", NOON), 5);
    assert_int_equal(used(t, "ann", NOON + DAY), 4);
    assert_true(take(t, "ann", NOON + DAY, 1, 5)); /* and goes on */
    assert_false(take(t, "ann", NOON + DAY, 1, 5));
    /* Days ahead, and back: what was counted there goes on counting, nothing begins anew. */
    assert_true(take(t, "ann", NOON + 9 * DAY, 3, 5));
    assert_true(take(t, "ann", NOON + DAY, 2, 5));
    assert_false(take(t, "ann", NOON + DAY, 1, 5));
    /* A refund of a day that is over takes nothing of another one. */
    assert_true(take(t, "bob", NOON, 3, 5));
    assert_true(take(t, "bob", NOON + 2 * DAY, 2, 5));
    (void)add(t, "bob", NOON, -3);
    assert_int_equal(used(t, "bob", NOON + 2 * DAY), 2);
    quota_table_leave(t);
}

static void newcomers_count_together(void **state) {
    struct quota_table *t = table("full", 16);
    char name[16];
    unsigned taken = 0;
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "key%u", i);
        taken += take(t, name, NOON, 1, 3);
    }
    assert_int_equal(taken, 16 + 3); /* the others have one limit between them */
    assert_int_equal(atomic_load(&t->overflows), 24);
    assert_true(take(t, "key0", NOON, 2, 3)); /* who has a place keeps it */
    assert_false(take(t, "key39", NOON, 1, 3));
    quota_tables_tidy(true, NOON + 3 * DAY);
    assert_int_equal(atomic_load(&t->count), 16); /* what was changed is still to be written */
    quota_table_leave(t);
}

static void forget(struct quota_table *t, struct quota_entry *e, void *ctx) {
    (void)t, (void)e, (void)ctx;
}

static void places_are_given_back(void **state) {
    struct quota_table *t = table("places", 16);
    char name[16];
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "key%u", i);
        assert_true(take(t, name, NOON, 1, 3));
    }
    assert_true(take(t, "key7", NOON + 3 * DAY, 2, 3));
    quota_table_changed(t, forget, NULL);
    quota_tables_tidy(true, NOON + 3 * DAY);
    assert_int_equal(atomic_load(&t->count), 1);
    assert_int_equal(used(t, "key7", NOON + 3 * DAY), 2);
    for (unsigned i = 20; i < 35; i++) {
        snprintf(name, sizeof name, "key%u", i);
        assert_true(take(t, name, NOON + 3 * DAY, 3, 3));
        assert_false(take(t, name, NOON + 3 * DAY, 1, 3));
    }
    assert_int_equal(atomic_load(&t->overflows), 0);
    quota_table_leave(t);
}

static void long_keys(void **state) {
    struct quota_table *t = table("long", 64);
    char a[1000], b[1000];
    (void)state;
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    a[999] = b[999] = 0;
    b[998] = 'y';
    assert_true(take(t, a, NOON, 3, 3));
    assert_true(take(t, b, NOON, 3, 3));
    assert_false(take(t, a, NOON, 1, 3));
    assert_true(key(a).text.n <= QUOTA_KEY_MAX);
    quota_table_leave(t);
}

/* Eight threads that want more than there is, of keys that all of them bring at once, while places
 * are given back under them: each key gets its limit and no more. */
enum { WORKERS = 8, KEYS = 50, LIMIT = 500 };
static struct quota_table *common;
static atomic_uint got[KEYS];

static void *worker(void *arg) {
    struct arena a;
    unsigned me_ = (unsigned)(uintptr_t)arg;
    arena_init(&a, NULL);
    for (unsigned i = 0; i < KEYS * LIMIT / 4; i++) {
        char name[16];
        unsigned which = (i + me_ * 7) % KEYS;
        uint64_t out;
        snprintf(name, sizeof name, "key%u", which);
        struct quota_key k = quota_key_make(&a, span_z(name));
        struct period p = quota_table_period(common, me_, NOON + 5 * DAY);
        if (quota_table_take(common, &k, &p, 1, LIMIT, &out))
            atomic_fetch_add(&got[which], 1);
    }
    arena_finish(&a);
    return NULL;
}

static void exact_over_threads(void **state) {
    pthread_t id[WORKERS];
    char name[16];
    (void)state;
    common = table("threads", 4096);
    for (unsigned i = 0; i < 2000; i++) { /* what there is to give back meanwhile */
        snprintf(name, sizeof name, "old%u", i);
        assert_true(take(common, name, NOON, 1, 3));
    }
    for (unsigned i = 0; i < KEYS; i++) { /* the keys themselves are old, too */
        snprintf(name, sizeof name, "key%u", i);
        assert_true(take(common, name, NOON, 1, 3));
    }
    quota_table_changed(common, forget, NULL);
    for (uintptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&id[i], NULL, worker, (void *)i), 0);
    for (unsigned i = 0; i < 200; i++) {
        quota_table_changed(common, forget, NULL);
        quota_tables_tidy(true, NOON + 5 * DAY + i * 61);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(id[i], NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(name, sizeof name, "key%u", i);
        assert_int_equal(atomic_load(&got[i]), LIMIT);
        assert_int_equal(used(common, name, NOON + 5 * DAY), LIMIT);
    }
    quota_table_leave(common);
}

/* ---- keeping ---- */

static char dir[64], path[96], why[DB_WHY_MAX];

static void open_store(void) {
    if (!quota_store_open(span_z(path), why))
        fail_msg("%s", why);
}

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sluice-quota-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
    return 0;
}

static int drop_dir(void **state) {
    static const char *const name[] = {"", "-wal", "-shm"};
    char file[128];
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s%s", path, name[i]);
        (void)unlink(file);
    }
    return rmdir(dir);
}

static int64_t ask(const char *sql) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 2000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int64_t n = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static void counts_come_back(void **state) {
    struct stat st;
    (void)state;
    open_store();
    struct quota_table *t = table("kept", 64);
    assert_true(take(t, "ann", NOON, 4, 5));
    assert_true(take(t, "bob", NOON + DAY, 3, 5));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 4);
    assert_true(take(t, "ann", NOON, 1, 5));
    (void)add(t, "bob", NOON + DAY, -1);
    assert_true(quota_store_flush(NOON));
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 5);
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'bob'"), 2);
    assert_int_equal(ask("SELECT ends - begins FROM quota WHERE key = 'ann'"), DAY);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    quota_table_leave(t);
    quota_store_stop();

    open_store();
    t = table("kept", 64);
    assert_false(take(t, "ann", NOON, 1, 5));
    assert_int_equal(used(t, "bob", NOON + DAY), 2);
    assert_int_equal(used(t, "ann", NOON + DAY), 0);
    quota_table_leave(t);
    quota_store_stop();
}

static void stopping_writes_the_rest(void **state) {
    (void)state;
    int64_t now = env.wall_ns() / 1000000000;
    open_store();
    struct quota_table *t = table("rest", 64);
    assert_true(take(t, "ann", now, 3, 5));
    quota_table_leave(t);
    quota_store_stop();
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 3);
}

/* What another process adds to the file is counted here; both write what they counted themselves.
 */
static void two_processes(void **state) {
    sqlite3 *other;
    (void)state;
    open_store();
    struct quota_table *t = table("both", 64);
    assert_true(take(t, "ann", NOON, 2, 100));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(other,
                     "BEGIN IMMEDIATE; UPDATE counter SET value = value + 1;"
                     "UPDATE quota SET used = used + 30, seq = (SELECT value FROM counter);"
                     "INSERT INTO quota SELECT id, period, 'bob', begins, ends, 7, seq FROM quota;"
                     "COMMIT",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_true(take(t, "ann", NOON, 5, 100)); /* in between */
    assert_true(take(t, "cid", NOON, 1, 100));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(used(t, "ann", NOON), 37);
    assert_int_equal(used(t, "bob", NOON), 7);
    assert_int_equal(used(t, "cid", NOON), 1);
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 37);
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'bob'"), 7);
    assert_true(quota_store_flush(NOON)); /* nothing is counted twice */
    assert_int_equal(used(t, "ann", NOON), 37);
    assert_int_equal(ask("SELECT sum(used) FROM quota"), 45);
    sqlite3_close(other);
    quota_table_leave(t);
    quota_store_stop();
}

static void putting(void **state) {
    (void)state;
    open_store();
    struct quota_table *t = table("put", 64);
    assert_true(take(t, "ann", NOON, 5, 5));
    assert_true(quota_store_flush(NOON));
    assert_true(quota_table_put(t, SPAN("ann"), NOON, 0));
    assert_false(quota_table_put(t, SPAN("ben"), NOON, 0));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 0);
    assert_true(take(t, "ann", NOON, 1, 5));
    assert_true(quota_table_put(t, SPAN("ann"), NOON, 4));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(ask("SELECT used FROM quota WHERE key = 'ann'"), 4);
    assert_false(take(t, "ann", NOON, 2, 5));
    quota_table_leave(t);
    quota_store_stop();
}

/* A file that must not grow is a disk that is full. */
static void full_disk(void **state) {
    struct rlimit before, none;
    char name[256];
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_store();
    struct quota_table *t = table("disk", 4096);
    assert_true(take(t, "ann", NOON, 1, 5));
    assert_true(quota_store_flush(NOON));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "%0100u", i);
        assert_true(take(t, name, NOON, 2, 5));
    }
    uint64_t failures = quota_store_state().failures;
    assert_false(quota_store_flush(NOON));
    assert_false(quota_store_flush(NOON));
    assert_int_equal(quota_store_state().failures, failures + 2);
    assert_true(quota_store_state().failing);
    assert_true(take(t, "ann", NOON, 4, 5)); /* it goes on counting */
    assert_false(take(t, "ann", NOON, 1, 5));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(quota_store_flush(NOON));
    assert_false(quota_store_state().failing);
    assert_int_equal(ask("SELECT sum(used) FROM quota"), 1005);
    quota_table_leave(t);
    quota_store_stop();
}

static void old_rows_go(void **state) {
    (void)state;
    open_store();
    struct quota_table *t = table("old", 64);
    assert_true(take(t, "ann", NOON, 1, 5));
    assert_true(quota_store_flush(NOON));
    assert_true(quota_store_flush(NOON + 30 * DAY)); /* a leap: nothing is deleted */
    assert_int_equal(ask("SELECT count(*) FROM quota"), 1);
    assert_true(quota_store_flush(NOON + 30 * DAY + 600));
    assert_int_equal(ask("SELECT count(*) FROM quota"), 0);
    quota_table_leave(t);
    quota_store_stop();
}

static void write_file(const char *bytes, size_t n, off_t at) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
    close(fd);
}

static void refused(const char *with) {
    assert_false(quota_store_open(span_z(path), why));
    if (!strstr(why, with))
        fail_msg("%s", why);
    quota_store_stop();
}

static void files_that_are_refused(void **state) {
    char junk[8192];
    (void)state;
    memset(junk, 'x', sizeof junk);
    write_file(junk, sizeof junk, 0);
    refused("is no database");
    assert_int_equal(truncate(path, 0), 0);
    assert_true(ask("CREATE TABLE theirs (a)") == -1);
    refused("is a database of another program");
    (void)unlink(path);
    open_store();
    quota_store_stop();
    assert_int_equal(ask("PRAGMA user_version = 99"), -1);
    refused("was written by a newer sluice (form 99");
    assert_int_equal(ask("PRAGMA user_version = 1"), -1);
    write_file(junk, 4096, 4096);
    refused("is damaged");
    (void)unlink(path);
    snprintf(path, sizeof path, "%s/none/state.db", dir);
    refused("No such file or directory");
    snprintf(path, sizeof path, "%s", dir);
    refused("cannot be opened");
    snprintf(path, sizeof path, "%s/state.db", dir);
}

#define STORE(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_the_limit),
        cmocka_unit_test(periods_begin_once),
        cmocka_unit_test(newcomers_count_together),
        cmocka_unit_test(places_are_given_back),
        cmocka_unit_test(long_keys),
        cmocka_unit_test(exact_over_threads),
        STORE(counts_come_back),
        STORE(stopping_writes_the_rest),
        STORE(two_processes),
        STORE(putting),
        STORE(full_disk),
        STORE(old_rows_go),
        STORE(files_that_are_refused),
    };
    arena_init(&arena, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    quota_tables_close();
    arena_finish(&arena);
    return failed;
}
