/*
 * pidfile - a file with the process id, locked as long as the process lives: a second gateway on it
 * refuses. Owner: the supervisor, or the one process. Thread: one.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>

struct pidfile {
    const char *path;
    int fd; /* -1: none */
};

/* False: told. */
must_use bool pidfile_take(struct pidfile *p, const char *path);
/* Removes the file; the lock goes with the descriptor. */
void pidfile_drop(struct pidfile *p);
