/*
 * sockets - the listening sockets of the gateway, by address: bound once, kept until they are
 * closed here.
 *
 * The supervisor owns them, so what clients have queued in the kernel survives the serving process.
 * Without a supervisor the serving process has this table itself. Sockets that were handed over
 * (systemd, an upgrade) are adopted and found by their address; a wildcard finds the other family's
 * wildcard, as systemd's "ListenStream=80" is [::]:80. An address is held with as many sockets as
 * were asked for first or handed over; a unix socket always with one (the kernel does not spread
 * those). Owner: one process. Thread: one.
 */
#pragma once
#include "io/tcp.h"

enum { SOCKETS_PER_ADDRESS = 128, SOCKETS_ADDRESSES = 256 };

struct held {
    struct address address;
    int fd[SOCKETS_PER_ADDRESS];
    unsigned count;
    bool given; /* not bound by us: its file is not ours to remove */
};
struct sockets {
    struct held *held[SOCKETS_ADDRESSES];
    unsigned count;
};

/* Finds or binds. 0: *out is lent; else an errno, and nothing was opened. EADDRINUSE also when the
 * other holder allows sharing (SO_REUSEPORT): two gateways on one port are a mistake. */
must_use int sockets_open(struct sockets *s, const struct address *at, unsigned count,
                          const struct held **out);
/* Takes a socket that listens already. 0, or errno: not a listening stream socket. */
must_use int sockets_adopt(struct sockets *s, int fd);
void sockets_close(struct sockets *s, const struct address *at);
void sockets_close_all(struct sockets *s, bool unlink_files);
