/*
 * wire - between OpenSSL and the socket: a BIO whose two ends are buffers of the thread.
 *
 * A call into OpenSSL takes what it reads from `feed` and leaves what it writes in `out`; no
 * connection owns a buffer while it is idle. All sessions of a thread share its one BIO. Owner: the
 * thread. Thread: its own.
 */
#pragma once
#include "base/check.h"
#include "base/str.h"
#include <openssl/ssl.h>

enum {
    RECORD_MAX = 16384,    /* plain bytes in a record */
    RECORD_OVER = 64,      /* about what a record adds to them */
    WIRE_IN = 128 * 1024,  /* one receive takes at most so much */
    WIRE_OUT = 256 * 1024, /* more than handshakes and batches ever need */
    BATCH_RECORDS = 15,    /* encrypted before they are sent: all of them fit into `out` */
    BATCH_FIRST = 4,       /* so many while a slow reader could make us keep them */
};

/* A record of `out`: the plain bytes that it stands for, and its length, with what is in front. */
struct mark {
    uint32_t plain, cipher;
};

struct wire {
    BIO *bio;
    unsigned char *in; /* WIRE_IN bytes */
    struct span feed;  /* what is left to read: in `in`, in what a session kept, or early bytes */
    unsigned char *out, *plain; /* WIRE_OUT bytes; RECORD_MAX bytes, where small pieces gather */
    size_t out_n;
    unsigned marks;
    struct mark mark[BATCH_RECORDS];
};

/* Once, before wire_mine. */
void wire_init(void);
/* That of this thread, made when it is first asked for. NULL: no memory. */
must_use struct wire *wire_mine(void);
void wire_finish(void);
