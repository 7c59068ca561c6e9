#include "core/body.h"
#include "core/exchange.h"

static void body_init(struct body *b, struct exchange *x) {
    *b = (struct body){.tail = &b->head, .x = x, .limit = BODY_LIMIT};
}

void half_init(struct half *h, struct exchange *x) {
    body_init(&h->source, x);
    h->first = NULL;
    h->sink = &h->source;
    h->length = 0;
    h->resets = 0;
}

static void body_drop(struct body *b) {
    while (b->head) {
        struct slice *s = b->head;
        b->head = s->next;
        slice_free(&me->pond, s);
    }
    b->tail = &b->head;
    b->size = 0;
}

void half_reset(struct half *h) {
    struct exchange *x = h->source.x;
    body_drop(&h->source);
    for (struct stage *g = h->first; g; g = g->next)
        body_drop(&g->out);
    uint32_t resets = h->resets;
    half_init(h, x);
    h->resets = resets + 1;
}

bool half_tunnels(const struct half *h) {
    const struct exchange *x = h->source.x;
    return h == &x->up_half ? x->req.protocol.n > 0 : x->tunnel;
}

bool half_add(struct half *h, struct stage *g, struct step *s,
              void (*move)(struct step *, struct body *in, struct body *out)) {
    struct stage **at = &h->first;
    if (s && !s->filter->ops->tunnels && half_tunnels(h))
        return false;
    while (*at)
        at = &(*at)->next;
    *g = (struct stage){.move = move, .step = s};
    body_init(&g->out, h->source.x);
    *at = g;
    g->out.wanted = h->sink->wanted;
    h->sink = &g->out;
    h->length = -1;
    return true;
}

/* A consumer's wishes travel towards the source, through every stage. */
static void half_wishes(struct half *h) {
    struct body *in = &h->source;
    bool wanted = h->sink->wanted, stopped = h->sink->stopped;
    for (struct stage *g = h->first; g; in = &g->out, g = g->next) {
        if (wanted && !in->wanted)
            body_want(in);
        if (stopped && !in->stopped)
            body_stop(in);
    }
}

void half_pump(struct half *h) {
    if (!h->first)
        return;
    half_wishes(h);
    struct body *in = &h->source;
    uint32_t life = h->resets;
    for (struct stage *g = h->first; g && life == h->resets; in = &g->out, g = g->next)
        if (!g->out.ended && (in->size || in->ended || g->again)) {
            g->again = false;
            g->move(g->step, in, &g->out); /* may fail the exchange: then the stages are gone */
        }
}

/* A stream lives by its bytes (core/streams). */
static void moved(const struct body *b) {
    if (unlikely(b->x->streams))
        b->x->moved_at = me->now;
}

void body_push(struct body *b, struct slice *s) {
    b->in += s->n;
    moved(b);
    if (s->n == 0 || b->stopped) {
        slice_free(&me->pond, s);
        return;
    }
    must(!b->ended);
    s->next = NULL;
    *b->tail = s;
    b->tail = &s->next;
    b->size += s->n;
    if (b->size > b->limit / 2)
        b->full = true;
    exchange_wake(b->x);
}

static bool push(struct body *b, struct slice *s) {
    if (s)
        body_push(b, s);
    return s != NULL;
}

bool body_push_lent(struct body *b, const void *p, size_t n) {
    return push(b, slice_new(&me->pond, p, n, NULL));
}

bool body_push_copy(struct body *b, const void *p, size_t n) {
    struct slice *s = slice_own(&me->pond, n);
    if (s && n)
        memcpy(slice_bytes(s), p, n);
    return push(b, s);
}

bool body_push_static(struct body *b, const void *p, size_t n) {
    return push(b, slice_static(&me->pond, p, n));
}

void body_end(struct body *b, struct head *trailers) {
    if (b->ended)
        return;
    b->ended = true;
    b->trailers = b->stopped ? NULL : trailers;
    exchange_wake(b->x);
}

int body_get(const struct body *b, struct iovec *iov, int max, size_t bytes) {
    int n = 0;
    for (const struct slice *s = b->head; s && !s->pipe && n < max && bytes; s = s->next) {
        size_t len = s->n < bytes ? s->n : bytes;
        iov[n++] = (struct iovec){(void *)(uintptr_t)s->p, len};
        bytes -= len;
    }
    return n;
}

static struct slice *unqueue(struct body *b) {
    struct slice *s = b->head;
    b->head = s->next;
    if (!b->head)
        b->tail = &b->head;
    return s;
}

/* The producer is told at half. */
static void left(struct body *b) {
    moved(b);
    if (b->full && b->size <= b->limit / 2) {
        b->full = false;
        b->tell = true;
        exchange_wake(b->x);
    } else if (b->ended && !b->size && b->x->tunnel) {
        exchange_wake(b->x); /* the front waits for it */
    }
}

int body_get_from(const struct body *b, size_t skip, struct iovec *iov, int max, size_t bytes) {
    const struct slice *s = b->head;
    int n = 0;
    for (; s && s->n <= skip; s = s->next)
        skip -= s->n;
    for (; s && !s->pipe && n < max && bytes; s = s->next, skip = 0) {
        size_t len = s->n - skip < bytes ? s->n - skip : bytes;
        iov[n++] = (struct iovec){(void *)(uintptr_t)(s->p + skip), len};
        bytes -= len;
    }
    return n;
}

void body_pop(struct body *b, size_t n) {
    must(n <= b->size);
    if (n == 0)
        return; /* who takes nothing tells nobody */
    b->size -= n;
    while (n) {
        struct slice *s = b->head;
        must(s);
        if (n < s->n) {
            if (!s->pipe)
                s->p += n;
            s->n -= n;
            break;
        }
        n -= s->n;
        s->n = 0; /* nothing of it is left, in a pipe neither */
        slice_free(&me->pond, unqueue(b));
    }
    left(b);
}

/* The first n bytes of a slice, apart. */
static struct slice *cut_off(struct slice *s, size_t n) {
    struct slice *first = slice_share(&me->pond, s);
    if (first) {
        first->n = n;
        s->p += n;
        s->n -= n;
    }
    return first;
}

bool body_move(struct body *from, struct body *to, size_t n) {
    must(n <= from->size);
    if (n == 0)
        return true;
    while (n) {
        struct slice *s = from->head->n <= n ? unqueue(from) : cut_off(from->head, n);
        if (!s)
            return false;
        n -= s->n;
        from->size -= s->n;
        body_push(to, s);
    }
    left(from);
    return true;
}

void body_want(struct body *b) {
    if (b->wanted)
        return;
    b->wanted = true;
    b->tell = true;
    exchange_wake(b->x);
}

void body_stop(struct body *b) {
    if (b->stopped)
        return;
    b->stopped = true;
    body_drop(b);
    b->tell = !b->ended;
    exchange_wake(b->x);
}

void body_pace(struct body *b, bool took_all) {
    if (!took_all)
        b->limit = BODY_LIMIT;
    else if (b->limit < BODY_LIMIT_MAX)
        b->limit *= 2;
    b->full |= b->size > b->limit / 2; /* who finds no room in the smaller one is woken too */
}

void body_collect(struct body *b, size_t max) {
    b->limit = max + 1; /* the byte that shows that it is longer */
    b->whole = true;
    b->tell = true;
    body_want(b);
    exchange_wake(b->x);
}

bool body_collected(struct body *b, bool *too_long) {
    *too_long = b->size >= b->limit;
    if (!b->ended && !*too_long)
        return false;
    b->whole = false;
    body_pace(b, false);
    return true;
}
