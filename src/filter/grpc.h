/*
 * grpc - gRPC as it passes: message frames are bounded, gRPC-Web becomes gRPC and back.
 *
 * On every route that forwards, unless turned off; other exchanges pass untouched. Conf: struct
 * grpc_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/schema.h"
#include "http/grpc.h"

enum grpc_web { GRPC_WEB_OFF, GRPC_WEB_ON, GRPC_WEB_AUTO };

struct grpc_conf {
    uint32_t max_message;
    int web; /* enum grpc_web; on a route never AUTO: on where every service speaks HTTP/2 */
    bool off;
};

extern const struct filter_ops grpc_ops;
extern const struct policy grpc_policy;
