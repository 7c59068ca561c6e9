/*
 * tunnels - WebSockets over HTTP/1.1 for plays: how they are asked for, agreed to and refused.
 */
#pragma once
#include "play.h"
#include <string.h>

#define ASK                                                                                        \
    "GET /chat?x=1 HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: "           \
    "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "                                  \
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
#define AGREES "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static inline int ask(struct play *p, int c) {
    play_send(p, c, ASK);
    int s = play_accept(p, PLAY_ANY);
    play_head(p, s,
              "GET /chat?x=1 HTTP/1.1\r\nHost: shop.example\r\n\nUpgrade: websocket\r\n\n"
              "Connection: Upgrade\r\n\nSec-WebSocket-Version: 13\r\n\nSec-WebSocket-Protocol: "
              "chat\n!dGhlIHNhbXBsZSBub25jZQ==\n!Content-Length\n!Transfer-Encoding");
    return s;
}

/* The answer to the key that the gateway has made. */
static inline void agree(struct play *p, int s, const char *more) {
    char accept[29] = "";
    struct span key = play_field("sec-websocket-key");
    play_check(p, key.n == WS_KEY_LEN);
    if (key.n <= 64)
        ws_accept(key, accept);
    play_send(p, s, AGREES "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: ");
    play_send(p, s, accept);
    play_send(p, s, "\r\n\r\n");
    play_send(p, s, more);
}

/* RFC 6455 1.3 has this key's answer. */
static inline void agreed(struct play *p, int c) {
    play_head(
        p, c,
        "HTTP/1.1 101 \nUpgrade: websocket\r\n\nConnection: Upgrade\r\n\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\nSec-WebSocket-Protocol: chat");
}

static inline void open_both(struct play *p, int *c, int *s) {
    *c = play_client(p);
    *s = ask(p, *c);
    agree(p, *s, "");
    agreed(p, *c);
}

static inline void nothing_kept(struct play *p) {
    play_quiet(p);
    play_check(p, rig_sum(p->rig, upstream_connections_closed) ==
                      rig_sum(p->rig, upstream_connections_opened));
}
