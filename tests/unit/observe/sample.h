/* A record of an exchange as the sinks get it, to be changed by tests. */
#pragma once
#include "core/thread.h"
#include "observe/log.h"

struct sample {
    struct snapshot snapshot;
    struct route route;
    struct service_conf service;
    struct listener_conf listener;
    struct log_conf log;
    struct exchange x;
    struct record r;
};

static inline void sample_field(struct sample *s, struct span name, struct span value) {
    must(hdr_put(&s->x.req, name, value, ORIGIN_CLIENT) == FAULT_NONE);
}

static inline void sample_init(struct sample *s) {
    memset(s, 0, sizeof *s);
    arena_init(&s->x.arena, NULL);
    head_init(&s->x.req, &s->x.arena);
    s->snapshot.generation = 7;
    s->snapshot.log = &s->log;
    s->snapshot.route = &s->route;
    s->snapshot.route_count = 1;
    s->snapshot.service = &s->service;
    s->snapshot.service_count = 1;
    s->route.name = SPAN("products");
    s->service.name = SPAN("product");
    s->listener.name = SPAN("public");
    s->x.route = &s->route;
    s->x.service = &s->service;
    s->x.facts.listener = &s->listener;
    s->x.facts.protocol = "HTTP/1.1";
    must(address_parse(SPAN("192.0.2.7:4711"), &s->x.facts.client));
    must(address_parse(SPAN("10.0.0.1:999"), &s->x.facts.peer));
    memcpy(s->x.facts.request_id, "0123456789abcdef-1", 18);
    s->x.facts.request_id_len = 18;
    s->x.req.method = METHOD_GET;
    s->x.req.method_text = SPAN("GET");
    s->x.req.scheme = SPAN("http");
    s->x.req.host = SPAN("shop.example");
    s->x.req.path = SPAN("/api/products/42");
    s->x.req.target = SPAN("/api/./products/42?token=s3cret");
    s->x.req.query = SPAN("token=s3cret");
    s->x.upstream_status = 200;
    s->r = (struct record){.x = &s->x,
                           .snapshot = &s->snapshot,
                           .wall_ns = 1700000000123456789,
                           .status = 200,
                           .end = X_END_COMPLETED,
                           .code = "",
                           .who = "",
                           .route = s->route.name,
                           .service = s->service.name,
                           .endpoint = SPAN("127.0.0.1:7001"),
                           .total_ns = 1234567,
                           .upstream_ns = 1000999,
                           .connect_ns = -1,
                           .response_body = 1024,
                           .bytes_in = 300,
                           .bytes_out = 1300,
                           .attempts = 1,
                           .grpc_status = -1};
}

static inline void sample_finish(struct sample *s) {
    arena_finish(&s->x.arena);
}
