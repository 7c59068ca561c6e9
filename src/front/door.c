#include "front/opening.h"
#include "tls/stream.h"

static void set_peer_text(struct door *d, const struct address *peer) {
    char text[ADDRESS_TEXT_MAX];
    struct span t = address_text(peer, text, false);
    d->peer_text_len = t.n <= sizeof d->peer_text ? (unsigned char)t.n : 0;
    memcpy(d->peer_text, t.p, d->peer_text_len);
}

void door_set_peer(struct door *d, const struct address *peer) {
    memset(&d->peer, 0, sizeof d->peer);
    d->peer_text_len = 0;
    if (peer->len && peer->sa.sa_family == AF_INET)
        d->peer.in = peer->in;
    else if (peer->len && peer->sa.sa_family == AF_INET6)
        d->peer.in6 = peer->in6;
    if (d->peer.sa.sa_family)
        set_peer_text(d, peer);
}

void door_peer(const struct door *d, struct address *out) {
    sa_family_t family = d->peer.sa.sa_family;
    out->len = family == AF_INET ? sizeof d->peer.in : family == AF_INET6 ? sizeof d->peer.in6 : 0;
    memcpy(&out->sa, &d->peer, out->len);
}

struct door *door_accept(struct listener *l, int fd, const struct address *peer) {
    const struct listener_conf *conf = listener_conf(l, l->thread->snap->snapshot);
    return !l->plan && opening_needed(conf) ? opening_accept(l, fd, peer)
                                            : h1_server_accept(l, fd, peer);
}

bool door_open(struct door *d, struct listener *l, int fd, const struct address *peer) {
    d->stream.ops = &tcp_stream;
    if (!loop_watch(&l->thread->loop, &d->stream.watch, fd))
        return false;
    d->listener = l;
    d->opened = l->thread->loop.now;
    door_set_peer(d, peer);
    list_append(&l->connections, &d->node);
    return true;
}

/* ---- ends ---- */

static struct door *freed(struct deferred *f) {
    return container_of(f, struct door, free);
}

static void closed(struct deferred *f) {
    struct door *d = freed(f);
    struct address peer = {.len = 0};
    unsigned char ip[16] = {0};
    door_peer(d, &peer);
    address_ip16(&peer, ip);
    listener_released(d->listener, ip, d->counted);
    d->ops->release(d);
}

static void handed_over(struct deferred *f) {
    struct door *d = freed(f);
    d->ops->release(d);
}

static void free_later(struct door *d, void (*run)(struct deferred *)) {
    list_remove(&d->node);
    d->free.run = run;
    loop_after_turn(&door_thread(d)->loop, &d->free);
}

static void count_tls(struct thread *t, struct stream *s) {
    struct tls_events e = tls_take_events(s);
    count_add(t->counters.client_tls_key_updates, e.key_updates);
    count_add(t->counters.client_tls_renegotiations_refused, e.renegotiations_refused);
}

void door_close(struct door *d) {
    if (tls_is(&d->stream))
        count_tls(door_thread(d), &d->stream);
    stream_close(&door_thread(d)->loop, &d->stream);
    count_up(door_thread(d), client_connections_closed);
    free_later(d, closed);
}

void door_reset(struct door *d) {
    tcp_reset_on_close(d->stream.watch.fd);
    d->stream.abrupt = true;
    door_close(d);
}

bool door_take_over(struct door *from, struct door *to) {
    if (!stream_move(&door_thread(from)->loop, &from->stream, &to->stream))
        return false;
    to->listener = from->listener;
    to->opened = from->opened;
    to->peer = from->peer;
    memcpy(to->peer_text, from->peer_text, from->peer_text_len);
    to->peer_text_len = from->peer_text_len;
    to->counted = from->counted;
    to->refuse = from->refuse;
    list_append(&from->node, &to->node);
    free_later(from, handed_over);
    return true;
}

/* ---- what exchanges are told ---- */

void door_facts(const struct door *d, struct exchange *x, const char *protocol, unsigned minor) {
    door_peer(d, &x->facts.peer);
    address_copy(&x->facts.client, &x->facts.peer);
    x->facts.peer_text = span_of(d->peer_text, d->peer_text_len);
    x->facts.listener = listener_conf(d->listener, x->snap->snapshot);
    x->facts.http_minor = (unsigned char)minor;
    x->facts.protocol = protocol;
    x->facts.tls = tls_info_of(&d->stream);
    x->plan = d->listener->plan;
}

bool door_speaks_h2(const struct door *d) {
    const struct listener_conf *l = listener_conf(d->listener, door_thread(d)->snap->snapshot);
    return !d->refuse && (!l || !l->no_h2);
}

enum fault door_refusal(const struct door *d, const struct exchange *x) {
    const struct tls_info *tls = x->facts.tls;
    struct tls_server *s = x->facts.listener ? x->facts.listener->tls : NULL;
    if (d->refuse)
        return (enum fault)d->refuse;
    bool other = tls && s && tls_server_policy(s, x->req.host) != tls->policy;
    return other ? FAULT_MISDIRECTED : FAULT_NONE;
}
