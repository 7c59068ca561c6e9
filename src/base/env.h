/*
 * env - the one door to the outside world: clocks, random bytes, memory, sockets, files.
 *
 * Everything the gateway asks of the system on behalf of traffic goes through this table, one
 * indirect call each, so a test replaces entries (a virtual clock, a simulated network, the n-th
 * call failing) and a seed replays a run. Calls behave as the system calls they are named after: -1
 * and errno. Owner: the process. Thread: filled before threads start, read-only after (the
 * simulator runs in one).
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct env {
    uint64_t (*now_ns)(void); /* monotonic */
    int64_t (*wall_ns)(void); /* since the epoch, UTC */
    void (*random)(void *p, size_t n);

    void *(*alloc)(size_t n); /* not zeroed; NULL: none to be had */
    void (*release)(void *p);

    int (*epoll_create)(void);
    int (*epoll_ctl)(int ep, int op, int fd, struct epoll_event *ev);
    int (*epoll_wait)(int ep, struct epoll_event *ev, int max, int timeout_ms);
    int (*event_fd)(void); /* non-blocking */

    int (*socket)(int domain, int type, int protocol); /* non-blocking, close-on-exec */
    int (*bind)(int fd, const struct sockaddr *sa, socklen_t n);
    int (*listen)(int fd, int backlog);
    int (*accept)(int fd, struct sockaddr *sa, socklen_t *n); /* non-blocking, close-on-exec */
    int (*connect)(int fd, const struct sockaddr *sa, socklen_t n);
    ssize_t (*recv)(int fd, void *p, size_t n);
    ssize_t (*writev)(int fd, const struct iovec *iov, int n); /* never raises SIGPIPE */
    int (*pipe)(int fd[2]); /* non-blocking, close-on-exec; NULL: there are none */
    ssize_t (*splice)(int in, int out, size_t n, bool more); /* one of them a pipe */
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*setsockopt)(int fd, int level, int name, const void *v, socklen_t n);
    int (*getsockopt)(int fd, int level, int name, void *v, socklen_t *n);

    int (*open)(const char *path, int flags, mode_t mode); /* close-on-exec */
    ssize_t (*read)(int fd, void *p, size_t n);
    ssize_t (*write)(int fd, const void *p, size_t n);
};

extern struct env env;          /* the real one, until a test changes it */
extern const struct env env_os; /* for putting entries back */

/* Small allocations: abort when there is none, zeroed. What a peer can drive is bounded before it
 * is allocated, and uses mem_try. */
void *mem_alloc(size_t n);
void *mem_realloc(void *p, size_t old, size_t n); /* keeps min(old, n) bytes, the rest is zero */
must_use void *mem_try(size_t n);                 /* not zeroed; NULL: refuse the peer */
void mem_free(void *p);                           /* NULL is fine */
/* Zeroed memory that the system gives page by page as it is touched: for large tables. */
void *mem_map(size_t n);
void mem_unmap(void *p, size_t n);
char *mem_text(const char *p, size_t n); /* NUL-terminated copy */
