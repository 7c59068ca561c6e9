/*
 * h1_wire - HTTP/1.1 framing between a byte stream and a body: what the server's and the client's
 * door share. Knows no socket: bytes in, iovecs out. The chunked coding is never passed through but
 * written anew. Owner: the door, one of each per message. Thread: that of the exchange.
 */
#pragma once
#include "core/body.h"
#include "http/h1.h"

struct h1_writer {
    struct body *body; /* NULL: no body follows the head */
    enum framing framing;
    uint64_t raw;           /* body bytes to pass on: of the whole body, or of the current chunk */
    struct span lit;        /* head or interim head, not yet taken */
    struct span line, tail; /* of the chunked coding, not yet taken */
    char line_buf[24];
    bool first, tail_made;
};

enum { H1_WRITER_IOV = BODY_IOV + 3 };

/* The head's text must live until it is taken. */
void h1_writer_start(struct h1_writer *w, struct span head, enum framing framing, uint64_t length,
                     struct body *body);
/* An interim head before the final one: only while nothing else is pending. */
static inline void h1_writer_interim(struct h1_writer *w, struct span text) {
    w->lit = text;
}
/* What can be sent now, at most `max` bytes of body. Returns the number of vectors (0: nothing). */
int h1_writer_gather(struct h1_writer *w, struct arena *a, struct iovec iov[H1_WRITER_IOV]);
/* When gather has nothing (0): bytes of the body that wait in a pipe. NULL: none. */
struct pipe *h1_writer_pipe(const struct h1_writer *w, size_t *n, bool *more);
void h1_writer_took(struct h1_writer *w, size_t n);
/* Head and body have been taken entirely. */
bool h1_writer_done(const struct h1_writer *w);

struct h1_reader {
    enum framing framing;
    bool request; /* whose trailers: forbidden ones are refused, not dropped */
    bool in_trailers;
    enum fault fault;
    uint64_t left; /* FRAMING_LENGTH */
    struct h1_chunked chunked;
    struct h1_parser *parser; /* of trailers, in the arena */
    char *held;               /* trailer bytes so far, in the arena */
    uint32_t held_len;
    const struct h1_limits *trailer_limits;
};

enum h1_read { H1_READ_MORE, H1_READ_END, H1_READ_FAULT };

void h1_reader_start(struct h1_reader *r, const struct h1_message *m, bool request,
                     const struct h1_limits *trailer_limits);
/* How many bytes of body may go past the reader, straight into the body (FRAMING_LENGTH): then tell
 * it. */
static inline uint64_t h1_reader_plain(const struct h1_reader *r) {
    return r->framing == FRAMING_LENGTH ? r->left : 0;
}
enum h1_read h1_reader_passed(struct h1_reader *r, struct body *b, size_t n);
/* Gives bytes that ride on the scratch to the body as the framing says. *used: what belonged to
 * this message. END: the body was ended (with its trailers, in `a`). FAULT: r->fault. */
enum h1_read h1_reader_feed(struct h1_reader *r, struct body *b, struct arena *a, struct span in,
                            size_t *used);
/* The stream ended. END for a body that ends so; FAULT: it broke off. */
enum h1_read h1_reader_eof(struct h1_reader *r, struct body *b);
