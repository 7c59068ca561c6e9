/*
 * record - what is left of an exchange when it has ended. Log, metrics, traces and recorder read
 * only this.
 *
 * Made once, at the end of every exchange, whatever its end; its pointers are good during the call.
 * Owner: the caller's stack. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

struct record {
    const struct exchange *x; /* for heads, captures, facts */
    const struct snapshot *snapshot;
    int64_t wall_ns; /* when it started, UTC */
    int status;      /* sent to the client; 0: none was */
    enum x_end end;
    enum fault fault;
    const char *code, *who;               /* of the fault; "" when none */
    struct span route, service, endpoint; /* names; empty when none */
    uint64_t total_ns;                    /* start to end */
    int64_t upstream_ns;                  /* back_start to head; -1: no service answered */
    int64_t connect_ns;                   /* -1: a kept connection, or none */
    uint64_t request_body, response_body; /* bytes */
    uint64_t bytes_in, bytes_out;         /* on the wire */
    unsigned attempts;
    int grpc_status; /* enum grpc_code as the client was told; -1: no gRPC call, or none was said */
};

void record_make(const struct exchange *x, struct record *out);
