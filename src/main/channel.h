/*
 * channel - what the serving process and its supervisor say to each other.
 *
 * A SOCK_SEQPACKET pair; each message is one fixed record, so there is nothing to parse, and an
 * answer of another size or an unknown kind ends the connection. The serving process asks, the
 * supervisor answers:
 *
 *     LISTEN address count  ->  LISTEN error, or count sockets beside the record (SCM_RIGHTS)
 *     CLOSE address             no answer: the address is no longer listened on
 *     READY RELOADING RELOADED STOPPING ALIVE    no answer: told to systemd; READY also ends the
 * start
 *
 * The supervisor says nothing unasked: a readable channel is a supervisor that is gone. Without a
 * supervisor the same calls work on a table of sockets and on systemd directly. Owner: the serving
 * process; its control thread.
 */
#pragma once
#include "main/sockets.h"
#include "main/systemd.h"

enum channel_kind {
    CHANNEL_LISTEN = 1,
    CHANNEL_CLOSE,
    CHANNEL_READY,
    CHANNEL_RELOADING,
    CHANNEL_RELOADED,
    CHANNEL_STOPPING,
    CHANNEL_ALIVE,
};

struct channel_record {
    uint32_t kind;
    uint32_t count;
    int32_t error; /* errno of an answer */
    uint32_t address_len;
    struct sockaddr_un address; /* the largest kind; others lie at its beginning */
};

struct channel {
    int fd; /* -1: no supervisor, then: */
    struct sockets own;
    struct systemd systemd;
};

/* Both ends, close-on-exec. False: errno. */
must_use bool channel_pair(int out[2]);
/* The end that a supervisor left in the environment. False: none was. */
must_use bool channel_inherit(int *fd);
/* The variable that channel_inherit reads, "NAME=fd". */
void channel_export(int fd);
void channel_unexport(void);

/* 0: fd[0..*n) are the caller's own (he closes them); else errno. */
must_use int channel_listen(struct channel *c, const struct address *at, unsigned count,
                            int fd[SOCKETS_PER_ADDRESS], unsigned *n);
void channel_close_address(struct channel *c, const struct address *at);
void channel_tell(struct channel *c, enum channel_kind what);

/* The supervisor's side: one message. False: the other side is gone or made no sense. */
must_use bool channel_receive(int fd, struct channel_record *r, struct address *at);
must_use bool channel_answer(int fd, int error, const struct held *h);
/* What a state means to systemd. */
void channel_to_systemd(const struct systemd *d, uint32_t kind);
