/*
 * password - hashes of passwords: bcrypt, yescrypt and the other forms of crypt(5), and argon2id.
 *
 * Slow by intention (milliseconds to seconds), so only helper threads and the command line call
 * verify and make. What a hash may cost is bounded when the file is read. Thread: any.
 */
#pragma once
#include "base/str.h"

enum { PASSWORD_MAX = 256, PASSWORD_HASH_MAX = 384 };

/* NULL: usable; else a sentence. */
const char *password_judge(struct span hash);
/* Both with a NUL behind them. A password that holds a NUL fits no hash. */
bool password_verify(struct span hash, struct span password);

enum password_form { PASSWORD_YESCRYPT, PASSWORD_BCRYPT, PASSWORD_ARGON2ID };
/* A new hash with fresh salt, NUL-terminated. False: the library failed. */
must_use bool password_make(enum password_form form, struct span password,
                            char out[PASSWORD_HASH_MAX]);
