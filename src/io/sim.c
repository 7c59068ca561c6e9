#include "io/sim_net.h"
#include <errno.h>
#include <string.h>

static const int usual_error[SIM_CALL_COUNT] = {
#define C(name, err) [SIM_##name] = err,
    SIM_CALLS(C)
#undef C
};

enum { START_S = 1767225600 }; /* 2026-01-01, on the wall */
static const uint64_t second = 1000000000u;

static struct {
    uint64_t random;
    uint64_t now; /* ns, since sim_begin */
    unsigned events_max;
    struct loop *loop[SIM_LOOPS_MAX];
    unsigned loops;
    uint64_t count[SIM_CALL_COUNT], count_all;
    uint64_t fail_at[SIM_CALL_COUNT], fail_any_at;
    int fail_error[SIM_CALL_COUNT];
    bool failed, held;
} sim;

uint64_t sim_random(uint64_t below) { /* splitmix64 */
    uint64_t z = sim.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

/* Failures */

uint64_t sim_count(enum sim_call call) {
    return sim.count[call];
}
uint64_t sim_count_all(void) {
    return sim.count_all;
}
void sim_fail_any(uint64_t nth) {
    sim.fail_any_at = nth;
}
void sim_hold(bool held) {
    sim.held = held;
}
bool sim_failed(void) {
    return sim.failed;
}

void sim_fail(enum sim_call call, uint64_t nth, int err) {
    sim.fail_at[call] = nth;
    sim.fail_error[call] = err ? err : usual_error[call];
}

/* Counts a call of the gateway. True: it is to fail, errno is set. */
static bool fails(enum sim_call call) {
    if (sim.held)
        return false;
    bool one = ++sim.count[call] == sim.fail_at[call];
    bool any = call != SIM_alloc && ++sim.count_all == sim.fail_any_at;
    if (!one && !any)
        return false;
    errno = one ? sim.fail_error[call] : usual_error[call];
    sim.failed = true;
    return true;
}

/* The table */

static uint64_t sim_now_ns(void) {
    return second + sim.now;
}
static int64_t sim_wall_ns(void) {
    return (int64_t)(START_S * second + sim.now);
}

static void sim_random_bytes(void *p, size_t n) {
    for (unsigned char *at = p; n; n--)
        *at++ = (unsigned char)sim_random(256);
}

static void *sim_alloc(size_t n) {
    return fails(SIM_alloc) ? NULL : env_os.alloc(n);
}

static int opened(struct net_fd *f) {
    return f ? f->fd : -1;
}

static int sim_epoll_create(void) {
    return fails(SIM_epoll_create) ? -1 : opened(net_open(NET_EPOLL, NET_GATEWAY));
}

static int sim_event_fd(void) {
    return fails(SIM_event_fd) ? -1 : opened(net_open(NET_EVENT, NET_GATEWAY));
}

static int sim_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev) {
    struct net_fd *e = net_get(ep, NET_EPOLL), *f = net_get(fd, NET_FREE);
    if (!e || !f || fails(SIM_epoll_ctl))
        return -1;
    if (op == EPOLL_CTL_DEL) {
        f->ep = NULL;
        return 0;
    }
    must((op == EPOLL_CTL_ADD) == !f->ep && (ev->events & EPOLLET));
    f->ep = e;
    f->interest = *ev;
    f->woken = true;
    return 0;
}

/* Never blocks: when nothing is to be told the test decides what happens next. */
static int sim_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms) {
    struct net_fd *e = net_get(ep, NET_EPOLL), *f;
    int n = 0;
    (void)timeout_ms;
    sim.now += 1000;
    if (!e || fails(SIM_epoll_wait))
        return -1;
    while (n < max && n < (int)sim.events_max && (f = net_next(e))) {
        f->woken = false;
        ev[n].events = net_state(f) & (f->interest.events | EPOLLERR | EPOLLHUP);
        ev[n++].data = f->interest.data;
    }
    return n;
}

