/*
 * tcp - sockets: connecting, listening, and the stream over a plain socket.
 * Thread: any, each socket by its owner.
 */
#pragma once
#include "io/address.h"
#include "io/stream.h"

extern const struct stream_ops tcp_stream;

/* Starts to connect. 0: under way or done (writable tells); else errno. */
int tcp_connect(struct loop *l, struct stream *s, const struct address *to);
/* After the first event: 0, or the errno that connecting ended with. */
int tcp_error(struct stream *s);
/* Bytes that the peer's system has acknowledged, in all. False: nobody can say. */
bool tcp_acked(struct stream *s, uint64_t *bytes);
void tcp_no_delay(int fd);
/* A listening socket, SO_REUSEADDR and, for IP, SO_REUSEPORT. -1 and errno. */
int tcp_listen(const struct address *at, int backlog);
/* The next closing of this socket sends RST instead of FIN. */
void tcp_reset_on_close(int fd);
