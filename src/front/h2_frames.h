/*
 * h2_frames - looks at the head of every frame that a client sends before nghttp2 does.
 *
 * nghttp2 judges frames by themselves and forgets streams that are closed; here is remembered what
 * the client did with its latest streams, and every frame is shown to the guard (http/h2_guard.h),
 * those too that nghttp2 would ignore. Nothing is kept but the head of a frame that is cut. Owner:
 * the connection. Thread: its own.
 */
#pragma once
#include "http/h2_guard.h"

enum { H2_FRAME_HEAD = 9, H2_KNOWN_IDS = 256 };

/* Whoever sends too much of what costs it nothing is told ENHANCE_YOUR_CALM and closed. */
enum h2_flood {
    H2_CALM,
    H2_FLOOD_RESETS,  /* by the client, or by us because of it */
    H2_FLOOD_HEADERS, /* a header block of too many frames, bytes or seconds */
    H2_FLOOD_CONTROL  /* what h2_guard counts */
};

struct h2_frames {
    unsigned char head[H2_FRAME_HEAD + 4]; /* PRIORITY: and the stream that it names */
    unsigned char have, need;              /* bytes of it; need 0: the payload passes */
    unsigned char type, flags;             /* of the current frame, as are the next two */
    uint32_t stream;
    uint32_t left;     /* of the payload; the preface first */
    uint32_t last;     /* highest stream that the client has opened */
    uint32_t streams;  /* how many */
    uint32_t glitches; /* frames of no use, not yet in the thread's count */
    bool block;        /* a header block is open */
    unsigned parts;    /* CONTINUATION frames of it */
    uint32_t block_len;
    uint64_t block_since; /* ns */
    /* Of the latest streams, by half their id: opened at all; ended by the client. */
    uint64_t opened[H2_KNOWN_IDS / 64], ended[H2_KNOWN_IDS / 64];
};

struct h2_trouble {
    enum h2_flood flood;
    uint32_t code; /* of GOAWAY; 0: none */
    const char *why;
};

void h2_frames_init(struct h2_frames *f);
/* How many bytes of `in` nghttp2 may have: all, or up to the frame that *t is about (then it is
 * over). */
size_t h2_frames_look(struct h2_frames *f, struct h2_guard *g, uint64_t now, struct span in,
                      struct h2_trouble *t);
/* The client has opened this stream, as far back as is known. */
bool h2_frames_opened(const struct h2_frames *f, uint32_t stream);
