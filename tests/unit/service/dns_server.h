/*
 * dns_server - a name server on loopback, in the loop of the test: it says what a table tells it,
 * lies too.
 */
#pragma once
#include "house.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum lie {
    LIE_NONE,
    LIE_NXDOMAIN,
    LIE_EMPTY, /* no error, no records */
    LIE_SERVFAIL,
    LIE_GARBAGE,   /* the right id, then noise */
    LIE_SHORT,     /* cut within the header */
    LIE_LOOP,      /* a compression pointer to itself */
    LIE_WRONG_ID,  /* before the true answer */
    LIE_TRUNCATED, /* over UDP: asks for TCP */
    LIE_SILENT,
};

struct zone {
    const char *name;
    enum lie lie;
    uint32_t ttl;
    unsigned count; /* addresses: 10.9.0.first, 10.9.0.first + 1 .. */
    unsigned first;
    bool v6;           /* fd00::first too */
    const char *alias; /* CNAME of an other name, with ttl 7 */
    unsigned asked;
};

struct dns_server {
    struct loop *loop;
    struct watch udp, tcp, peer;
    struct address at;
    struct zone *zone;
    unsigned zones, over_tcp;
    bool peer_open;
};

static void put16(struct str *s, unsigned v) {
    str_char(s, (char)(v >> 8));
    str_char(s, (char)v);
}
static void put32(struct str *s, uint32_t v) {
    put16(s, v >> 16);
    put16(s, v & 0xffff);
}

/* The question's name as dotted text; returns where it ends, 0 when it makes no sense. */
static size_t read_name(const unsigned char *q, size_t n, char *out, size_t max) {
    size_t at = 12, len = 0;
    while (at < n && q[at]) {
        size_t label = q[at++];
        if (label > 63 || at + label > n || len + label + 2 > max)
            return 0;
        if (len)
            out[len++] = '.';
        memcpy(out + len, q + at, label);
        len += label;
        at += label;
    }
    out[len] = 0;
    return at + 1;
}

static void put_name(struct str *s, const char *name) {
    struct span rest = span_z(name);
    while (rest.p) {
        struct span label = span_split(&rest, '.');
        str_char(s, (char)label.n);
        str_add(s, label);
    }
    str_char(s, 0);
}

static struct zone *zone_of(struct dns_server *d, const char *name) {
    for (unsigned i = 0; i < d->zones; i++)
        if (strcasecmp(d->zone[i].name, name) == 0)
            return &d->zone[i];
    return NULL;
}

static void put_records(struct str *s, const struct zone *z, unsigned type) {
    for (unsigned i = 0; i < z->count; i++) {
        if (z->alias)
            put_name(s, z->alias);
        else
            put16(s, 0xc00c);
        put16(s, type);
        put16(s, 1);
        put32(s, z->ttl);
        put16(s, type == 1 ? 4 : 16);
        unsigned host = z->first + i;
        if (type == 1) {
            put32(s, 0x0a090000 + host);
        } else {
            put32(s, 0xfd000000);
            put32(s, 0);
            put32(s, 0);
            put32(s, host);
        }
    }
}

static void put_answer(struct str *s, const unsigned char *q, size_t end, struct zone *z,
                       bool tcp) {
    unsigned type = (unsigned)q[end] << 8 | q[end + 1];
    bool cut = z && z->lie == LIE_TRUNCATED && !tcp;
    bool any = z && !cut &&
               (z->lie == LIE_NONE || z->lie == LIE_TRUNCATED || z->lie == LIE_WRONG_ID) &&
               (type == 1 || (type == 28 && z->v6));
    unsigned rcode = !z || z->lie == LIE_NXDOMAIN ? 3 : z->lie == LIE_SERVFAIL ? 2 : 0;
    str_put(s, (const char *)q, 2);
    put16(s, 0x8180 | rcode | (cut ? 0x200 : 0));
    put16(s, 1);
    put16(s, any ? z->count + (z->alias != NULL) : z && z->lie == LIE_LOOP);
    put16(s, 0);
    put16(s, 0);
    str_put(s, (const char *)q + 12, end + 4 - 12);
    if (z && z->lie == LIE_LOOP) {
        put16(s, 0xc000 | (unsigned)s->n);
        str_put(s, "\0\1\0\1\0\0\0\11\0\4\12\11\0\1", 14);
    }
    if (any && z->alias) {
        put16(s, 0xc00c);
        put16(s, 5);
        put16(s, 1);
        put32(s, 7);
        put16(s, (unsigned)strlen(z->alias) + 2);
        put_name(s, z->alias);
    }
    if (any)
        put_records(s, z, type);
}

