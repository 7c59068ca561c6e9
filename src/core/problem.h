/*
 * problem - the gateway's own error answers: RFC 9457 problem details, or a plain page, by Accept.
 *
 * {type, title, status, detail, instance, code, who, request_id}. Replaced per route, status, class
 * or code by `errors`. gRPC clients get grpc-status and grpc-message instead (gRPC-Web: in the
 * body), which nothing replaces. Never a byte of the request is reflected but the request id.
 * Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

struct error_answer {
    int status_from, status_to; /* 404..404, 500..599; 0: by code */
    struct span code;           /* "rate_limited" */
    int status;                 /* 0: the fault's */
    struct span content_type;
    const struct template *body; /* text or JSON, names of SCOPE_ERROR and SCOPE_REQUEST */
    const struct answer_header *header;
    uint32_t header_count;
    struct where where;
};
struct errors_conf { /* the nearest level first; the first that fits answers */
    const struct error_answer *answer;
    uint32_t count;
};

/* Adds Allow for a 405 to x->resp (before problem_answer). */
struct route_found;
void problem_allow(struct exchange *x, const struct route_found *f);
/* Fills x->resp and the response body for x->fault. Called by the core's error back. */
void problem_answer(struct exchange *x);
/* `OPTIONS *` where no route wants it: what this gateway speaks, 204 with Allow. */
void problem_server_options(struct exchange *x);
