#include "front/opening.h"
#include "base/log.h"
#include "http/proxy_protocol.h"
#include "tls/stream.h"

enum { DRAIN_FRESH_MS = 1000 };

enum state {
    OPENING_HEADER, /* the PROXY header, or what stands in its place */
    OPENING_FIRST,  /* the first bytes of TLS, or of a request that should have been TLS */
    OPENING_TLS,
    OPENING_OVER
};

struct opening {
    struct door door;
    struct timer timer;
    struct reader reader;
    unsigned char state; /* enum state */
    bool trusted;        /* may send a PROXY header */
    bool required;       /* and must */
    uint32_t len, cap;   /* bytes of a header that is not whole */
    char bytes[];
};

static struct opening *opening_of(struct door *d) {
    return container_of(d, struct opening, door);
}
static struct loop *loop_of(const struct opening *o) {
    return &door_thread(&o->door)->loop;
}
static const struct listener_conf *conf_of(const struct opening *o) {
    return listener_conf(o->door.listener, door_thread(&o->door)->snap->snapshot);
}
static void arm(struct opening *o, uint64_t ms) {
    if (ms)
        timer_start(&loop_of(o)->timers, &o->timer, loop_of(o)->now / 1000000, ms);
}

/* ---- ends ---- */

static void leave(struct opening *o) {
    o->state = OPENING_OVER;
    timer_stop(&o->timer);
    list_remove(&o->reader.node);
}

static void close_it(struct opening *o) {
    leave(o);
    door_close(&o->door);
}

static void handshake_failed(struct opening *o) {
    struct thread *t = door_thread(&o->door);
    const struct stream *s = &o->door.stream;
    if (tls_failure_is_verify(s))
        count_up(t, client_tls_failed_certificate);
    else if (s->hung_up)
        count_up(t, client_tls_failed_closed);
    else
        count_up(t, client_tls_failed_protocol);
    log_event(s->hung_up ? LEVEL_DEBUG : LEVEL_INFO, "tls_handshake_failed",
              "TLS with %.*s at listener %.*s: %s", o->door.peer_text_len, o->door.peer_text,
              SPAN_ARG(o->door.listener->name), tls_failure(s));
    close_it(o);
}

/* ---- TLS ---- */

static void count_handshake(struct thread *t, const struct tls_info *i) {
    if (strcmp(i->version, "TLSv1.3") == 0)
        count_up(t, client_tls_handshakes_by_tls13);
    else
        count_up(t, client_tls_handshakes_by_tls12);
    if (i->resumed)
        count_up(t, client_tls_resumed);
}

static void handshake_done(struct opening *o) {
    const struct tls_info *i = tls_info_of(&o->door.stream);
    count_handshake(door_thread(&o->door), i);
    bool h2 = strcmp(i->alpn, "h2") == 0;
    leave(o);
    if (h2)
        h2_server_take_over(&o->door, SPAN_NONE);
    else
        h1_server_take_over(&o->door, SPAN_NONE);
}

static void handshake(struct opening *o, struct span early) {
    switch (tls_handshake(loop_of(o), &o->door.stream, early)) {
    case TLS_WANT:
        return;
    case TLS_DONE:
        handshake_done(o);
        return;
    case TLS_FAILED:
        handshake_failed(o);
        return;
    }
}

/* Many a client is told http:// where it should be https://: it gets an answer that says so. */
static void plain_text(struct opening *o, struct span first) {
    count_up(door_thread(&o->door), client_tls_failed_cleartext);
    o->door.refuse = FAULT_TLS_NEEDED;
    leave(o);
    h1_server_take_over(&o->door, first);
}

