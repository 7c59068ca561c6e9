#include "observe/log.h"
#include "base/log.h"
#include "core/lasting.h"
#include "observe/log_fields.h"
#include "observe/log_writer.h"
#include "observe/ring.h"
#include <limits.h>

/* What a snapshot holds of a destination: the number of its file. */
struct destination {
    uint32_t file; /* LOG_FILES_MAX: there is none left */
};

static void destination_make(void *obj, struct span key) {
    ((struct destination *)obj)->file = log_writer_open(key);
}

static void destination_close(void *obj) {
    uint32_t file = ((struct destination *)obj)->file;
    if (file < LOG_FILES_MAX)
        log_writer_close(file);
}

static const struct lasting_kind destination_kind = {.name = "log",
                                                     .size = sizeof(struct destination),
                                                     .make = destination_make,
                                                     .close = destination_close};

/* Until it is published the snapshot is its builder's, who may write. */
static struct log_conf *own(const struct log_conf *conf) {
    return (struct log_conf *)(uintptr_t)conf;
}

static bool attach_one(const struct log_conf *conf) {
    char buf[PATH_MAX + 1];
    struct str key = str_on(buf, sizeof buf);
    if (!conf || conf->off)
        return true;
    if (conf->file.n) {
        str_char(&key, LOG_KEY_FILE);
        str_add(&key, conf->file);
    } else {
        str_char(&key, conf->stream == LOG_STREAM_STDERR ? LOG_KEY_STDERR : LOG_KEY_STDOUT);
    }
    struct destination *d = lasting_get(&destination_kind, str_span(&key));
    own(conf)->lasting = d;
    return d->file < LOG_FILES_MAX;
}

static void detach_one(const struct log_conf *conf) {
    if (conf && !conf->off)
        lasting_unref(conf->lasting);
}

/* Routes may share a log_conf: every place that names one has its own reference. */
bool log_attach(struct snapshot *s) {
    bool all = attach_one(s->log);
    for (uint32_t i = 0; i < s->route_count; i++)
        all &= attach_one(s->route[i].log);
    return all;
}

void log_detach(struct snapshot *s) {
    detach_one(s->log);
    for (uint32_t i = 0; i < s->route_count; i++)
        detach_one(s->route[i].log);
}

enum { LOG_LINE_USUAL = 4096 };

struct log_local {
    struct ring ring;
    struct log_clock clock;
    bool behind; /* the last line was dropped */
};

bool log_thread_init(struct thread *t) {
    struct log_local *l = mem_alloc(sizeof *l);
    l->clock.second = -1;
    if (!ring_init(&l->ring, LOG_RING) || !log_writer_add(&l->ring)) {
        ring_finish(&l->ring);
        mem_free(l);
        return false;
    }
    t->local[LOCAL_LOG] = l;
    return true;
}

void log_thread_finish(struct thread *t) {
    struct log_local *l = t->local[LOCAL_LOG];
    if (!l)
        return;
    log_writer_remove(&l->ring);
    ring_finish(&l->ring);
    mem_free(l);
    t->local[LOCAL_LOG] = NULL;
}

static const struct log_conf *conf_of(const struct record *r) {
    const struct route *route = r->x->route;
    return route && route->log ? route->log : r->snapshot ? r->snapshot->log : NULL;
}

static void format_into(const struct log_conf *conf, const struct record *r, struct log_clock *c,
                        struct str *out) {
    if (conf->format == LOG_FORMAT_JSON)
        log_json_line(conf, r, c, out);
    else
        log_combined_line(r, out);
    str_char(out, '\n');
}

void log_format(const struct log_conf *conf, const struct record *r, struct str *out) {
    struct log_clock c = {.second = -1};
    format_into(conf, r, &c, out);
    if (!out->full)
        out->n--; /* the newline */
}

/* False: no room in the ring, or not in `max` bytes (then *full). */
static bool try_line(struct log_local *l, const struct log_conf *conf, const struct record *r,
                     size_t max, bool *full) {
    char *p = ring_reserve(&l->ring, max);
    if (!p)
        return false;
    struct str s = str_on(p, max);
    format_into(conf, r, &l->clock, &s);
    *full = s.full;
    if (s.full)
        return false;
    ring_commit(&l->ring, s.n, ((struct destination *)conf->lasting)->file);
    return true;
}

static bool make_line(struct log_local *l, const struct log_conf *conf, const struct record *r) {
    bool full = false;
    if (((struct destination *)conf->lasting)->file >= LOG_FILES_MAX)
        return false;
    return try_line(l, conf, r, LOG_LINE_USUAL, &full) ||
           (full && try_line(l, conf, r, LOG_LINE_MAX, &full));
}

static void dropped(struct thread *t, struct log_local *l) {
    count_up(t, log_dropped);
    if (!l->behind)
        log_event(LEVEL_WARNING, "access_log_dropped",
                  "the access log's writer is behind; worker %u drops lines", t->index);
    l->behind = true;
}

void log_line(struct thread *t, const struct record *r) {
    struct log_local *l = t->local[LOCAL_LOG];
    const struct log_conf *conf = conf_of(r);
    if (!conf || conf->off || !l || !conf->lasting)
        return;
    if (likely(make_line(l, conf, r)))
        l->behind = false;
    else
        dropped(t, l);
    log_writer_wake_if(&l->ring, LOG_PIECE);
}
