/*
 * sim_net - the descriptors of the simulated system: sockets, listeners, epolls, event counters.
 *
 * Inside of sim alone. Calls answer like the system's: -1 and errno. A descriptor is its place in
 * the table and how often that place was used, so a number is never used twice and a call on a
 * closed one is noticed.
 */
#pragma once
#include "io/mem_stream.h"
#include "io/sim.h"

enum net_kind { NET_FREE, NET_EPOLL, NET_EVENT, NET_SOCKET, NET_LISTENER, NET_STREAM };
enum net_owner { NET_GATEWAY, NET_ACTOR, NET_QUEUED /* in a listener's queue */ };
enum { NET_FIRST = 1 << 16, NET_PLACES = 1 << 14, NET_BACKLOG_MAX = 4096 };

struct net_fd {
    enum net_kind kind;
    enum net_owner owner;
    int fd;
    int domain;
    struct address local, remote;

    /* stream */
    struct net_fd *peer; /* NULL: closed, or not connected */
    struct mem_stream *in, *out;
    int error; /* told once, by the next call or SO_ERROR */
    bool connecting, broken, shut, no_space, reset_on_close;

    /* listener: those who wait, oldest first */
    struct net_fd *queue_next, *queue_first, *queue_last;

    uint64_t count; /* event counter */

    /* its place in an epoll */
    struct net_fd *ep;
    struct epoll_event interest;
    bool woken;
};

struct net {
    struct net_fd *place[NET_PLACES];
    unsigned used[NET_PLACES]; /* how often */
    unsigned places, stale;
    size_t buffer, read_max, write_max;
    unsigned open[3]; /* by owner */
    unsigned descriptors_max;
    unsigned next_port;
    struct address hole[16];
    unsigned holes;
};

extern struct net net;

void net_begin(const struct sim_conf *conf);
void net_end(void);
struct net_fd *net_get(int fd, enum net_kind kind);                /* NULL and EBADF */
struct net_fd *net_open(enum net_kind kind, enum net_owner owner); /* NULL and EMFILE */
void net_close(struct net_fd *f);
void net_break(struct net_fd *f); /* both ends are broken: a reset crossed the wire */

int net_bind(struct net_fd *f, const struct address *at);
int net_listen(struct net_fd *f);
int net_connect(struct net_fd *f, const struct address *to);
struct net_fd *net_accept(struct net_fd *listener, enum net_owner owner); /* NULL and EAGAIN */
ssize_t net_read(struct net_fd *f, void *p, size_t n);
ssize_t net_write(struct net_fd *f, const struct iovec *iov, int n);
void net_shut(struct net_fd *f);

uint32_t net_state(const struct net_fd *f); /* epoll events that are true now */
void net_wake(struct net_fd *f);            /* something happened to it */
/* The next descriptor of ep that was woken and has something to tell, chosen by the seed; or NULL.
 */
struct net_fd *net_next(const struct net_fd *ep);
