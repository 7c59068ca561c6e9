#include "io/dns.h"
#include <ares.h>
#include <errno.h>

struct dns {
    struct loop *loop;
    ares_channel channel;
    struct list sockets, asks;
    struct timer timer; /* when c-ares wants to look at its own time limits */
    struct task write;  /* something is to be sent on a socket that can be written */
};

/* Sockets: c-ares opens, reads and closes them through the functions below. */

struct dns_socket {
    struct list node;
    struct dns *dns;
    struct watch watch;
    struct reader reader;
    struct deferred free;
    struct address peer;
    bool can_write, wants_write;
    bool dry; /* the last read found nothing more */
};

static void rearm(struct dns *d) {
    struct timeval tv;
    if (!ares_timeout(d->channel, NULL, &tv)) {
        timer_stop(&d->timer);
        return;
    }
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
    timer_start(&d->loop->timers, &d->timer, d->loop->now / 1000000, ms);
}

static void timed_out(struct timer *t) {
    struct dns *d = container_of(t, struct dns, timer);
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm(d);
}

/* Edge-triggered: reads until it is dry, in the next turns if c-ares read only a part. */
static void socket_pump(struct dns_socket *s) {
    struct dns *d = s->dns;
    ares_socket_t fd = s->watch.fd;
    s->dry = false;
    ares_process_fd(d->channel, fd, s->can_write && s->wants_write ? fd : ARES_SOCKET_BAD);
    rearm(d);
    if (!s->watch.closed && !s->dry)
        loop_unfinished(d->loop, &s->reader);
}

static void socket_ready(struct watch *w, uint32_t events) {
    struct dns_socket *s = container_of(w, struct dns_socket, watch);
    if (events & EPOLLOUT)
        s->can_write = true;
    socket_pump(s);
}

static void socket_again(struct reader *r) {
    socket_pump(container_of(r, struct dns_socket, reader));
}

static void socket_free(struct deferred *f) {
    mem_free(container_of(f, struct dns_socket, free));
}

static struct dns_socket *socket_find(struct dns *d, int fd) {
    for (struct list *n = d->sockets.next; n != &d->sockets; n = n->next) {
        struct dns_socket *s = container_of(n, struct dns_socket, node);
        if (s->watch.fd == fd)
            return s;
    }
    return NULL;
}

static ares_socket_t on_socket(int domain, int type, int protocol, void *user) {
    struct dns *d = user;
    int fd = env.socket(domain, type, protocol);
    if (fd < 0)
        return ARES_SOCKET_BAD;
    struct dns_socket *s = mem_alloc(sizeof *s);
    s->dns = d;
    s->watch.ready = socket_ready;
    s->reader.again = socket_again;
    s->free.run = socket_free;
    if (!loop_watch(d->loop, &s->watch, fd)) {
        int err = errno;
        env.close(fd);
        mem_free(s);
        errno = err;
        return ARES_SOCKET_BAD;
    }
    list_append(&d->sockets, &s->node);
    return fd;
}

static int on_close(ares_socket_t fd, void *user) {
    struct dns *d = user;
    struct dns_socket *s = socket_find(d, fd);
    must(s);
    list_remove(&s->node);
    list_remove(&s->reader.node);
    loop_unwatch(d->loop, &s->watch);
    loop_after_turn(d->loop, &s->free);
    return 0;
}

static int on_connect(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t n, void *user) {
    struct dns_socket *s = socket_find(user, fd);
    must(s && n <= sizeof s->peer.un);
    memcpy(&s->peer.sa, sa, n);
    s->peer.len = n;
    return env.connect(fd, sa, n);
}

/* The socket is connected, so the kernel let nothing pass but what its peer sent. */
static ares_ssize_t on_receive(ares_socket_t fd, void *p, size_t n, int flags,
                               struct sockaddr *from, ares_socklen_t *from_len, void *user) {
    struct dns_socket *s = socket_find(user, fd);
    must(s && flags == 0);
    ssize_t got = env.recv(fd, p, n);
    s->dry = got < 0;
    if (from && from_len && *from_len >= s->peer.len) {
        memcpy(from, &s->peer.sa, s->peer.len);
        *from_len = s->peer.len;
    }
    return got;
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *iov, int n, void *user) {
    struct dns_socket *s = socket_find(user, fd);
    size_t all = 0;
    must(s);
    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    ssize_t took = env.writev(fd, iov, n);
    if (took < 0 || (size_t)took < all)
        s->can_write = false; /* the next edge says when it can again */
    return took;
}

static const struct ares_socket_functions functions = {on_socket, on_close, on_connect, on_receive,
                                                       on_send};

static void on_state(void *user, ares_socket_t fd, int readable, int writable) {
    struct dns *d = user;
    struct dns_socket *s = socket_find(d, fd);
    (void)readable;
    if (!s)
        return;
    s->wants_write = writable;
    if (writable && s->can_write) /* no new edge will come */
        loop_post(d->loop, &d->write);
}

static struct dns_socket *next_to_write(struct dns *d) {
    for (struct list *n = d->sockets.next; n != &d->sockets; n = n->next) {
        struct dns_socket *s = container_of(n, struct dns_socket, node);
        if (s->can_write && s->wants_write)
            return s;
    }
    return NULL;
}

/* From the start each time: one error may close several sockets. A round ends the wish, the room to
 * write, or the socket. */
