/*
 * pipe - large bodies from socket to socket without passing through memory of ours (splice).
 *
 * A thread keeps a few pipes; one is lent to a slice while bytes are in it. Where there are none
 * (limit reached, no descriptors, a simulated system) bodies go by the scratch as all small ones
 * do. For what costs most by far, plain TCP in and out with nothing in between, this halves the CPU
 * time of a megabyte. Owner: the thread's loop, or the slice that holds one. Thread: the loop's.
 */
#pragma once
#include "io/loop.h"

enum {
    PIPES_KEPT = 16,
    PIPES_MAX = 128,          /* of a thread: two descriptors each */
    PIPE_BYTES = 1024 * 1024, /* asked for; a process without the right to it gets less */
    PIPE_WORTH = 64 * 1024,   /* less than this is copied */
    PIPE_PIECE = 256 * 1024,  /* at least this is asked for, however slow the reader */
};

struct pipe *pipe_take(struct loop *l); /* empty; NULL: none to be had */
void pipes_finish(struct loop *l);
