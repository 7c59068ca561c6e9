/*
 * websocket - limits on WebSockets as they pass, and their goodbye when the gateway drains.
 *
 * On every route that forwards, unless turned off: then upgrades are refused. Frames are looked at
 * and pass unchanged (http/ws.h); nothing is buffered. Conf: struct websocket_conf. Thread: that of
 * the exchange.
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
