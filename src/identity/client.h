/*
 * client - how the gateway says who it is to a server of tokens. Owner: the arena. Thread: any.
 */
#pragma once
#include "base/arena.h"

/* "Basic " and base64 of a text that holds one colon (RFC 7617). */
struct span basic_value(struct arena *a, struct span pair);
/* RFC 6749 2.3.1: id and secret are form-encoded before they are put together. */
struct span client_basic(struct arena *a, struct span id, struct span secret);
