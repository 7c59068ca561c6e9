/*
 * resp - the words of Redis (RESP2): replies from bytes, commands to bytes. Pure; no sockets.
 *
 * A reply is read whole or not at all: what is not yet complete is read again with more bytes. All
 * is bounded: RESP_REPLY_MAX bytes, RESP_DEPTH lists in one another, RESP_ITEMS_MAX values. Texts
 * point into the bytes. Owner: items lie in the caller's arena. Thread: any.
 */
#pragma once
#include "base/arena.h"
#include "shared/redis.h"

enum { RESP_REPLY_MAX = 64 * 1024, RESP_DEPTH = 4, RESP_ITEMS_MAX = 4096 };

enum resp_result { RESP_WHOLE, RESP_MORE, RESP_BROKEN };

/* `used`: how many bytes the reply took. */
must_use enum resp_result resp_read(struct arena *a, struct span in, struct redis_reply *out,
                                    size_t *used);

/* Commands are lists of texts: first how many, then each. */
void resp_list(struct str *out, size_t n);
void resp_text(struct str *out, struct span text);
void resp_number(struct str *out, uint64_t n);
