#include "core/h1_wire.h"

void h1_writer_start(struct h1_writer *w, struct span head, enum framing framing, uint64_t length,
                     struct body *body) {
    *w = (struct h1_writer){.body = body, .framing = framing, .lit = head, .first = true};
    switch (framing) {
    case FRAMING_NONE:
        w->body = NULL;
        break;
    case FRAMING_LENGTH:
        w->raw = length;
        break;
    case FRAMING_CLOSE:
    case FRAMING_TUNNEL:
        w->raw = UINT64_MAX;
        break;
    case FRAMING_CHUNKED:
        break;
    }
}

/* A chunk is as long as what is queued now; its end is written with what follows it. */
static void next_chunk(struct h1_writer *w, struct arena *a) {
    struct body *b = w->body;
    if (w->raw || w->line.n || w->tail_made)
        return;
    if (b->size) {
        w->raw = b->size;
        w->line = span_of(w->line_buf, h1_chunk_line(w->line_buf, w->raw, w->first));
        w->first = false;
    }
    if (!b->ended)
        return;
    w->tail = h1_print_last_chunk(b->trailers, a, w->first);
    if (!w->tail.p) /* no memory: the end must come, the trailers need not (RFC 9110 6.5.1) */
        w->tail = w->first ? SPAN("0\r\n\r\n") : SPAN("\r\n0\r\n\r\n");
    w->tail_made = true;
}

