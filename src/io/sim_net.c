#include "io/sim_net.h"
#include <errno.h>
#include <string.h>

struct net net;

/* Descriptors */

void net_begin(const struct sim_conf *conf) {
    net = (struct net){
        .buffer = conf->buffer ? conf->buffer : 64 * 1024,
        .read_max = conf->read_max ? conf->read_max : SIZE_MAX,
        .write_max = conf->write_max ? conf->write_max : SIZE_MAX,
        .descriptors_max = conf->descriptors_max ? conf->descriptors_max : 4096,
        .next_port = 40000,
    };
}

void net_end(void) {
    for (unsigned i = 0; i < net.places; i++)
        if (net.place[i])
            net_close(net.place[i]);
}

struct net_fd *net_get(int fd, enum net_kind kind) {
    unsigned place = (unsigned)fd % NET_FIRST;
    struct net_fd *f = fd >= NET_FIRST && place < net.places ? net.place[place] : NULL;
    if (f && f->fd == fd && (f->kind == kind || kind == NET_FREE))
        return f;
    net.stale += !f || f->fd != fd;
    errno = f && f->fd == fd ? EINVAL : EBADF;
    return NULL;
}

struct net_fd *net_open(enum net_kind kind, enum net_owner owner) {
    unsigned i = 0;
    while (i < net.places && net.place[i])
        i++;
    if (i == NET_PLACES || (owner == NET_GATEWAY && net.open[owner] >= net.descriptors_max)) {
        errno = EMFILE;
        return NULL;
    }
    struct net_fd *f = env_os.alloc(sizeof *f);
    must(f);
    net.used[i] = net.used[i] % 0x7000 + 1;
    *f = (struct net_fd){.kind = kind, .owner = owner, .fd = (int)(net.used[i] << 16 | i)};
    net.place[i] = f;
    net.places = i == net.places ? i + 1 : net.places;
    net.open[owner]++;
    return f;
}

static void set_owner(struct net_fd *f, enum net_owner owner) {
    net.open[f->owner]--;
    net.open[owner]++;
    f->owner = owner;
}

static void close_stream(struct net_fd *f) {
    struct net_fd *p = f->peer;
    bool reset = f->reset_on_close || (f->in && f->in->n > 0);
    if (f->in)
        f->in->gone = true;
    if (f->out)
        f->out->ended |= !reset;
    if (p && !(f->shut && p->shut)) { /* both ends sent: it is over already */
        p->peer = NULL;
        p->broken |= reset;
        if (reset && !p->error)
            p->error = f->shut ? EPIPE : ECONNRESET;
        if (reset || !f->shut)
            net_wake(p);
    } else if (p) {
        p->peer = NULL;
    }
    mem_stream_unref(f->in);
    mem_stream_unref(f->out);
}

static void close_listener(struct net_fd *f) {
    for (struct net_fd *q; (q = f->queue_first);) {
        f->queue_first = q->queue_next;
        q->reset_on_close = true;
        net_close(q);
    }
}

static void close_epoll(const struct net_fd *ep) {
    for (unsigned i = 0; i < net.places; i++)
        if (net.place[i] && net.place[i]->ep == ep)
            net.place[i]->ep = NULL;
}

void net_close(struct net_fd *f) {
    if (f->kind == NET_STREAM)
        close_stream(f);
    else if (f->kind == NET_LISTENER)
        close_listener(f);
    else if (f->kind == NET_EPOLL)
        close_epoll(f);
    net.open[f->owner]--;
    net.place[(unsigned)f->fd % NET_FIRST] = NULL;
    env_os.release(f);
}

/* Connecting */

int net_bind(struct net_fd *f, const struct address *at) {
    f->local = *at;
    if (at->sa.sa_family != AF_UNIX && address_port(at) == 0)
        address_set_port(&f->local, net.next_port++);
    return 0;
}

