#include "shared/resp.h"
#include "base/env.h"

enum { ITEMS_FIRST = 16, KEPT_FIRST = 1024, KEPT_SPARE = 4096 };

void resp_init(struct resp *r) {
    *r = (struct resp){0};
}

void resp_finish(struct resp *r) {
    mem_free(r->kept);
    mem_free(r->item);
    resp_init(r);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool keep_room(struct resp *r, size_t n) {
    if (n <= r->kept_max)
        return true;
    size_t max = r->kept_max ? r->kept_max : KEPT_FIRST;
    while (max < n)
        max *= 2;
    char *p = mem_try(max);
    if (!p)
        return false;
    if (r->n)
        memcpy(p, r->p, r->n);
    mem_free(r->kept);
    r->kept = p;
    r->p = p;
    r->kept_max = max;
    return true;
}

bool resp_feed(struct resp *r, struct span bytes) {
    if (!r->n) {
        r->p = bytes.p;
        r->n = bytes.n;
        return true;
    }
    must(r->p == r->kept); /* RESP_MORE has kept it */
    if (!keep_room(r, r->n + bytes.n))
        return false;
    memcpy(r->kept + r->n, bytes.p, bytes.n);
    r->n += bytes.n;
    return true;
}

/* The bytes of the unfinished reply move to the start of our own memory. */
static enum resp_result keep(struct resp *r) {
    size_t left = r->n - r->start;
    if (left > RESP_MAX)
        return RESP_BAD;
    if (left && r->p == r->kept) {
        memmove(r->kept, r->kept + r->start, left);
    } else if (left) {
        const char *from = r->p + r->start;
        r->n = 0; /* nothing of it is ours yet */
        if (!keep_room(r, left))
            return RESP_BAD;
        memcpy(r->kept, from, left);
    } else if (r->kept_max > KEPT_SPARE) {
        mem_free(r->kept);
        r->kept = NULL;
        r->kept_max = 0;
    }
    r->p = r->kept;
    r->n = left;
    r->at -= r->start;
    r->searched = r->searched > r->start ? r->searched - r->start : 0;
    r->start = 0;
    return RESP_MORE;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Room for n more; their places. While a reply is being read, texts are places too (`integer`:
 * where in the reply), as the memory may still move. */
static bool items_room(struct resp *r, uint32_t n) {
    if (n > RESP_ITEMS_MAX - r->items)
        return false;
    uint32_t max = r->items_max ? r->items_max : ITEMS_FIRST;
    while (max < r->items + n)
        max *= 2;
    if (max != r->items_max) {
        struct redis_reply *more = mem_try(max * sizeof *more);
        if (!more)
            return false;
        if (r->items)
            memcpy(more, r->item, r->items * sizeof *more);
        mem_free(r->item);
        r->item = more;
        r->items_max = max;
    }
    memset(r->item + r->items, 0, n * sizeof *r->item);
    r->items += n;
    return true;
}

static struct redis_reply *place(struct resp *r) {
    if (!r->depth)
        return r->item;
    struct resp_open *o = &r->open[r->depth - 1];
    return &r->item[o->next];
}

/* The item at `place` is whole: on to the next one, out of the lists that it was the last of. */
static void step(struct resp *r) {
    while (r->depth) {
        struct resp_open *o = &r->open[r->depth - 1];
        o->next++;
        if (--o->left)
            return;
        r->depth--;
    }
}

static enum resp_result put_text(struct resp *r, enum redis_kind kind, size_t at, size_t n) {
    struct redis_reply *i = place(r);
    i->kind = kind;
    i->integer = (int64_t)(at - r->start);
    i->text.n = n;
    step(r);
    return RESP_REPLY;
}

static enum resp_result put_null(struct resp *r) {
    place(r)->kind = REDIS_NULL;
    step(r);
    return RESP_REPLY;
}

static enum resp_result put_list(struct resp *r, uint32_t n) {
    uint32_t first = r->items;
    if (r->depth == RESP_DEPTH || !items_room(r, n))
        return RESP_BAD;
    struct redis_reply *i = place(r);
    i->kind = REDIS_LIST;
    i->integer = first;
    i->count = n;
    if (n)
        r->open[r->depth++] = (struct resp_open){first, n};
    else
        step(r);
    return RESP_REPLY;
}

/* ---- what a line says ------------------------------------------------------------------------ */

static enum resp_result put_number(struct resp *r, struct span line) {
    static const uint64_t most = INT64_MAX;
    uint64_t v;
    bool minus = line.n && line.p[0] == '-';
    if (!parse_dec(span_from(line, minus), most + minus, &v))
        return RESP_BAD;
    struct redis_reply *i = place(r);
    i->kind = REDIS_INTEGER;
    i->integer = minus ? (int64_t)(0 - v) : (int64_t)v;
    step(r);
    return RESP_REPLY;
}

/* A text with its length before it, whose line ends at `body`. */
static enum resp_result bulk(struct resp *r, struct span line, size_t body) {
    uint64_t n;
    if (span_eq(line, SPAN("-1"))) {
        r->at = body;
        return put_null(r);
    }
    if (!parse_dec(line, RESP_MAX, &n) || body - r->start + n + 2 > RESP_MAX)
        return RESP_BAD;
    if (r->n - body < n + 2) {
        r->searched = body - 2; /* the length is read again, the text is not looked through */
        return RESP_MORE;
    }
    if (r->p[body + n] != '\r' || r->p[body + n + 1] != '\n')
        return RESP_BAD;
    r->at = body + n + 2;
    return put_text(r, REDIS_TEXT, body, n);
}

static enum resp_result list(struct resp *r, struct span line) {
    uint64_t n;
    if (span_eq(line, SPAN("-1")))
        return put_null(r);
    return parse_dec(line, RESP_ITEMS_MAX, &n) ? put_list(r, (uint32_t)n) : RESP_BAD;
}

static enum resp_result item(struct resp *r) {
    size_t from = r->searched > r->at ? r->searched : r->at;
    if (r->at < r->n && !memchr("$:*+-", r->p[r->at], 5))
        return RESP_BAD; /* no need to wait for the end of its line */
    const char *end = r->n > from ? memchr(r->p + from, '\n', r->n - from) : NULL;
    if (!end) {
        r->searched = r->n;
        return r->n - r->start > RESP_MAX ? RESP_BAD : RESP_MORE;
    }
    size_t at = r->at, next = (size_t)(end - r->p) + 1;
    if (next - at < 3 || end[-1] != '\r' || next - r->start > RESP_MAX)
        return RESP_BAD;
    struct span line = span_of(r->p + at + 1, next - at - 3);
    if (r->p[at] == '$')
        return bulk(r, line, next);
    r->at = next;
    switch (r->p[at]) {
    case '+':
        return put_text(r, REDIS_TEXT, at + 1, line.n);
    case '-':
        return put_text(r, REDIS_ERROR, at + 1, line.n);
    case ':':
        return put_number(r, line);
    case '*':
        return list(r, line);
    }
    return RESP_BAD;
}

/* It is whole: places become pointers. */
static const struct redis_reply *settle(struct resp *r) {
    for (uint32_t i = 0; i < r->items; i++) {
        struct redis_reply *e = &r->item[i];
        if (e->kind == REDIS_LIST)
            e->item = r->item + e->integer;
        else if (e->kind == REDIS_TEXT || e->kind == REDIS_ERROR)
            e->text.p = r->p + r->start + e->integer;
        if (e->kind != REDIS_INTEGER)
            e->integer = 0;
    }
    r->start = r->at;
    return r->item;
}

static bool begin(struct resp *r) {
    r->items = 0;
    r->depth = 0;
    return items_room(r, 1);
}

enum resp_result resp_next(struct resp *r, const struct redis_reply **reply) {
    bool fresh = r->at == r->start;
    if (fresh && r->at == r->n)
        return keep(r);
    if (fresh && !begin(r))
        return RESP_BAD;
    do {
        enum resp_result x = item(r);
        if (x == RESP_MORE)
            return keep(r);
        if (x == RESP_BAD)
            return RESP_BAD;
    } while (r->depth);
    *reply = settle(r);
    return RESP_REPLY;
}