static int sim_socket(int domain, int type, int protocol) {
    (void)protocol;
    if (fails(SIM_socket))
        return -1;
    if (type != SOCK_STREAM) {
        errno = EPROTONOSUPPORT;
        return -1;
    }
    struct net_fd *f = net_open(NET_SOCKET, NET_GATEWAY);
    if (f)
        f->domain = domain;
    return opened(f);
}

static struct address address_of(const struct sockaddr *sa, socklen_t n) {
    struct address a = {.len = n};
    must(n <= sizeof a.un);
    memcpy(&a.sa, sa, n);
    return a;
}

static int sim_bind(int fd, const struct sockaddr *sa, socklen_t n) {
    struct net_fd *f = net_get(fd, NET_SOCKET);
    struct address at = address_of(sa, n);
    return !f || fails(SIM_bind) ? -1 : net_bind(f, &at);
}

static int sim_listen(int fd, int backlog) {
    struct net_fd *f = net_get(fd, NET_SOCKET);
    (void)backlog;
    return !f || fails(SIM_listen) ? -1 : net_listen(f);
}

/* A failure other than for want of descriptors has lost the connection. */
static void lose_next(struct net_fd *listener) {
    int err = errno;
    struct net_fd *q = err == EMFILE || err == ENFILE || err == ENOMEM || err == EINTR
                           ? NULL
                           : net_accept(listener, NET_QUEUED);
    if (q) {
        q->reset_on_close = true;
        net_close(q);
    }
    errno = err;
}

static int sim_accept(int fd, struct sockaddr *sa, socklen_t *n) {
    struct net_fd *l = net_get(fd, NET_LISTENER);
    if (!l)
        return -1;
    if (fails(SIM_accept)) {
        lose_next(l);
        return -1;
    }
    struct net_fd *f = net_accept(l, NET_GATEWAY);
    if (f && sa) {
        memcpy(sa, &f->remote.sa, *n < f->remote.len ? *n : f->remote.len);
        *n = f->remote.len;
    }
    return opened(f);
}

static int sim_connect(int fd, const struct sockaddr *sa, socklen_t n) {
    struct net_fd *f = net_get(fd, NET_SOCKET);
    struct address to = address_of(sa, n);
    return !f || fails(SIM_connect) ? -1 : net_connect(f, &to);
}

/* A connection on which a call failed is broken; what may be tried again is not. */
static ssize_t broken(struct net_fd *f) {
    int err = errno;
    if (err != EAGAIN && err != EINTR)
        net_break(f);
    errno = err;
    return -1;
}

static ssize_t sim_recv(int fd, void *p, size_t n) {
    struct net_fd *f = net_get(fd, NET_STREAM);
    if (!f)
        return -1;
    return fails(SIM_recv) ? broken(f) : net_read(f, p, n);
}

static ssize_t sim_writev(int fd, const struct iovec *iov, int n) {
    struct net_fd *f = net_get(fd, NET_STREAM);
    if (!f)
        return -1;
    return fails(SIM_writev) ? broken(f) : net_write(f, iov, n);
}

static int sim_shutdown(int fd, int how) {
    struct net_fd *f = net_get(fd, NET_STREAM);
    must(how == SHUT_WR);
    if (!f || fails(SIM_shutdown))
        return -1;
    net_shut(f);
    return 0;
}

static int sim_close(int fd) {
    if (fd < NET_FIRST)
        return env_os.close(fd);
    struct net_fd *f = net_get(fd, NET_FREE);
    if (!f)
        return -1;
    net_close(f);
    return 0;
}

static int sim_setsockopt(int fd, int level, int name, const void *v, socklen_t n) {
    struct net_fd *f = net_get(fd, NET_FREE);
    if (!f || fails(SIM_setsockopt))
        return -1;
    if (level == SOL_SOCKET && name == SO_LINGER && n == sizeof(struct linger)) {
        const struct linger *l = v;
        f->reset_on_close = l->l_onoff && l->l_linger == 0;
    }
    return 0;
}