static int add(struct iovec *iov, int n, struct span s) {
    if (s.n)
        iov[n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
    return n;
}

int h1_writer_gather(struct h1_writer *w, struct arena *a, struct iovec iov[H1_WRITER_IOV]) {
    int n = add(iov, 0, w->lit), at;
    if (!w->body)
        return n;
    if (w->framing == FRAMING_CHUNKED)
        next_chunk(w, a);
    n = add(iov, n, w->line);
    at = n;
    size_t want = w->raw < w->body->size ? (size_t)w->raw : w->body->size;
    n += body_get(w->body, iov + n, BODY_IOV, want);
    for (; at < n; at++)
        want -= iov[at].iov_len;
    return want == 0 && w->raw <= w->body->size ? add(iov, n, w->tail) : n;
}

struct pipe *h1_writer_pipe(const struct h1_writer *w, size_t *n, bool *more) {
    struct pipe *p = w->body && !w->lit.n && !w->line.n ? body_pipe(w->body, n) : NULL;
    if (!p)
        return NULL;
    if (*n > w->raw)
        *n = (size_t)w->raw;
    *more = *n < w->raw;
    return *n ? p : NULL;
}

static size_t take(struct span *s, size_t n) {
    size_t t = n < s->n ? n : s->n;
    *s = span_from(*s, t);
    return n - t;
}

void h1_writer_took(struct h1_writer *w, size_t n) {
    n = take(&w->lit, n);
    if (!w->body)
        return;
    n = take(&w->line, n);
    size_t body = w->raw < n ? (size_t)w->raw : n;
    if (body > w->body->size)
        body = w->body->size;
    if (body) {
        body_pop(w->body, body);
        if (w->raw != UINT64_MAX)
            w->raw -= body;
    }
    n = take(&w->tail, n - body);
    must(n == 0);
}

bool h1_writer_done(const struct h1_writer *w) {
    if (w->lit.n)
        return false;
    switch (w->framing) {
    case FRAMING_NONE:
        return true;
    case FRAMING_LENGTH:
        return w->raw == 0;
    case FRAMING_CHUNKED:
        return w->tail_made && !w->raw && !w->line.n && !w->tail.n;
    case FRAMING_CLOSE:
    case FRAMING_TUNNEL:
        return body_done(w->body);
    }
    return true;
}

/* ---- reading -------------------------------------------------------------------------------- */

void h1_reader_start(struct h1_reader *r, const struct h1_message *m, bool request,
                     const struct h1_limits *trailer_limits) {
    *r = (struct h1_reader){.framing = m->framing,
                            .request = request,
                            .left = m->length,
                            .trailer_limits = trailer_limits};
    if (m->framing == FRAMING_CHUNKED)
        h1_chunked_init(&r->chunked);
}

static enum h1_read fault(struct h1_reader *r, enum fault f) {
    r->fault = f;
    return H1_READ_FAULT;
}

static enum h1_read feed_length(struct h1_reader *r, struct body *b, struct span in, size_t *used) {
    size_t n = r->left < in.n ? (size_t)r->left : in.n;
    *used = n;
    if (n && !body_push_lent(b, in.p, n))
        return fault(r, FAULT_OUT_OF_MEMORY);
    r->left -= n;
    if (r->left)
        return H1_READ_MORE;
    body_end(b, NULL);
    return H1_READ_END;
}

enum h1_read h1_reader_passed(struct h1_reader *r, struct body *b, size_t n) {
    must(r->framing == FRAMING_LENGTH && n <= r->left);
    r->left -= n;
    if (r->left)
        return H1_READ_MORE;
    body_end(b, NULL);
    return H1_READ_END;
}

static enum h1_read trailers_done(struct h1_reader *r, struct body *b, struct arena *a,
                                  const char *bytes) {
    struct head *h = NULL;
    if (r->parser->count) {
        h = arena_alloc(a, sizeof *h);
        head_init(h, a);
        enum fault f = h1_trailers(r->parser, bytes, r->request, h);
        if (f)
            return fault(r, f);
    }
    body_end(b, h);
    return H1_READ_END;
}

static enum h1_read hold_trailers(struct h1_reader *r, struct arena *a, struct span all) {
    char *p = arena_try(a, r->trailer_limits->total_max);
    if (!p || all.n > r->trailer_limits->total_max)
        return fault(r, p ? FAULT_HEADERS_TOO_LARGE : FAULT_OUT_OF_MEMORY);
    if (r->held)
        p = r->held;
    memmove(p, all.p, all.n);
    r->held = p;
    r->held_len = (uint32_t)all.n;
    return H1_READ_MORE;
}

/* Trailers are parsed in one piece: what came before is put in front of what comes now. */
static enum h1_read feed_trailers(struct h1_reader *r, struct body *b, struct arena *a,
                                  struct span in, size_t *used) {
    struct span all = in;
    uint32_t before = r->held_len;
    if (before) {
        size_t n = in.n, room = r->trailer_limits->total_max - before;
        if (n > room)
            n = room;
        memcpy(r->held + before, in.p, n);
        all = span_of(r->held, before + n);
    }
    switch (h1_parse(r->parser, all.p, all.n)) {
    case H1_FAULT:
        *used = in.n;
        return fault(r, r->parser->fault);
    case H1_DONE:
        *used = r->parser->length - before;
        return trailers_done(r, b, a, all.p);
    case H1_MORE:
        break;
    }
    *used = in.n;
    if (before && all.n == r->trailer_limits->total_max)
        return fault(r, FAULT_HEADERS_TOO_LARGE);
    if (before) {
        r->held_len = (uint32_t)all.n;
        return H1_READ_MORE;
    }
    return hold_trailers(r, a, all);
}

static enum h1_read start_trailers(struct h1_reader *r, struct arena *a) {
    r->parser = arena_try(a, sizeof *r->parser);
    if (!r->parser)
        return fault(r, FAULT_OUT_OF_MEMORY);
    h1_parser_init(r->parser, H1_TRAILERS, r->trailer_limits);
    r->in_trailers = true;
    return H1_READ_MORE;
}

static enum h1_read feed_chunked(struct h1_reader *r, struct body *b, struct arena *a,
                                 struct span in, size_t *used) {
    size_t at = 0;
    while (!r->in_trailers) {
        struct span data = SPAN_NONE;
        size_t n = 0;
        enum h1_chunk c = h1_chunked_read(&r->chunked, in.p + at, in.n - at, &n, &data);
        at += n;
        switch (c) {
        case CHUNK_MORE:
            *used = at;
            return H1_READ_MORE;
        case CHUNK_FAULT:
            *used = at;
            return fault(r, r->chunked.fault);
        case CHUNK_DATA:
            if (!body_push_lent(b, data.p, data.n))
                return fault(r, FAULT_OUT_OF_MEMORY);
            break;
        case CHUNK_TRAILERS:
            if (start_trailers(r, a) == H1_READ_FAULT)
                return H1_READ_FAULT;
        }
    }
    size_t n = 0;
    enum h1_read res = feed_trailers(r, b, a, span_from(in, at), &n);
    *used = at + n;
    return res;
}

enum h1_read h1_reader_feed(struct h1_reader *r, struct body *b, struct arena *a, struct span in,
                            size_t *used) {
    *used = 0;
    switch (r->framing) {
    case FRAMING_NONE:
        body_end(b, NULL);
        return H1_READ_END;
    case FRAMING_LENGTH:
        return feed_length(r, b, in, used);
    case FRAMING_CHUNKED:
        return feed_chunked(r, b, a, in, used);
    case FRAMING_CLOSE:
    case FRAMING_TUNNEL:
        *used = in.n;
        if (in.n && !body_push_lent(b, in.p, in.n))
            return fault(r, FAULT_OUT_OF_MEMORY);
        return H1_READ_MORE;
    }
    return H1_READ_MORE;
}

enum h1_read h1_reader_eof(struct h1_reader *r, struct body *b) {
    if (r->framing != FRAMING_CLOSE && r->framing != FRAMING_TUNNEL)
        return H1_READ_FAULT;
    body_end(b, NULL);
    return H1_READ_END;
}
