/* What connections to services have in common, whatever they speak: how they begin and end. */
#include "back/client.h"
#include "back/h1_client.h"
#include "back/h2_client.h"
#include "back/pool.h"
#include "core/outbound.h"
#include "io/tcp.h"
#include "tls/stream.h"
#include <errno.h>

struct client *client_open(struct pool *p, const struct attempt *a, bool *shared, enum fault *why) {
    const struct service_conf *s = a->service;
    *shared = s->protocol == PROTOCOL_H2 && !s->tls && !s->proxy_protocol;
    return *shared ? h2_client_connect(p, s, why) : h1_client_connect(p, s, a->unshared, why);
}

static enum fault connect_fault(int err) {
    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
        return FAULT_LOCAL_RESOURCE;
    default:
        return FAULT_CONNECT_FAILED;
    }
}

void client_connect_failed(struct client *c) {
    count_up(c->pool->thread, upstream_connections_failed);
    endpoint_connect_failed(c->pool->endpoint, &c->to);
}

enum fault client_connect(struct client *c, const struct service_conf *s) {
    struct pool *p = c->pool;
    if (!endpoint_address(p->endpoint, &c->to, &c->epoch))
        return FAULT_DNS_FAILED;
    if (unlikely(outbound_refuses(s, &c->to))) {
        client_connect_failed(c); /* the name may have another address */
        return FAULT_DESTINATION_REFUSED;
    }
    int err = tcp_connect(&p->thread->loop, &c->stream, &c->to);
    if (!err)
        return FAULT_NONE;
    client_connect_failed(c);
    return connect_fault(err);
}

int client_connect_error(struct client *c, uint32_t events) {
    if (!(events & (EPOLLERR | EPOLLHUP)))
        return 0;
    int err = tcp_error(&c->stream);
    client_connect_failed(c);
    return err ? err : ECONNRESET;
}

void client_opened(struct client *c) {
    count_up(c->pool->thread, upstream_connections_opened);
    atomic_fetch_add_explicit(&c->pool->endpoint->connects, 1, memory_order_relaxed);
}

enum client_connected client_connected(struct client *c, uint32_t events, const char **detail) {
    int err = client_connect_error(c, events);
    *detail = err ? strerror(err) : NULL;
    if (err)
        return CLIENT_REFUSED;
    if (!(events & EPOLLOUT))
        return CLIENT_NOT_YET;
    client_opened(c);
    return CLIENT_CONNECTED;
}

bool client_may_share(const struct service_conf *s) {
    return s->tls && s->protocol != PROTOCOL_HTTP1 && !s->proxy_protocol;
}

bool client_may_choose(const struct service_conf *s) {
    return s->tls && s->protocol == PROTOCOL_AUTO;
}

bool client_chose_h2(const struct client *c, const struct service_conf *s) {
    const struct tls_info *tls = tls_info_of(&c->stream);
    return tls ? strcmp(tls->alpn, "h2") == 0 : s->protocol == PROTOCOL_H2;
}

bool client_must_be_h2(const struct service_conf *s) {
    return s->protocol == PROTOCOL_H2;
}

void client_closed(struct client *c, bool was_connected) {
    if (was_connected)
        count_up(c->pool->thread, upstream_connections_closed);
    list_remove(&c->node);
    stream_close(&c->pool->thread->loop, &c->stream);
    pool_closed(c->pool);
}
