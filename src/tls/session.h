/*
 * session - what a stream's layer is while it speaks TLS. Inside of this room only.
 *
 * Owner: its stream. Thread: that of the stream.
 */
#pragma once
#include "tls/stream.h"
#include "tls/wire.h"

/* Cipher text that the socket did not take, or that waits for company. */
struct kept {
    size_t at, n;
    uint32_t owed;        /* plain bytes of its marks: offered, encrypted, not yet reported */
    uint8_t first, marks; /* mark[first..marks) */
    struct mark mark[BATCH_RECORDS];
    unsigned char bytes[];
};
/* Cipher text that came and that nobody has asked for yet. */
struct rest {
    size_t at, n;
    unsigned char bytes[];
};

struct session {
    SSL *ssl;
    int fd;
    struct kept *kept;
    struct rest *rest;
    struct tls_server *owner; /* of a listener, and the certificates that were in force */
    struct tls_set *set;
    const struct tls_host *host;
    struct resume_key *resume; /* of a service: where its tickets go; NULL: nowhere */
    char *failure;             /* a line for the operator; NULL: nothing is wrong */
    struct tls_info info;
    struct output late; /* sends what is held, at the end of the turn */
    uint32_t hello;     /* bytes before the ClientHello was whole; then HELLO_DONE */
    uint32_t messages;  /* after the handshake, in this second (E06) */
    uint64_t messages_since;
    struct tls_events events;
    size_t left;   /* plain bytes that have left and that the next write reports */
    uint8_t batch; /* records to encrypt before they are sent: more while the peer takes all */
    bool server, done;
    bool held;          /* kept waits for the next write (tickets) or the end of the turn */
    bool broken;        /* nothing can be read or written any more */
    bool mute;          /* the peer takes no more; what it said before that can still be read */
    bool ended;         /* the transport has */
    bool said_goodbye;  /* close_notify is out, or kept */
    bool said_all;      /* the peer said goodbye */
    bool fin;           /* a FIN follows what is kept */
    bool verify_failed; /* it was the peer's certificate */
};

enum { HELLO_MAX = 16384, HELLO_DONE = UINT32_MAX, MESSAGES_PER_SECOND = 100 };

static inline struct session *session_of(const SSL *ssl) {
    return SSL_get_app_data(ssl);
}

/* NULL: no memory. Owns nothing of its maker's but `ssl`. */
must_use struct session *session_create(SSL *ssl, int fd, bool server);
void session_free(struct session *t);

/* What is kept and what OpenSSL left in the wire goes to the socket. IO_AGAIN: not all did, the
 * rest is kept. What records that have left entirely stood for is added to `left`. */
enum io_result session_send(struct session *t, struct wire *w);
/* What OpenSSL left in the wire waits. False: no memory. */
must_use bool session_hold(struct session *t, struct wire *w);
/* What was left over is what OpenSSL reads next. */
void session_feed(struct session *t, struct wire *w);
/* More cipher text into the empty wire, about `max` bytes. *dry: what comes later brings an event.
 */
enum io_result session_receive(struct stream *s, struct wire *w, size_t max, bool *dry);
/* Keeps what OpenSSL has not read. False: no memory. */
must_use bool session_leave(struct session *t, struct wire *w);

/* failure.c: makes a line out of OpenSSL's errors and empties its queue; the first one stays. */
void session_failed(struct session *t);
void session_failed_as(struct session *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* After the handshake. False: no memory. */
must_use bool session_inform(struct session *t);
/* It was told more messages than anybody needs: the connection ends. */
bool session_flooded(const struct session *t);
/* SSL_CTX_set_info_callback */
void session_watch(const SSL *ssl, int where, int ret);