static void write_now(struct task *t) {
    struct dns *d = container_of(t, struct dns, write);
    for (struct dns_socket *s; (s = next_to_write(d));)
        ares_process_fd(d->channel, ARES_SOCKET_BAD, s->watch.fd);
    rearm(d);
}

/* Queries */

struct dns_ask {
    struct list node;
    struct dns *dns;
    struct task report;      /* c-ares may answer within the call that asks */
    struct dns_query *query; /* NULL: cancelled */
    struct dns_answer answer;
    struct address ip[DNS_ADDRESSES_MAX];
};

static void report(struct task *t) {
    struct dns_ask *a = container_of(t, struct dns_ask, report);
    struct dns_query *q = a->query;
    if (q) {
        q->ask = NULL;
        q->done(q, &a->answer);
    }
    mem_free(a);
}

static void add(struct dns_ask *a, const struct ares_addrinfo_node *n) {
    struct address ip = {.len = n->ai_addrlen};
    if (a->answer.count == DNS_ADDRESSES_MAX || n->ai_addrlen > sizeof ip.in6)
        return;
    memcpy(&ip.sa, n->ai_addr, n->ai_addrlen);
    address_set_port(&ip, 0);
    for (uint32_t i = 0; i < a->answer.count; i++)
        if (address_eq(&a->ip[i], &ip))
            return;
    a->ip[a->answer.count++] = ip;
}

static uint32_t least_ttl(uint32_t least, int ttl) {
    uint32_t t = ttl > 0 ? (uint32_t)ttl : 0; /* RFC 2181, 8: a set top bit means 0 */
    return t < least ? t : least;
}

static void read_answer(struct dns_ask *a, const struct ares_addrinfo *found) {
    uint32_t ttl = UINT32_MAX;
    for (const struct ares_addrinfo_node *n = found->nodes; n; n = n->ai_next)
        if (n->ai_family == AF_INET)
            add(a, n);
    for (const struct ares_addrinfo_node *n = found->nodes; n; n = n->ai_next) {
        if (n->ai_family == AF_INET6)
            add(a, n);
        ttl = least_ttl(ttl, n->ai_ttl);
    }
    for (const struct ares_addrinfo_cname *c = found->cnames; c; c = c->next)
        ttl = least_ttl(ttl, c->ttl);
    a->answer.ip = a->ip;
    a->answer.ttl = ttl;
    a->answer.error = a->answer.count ? NULL : "the answer holds no address";
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *found) {
    struct dns_ask *a = arg;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        read_answer(a, found);
    else
        a->answer.error = ares_strerror(status);
    if (found)
        ares_freeaddrinfo(found);
    list_remove(&a->node);
    loop_post(a->dns->loop, &a->report);
}

void dns_query_start(struct dns *d, struct dns_query *q, struct span name) {
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct dns_ask *a = mem_alloc(sizeof *a);
    must(!q->ask);
    a->dns = d;
    a->report.run = report;
    a->query = q;
    q->ask = a;
    list_append(&d->asks, &a->node);
    char *text = mem_text(name.p, name.n);
    ares_getaddrinfo(d->channel, text, NULL, &hints, answered, a);
    mem_free(text);
    rearm(d);
}

void dns_query_cancel(struct dns_query *q) {
    if (q->ask)
        q->ask->query = NULL;
    q->ask = NULL;
}

/* Setting up */

static bool set_servers(ares_channel channel, const struct address *server, uint32_t count) {
    if (!count)
        return true;
    struct str list = str_on(mem_alloc(count * ADDRESS_TEXT_MAX), count * ADDRESS_TEXT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        if (i)
            str_char(&list, ',');
        str_add(&list, address_text(&server[i], text, true));
    }
    str_char(&list, '\0');
    int r = ares_set_servers_ports_csv(channel, list.p);
    mem_free(list.p);
    return r == ARES_SUCCESS;
}

struct dns *dns_create(struct loop *l, const struct address *server, uint32_t count) {
    struct dns *d = mem_alloc(sizeof *d);
    struct ares_options options = {.timeout = DNS_TIMEOUT_MS,
                                   .tries = DNS_TRIES,
                                   .sock_state_cb = on_state,
                                   .sock_state_cb_data = d};
    d->loop = l;
    list_init(&d->sockets);
    list_init(&d->asks);
    d->timer.fire = timed_out;
    d->write.run = write_now;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
        ares_init_options(&d->channel, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) !=
            ARES_SUCCESS) {
        mem_free(d);
        return NULL;
    }
    ares_set_socket_functions(d->channel, &functions, d);
    if (!set_servers(d->channel, server, count)) {
        dns_destroy(d);
        return NULL;
    }
    return d;
}

void dns_destroy(struct dns *d) {
    if (!d)
        return;
    for (struct list *n = d->asks.next; n != &d->asks; n = n->next) {
        struct dns_ask *a = container_of(n, struct dns_ask, node);
        if (a->query)
            a->query->ask = NULL;
        a->query = NULL;
    }
    ares_destroy(d->channel); /* ends every query: their reports come to nobody */
    must(!list_linked(&d->sockets) && !list_linked(&d->asks));
    list_remove(&d->write.node);
    timer_stop(&d->timer);
    mem_free(d);
    ares_library_cleanup();
}