int net_listen(struct net_fd *f) {
    f->kind = NET_LISTENER;
    return 0;
}

static bool listens_at(const struct net_fd *l, const struct address *to) {
    struct address any = *to;
    if (address_eq(&l->local, to))
        return true;
    if (to->sa.sa_family == AF_INET)
        any.in.sin_addr.s_addr = INADDR_ANY;
    else if (to->sa.sa_family == AF_INET6)
        any.in6.sin6_addr = in6addr_any;
    return address_eq(&l->local, &any);
}

/* Several may listen at one address (SO_REUSEPORT): the seed chooses. */
static struct net_fd *listener_at(const struct address *to) {
    struct net_fd *found = NULL;
    uint64_t n = 0;
    for (unsigned i = 0; i < net.places; i++) {
        struct net_fd *l = net.place[i];
        if (l && l->kind == NET_LISTENER && listens_at(l, to) && sim_random(++n) == 0)
            found = l;
    }
    return found;
}

static bool is_hole(const struct address *to) {
    for (unsigned i = 0; i < net.holes; i++)
        if (address_eq(&net.hole[i], to))
            return true;
    return false;
}

static void join(struct net_fd *f, struct net_fd *listener) {
    struct net_fd *q = net_open(NET_STREAM, NET_QUEUED);
    must(q);
    f->in = mem_stream_create(net.buffer);
    f->out = mem_stream_create(net.buffer);
    q->in = mem_stream_ref(f->out);
    q->out = mem_stream_ref(f->in);
    q->peer = f;
    f->peer = q;
    q->local = listener->local;
    q->remote = f->local;
    if (listener->queue_first)
        listener->queue_last->queue_next = q;
    else
        listener->queue_first = q;
    listener->queue_last = q;
    net_wake(listener);
}

int net_connect(struct net_fd *f, const struct address *to) {
    struct net_fd *listener = listener_at(to);
    bool at_once = to->sa.sa_family == AF_UNIX;
    f->kind = NET_STREAM;
    f->remote = *to;
    if (!f->local.len && to->sa.sa_family == AF_INET) {
        must(address_parse(SPAN("192.0.2.1:0"), &f->local));
        address_set_port(&f->local, net.next_port++);
    }
    if (listener) {
        join(f, listener);
    } else if (is_hole(to)) {
        f->connecting = true;
    } else if (at_once) {
        f->kind = NET_SOCKET;
        errno = ECONNREFUSED;
        return -1;
    } else {
        f->error = ECONNREFUSED;
        f->broken = true;
    }
    net_wake(f);
    if (at_once)
        return 0;
    errno = EINPROGRESS;
    return -1;
}

struct net_fd *net_accept(struct net_fd *listener, enum net_owner owner) {
    struct net_fd *q = listener->queue_first;
    if (!q) {
        errno = EAGAIN;
        return NULL;
    }
    if (owner == NET_GATEWAY && net.open[owner] >= net.descriptors_max) {
        errno = EMFILE;
        return NULL;
    }
    listener->queue_first = q->queue_next;
    q->queue_next = NULL;
    set_owner(q, owner);
    return q;
}

/* Bytes */

void net_break(struct net_fd *f) {
    struct net_fd *p = f->peer;
    f->broken = true;
    if (!p)
        return;
    p->error = ECONNRESET;
    p->broken = true;
    f->peer = NULL;
    p->peer = NULL;
    net_wake(p);
}

static int fail(int err) {
    errno = err;
    return -1;
}

static size_t limit_of(const struct net_fd *f, size_t limit) {
    return f->owner == NET_GATEWAY ? limit : SIZE_MAX;
}

/* What has arrived. A cut read is an arrival in small pieces: the rest comes with the next wake-up.
 */
static size_t arrived(const struct net_fd *f) {
    size_t n = f->in ? f->in->n : 0, limit = limit_of(f, net.read_max);
    return n < limit ? n : limit;
}

