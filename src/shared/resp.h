/*
 * resp - reads the replies of a Redis server (RESP2), in whatever pieces they come.
 *
 * Bytes are read where they lie; only what is left of an unfinished reply is copied. Nothing is
 * looked at twice, nothing recurses. A reply has at most RESP_MAX bytes, RESP_ITEMS_MAX items and
 * lists within lists RESP_DEPTH deep; what is larger or is no RESP2 is RESP_BAD, as soon as that
 * can be seen (a length of 512 MB is refused when it is read), and the connection is of no more
 * use. Owner: the connection that embeds it. Thread: its own.
 */
#pragma once
#include "shared/redis.h"

enum { RESP_DEPTH = 4, RESP_MAX = 64 * 1024, RESP_ITEMS_MAX = 8192 };
enum resp_result { RESP_REPLY, RESP_MORE, RESP_BAD };

struct resp {
    const char *p;   /* the bytes that came, or `kept` */
    size_t n;        /* how many there are */
    size_t start;    /* where the reply begins that is being read */
    size_t at;       /* the next byte to look at */
    size_t searched; /* no line ends before it */
    char *kept;      /* an unfinished reply, and what came behind it */
    size_t kept_max;
    struct redis_reply *item; /* what has been read of it, the reply itself first */
    uint32_t items, items_max;
    unsigned depth;
    struct resp_open {
        uint32_t next, left; /* places of items of the list that is being read */
    } open[RESP_DEPTH];
};

void resp_init(struct resp *r);
void resp_finish(struct resp *r);
/* Gives what has been received; it stays where it is until resp_next says RESP_MORE. False: no
 * memory, or more than a reply may be. */
must_use bool resp_feed(struct resp *r, struct span bytes);
/* The next reply, good until the next call. RESP_MORE: feed it. RESP_BAD: no more calls. */
enum resp_result resp_next(struct resp *r, const struct redis_reply **reply);
