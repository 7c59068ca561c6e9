/*
 * websocket - limits on WebSockets as they pass, and their goodbye when the gateway drains.
 *
 * On every route that forwards, unless turned off: then upgrades are refused. Frames are looked at
 * and pass unchanged (http/ws.h); nothing is buffered. What is not legal, or too much, does not
 * pass: both sides are told by a close frame (1002 malformed, 1007 no UTF-8, 1008 too many pings,
 * 1009 too long) and the tunnel ends. When the thread drains both are told 1001 between two frames,
 * and have a moment to answer. Conf: struct websocket_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/schema.h"
#include "http/ws.h"

struct websocket_conf {
    struct ws_limits limits;
    uint32_t ping_rate; /* per second, of the client */
    bool off;           /* websocket: false */
};

extern const struct filter_ops websocket_ops;
extern const struct policy websocket_policy;
