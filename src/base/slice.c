#include "base/slice.h"
#include "base/env.h"
#include <string.h>

enum { SPARE_MAX = 1024 };

static void lend(struct pond *pd, struct slice *s) {
    s->lent_next = pd->lent;
    if (pd->lent)
        pd->lent->lent_at = &s->lent_next;
    pd->lent = s;
    s->lent_at = &pd->lent;
}

static void unlend(struct slice *s) {
    if (!s->lent_at)
        return;
    *s->lent_at = s->lent_next;
    if (s->lent_next)
        s->lent_next->lent_at = s->lent_at;
    s->lent_at = NULL;
}

static struct slice *slice_take(struct pond *pd) {
    struct slice *s = pd->free;
    if (s) {
        pd->free = s->next;
        pd->spare--;
    } else if (!(s = mem_try(sizeof *s))) {
        return NULL;
    }
    return s;
}

struct slice *slice_new(struct pond *pd, const void *p, size_t n, struct buf *buf) {
    struct slice *s = slice_take(pd);
    if (!s)
        return NULL;
    *s = (struct slice){.p = p, .n = n, .buf = buf};
    if (!buf)
        lend(pd, s);
    return s;
}

struct slice *slice_static(struct pond *pd, const void *p, size_t n) {
    struct slice *s = slice_take(pd);
    if (s)
        *s = (struct slice){.p = p, .n = n};
    return s;
}

static struct buf *buf_new(size_t n) {
    struct buf *b = mem_try(sizeof *b + n);
    if (b) {
        b->refs = 1;
        b->release = NULL;
    }
    return b;
}

static void buf_unref(struct buf *b) {
    if (!b || --b->refs)
        return;
    if (b->release)
        b->release(b);
    else
        mem_free(b);
}

struct slice *slice_own(struct pond *pd, size_t n) {
    struct buf *b = buf_new(n);
    struct slice *s = b ? slice_new(pd, b->data, n, b) : NULL;
    if (b && !s)
        buf_unref(b);
    return s;
}

struct slice *slice_pipe(struct pond *pd, struct pipe *pipe, size_t n) {
    struct slice *s = slice_take(pd);
    if (s)
        *s = (struct slice){.n = n, .pipe = pipe};
    return s;
}

struct slice *slice_share(struct pond *pd, struct slice *s) {
    must(!s->pipe);
    bool lent = s->lent_at != NULL;
    struct slice *c =
        s->buf || lent ? slice_new(pd, s->p, s->n, s->buf) : slice_static(pd, s->p, s->n);
    if (c && s->buf)
        s->buf->refs++;
    return c;
}

void slice_free(struct pond *pd, struct slice *s) {
    unlend(s);
    if (unlikely(s->pipe != NULL))
        s->pipe->give(s->pipe, s->n);
    buf_unref(s->buf);
    if (pd->spare >= SPARE_MAX) {
        mem_free(s);
        return;
    }
    s->next = pd->free;
    pd->free = s;
    pd->spare++;
}

bool pond_settle_slow(struct pond *pd) {
    bool ok = true;
    while (pd->lent) {
        struct slice *s = pd->lent;
        struct buf *b = buf_new(s->n);
        unlend(s);
        if (!b) {
            s->p = NULL;
            ok = false;
            continue;
        }
        must(s->p);
        memcpy(b->data, s->p, s->n);
        pd->settled += s->n;
        s->buf = b;
        s->p = b->data;
    }
    pd->failed |= !ok;
    return ok;
}

void pond_finish(struct pond *pd) {
    must(!pd->lent);
    while (pd->free) {
        struct slice *s = pd->free;
        pd->free = s->next;
        mem_free(s);
    }
    pd->spare = 0;
}
