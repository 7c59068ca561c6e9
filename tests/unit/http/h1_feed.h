/*
 * h1_feed - the codec as a door uses it: bytes come in pieces, requests come out one after the
 * other. Each look sees its bytes in a block of their own of exactly their size, so that a
 * sanitizer sees every read beyond what has come, and every pointer kept into bytes that moved.
 */
#pragma once
#include "http/h1.h"
#include <stdlib.h>

struct feed_result {
    unsigned requests; /* complete, body and trailers included */
    enum fault fault;
    bool closed;       /* one said close: what follows was not looked at */
    bool incomplete;   /* the end came inside a request */
    uint64_t body;     /* bytes of all bodies */
    unsigned identity; /* stripped_identity of all */
    char text[2048];   /* what would be printed to the service, heads only, of all */
    size_t text_len;
};

enum feed_state { FEED_HEAD, FEED_LENGTH, FEED_CHUNKED, FEED_TRAILERS, FEED_OVER };

struct feed {
    struct feed_result out;
    enum feed_state state;
    struct h1_rules rules;
    struct h1_parser parser;
    struct h1_chunked chunked;
    struct arena arena;
    uint64_t left;
    bool keep_alive;
};

static void feed_init(struct feed *f, bool upgrades) {
    memset(f, 0, sizeof *f);
    f->rules = (struct h1_rules){
        .uri = {.query_params_max = 1000}, .scheme = SPAN("http"), .upgrades = upgrades};
    h1_parser_init(&f->parser, H1_REQUEST, &h1_request_limits);
}

static void feed_fault(struct feed *f, enum fault fault) {
    f->out.fault = fault;
    f->state = FEED_OVER;
}

static void feed_print(struct feed *f, const struct head *h, const struct h1_message *m) {
    struct h1_print how = {.framing = m->framing, .length = m->length, .no_length = true};
    how.ws_key = m->ws_key;
    struct span s = h1_print_request(h, &f->arena, &how);
    if (s.n > sizeof f->out.text - f->out.text_len)
        s.n = sizeof f->out.text - f->out.text_len;
    memcpy(f->out.text + f->out.text_len, s.p, s.n);
    f->out.text_len += s.n;
}

static void feed_end(struct feed *f) {
    f->out.requests++;
    f->out.closed = !f->keep_alive;
    f->state = f->keep_alive ? FEED_HEAD : FEED_OVER;
    h1_parser_init(&f->parser, H1_REQUEST, &h1_request_limits);
}

static void feed_judge(struct feed *f, const char *p) {
    struct head h;
    struct h1_message m;
    arena_init(&f->arena, NULL);
    head_init(&h, &f->arena);
    enum fault fault = h1_request(&f->parser, p, &f->rules, &h, &m);
    f->keep_alive = m.keep_alive;
    f->left = m.length;
    f->out.identity += m.stripped_identity;
    if (fault == FAULT_NONE)
        feed_print(f, &h, &m);
    arena_finish(&f->arena);
    if (fault != FAULT_NONE)
        feed_fault(f, fault);
    else if (m.framing == FRAMING_CHUNKED)
        h1_chunked_init(&f->chunked), f->state = FEED_CHUNKED;
    else if (m.framing == FRAMING_LENGTH && m.length)
        f->state = FEED_LENGTH;
    else
        feed_end(f);
}

static size_t feed_head(struct feed *f, const char *p, size_t n) {
    switch (h1_parse(&f->parser, p, n)) {
    case H1_FAULT:
        feed_fault(f, f->parser.fault);
        return 0;
    case H1_MORE:
        return 0;
    case H1_DONE:
        break;
    }
    size_t length = f->parser.length;
    feed_judge(f, p);
    return length;
}

static size_t feed_chunked(struct feed *f, const char *p, size_t n) {
    size_t used;
    struct span data;
    switch (h1_chunked_read(&f->chunked, p, n, &used, &data)) {
    case CHUNK_FAULT:
        feed_fault(f, f->chunked.fault);
        break;
    case CHUNK_DATA:
        f->out.body += data.n;
        break;
    case CHUNK_TRAILERS:
        f->state = FEED_TRAILERS;
        h1_parser_init(&f->parser, H1_TRAILERS, &h1_trailer_limits);
        break;
    case CHUNK_MORE:
        break;
    }
    return used;
}

static size_t feed_trailers(struct feed *f, const char *p, size_t n) {
    struct head h;
    enum h1_status s = h1_parse(&f->parser, p, n);
    if (s == H1_FAULT)
        feed_fault(f, f->parser.fault);
    if (s != H1_DONE)
        return 0;
    size_t length = f->parser.length;
    arena_init(&f->arena, NULL);
    head_init(&h, &f->arena);
    enum fault fault = h1_trailers(&f->parser, p, true, &h);
    arena_finish(&f->arena);
    if (fault != FAULT_NONE)
        feed_fault(f, fault);
    else
        feed_end(f);
    return length;
}

/* Takes what can be judged of p[0..n): returns how many bytes are done with. */
static size_t feed_some(struct feed *f, const char *p, size_t n) {
    size_t take;
    switch (f->state) {
    case FEED_HEAD:
        return feed_head(f, p, n);
    case FEED_LENGTH:
        take = n < f->left ? n : (size_t)f->left;
        f->out.body += take;
        f->left -= take;
        if (f->left == 0)
            feed_end(f);
        return take;
    case FEED_CHUNKED:
        return feed_chunked(f, p, n);
    case FEED_TRAILERS:
        return feed_trailers(f, p, n);
    case FEED_OVER:
        break;
    }
    return n;
}

/* Feeds bytes[0..n) cut at every multiple of `step`, or once at `step` (`once`). */
static struct feed_result feed_all(const char *bytes, size_t n, size_t step, bool once,
                                   bool upgrades) {
    static struct feed f;
    size_t done = 0, came = 0;
    feed_init(&f, upgrades);
    while (came < n) {
        came = once && came >= step ? n : came + step < n ? came + step : n;
        for (;;) {
            size_t have = came - done;
            char *block = malloc(have ? have : 1);
            must(block);
            memcpy(block, bytes + done, have);
            enum feed_state before = f.state;
            size_t used = have ? feed_some(&f, block, have) : 0;
            free(block);
            done += used;
            if (used == 0 && f.state == before)
                break;
            if (f.state == FEED_OVER)
                return f.out;
        }
    }
    f.out.incomplete = done < n || f.state != FEED_HEAD;
    return f.out;
}
