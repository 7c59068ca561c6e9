#include "back/setup.h"
#include "back/pool.h"
#include "http/proxy_protocol.h"
#include "tls/stream.h"

static enum setup_result failed(struct setup *s, enum fault why, const char *detail) {
    s->why = why;
    s->detail = detail;
    return SETUP_FAILED;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static enum setup_result tcp(struct setup *s, struct client *c, uint32_t events) {
    int err = client_connect_error(c, events);
    if (err)
        return failed(s, FAULT_CONNECT_FAILED, strerror(err));
    return events & EPOLLOUT ? SETUP_READY : SETUP_WAIT;
}

/* ---- the PROXY header ------------------------------------------------------------------------ */

static unsigned family_bytes(const struct address *a, unsigned char out[16], bool ip6) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char ip[16];
    if (!address_ip16(a, ip))
        memset(ip, 0, sizeof ip);
    bool v4 = memcmp(ip, mapped, sizeof mapped) == 0;
    memcpy(out, ip6 || !v4 ? ip : ip + 12, ip6 || !v4 ? 16 : 4);
    return v4 ? 4 : 6;
}

static bool is_ip6(const struct address *a) {
    unsigned char ip[16];
    return family_bytes(a, ip, true) == 6;
}

/* Who the client is, as far as the gateway knows, and which listener it came to. A client without
 * an address (a unix socket) is LOCAL. */
static void describe(const struct exchange *x, struct proxy_header *h) {
    const struct address *from = &x->facts.client;
    const struct address *to = x->facts.listener ? &x->facts.listener->address : from;
    unsigned char ip[16];
    *h = (struct proxy_header){0};
    if (!address_ip16(from, ip)) {
        h->local = true;
        return;
    }
    if (!address_ip16(to, ip))
        to = from;
    h->ip6 = is_ip6(from) || is_ip6(to);
    family_bytes(from, h->source, h->ip6);
    family_bytes(to, h->target, h->ip6);
    bool direct = address_eq(from, &x->facts.peer);
    h->source_port = (uint16_t)(direct ? address_port(from) : 0);
    h->target_port = (uint16_t)address_port(to);
}

static enum setup_result proxy_header(struct setup *s, struct client *c, const struct attempt *a) {
    unsigned char bytes[PROXY_HEADER_MAX];
    struct proxy_header h;
    describe(a->x, &h);
    h.version = a->service->proxy_protocol;
    size_t n = proxy_header_write(bytes, &h), took;
    must(n <= UINT8_MAX); /* addresses alone */
    while (s->sent < n) {
        struct iovec iov = {bytes + s->sent, n - s->sent};
        enum io_result r = stream_write(&c->stream, &iov, 1, &took);
        if (r == IO_RESET || r == IO_END) {
            client_connect_failed(c);
            return failed(s, FAULT_UPSTREAM_RESET, "while the PROXY header was sent");
        }
        if (r == IO_AGAIN || took == 0)
            return SETUP_WAIT;
        s->sent = (unsigned char)(s->sent + took);
        count_add(c->pool->thread->counters.upstream_bytes_sent, took);
    }
    return SETUP_READY;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

/* The name that the certificate must have and that the service is told (SNI), unless the
 * configuration says another one: that of the endpoint. An endpoint that was discovered is known by
 * its address; the name is the one that was asked for. */
static struct span peer_name(const struct attempt *a) {
    const struct service_conf *s = a->service;
    if (s->discover && s->endpoint_count == 1 && s->endpoint[0].host.n)
        return s->endpoint[0].host;
    struct span text = a->endpoint->text;
    if (span_starts(text, SPAN("unix:")))
        return SPAN("localhost");
    size_t n = text.n;
    while (n && text.p[n - 1] != ':')
        n--;
    struct span host = n ? span_cut(text, 0, n - 1) : text;
    return host.n > 2 && host.p[0] == '[' ? span_cut(host, 1, host.n - 2) : host;
}

static enum setup_result tls_begin(struct setup *s, struct client *c, const struct attempt *a) {
    if (!tls_connect(&c->stream, a->service->tls, peer_name(a)))
        return failed(s, FAULT_OUT_OF_MEMORY, NULL);
    if (s->http1)
        tls_offer_http1(&c->stream);
    return SETUP_READY;
}

static enum setup_result tls_failed(struct setup *s, struct client *c, struct attempt *a) {
    bool verify = tls_failure_is_verify(&c->stream);
    struct span text = arena_span(&a->x->arena, span_z(tls_failure(&c->stream)));
    client_connect_failed(c);
    count_up(c->pool->thread, upstream_tls_failed);
    return failed(s, verify ? FAULT_UPSTREAM_TLS_VERIFY : FAULT_UPSTREAM_TLS, text.p);
}

static enum setup_result tls(struct setup *s, struct client *c, struct attempt *a) {
    switch (tls_handshake(&c->pool->thread->loop, &c->stream, SPAN_NONE)) {
    case TLS_WANT:
        return SETUP_WAIT;
    case TLS_FAILED:
        return tls_failed(s, c, a);
    case TLS_DONE:
        break;
    }
    count_up(c->pool->thread, upstream_tls_handshakes);
    if (tls_info_of(&c->stream)->resumed)
        count_up(c->pool->thread, upstream_tls_resumed);
    return SETUP_READY;
}

/* ---- one after the other --------------------------------------------------------------------- */

static enum setup_result stage(struct setup *s, struct client *c, struct attempt *a,
                               uint32_t events) {
    switch ((enum setup_stage)s->stage) {
    case SETUP_TCP:
        return tcp(s, c, events);
    case SETUP_PROXY:
        return a->service->proxy_protocol ? proxy_header(s, c, a) : SETUP_READY;
    case SETUP_TLS:
        if (!a->service->tls)
            return SETUP_READY;
        if (!tls_is(&c->stream) && tls_begin(s, c, a) == SETUP_FAILED)
            return SETUP_FAILED;
        return tls(s, c, a);
    case SETUP_DONE:
        break;
    }
    return SETUP_READY;
}

enum setup_result setup_go(struct setup *s, struct client *c, struct attempt *a, uint32_t events) {
    for (; s->stage < SETUP_DONE; s->stage++) {
        enum setup_result r = stage(s, c, a, events);
        if (r != SETUP_READY)
            return r;
    }
    client_opened(c);
    return SETUP_READY;
}

const char *setup_gave_up(struct setup *s, struct client *c) {
    client_connect_failed(c);
    if (s->stage != SETUP_TLS)
        return NULL;
    count_up(c->pool->thread, upstream_tls_failed);
    return "the TLS handshake did not end in time";
}
