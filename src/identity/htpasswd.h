/*
 * htpasswd - files of "user:hash" lines, as Apache's htpasswd writes them, for `basic`.
 *
 * Comments and empty lines are skipped; MD5, SHA-1 and clear text are refused (bcrypt: htpasswd
 * -B). Owner: the arena. Thread: read by one, then looked up by all.
 */
#pragma once
#include "identity/basic.h"

enum { HTPASSWD_BYTES_MAX = 16 * 1024 * 1024, HTPASSWD_USERS_MAX = 100000 };

/* Fills c's table; a sentence (in the arena), or NULL. Blocks. */
const char *htpasswd_read(struct arena *a, struct basic_conf *c);
const struct basic_user *htpasswd_find(const struct basic_conf *c, struct span name); /* or NULL */
const struct basic_user *htpasswd_any(const struct basic_conf *c);