/* No record of TLS begins with a letter, and every request does. */
static void first_bytes(struct opening *o, struct span first) {
    const struct listener_conf *l = conf_of(o);
    if (l && !l->tls) {
        leave(o);
        h1_server_take_over(&o->door, first);
    } else if (l && first.p[0] >= 'A' && first.p[0] <= 'Z') {
        plain_text(o, first);
    } else if (!l || !tls_accept(&o->door.stream, l->tls)) {
        close_it(o); /* the listener has left the configuration meanwhile, or no memory */
    } else {
        o->state = OPENING_TLS;
        arm(o, door_limits(&o->door)->tls_handshake_timeout_ms);
        handshake(o, first);
    }
}

/* ---- the PROXY header ---- */

static bool trusts(const struct snapshot *s, const struct proxy_in_conf *p,
                   const struct address *peer) {
    const struct cidr *c = p->trusted_count ? p->trusted : s->trusted;
    uint32_t n = p->trusted_count ? p->trusted_count : s->trusted_count;
    for (uint32_t i = 0; i < n; i++)
        if (cidr_has(&c[i], peer))
            return true;
    return false;
}

static void header_refused(struct opening *o, const char *why) {
    count_up(door_thread(&o->door), client_proxy_headers_refused);
    log_event(LEVEL_INFO, "proxy_header_refused", "connection from %.*s at listener %.*s: %s",
              o->door.peer_text_len, o->door.peer_text, SPAN_ARG(o->door.listener->name), why);
    close_it(o);
}

/* Do these bytes begin as a PROXY header of either version does? */
static bool begins_header(struct span all) {
    static const struct span begins[] = {{"PROXY ", 6}, {"\r\n\r\n\0\r\nQUIT\n", 12}};
    for (size_t i = 0; i < array_len(begins); i++) {
        size_t n = all.n < begins[i].n ? all.n : begins[i].n;
        if (memcmp(all.p, begins[i].p, n) == 0)
            return true;
    }
    return false;
}

static void source_of(const struct proxy_header *h, struct address *out) {
    if (h->ip6) {
        out->in6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(h->source_port)};
        memcpy(&out->in6.sin6_addr, h->source, 16);
        out->len = sizeof out->in6;
    } else {
        out->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(h->source_port)};
        memcpy(&out->in.sin_addr, h->source, 4);
        out->len = sizeof out->in;
    }
}

/* Its peer is known now. False: that address has as many connections as it may have. */
static bool take_place(struct opening *o) {
    unsigned char ip[16];
    struct address peer = {.len = 0};
    door_peer(&o->door, &peer);
    return !address_ip16(&peer, ip) ||
           listener_count_address(o->door.listener, ip, &o->door.counted);
}

static bool peer_known(struct opening *o, const struct proxy_header *h) {
    struct address source = {.len = 0};
    if (h && h->local) /* the balancer itself: it comes often, and counts in all alone */
        return true;
    if (h) {
        source_of(h, &source);
        door_set_peer(&o->door, &source);
    }
    if (take_place(o))
        return true;
    close_it(o);
    return false;
}

static void keep(struct opening *o, struct span all) {
    if (all.n > o->cap) {
        header_refused(o, "the PROXY header is too long");
        return;
    }
    memmove(o->bytes, all.p, all.n);
    o->len = (uint32_t)all.n;
}

/* The header is over, or there is none: `rest` is what follows. */
static void behind_header(struct opening *o, struct span rest) {
    const struct listener_conf *l = conf_of(o);
    o->state = OPENING_FIRST;
    o->len = 0;
    if (rest.n || !l || !l->tls)
        first_bytes(o, rest);
}

static void no_header(struct opening *o, struct span all) {
    if (o->required)
        header_refused(o, "no PROXY header came, and the listener requires one");
    else if (peer_known(o, NULL))
        behind_header(o, all);
}

static void header(struct opening *o, struct span all) {
    struct proxy_header h;
    if (!begins_header(all)) {
        no_header(o, all);
        return;
    }
    switch (proxy_header_read(all, &h)) {
    case PROXY_MORE:
        keep(o, all);
        return;
    case PROXY_BAD:
        header_refused(o, "the PROXY header is malformed");
        return;
    case PROXY_DONE:
        break;
    }
    if (!o->trusted)
        header_refused(o, "a PROXY header from a source that is not trusted");
    else if (peer_known(o, &h))
        behind_header(o, span_from(all, h.length));
}

