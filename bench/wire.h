/*
 * wire - the load generator's connection: plain, or TLS by OpenSSL on the socket itself.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct ssl_st SSL;

struct wire {
    int fd;
    SSL *ssl; /* NULL: plain */
};

/* TLS from now on: certificates are not checked. resume: sessions of earlier connections are used
 * again. */
void wire_init(bool resume);
/* Begins TLS on the connected socket. */
void wire_shake_start(struct wire *w);
/* 1: done; 0: more events are needed; -1: failed. */
int wire_shake(struct wire *w);
ssize_t wire_send(struct wire *w, const void *p, size_t n);
/* As recv: -1 with EAGAIN when there is nothing. buf NULL (plain only): bytes are thrown away. */
ssize_t wire_recv(struct wire *w, void *buf, size_t n);
void wire_close(struct wire *w);
unsigned long wire_resumed(void); /* handshakes so far that resumed a session */
