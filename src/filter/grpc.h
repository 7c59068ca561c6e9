/*
 * grpc - gRPC as it passes: message frames are bounded, gRPC-Web becomes gRPC and back.
 *
 * On every route that forwards, unless turned off; other exchanges pass untouched. A message is
 * checked by its head as it passes, nothing is buffered: one that is too long is
 * RESOURCE_EXHAUSTED, after the head of the answer the call breaks off. gRPC-Web, binary and text:
 * the request is forwarded as gRPC; of the answer the trailers, in its head or behind its body,
 * become the last frame of the body. Answers that are not gRPC pass as they are. Conf: struct
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
