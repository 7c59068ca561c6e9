#include "observe/log_writer.h"
#include "base/env.h"
#include "base/log.h"
#include "observe/errlog.h"
#include "observe/log.h"
#include "observe/text.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

enum file_state { FILE_FREE, FILE_OPEN, FILE_CLOSING };
enum { RINGS_MAX = 256, RETRY_MS_MAX = 10000 };

struct file {
    _Atomic int state; /* enum file_state */
    char *key;
    const char *path; /* set before FILE_OPEN is seen; path: for people too */
    int fd;           /* -1: not open now */
    struct text held; /* whole lines, but for a first one that is partly out */
    bool partial;
    bool failing;
    uint64_t retry_at; /* ns */
    unsigned retry_ms;
    uint64_t lost; /* since the failure began */
};

static struct {
    struct file file[LOG_FILES_MAX];
    _Atomic(struct ring *) ring[RINGS_MAX];
    _Atomic bool reopen, stop, awake;
    _Atomic uint64_t lines, bytes, lost, failures;
    sem_t wake, done;
    pthread_t thread;
    bool running;
    uint64_t flush_at, tick_at; /* ns */
} writer;

static void add(_Atomic uint64_t *n, uint64_t v) {
    atomic_fetch_add_explicit(n, v, memory_order_relaxed);
}

struct log_counts log_counts(void) {
    return (struct log_counts){.lines = atomic_load(&writer.lines),
                               .bytes = atomic_load(&writer.bytes),
                               .lost = atomic_load(&writer.lost),
                               .failures = atomic_load(&writer.failures)};
}

/* Files and rings: told by atomics, so that nobody waits for a writer that hangs in a slow write.
 */

uint32_t log_writer_open(struct span key) {
    uint32_t i = 0;
    while (i < LOG_FILES_MAX && atomic_load(&writer.file[i].state) != FILE_FREE)
        i++;
    if (i == LOG_FILES_MAX)
        return i;
    struct file *f = &writer.file[i];
    *f = (struct file){.key = mem_text(key.p, key.n), .fd = -1, .held = text_new(LOG_HELD_MAX)};
    f->path = f->key[0] == LOG_KEY_FILE     ? f->key + 1
              : f->key[0] == LOG_KEY_STDERR ? "standard error"
                                            : "standard output";
    atomic_store(&writer.file[i].state, FILE_OPEN);
    return i;
}

void log_writer_close(uint32_t file) {
    atomic_store(&writer.file[file].state, FILE_CLOSING);
}

bool log_writer_add(struct ring *r) {
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *none = NULL;
        if (atomic_compare_exchange_strong(&writer.ring[i], &none, r))
            return true;
    }
    return false;
}

void log_writer_remove(struct ring *r) {
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *it = r;
        if (atomic_compare_exchange_strong(&writer.ring[i], &it, NULL))
            return;
    }
}

static void wake(void) {
    if (writer.running)
        sem_post(&writer.wake);
}

void log_writer_wake_if(struct ring *r, size_t bytes) {
    uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    if (written - atomic_load_explicit(&r->read, memory_order_relaxed) < bytes ||
        atomic_load_explicit(&writer.awake, memory_order_relaxed))
        return;
    if (!atomic_exchange(&writer.awake, true))
        wake();
}

void log_reopen(void) {
    atomic_store(&writer.reopen, true);
    wake();
}

/* One file */

static bool standard(const struct file *f) {
    return f->key[0] != LOG_KEY_FILE;
}

static void shut(struct file *f) {
    if (f->fd >= 0 && !standard(f))
        env.close(f->fd);
    f->fd = -1;
}

static void failed(struct file *f, const char *what, int error) {
    f->retry_ms = f->retry_ms ? f->retry_ms * 2 : LOG_PERIOD_MS;
    if (f->retry_ms > RETRY_MS_MAX)
        f->retry_ms = RETRY_MS_MAX;
    f->retry_at = env.now_ns() + f->retry_ms * 1000000ull;
    add(&writer.failures, 1);
    if (!f->failing)
        log_event(LEVEL_ERROR, "access_log_failed",
                  "cannot %s the access log: %s; requests go on, lines beyond %u KiB are lost "
                  "until it works again file=\"%s\"",
                  what, strerrordesc_np(error), LOG_HELD_MAX / 1024u, f->path);
    f->failing = true;
    if (!f->partial) /* the file may have been moved away: look again by its name */
        shut(f);
}

static void works(struct file *f) {
    if (f->failing || f->lost)
        log_event(LEVEL_WARNING, "access_log_works",
                  "the access log works again lost=%llu file=\"%s\"", (unsigned long long)f->lost,
                  f->path);
    f->failing = false;
    f->retry_ms = 0;
    f->lost = 0;
}

static bool opened(struct file *f) {
    if (f->fd >= 0)
        return true;
    if (standard(f))
        f->fd = f->key[0] == LOG_KEY_STDERR ? 2 : 1;
    else
        f->fd = env.open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, 0640);
    if (f->fd < 0)
        failed(f, "open", errno);
    return f->fd >= 0;
}

static void taken(struct file *f, size_t n) {
    add(&writer.bytes, n);
    f->partial = f->held.p[n - 1] != '\n';
    f->held.n -= n;
    memmove(f->held.p, f->held.p + n, f->held.n);
}

