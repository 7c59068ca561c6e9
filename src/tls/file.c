#include "base/env.h"
#include "tls/pem.h"
#include <errno.h>
#include <fcntl.h>

static void stamp_of(struct stamp *s, const struct stat *st) {
    s->dev = st->st_dev;
    s->ino = st->st_ino;
    s->size = st->st_size;
    s->changed = st->st_mtim;
    s->renamed = st->st_ctim;
}

static void note(struct stamps *seen, struct span path, const struct stat *st) {
    seen->at = mem_realloc(seen->at, seen->n * sizeof *seen->at, (seen->n + 1) * sizeof *seen->at);
    struct stamp *s = &seen->at[seen->n++];
    s->path = mem_text(path.p, path.n);
    s->missing = !st;
    if (st)
        stamp_of(s, st);
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct stamp *a, const struct stamp *b) {
    if (a->missing || b->missing)
        return a->missing && b->missing;
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->changed, b->changed) && same_time(a->renamed, b->renamed);
}

static bool unchanged(const struct stamp *was) {
    struct stat st;
    struct stamp is = {.missing = stat(was->path, &st) < 0};
    if (!is.missing)
        stamp_of(&is, &st);
    return same(was, &is);
}

bool stamps_same(const struct stamps *s) {
    for (unsigned i = 0; i < s->n; i++)
        if (!unchanged(&s->at[i]))
            return false;
    return true;
}

bool stamps_equal(const struct stamps *a, const struct stamps *b) {
    for (unsigned i = 0; i < a->n && i < b->n; i++)
        if (strcmp(a->at[i].path, b->at[i].path) != 0 || !same(&a->at[i], &b->at[i]))
            return false;
    return a->n == b->n;
}

bool refused_known(const struct refused *r) {
    return r->files.n && r->told && stamps_same(&r->files);
}

bool refused_is_news(struct refused *r, struct stamps *seen) {
    r->told = r->files.n && stamps_equal(&r->files, seen);
    stamps_finish(&r->files);
    r->files = *seen;
    return r->told;
}

void stamps_finish(struct stamps *s) {
    for (unsigned i = 0; i < s->n; i++)
        mem_free(s->at[i].path);
    mem_free(s->at);
    *s = (struct stamps){0};
}

static bool read_whole(int fd, char *p, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t r = env.read(fd, p + at, n - at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        at += (size_t)r;
    }
    return true;
}

static struct span read_open(int fd, const struct stat *st, const char *part, struct teller *t) {
    if (!S_ISREG(st->st_mode) || st->st_size <= 0 || st->st_size > PEM_FILE_MAX) {
        tell(t, TLS_FILE_UNREADABLE, part, "%s",
             !S_ISREG(st->st_mode) ? "this is not a file"
             : st->st_size <= 0    ? "the file is empty"
                                   : "the file is larger than 16 MiB");
        return SPAN_NONE;
    }
    size_t n = (size_t)st->st_size;
    char *p = mem_try(n);
    if (p && read_whole(fd, p, n))
        return span_of(p, n);
    mem_free(p);
    tell(t, TLS_FILE_UNREADABLE, part, "the file cannot be read to its end");
    return SPAN_NONE;
}

/* A key that everybody may read is no secret. Certificates are public. */
static void judge_mode(const struct stat *st, const char *part, struct teller *t) {
    if (strcmp(part, "private_key") == 0 && (st->st_mode & S_IROTH))
        tell(t, TLS_KEY_READABLE, part, "everybody on this machine may read the key (mode %04o)",
             (unsigned)(st->st_mode & 07777));
}

struct span pem_read(struct span path, const char *part, struct stamps *seen, struct teller *t) {
    char *name = mem_text(path.p, path.n);
    struct stat st;
    struct span got = SPAN_NONE;
    int fd = env.open(name, O_RDONLY | O_NONBLOCK, 0);
    bool there = fd >= 0 && fstat(fd, &st) == 0;
    if (!there)
        tell(t, TLS_FILE_UNREADABLE, part, "the file cannot be opened: %s", strerror(errno));
    note(seen, path, there ? &st : NULL);
    if (there) {
        judge_mode(&st, part, t);
        got = read_open(fd, &st, part, t);
    }
    if (fd >= 0)
        env.close(fd);
    mem_free(name);
    return got;
}