/* ---- reading ---- */

/* What has come, behind what had been kept, in one piece. */
static enum io_result read_more(struct opening *o, struct span *all) {
    struct loop *l = loop_of(o);
    struct span got;
    size_t had = o->len;
    memcpy(l->scratch + l->scratch_used, o->bytes, had);
    l->scratch_used += had;
    enum io_result r = stream_read(l, &o->door.stream, SCRATCH_MIN, &got);
    if (r == IO_OK) {
        count_add(door_thread(&o->door)->counters.client_bytes_received, got.n);
        *all = span_of(got.p - had, had + got.n);
    } else {
        l->scratch_used -= had;
    }
    return r;
}

static void read_some(struct opening *o) {
    struct span all;
    enum io_result r = read_more(o, &all);
    if (r == IO_AGAIN)
        return;
    if (r != IO_OK)
        close_it(o);
    else if (o->state == OPENING_HEADER)
        header(o, all);
    else
        first_bytes(o, all);
    /* A connection that is full of bytes and still no header: its edge does not come again. */
    if (o->state < OPENING_TLS && o->door.stream.readable)
        loop_unfinished(loop_of(o), &o->reader);
}

static void go_on(struct opening *o) {
    if (o->state == OPENING_TLS)
        handshake(o, SPAN_NONE);
    else if (o->state != OPENING_OVER && o->door.stream.readable)
        read_some(o);
}

static void again(struct reader *r) {
    go_on(container_of(r, struct opening, reader));
}

static void ready(struct watch *w, uint32_t events) {
    struct opening *o = container_of(w, struct opening, door.stream.watch);
    stream_event(&o->door.stream, events);
    go_on(o);
}

static void timed_out(struct timer *t) {
    struct opening *o = container_of(t, struct opening, timer);
    if (o->state == OPENING_TLS)
        count_up(door_thread(&o->door), client_tls_failed_timeout);
    else
        count_up(door_thread(&o->door), client_connections_silent);
    close_it(o);
}

/* ---- as a door ---- */

static bool idle(const struct door *d, uint64_t *until) {
    const struct opening *o = (const void *)d; /* its first member */
    *until = o->timer.at;
    return o->state < OPENING_TLS && !o->len && !d->stream.readable;
}

static void drain(struct door *d) {
    uint64_t until;
    if (idle(d, &until)) /* just accepted: its first bytes are on their way */
        arm(opening_of(d), DRAIN_FRESH_MS);
}

static void kill_now(struct door *d) {
    close_it(opening_of(d));
}

static void release(struct door *d) {
    mem_free(opening_of(d));
}

const struct door_ops opening_door = {"opening", drain, kill_now, idle, release};

struct door *opening_accept(struct listener *l, int fd, const struct address *peer) {
    const struct listener_conf *conf = listener_conf(l, l->thread->snap->snapshot);
    uint32_t cap = conf->proxy.on ? PROXY_HEADER_MAX : 0;
    struct opening *o = mem_try(sizeof *o + cap);
    if (!o)
        return NULL;
    *o = (struct opening){.door = {.ops = &opening_door, .stream.watch.ready = ready},
                          .timer.fire = timed_out,
                          .reader.again = again,
                          .state = conf->proxy.on ? OPENING_HEADER : OPENING_FIRST,
                          .cap = cap};
    if (!door_open(&o->door, l, fd, peer)) {
        mem_free(o);
        return NULL;
    }
    o->trusted = conf->proxy.on && trusts(l->thread->snap->snapshot, &conf->proxy, peer);
    o->required = o->trusted && conf->proxy.required;
    arm(o, door_limits(&o->door)->first_byte_timeout_ms);
    return &o->door;
}
