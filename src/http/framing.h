/*
 * framing - how a message's body ends: decided in one pure function (RFC 9112 section 6), for
 * requests and responses alike. Thread: any.
 */
#pragma once
#include "http/fault.h"
#include "http/names.h"

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_TUNNEL };

struct framing_in {
    bool response, http10;
    enum method method; /* of the request */
    int status;         /* of the response */
    bool tunnel;        /* this request asked for an upgrade that we forwarded */
    unsigned cl_count, te_count;
    struct span cl, te; /* first of each */
};

struct framing_out {
    enum framing framing;
    uint64_t length; /* FRAMING_LENGTH; NONE: what a length said of a body that does not come */
    bool excess_possible; /* a length stood where no body may come (HEAD, 204, 304): fine */
};

must_use enum fault framing_decide(const struct framing_in *in, struct framing_out *out);
