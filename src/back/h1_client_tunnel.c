/*
 * WebSockets over HTTP/1.1. The request is an extended CONNECT in the house's form, and on this
 * wire a GET with Upgrade and a key of our own: the client's key is its door's matter. Until the
 * service has agreed to it, not a byte of the tunnel is sent: to a service that does not, it would
 * be the next request.
 */
#include "back/h1_client_conn.h"
#include "io/tcp.h"

void h1_client_tunnel_ask(struct h1_client *c, struct h1_print *how) {
    unsigned char random[16];
    env.random(random, sizeof random);
    ws_key(random, c->p->ws_key);
    c->p->tunnel = true;
    how->framing = FRAMING_TUNNEL;
    how->ws_key = span_of(c->p->ws_key, WS_KEY_LEN);
}

bool h1_client_tunnel_agreed(const struct h1_client *c) {
    char accept[28];
    ws_accept(span_of(c->p->ws_key, WS_KEY_LEN), accept);
    return h1_writer_done(&c->p->w) && span_eq(c->p->m.ws_key, span_of(accept, sizeof accept));
}

void h1_client_tunnel_open(struct h1_client *c) {
    struct body *sink = c->a->x->up_half.sink;
    c->p->open = true;
    h1_writer_start(&c->p->w, SPAN(""), FRAMING_TUNNEL, 0, sink);
    body_want(sink);
    if (body_readable(sink))
        loop_output(&h1_client_thread(c)->loop, &c->output);
}

void h1_client_tunnel_ended(struct h1_client *c) {
    c->p->ended = true;
    if (h1_writer_done(&c->p->w) || c->p->broken)
        h1_client_answered(c, 0);
}

void h1_client_tunnel_sent(struct h1_client *c) {
    if (c->p->ended)
        h1_client_answered(c, 0);
    else
        c->c.stream.ops->shut(&c->c.stream);
}

void h1_client_tunnel_break(struct h1_client *c) {
    tcp_reset_on_close(c->c.stream.watch.fd);
    c->c.stream.abrupt = true;
}
