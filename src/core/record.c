#include "core/record.h"
#include "core/thread.h"

/* ns between two points that both happened; -1 otherwise. */
static int64_t between(uint64_t from, uint64_t to) {
    return from && to >= from ? (int64_t)(to - from) : -1;
}

/* In the trailers, or in the head of an answer without a body. */
static int grpc_status(const struct exchange *x) {
    const struct head *trailers = x->down_half.source.trailers;
    struct span said = SPAN_NONE;
    if (x->grpc_said)
        return x->grpc_said - 1;
    if (trailers)
        said = hdr_find(trailers, SPAN("grpc-status"));
    if (!said.p)
        said = hdr_find(&x->resp, SPAN("grpc-status"));
    return said.p ? (int)grpc_code_read(said) : -1;
}

void record_make(const struct exchange *x, struct record *out) {
    uint64_t end = x->t.end ? x->t.end : x->thread->loop.now;
    int64_t total = between(x->t.start, end);
    const struct fault_info *f = &fault_table[x->fault];
    *out = (struct record){
        .x = x,
        .snapshot = x->snap ? x->snap->snapshot : NULL,
        .wall_ns = thread_wall_ns(x->thread, x->t.start),
        .status = x->head_told ? x->resp.status : 0,
        .end = (enum x_end)x->end,
        .fault = x->fault,
        .code = f->code,
        .who = fault_who_name(f->who),
        .route = x->route ? x->route->name : SPAN_NONE,
        .service = x->service ? x->service->name : SPAN_NONE,
        .endpoint = x->endpoint,
        .total_ns = total > 0 ? (uint64_t)total : 0,
        .upstream_ns = x->upstream_status ? between(x->t.back_start, x->t.head) : -1,
        .connect_ns = between(x->t.back_start, x->t.connected),
        .request_body = x->up_half.source.in,
        .response_body = x->down_half.sink ? x->down_half.sink->in : 0,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .attempts = x->attempts,
        .grpc_status = unlikely(x->grpc) ? grpc_status(x) : -1,
    };
}