static int sim_getsockopt(int fd, int level, int name, void *v, socklen_t *n) {
    struct net_fd *f = net_get(fd, NET_FREE);
    if (!f || fails(SIM_getsockopt))
        return -1;
    if (level != SOL_SOCKET || name != SO_ERROR || *n != sizeof(int)) {
        errno = ENOPROTOOPT;
        return -1;
    }
    memcpy(v, &f->error, sizeof f->error);
    f->error = 0;
    return 0;
}

static ssize_t sim_read(int fd, void *p, size_t n) {
    if (fd < NET_FIRST)
        return env_os.read(fd, p, n);
    struct net_fd *f = net_get(fd, NET_EVENT);
    if (!f)
        return -1;
    must(n == sizeof f->count);
    if (!f->count) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(p, &f->count, n);
    f->count = 0;
    return (ssize_t)n;
}

static ssize_t sim_write(int fd, const void *p, size_t n) {
    uint64_t add;
    if (fd < NET_FIRST)
        return env_os.write(fd, p, n);
    struct net_fd *f = net_get(fd, NET_EVENT);
    if (!f)
        return -1;
    must(n == sizeof add);
    memcpy(&add, p, n);
    f->count += add;
    net_wake(f);
    return (ssize_t)n;
}

void sim_begin(const struct sim_conf *conf) {
    memset(&sim, 0, sizeof sim);
    sim.random = conf->seed;
    sim.events_max = conf->events_max ? conf->events_max : 1;
    net_begin(conf);
    env.now_ns = sim_now_ns;
    env.wall_ns = sim_wall_ns;
    env.random = sim_random_bytes;
    env.alloc = sim_alloc;
    env.epoll_create = sim_epoll_create;
    env.epoll_ctl = sim_epoll_ctl;
    env.epoll_wait = sim_epoll_wait;
    env.event_fd = sim_event_fd;
    env.socket = sim_socket;
    env.bind = sim_bind;
    env.listen = sim_listen;
    env.accept = sim_accept;
    env.connect = sim_connect;
    env.recv = sim_recv;
    env.writev = sim_writev;
    env.pipe = NULL; /* bodies go by the scratch */
    env.shutdown = sim_shutdown;
    env.close = sim_close;
    env.setsockopt = sim_setsockopt;
    env.getsockopt = sim_getsockopt;
    env.read = sim_read;
    env.write = sim_write;
}

void sim_end(void) {
    net_end();
    env = env_os;
}

/* Loops and time */

void sim_loop_add(struct loop *l) {
    must(sim.loops < SIM_LOOPS_MAX);
    sim.loop[sim.loops++] = l;
}

void sim_loop_remove(struct loop *l) {
    for (unsigned i = 0; i < sim.loops; i++)
        if (sim.loop[i] == l)
            sim.loop[i] = sim.loop[--sim.loops];
}

uint64_t sim_now_ms(void) {
    return sim.now / 1000000;
}

static bool busy(struct loop *l) {
    const struct net_fd *ep = net_get(l->ep, NET_EPOLL);
    return (ep && net_next(ep)) || loop_wait_ms(l, sim_now_ns(), -1) == 0;
}

bool sim_step(void) {
    struct loop *found = NULL;
    uint64_t n = 0;
    for (unsigned i = 0; i < sim.loops; i++)
        if (busy(sim.loop[i]) && sim_random(++n) == 0)
            found = sim.loop[i];
    if (found)
        loop_turn(found, 0);
    return found != NULL;
}

bool sim_advance(uint64_t until_ms) {
    uint64_t until = until_ms * 1000000, next = UINT64_MAX;
    for (unsigned i = 0; i < sim.loops; i++) {
        int ms = loop_wait_ms(sim.loop[i], sim_now_ns(), -1);
        if (ms >= 0 && sim.now + (uint64_t)ms * 1000000 < next)
            next = sim.now + (uint64_t)ms * 1000000;
    }
    bool due = next <= until;
    if (due)
        sim.now = next;
    else if (sim.now < until)
        sim.now = until;
    return due;
}

unsigned sim_open(void) {
    return net.open[NET_GATEWAY];
}
unsigned sim_stale_calls(void) {
    return net.stale;
}
