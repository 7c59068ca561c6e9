#include "limit/quota_store.h"
#include "base/env.h"
#include "base/log.h"
#include "io/work.h"
#include "shared/db.h"
#include <pthread.h>
#include <stdio.h>

enum { TIDY_S = 600, KEEP_S = 2 * 86400, SLACK_S = 60 };

static const char *const steps[] = {
    "CREATE TABLE quota (id TEXT NOT NULL, period TEXT NOT NULL, key TEXT NOT NULL,"
    " begins INTEGER NOT NULL, ends INTEGER NOT NULL, used INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, PRIMARY KEY (id, period, key, begins)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO counter VALUES ('quota_seq', 0);"};
static const struct db_schema schema = {steps, array_len(steps)};

static const char sql_seq[] = "SELECT value FROM counter WHERE name = 'quota_seq'";
static const char sql_set_seq[] = "UPDATE counter SET value = ?1 WHERE name = 'quota_seq'";
static const char sql_add[] =
    "INSERT INTO quota VALUES (?1, ?2, ?3, ?4, ?5, max(?6, 0), ?7)"
    " ON CONFLICT DO UPDATE SET used = max(used + ?6, 0), seq = ?7 RETURNING used";
static const char sql_newer[] =
    "SELECT id, period, key, begins, ends, used FROM quota WHERE seq > ?1";
static const char sql_of[] =
    "SELECT id, period, key, begins, ends, used FROM quota WHERE id = ?1 AND period = ?2";
static const char sql_old[] = "DELETE FROM quota WHERE ends < ?1";

struct row { /* what is added */
    struct quota_table *table;
    struct quota_entry *entry;
    struct quota_text *key; /* not freed before the batch is over */
    struct period p;
    int64_t add;
    uint64_t sum; /* told */
};
struct found { /* what others have added */
    struct found *next;
    struct span id, period, key;
    int64_t begins, ends, used;
};

enum batch { AT_REST, GIVEN, WRITTEN, FAILED };

