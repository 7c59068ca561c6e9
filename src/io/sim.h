/*
 * sim - a simulated system behind struct env: clock, random bytes, sockets, epoll, failures. For
 * tests.
 *
 * Between sim_begin and sim_end everything the gateway asks of the system is answered here: sockets
 * are bytes in memory, time moves only when all is quiet, and one seed gives one run, event by
 * event. All loops run in one thread, in seeded order, one event a turn, so a test can step in
 * before every dispatch. epoll is edge-triggered as Linux does it: a wake-up marks a descriptor,
 * waiting tells what is true by then; room to write is told only after a write that did not fit,
 * when a third is free. Failures are answered before the call has had any effect, and a connection
 * whose read or write failed is broken for both ends. Descriptors of the real system (below 65,536)
 * pass through to it.
 *
 * The other ends belong to actors: the test's own functions below, which nothing is injected into.
 * Owner: the test. Thread: one.
 */
#pragma once
#include "base/env.h"
#include "io/tcp.h"

#define SIM_CALLS(C)                                                                               \
    C(socket, EMFILE)                                                                              \
    C(bind, EADDRINUSE)                                                                            \
    C(listen, EADDRINUSE)                                                                          \
    C(accept, ECONNABORTED)                                                                        \
    C(connect, ENETUNREACH)                                                                        \
    C(recv, ECONNRESET)                                                                            \
    C(writev, EPIPE)                                                                               \
    C(shutdown, ENOTCONN)                                                                          \
    C(setsockopt, ENOBUFS)                                                                         \
    C(getsockopt, ENOBUFS)                                                                         \
    C(epoll_create, EMFILE)                                                                        \
    C(epoll_ctl, ENOMEM)                                                                           \
    C(epoll_wait, EINTR)                                                                           \
    C(event_fd, EMFILE)                                                                            \
    C(alloc, ENOMEM)

enum sim_call {
#define C(name, err) SIM_##name,
    SIM_CALLS(C)
#undef C
        SIM_CALL_COUNT
};

struct sim_conf {
    uint64_t seed;
    size_t buffer; /* bytes each direction of a connection holds; 0: 64 KiB */
    size_t read_max,
        write_max;            /* every read, write of the gateway: at most so many bytes; 0: all */
    unsigned events_max;      /* that one wait tells; 0: 1 */
    unsigned descriptors_max; /* then EMFILE; 0: 4096 */
};

void sim_begin(const struct sim_conf *conf);
void sim_end(void); /* closes all that is left; env is the real one again */
uint64_t sim_random(uint64_t below);

/* Loops and time */
enum { SIM_LOOPS_MAX = 8 };
void sim_loop_add(struct loop *l);
void sim_loop_remove(struct loop *l);
/* One turn of one loop that has something to do. False: all are quiet at this time. */
bool sim_step(void);
uint64_t sim_now_ms(void); /* since sim_begin */
/* When all is quiet: goes on to the next timer, if it is due by `until_ms`, else to `until_ms`.
 * False: until_ms is reached and no timer is due. */
bool sim_advance(uint64_t until_ms);

/* Failures of the gateway's calls */
uint64_t sim_count(enum sim_call call); /* calls so far */
uint64_t sim_count_all(void);           /* of all kinds but alloc */
/* The nth call (from 1, counted from sim_begin) fails; errno 0: the one that suits it. 0: none
 * does. */
void sim_fail(enum sim_call call, uint64_t nth, int err);
void sim_fail_any(uint64_t nth); /* counted over all kinds but alloc */
void sim_hold(bool held); /* meanwhile nothing is counted and nothing fails: the test's own work */
bool sim_failed(void);    /* a failure asked for has happened */

/* What the gateway has open, listeners and epolls included; and calls on descriptors it had closed.
 */
unsigned sim_open(void);
unsigned sim_stale_calls(void);

/* Actors. Descriptors as usual; -1 when it cannot be. Nothing blocks. */
int actor_listen(const struct address *at);
int actor_accept(int fd); /* -1: nobody there */
int actor_connect(const struct address *to, const struct address *from /* or NULL */);
/* Connecting there ends in silence from now on (not refused: no answer). */
void actor_black_hole(const struct address *at);
size_t actor_send(int fd, const void *p, size_t n); /* what fitted */
enum io_result actor_read(int fd, void *p, size_t max, size_t *got);
size_t actor_waiting(int fd); /* bytes it could read */
void actor_shut(int fd);
void actor_close(int fd);
void actor_reset(int fd);
bool actor_gone(int fd); /* the gateway has closed or reset this connection */
