/*
 * systemd - its two small protocols: sockets handed over at start, and states told to
 * NOTIFY_SOCKET.
 *
 * Both are a few environment variables; without them every call does nothing. The variables are
 * removed once read, so no child takes them for its own. Owner: the process that systemd started
 * (the supervisor, if there is one). Thread: one.
 */
#pragma once
#include "main/sockets.h"

struct systemd {
    struct address notify; /* len 0: nobody wants to know */
    uint64_t watchdog_us;  /* 0: off */
};

void systemd_init(struct systemd *d);
/* Takes LISTEN_FDS sockets into the table. False: one is unusable (told). */
must_use bool systemd_sockets(struct sockets *s);
void systemd_ready(const struct systemd *d);
void systemd_reloading(const struct systemd *d);
void systemd_stopping(const struct systemd *d);
void systemd_alive(const struct systemd *d);
void systemd_status(const struct systemd *d, const char *text);