static struct {
    struct db *db;
    char *path;
    struct thread *control;
    struct timer timer;
    pthread_mutex_t lock; /* of the batch, while a helper may write it */
    enum batch stage;
    struct row *row;
    size_t rows, max;
    struct found *found;
    struct arena scratch; /* of what was found */
    int64_t seen;         /* the latest change that was read */
    bool reread;          /* others have changed something since */
    int64_t delete_before, checked_at;
    char why[DB_WHY_MAX];
    _Atomic uint64_t writes, failures, written;
    atomic_bool failing;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- gathering --------------------------------------------------------------------------------
 */

/* The period of a word: this one, or its neighbour. */
static bool period_of(struct quota_table *t, uint64_t word, const struct period *now,
                      struct period *out) {
    *out = *now;
    if (quota_word_is(word, now->index))
        return true;
    period_at(&t->rule, now->from - 1, out);
    if (quota_word_is(word, out->index))
        return true;
    period_at(&t->rule, now->to, out);
    return quota_word_is(word, out->index);
}

static void add_row(struct row r) {
    if (store.rows == store.max) {
        size_t max = store.max ? store.max * 2 : 64;
        store.row = mem_realloc(store.row, store.max * sizeof *store.row, max * sizeof *store.row);
        store.max = max;
    }
    store.row[store.rows++] = r;
}

static void gather_entry(struct quota_table *t, struct quota_entry *e, void *ctx) {
    const int64_t *now = ctx;
    struct period here = quota_table_period(t, QUOTA_THREADS - 1, *now);
    struct quota_text *key = atomic_load(&e->key);
    if (!key)
        return; /* given back; or whoever brings it has only begun, and will touch it again */
    for (unsigned i = 0; i < 2; i++) {
        struct row r = {.table = t, .entry = e, .key = key};
        uint64_t word = atomic_load(&e->word[i]);
        if (!word || !period_of(t, word, &here, &r.p))
            continue;
        uint64_t saved = quota_word_is(e->saved[i], r.p.index) ? quota_word_used(e->saved[i]) : 0;
        r.add = (int64_t)(quota_word_used(word) - saved);
        if (r.add)
            add_row(r);
    }
}

static void gather_table(struct quota_table *t, void *ctx) {
    quota_table_changed(t, gather_entry, ctx);
}

static void give_up(void) {
    for (size_t i = 0; i < store.rows; i++)
        quota_entry_touch(store.row[i].table, store.row[i].entry);
}

/* ---- writing: in a helper ---------------------------------------------------------------------
 */

static bool keep_found(struct db_query *q) {
    struct arena *a = &store.scratch;
    enum db_result r;
    while ((r = db_next(q)) == DB_ROW) {
        struct found *f = arena_alloc(a, sizeof *f);
        *f = (struct found){.next = store.found,
                            .id = arena_span(a, db_column_text(q, 0)),
                            .period = arena_span(a, db_column_text(q, 1)),
                            .key = arena_span(a, db_column_text(q, 2)),
                            .begins = db_column(q, 3),
                            .ends = db_column(q, 4),
                            .used = db_column(q, 5)};
        store.found = f;
    }
    db_done(q);
    return r == DB_END;
}

static bool read_others(void) {
    struct db_query *q = db_query(store.db, sql_newer);
    if (!q)
        return false;
    db_number(q, 1, store.seen);
    return keep_found(q);
}

static bool one_number(const char *sql, int64_t *out) {
    struct db_query *q = db_query(store.db, sql);
    if (!q)
        return false;
    bool good = db_next(q) == DB_ROW;
    if (good)
        *out = db_column(q, 0);
    db_done(q);
    return good;
}

static bool run_with(const char *sql, int64_t value) {
    struct db_query *q = db_query(store.db, sql);
    if (!q)
        return false;
    db_number(q, 1, value);
    bool good = db_next(q) == DB_END;
    db_done(q);
    return good;
}

static bool write_row(struct db_query *q, struct row *r, int64_t seq) {
    db_text(q, 1, r->table->id);
    db_text(q, 2, r->table->period);
    db_text(q, 3, span_of(r->key->p, r->key->n));
    db_number(q, 4, r->p.from);
    db_number(q, 5, r->p.to);
    db_number(q, 6, r->add);
    db_number(q, 7, seq);
    bool good = db_next(q) == DB_ROW;
    if (good) {
        r->sum = (uint64_t)db_column(q, 0);
        good = db_next(q) == DB_END;
    }
    db_done(q);
    return good;
}

static bool write_rows(int64_t *seq) {
    struct db_query *q = db_query(store.db, sql_add);
    if (!q || !one_number(sql_seq, seq) || (store.reread && !read_others()))
        return false;
    ++*seq;
    for (size_t i = 0; i < store.rows; i++)
        if (!write_row(q, &store.row[i], *seq))
            return false;
    return run_with(sql_set_seq, *seq) &&
           (!store.delete_before || run_with(sql_old, store.delete_before));
}

static bool write_batch(void) {
    int64_t seq = 0;
    store.reread |= db_changed_by_others(store.db);
    if (!store.rows && !store.reread && !store.delete_before)
        return true;
    if (db_run(store.db, "BEGIN IMMEDIATE")) {
        if (write_rows(&seq) && db_run(store.db, "COMMIT")) {
            store.seen = seq;
            store.reread = false;
            store.delete_before = 0;
            if (store.rows)
                count_add(store.writes, 1);
            count_add(store.written, store.rows);
            return true;
        }
        snprintf(store.why, sizeof store.why, "%s", db_why(store.db));
        (void)!db_run(store.db, "ROLLBACK");
    } else {
        snprintf(store.why, sizeof store.why, "%s", db_why(store.db));
    }
    count_add(store.failures, 1);
    return false;
}

static void write_it(void) {
    pthread_mutex_lock(&store.lock);
    if (store.stage == GIVEN)
        store.stage = write_batch() ? WRITTEN : FAILED;
    pthread_mutex_unlock(&store.lock);
}

/* ---- afterwards -------------------------------------------------------------------------------
 */

static void tell_table(struct quota_table *t, void *ctx) {
    const struct found *f = ctx;
    struct period p;
    if (!span_eq(t->id, f->id) || !span_eq(t->period, f->period))
        return;
    period_at(&t->rule, f->begins, &p);
    if (p.from == f->begins && f->used >= 0)
        quota_table_stored(t, f->key, &p, (uint64_t)f->used, 0);
}

/* What others had added came first in the transaction, and so it does here. */
static void take_in(void) {
    for (const struct found *f = store.found; f; f = f->next)
        quota_tables_each(tell_table, (void *)(uintptr_t)f);
    for (size_t i = 0; i < store.rows; i++) {
        struct row *r = &store.row[i];
        quota_table_stored(r->table, span_of(r->key->p, r->key->n), &r->p, r->sum, r->add);
    }
}

static void tell_failure(bool failed) {
    if (failed && !atomic_load(&store.failing))
        log_event(
            LEVEL_ERROR, "store",
            "%s cannot be written: %s; quotas go on counting in memory, and it is tried again",
            store.path, store.why);
    else if (!failed && atomic_load(&store.failing))
        log_event(LEVEL_INFO, "store", "%s is written again, nothing was lost", store.path);
    atomic_store(&store.failing, failed);
}

static void drop_found(void) {
    arena_finish(&store.scratch);
    arena_init(&store.scratch, NULL);
    store.found = NULL;
}

static void settle(void) {
    if (store.stage == WRITTEN)
        take_in();
    else
        give_up();
    if (store.stage != GIVEN)
        tell_failure(store.stage == FAILED);
    drop_found();
    store.rows = 0;
    store.stage = AT_REST;
}

/* ---- the rounds -------------------------------------------------------------------------------
 */

/* Old rows go when the clock has been steady for a while: one that leaps forward deletes nothing.
 */
static void look_for_old(int64_t now) {
    if (store.checked_at && now >= store.checked_at && now < store.checked_at + TIDY_S)
        return;
    if (store.checked_at && now >= store.checked_at && now < store.checked_at + TIDY_S + SLACK_S)
        store.delete_before = now - KEEP_S;
    store.checked_at = now;
}

static void gather(int64_t now) {
    look_for_old(now);
    quota_tables_each(gather_table, &now);
    store.stage = GIVEN;
}

static void retry_load(struct quota_table *t, void *ctx) {
    (void)ctx;
    if (!t->loaded)
        quota_store_load(t);
}

static void run(struct job *j) {
    (void)j;
    write_it();
}
static void finished(struct job *j) {
    mem_free(j);
    settle();
}

static void drop_entry(struct quota_table *t, struct quota_entry *e, void *ctx) {
    (void)t, (void)e, (void)ctx;
}
static void drop_changes(struct quota_table *t, void *ctx) {
    quota_table_changed(t, drop_entry, ctx);
}

static void round_of(int64_t now) {
    if (!store.db) {
        quota_tables_each(drop_changes, NULL);
        quota_tables_tidy(true, now);
        return;
    }
    if (store.stage != AT_REST)
        return; /* a slow disk: the next round */
    quota_tables_tidy(!atomic_load(&store.failing), now);
    quota_tables_each(retry_load, NULL);
    gather(now);
    struct job *j = mem_alloc(sizeof *j);
    if (work_give(j, run, finished))
        return;
    mem_free(j);
    settle();
}

static void tick(struct timer *t) {
    struct loop *l = &store.control->loop;
    round_of(thread_wall_ns(store.control, l->now) / 1000000000);
    timer_start(&l->timers, t, l->now / 1000000, QUOTA_WRITE_MS);
}

/* ---- from outside -----------------------------------------------------------------------------
 */

bool quota_store_open(struct span path, char *why) {
    if (!path.n)
        return true;
    store.path = mem_text(path.p, path.n);
    store.db = db_open(store.path, &schema, why);
    arena_init(&store.scratch, NULL);
    if (store.db && one_number(sql_seq, &store.seen))
        return true;
    if (store.db)
        snprintf(why, DB_WHY_MAX, "%s cannot be read: %s", store.path, db_why(store.db));
    return false;
}

struct span quota_store_path(void) {
    return span_z(store.path);
}

/* The writer's connection may be busy: a reader of its own. */
void quota_store_load(struct quota_table *t) {
    char why[DB_WHY_MAX] = "";
    t->loaded = true;
    if (!store.db)
        return;
    struct db *db = db_open_reader(store.path, why);
    struct db_query *q = db ? db_query(db, sql_of) : NULL;
    enum db_result r = DB_FAILED;
    if (q) {
        db_text(q, 1, t->id);
        db_text(q, 2, t->period);
        while ((r = db_next(q)) == DB_ROW) {
            struct found f = {.id = t->id,
                              .period = t->period,
                              .key = db_column_text(q, 2),
                              .begins = db_column(q, 3),
                              .used = db_column(q, 5)};
            tell_table(t, &f);
        }
    }
    if (r != DB_END) {
        log_event(LEVEL_ERROR, "store", "what quota %.*s has counted cannot be read: %s",
                  SPAN_ARG(t->id), db ? db_why(db) : why);
        t->loaded = false;
    }
    db_close(db);
}

void quota_store_start(struct thread *control) {
    store.control = control;
    store.timer.fire = tick;
    timer_start(&control->loop.timers, &store.timer, control->loop.now / 1000000, QUOTA_WRITE_MS);
}

bool quota_store_flush(int64_t now) {
    if (!store.db)
        return false;
    pthread_mutex_lock(&store.lock); /* whoever writes now comes to his end; others find nothing */
    if (store.stage != AT_REST)
        settle();
    pthread_mutex_unlock(&store.lock);
    gather(now);
    write_it();
    bool good = store.stage == WRITTEN;
    settle();
    return good;
}

void quota_store_stop(void) {
    timer_stop(&store.timer);
    if (store.db && !quota_store_flush(env.wall_ns() / 1000000000))
        log_event(LEVEL_ERROR, "store", "%s: the last second of quotas is lost: %s", store.path,
                  store.why);
    quota_tables_close();
    db_close(store.db);
    mem_free(store.path);
    mem_free(store.row);
    store.db = NULL;
    store.path = NULL;
    store.row = NULL;
    store.rows = store.max = 0;
    store.stage = AT_REST;
    store.reread = false;
    store.checked_at = store.delete_before = 0;
    atomic_store(&store.failing, false);
}

struct quota_store_state quota_store_state(void) {
    return (struct quota_store_state){.open = store.db != NULL,
                                      .failing = atomic_load(&store.failing),
                                      .writes = atomic_load(&store.writes),
                                      .failures = atomic_load(&store.failures),
                                      .rows = atomic_load(&store.written)};
}