/* Fills `s` with what is to be sent; more than one datagram is only needed for LIE_WRONG_ID. */
static struct zone *answer(struct dns_server *d, const unsigned char *q, size_t n, struct str *s,
                           bool tcp) {
    char name[256];
    size_t end = n > 16 ? read_name(q, n, name, sizeof name) : 0;
    if (!end || end + 4 > n)
        return NULL;
    struct zone *z = zone_of(d, name);
    if (z && q[end + 1] == 1)
        z->asked++;
    if (z && z->lie == LIE_SILENT)
        return z;
    if (z && z->lie == LIE_GARBAGE) {
        str_put(s, (const char *)q, 2);
        for (unsigned i = 0; i < 200; i++)
            str_char(s, (char)(i * 97 + 131));
        return z;
    }
    put_answer(s, q, end, z, tcp);
    if (z && z->lie == LIE_SHORT)
        s->n = 7;
    return z;
}

static void udp_ready(struct watch *w, uint32_t events) {
    struct dns_server *d = container_of(w, struct dns_server, udp);
    unsigned char q[1500];
    char out[4096];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n;
    (void)events;
    while ((n = recvfrom(w->fd, q, sizeof q, 0, (void *)&from, &len)) > 0) {
        struct str s = str_on(out, sizeof out);
        struct zone *z = answer(d, q, (size_t)n, &s, false);
        if (z && z->lie == LIE_WRONG_ID) {
            out[0] ^= 0x55;
            sendto(w->fd, out, s.n, 0, (void *)&from, len);
            out[0] ^= 0x55;
        }
        if (s.n)
            assert_int_equal(sendto(w->fd, out, s.n, 0, (void *)&from, len), s.n);
    }
}

/* Over TCP: whole questions at a time, which loopback delivers so. */
static void peer_ready(struct watch *w, uint32_t events) {
    struct dns_server *d = container_of(w, struct dns_server, peer);
    static unsigned char q[3000];
    static char out[128 * 1024];
    ssize_t n;
    (void)events;
    while ((n = recv(w->fd, q, sizeof q, 0)) > 0) {
        for (size_t at = 0; at + 2 < (size_t)n;) {
            size_t len = (size_t)(q[at] << 8 | q[at + 1]);
            struct str s = str_on(out + 2, 65535);
            d->over_tcp++;
            answer(d, q + at + 2, len, &s, true);
            assert_false(s.full);
            out[0] = (char)(s.n >> 8);
            out[1] = (char)s.n;
            assert_int_equal(send(w->fd, out, s.n + 2, MSG_NOSIGNAL), s.n + 2);
            at += len + 2;
        }
    }
    if (n == 0 || errno != EAGAIN) {
        loop_unwatch(d->loop, w);
        d->peer_open = false;
    }
}

static void tcp_ready(struct watch *w, uint32_t events) {
    struct dns_server *d = container_of(w, struct dns_server, tcp);
    int fd;
    (void)events;
    while ((fd = env.accept(w->fd, NULL, NULL)) >= 0) {
        int big = 256 * 1024;
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
        if (d->peer_open)
            loop_unwatch(d->loop, &d->peer);
        d->peer.ready = peer_ready;
        assert_true(loop_watch(d->loop, &d->peer, fd));
        d->peer_open = true;
    }
}

/* UDP and TCP on one port: the kernel's choice for the first may be taken for the second. */
static void dns_server_start(struct dns_server *d, struct loop *l) {
    int udp = -1, tcp = -1;
    d->loop = l;
    for (int i = 0; i < 50 && tcp < 0; i++) {
        assert_true(address_parse(SPAN("127.0.0.1:0"), &d->at));
        socklen_t len = d->at.len;
        udp = env.socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(bind(udp, &d->at.sa, d->at.len), 0);
        assert_int_equal(getsockname(udp, &d->at.sa, &len), 0);
        tcp = tcp_listen(&d->at, 8);
        if (tcp < 0)
            env.close(udp);
    }
    assert_true(tcp >= 0);
    d->udp.ready = udp_ready;
    d->tcp.ready = tcp_ready;
    assert_true(loop_watch(l, &d->udp, udp) && loop_watch(l, &d->tcp, tcp));
}

static void dns_server_stop(struct dns_server *d) {
    loop_unwatch(d->loop, &d->udp);
    loop_unwatch(d->loop, &d->tcp);
    if (d->peer_open)
        loop_unwatch(d->loop, &d->peer);
}