/* Writes what is held; what does not go out now stays. */
static bool put_out(struct file *f) {
    if (!f->held.n || (f->failing && env.now_ns() < f->retry_at) || !opened(f))
        return false;
    size_t at = 0;
    while (at < f->held.n) {
        ssize_t n = env.write(f->fd, f->held.p + at, f->held.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    int error = errno;
    if (at)
        taken(f, at);
    if (!f->held.n)
        works(f);
    else if (error != EAGAIN)
        failed(f, "write", error);
    return at > 0;
}

static void drop(struct file *f, uint64_t lines) {
    if (!f->failing && !f->lost)
        log_event(LEVEL_WARNING, "access_log_behind",
                  "who reads the access log is too slow; lines are lost file=\"%s\"", f->path);
    f->lost += lines;
    add(&writer.lost, lines);
}

static void take_line(struct file *f, struct span line) {
    if (f->held.n + line.n > LOG_HELD_MAX) {
        drop(f, 1);
        return;
    }
    text_add(&f->held, line);
    if (f->held.full) { /* no memory */
        f->held.full = false;
        drop(f, 1);
        return;
    }
    add(&writer.lines, 1);
}

/* A line that is partly in the old file has no place in the new one. */
static void drop_partial(struct file *f) {
    if (!f->partial)
        return;
    char *end = memchr(f->held.p, '\n', f->held.n);
    size_t n = end ? (size_t)(end - f->held.p) + 1 : f->held.n;
    f->held.n -= n;
    memmove(f->held.p, f->held.p + n, f->held.n);
    f->partial = false;
    drop(f, 1);
}

static void reopen(struct file *f) {
    put_out(f);
    if (standard(f))
        return;
    drop_partial(f);
    shut(f);
    f->retry_at = 0; /* somebody may have made room: try at once */
    opened(f);
}

static uint64_t lines_in(const struct text *t) {
    uint64_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->p[i] == '\n';
    return n;
}

/* The last chance of its lines. */
static void end(struct file *f) {
    f->retry_at = 0;
    put_out(f);
    if (f->held.n)
        drop(f, lines_in(&f->held));
    shut(f);
    text_finish(&f->held);
    mem_free(f->key);
    atomic_store(&f->state, FILE_FREE);
}

/* A pass over all */

/* At most one ring's size, so that one busy worker does not keep the others waiting. */
static bool take_ring(struct ring *r) {
    struct span line;
    uint32_t tag;
    size_t taken_bytes = 0;
    while (taken_bytes < LOG_RING && ring_peek(r, &line, &tag)) {
        struct file *f = &writer.file[tag];
        take_line(f, line);
        taken_bytes += line.n;
        ring_pop(r);
        if (f->held.n >= LOG_PIECE)
            put_out(f);
    }
    return taken_bytes > 0;
}

bool log_pass(bool flush) {
    bool closing[LOG_FILES_MAX], did = false;
    bool again = atomic_exchange(&writer.reopen, false);
    atomic_store(&writer.awake, false);
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        closing[i] = atomic_load(&writer.file[i].state) == FILE_CLOSING;
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *r = atomic_load(&writer.ring[i]);
        if (r)
            did |= take_ring(r);
    }
    for (unsigned i = 0; i < LOG_FILES_MAX; i++) {
        struct file *f = &writer.file[i];
        if (atomic_load(&f->state) == FILE_FREE)
            continue;
        if (again)
            reopen(f);
        if (flush)
            did |= put_out(f);
        if (closing[i])
            end(f);
    }
    errlog_flush();
    return did;
}

/* The thread */

static void turn(void) {
    uint64_t now = env.now_ns();
    bool flush = now >= writer.flush_at;
    if (flush)
        writer.flush_at = now + LOG_PERIOD_MS * 1000000ull;
    if (now >= writer.tick_at) {
        log_event_tick();
        writer.tick_at = now + 1000000000;
    }
    log_pass(flush);
}

/* Not by the wall clock, which may jump. */
static bool sem_within(sem_t *s, unsigned ms) {
    uint64_t until = env.now_ns() + ms * 1000000ull;
    struct timespec ts = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    return sem_clockwait(s, CLOCK_MONOTONIC, &ts) == 0;
}

static void *run(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "sluice-log");
    while (!atomic_load(&writer.stop)) {
        if (!sem_within(&writer.wake, LOG_PERIOD_MS) && errno != ETIMEDOUT && errno != EINTR)
            break;
        turn();
    }
    while (log_pass(true)) /* until all rings are empty, or nothing goes out */
        ;
    sem_post(&writer.done);
    return NULL;
}

/* Signals are for the thread that main chose. */
static bool start_thread(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&writer.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure == 0;
}

bool log_start(void) {
    must(!writer.running);
    if (sem_init(&writer.wake, 0, 0) < 0 || sem_init(&writer.done, 0, 0) < 0)
        return false;
    atomic_store(&writer.stop, false);
    writer.running = true;
    errlog_start();
    if (start_thread())
        return true;
    writer.running = false;
    errlog_stop();
    return false;
}

void log_stop(unsigned grace_ms) {
    if (!writer.running)
        return;
    bool ended;
    atomic_store(&writer.stop, true);
    sem_post(&writer.wake);
    while (!(ended = sem_within(&writer.done, grace_ms)) && errno == EINTR)
        ;
    log_event_output(NULL);
    if (!ended) { /* it hangs in a write: the process ends without it */
        pthread_detach(writer.thread);
        return;
    }
    pthread_join(writer.thread, NULL);
    writer.running = false;
    errlog_stop();
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        if (atomic_load(&writer.file[i].state) != FILE_FREE)
            shut(&writer.file[i]);
}