static bool end_arrived(const struct net_fd *f) {
    return f->in && f->in->ended && arrived(f) == f->in->n;
}

static void room_again(struct net_fd *writer) {
    if (writer && writer->no_space && mem_stream_room(writer->out) * 3 >= writer->out->cap) {
        writer->no_space = false;
        net_wake(writer);
    }
}

ssize_t net_read(struct net_fd *f, void *p, size_t n) {
    size_t here = arrived(f);
    if (here) {
        size_t got = mem_stream_get(f->in, p, n < here ? n : here);
        room_again(f->peer);
        if (f->in->n && arrived(f) + got > here)
            net_wake(f);
        return (ssize_t)got;
    }
    if (end_arrived(f))
        return 0;
    if (f->error) {
        int err = f->error;
        f->error = 0;
        return fail(err);
    }
    if (f->broken)
        return 0;
    return fail(f->connecting || f->in ? EAGAIN : ENOTCONN);
}

static ssize_t write_some(struct net_fd *f, const struct iovec *iov, int n) {
    size_t all = 0, limit = limit_of(f, net.write_max);
    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    size_t took = mem_stream_put(f->out, iov, n, limit);
    if (took)
        net_wake(f->peer);
    if (took < all) {
        f->no_space = true;
        room_again(f); /* it was cut, not full */
    }
    return took || !all ? (ssize_t)took : fail(EAGAIN);
}

ssize_t net_write(struct net_fd *f, const struct iovec *iov, int n) {
    if (f->error) {
        int err = f->error;
        f->error = 0;
        return fail(err);
    }
    if (f->broken || f->shut)
        return fail(EPIPE);
    if (!f->out)
        return fail(f->connecting ? EAGAIN : ENOTCONN);
    if (f->peer)
        return write_some(f, iov, n);
    /* Nobody is there: the bytes leave, a reset comes back. */
    size_t all = 0;
    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    f->error = EPIPE;
    f->broken = true;
    net_wake(f);
    return (ssize_t)all;
}

void net_shut(struct net_fd *f) {
    if (f->shut || !f->out)
        return;
    f->shut = true;
    f->out->ended = true;
    net_wake(f);
    net_wake(f->peer);
}

/* Events */

static uint32_t stream_state(const struct net_fd *f) {
    uint32_t e = 0;
    if (f->connecting)
        return 0;
    if (f->broken)
        return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | (f->error ? EPOLLERR : 0u);
    if (arrived(f))
        e |= EPOLLIN;
    if (end_arrived(f))
        e |= EPOLLIN | EPOLLRDHUP;
    if (!f->peer || f->shut || mem_stream_room(f->out) * 3 >= f->out->cap)
        e |= EPOLLOUT;
    if (f->shut && end_arrived(f))
        e |= EPOLLHUP;
    return e;
}

uint32_t net_state(const struct net_fd *f) {
    switch (f->kind) {
    case NET_STREAM:
        return stream_state(f);
    case NET_LISTENER:
        return f->queue_first ? EPOLLIN : 0;
    case NET_EVENT:
        return EPOLLOUT | (f->count ? EPOLLIN : 0u);
    case NET_SOCKET:
        return EPOLLOUT | EPOLLHUP;
    case NET_EPOLL:
    case NET_FREE:
        break;
    }
    return 0;
}

void net_wake(struct net_fd *f) {
    if (f)
        f->woken = true;
}

struct net_fd *net_next(const struct net_fd *ep) {
    struct net_fd *found = NULL;
    uint64_t n = 0;
    for (unsigned i = 0; i < net.places; i++) {
        struct net_fd *f = net.place[i];
        if (!f || f->ep != ep || !f->woken)
            continue;
        if (!(net_state(f) & (f->interest.events | EPOLLERR | EPOLLHUP)))
            f->woken = false; /* no longer true: nothing is told */
        else if (sim_random(++n) == 0)
            found = f;
    }
    return found;
}
