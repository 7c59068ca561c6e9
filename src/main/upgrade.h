/*
 * upgrade - one supervisor becomes the next version of itself by executing it, and hands on what it
 * holds.
 *
 * Sockets, the pid file's lock and the channel to the serving process stay open across exec; a
 * variable names their descriptors. Addresses are not told: a socket knows its own. Owner: the
 * supervisor. Thread: one.
 */
#pragma once
#include "main/sockets.h"
#include "main/systemd.h"
#include <sys/types.h>

struct inheritance {
    pid_t child;
    int channel, pidfile; /* -1: none */
    struct sockets *sockets;
    struct systemd *systemd;
};

/* Tries the binary first (it must answer `help`), then executes it. Returns when that failed
 * (told); everything is as it was. */
void upgrade_execute(const char *path, char **argv, struct inheritance *i);
/* False: nobody left anything. Fills all of *i, the tables too. */
must_use bool upgrade_inherit(struct inheritance *i);
