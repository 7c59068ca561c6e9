/*
 * head - one message head, in the one form that the house knows: HTTP/2's.
 *
 * Names are lower-case. Connection, Host, Upgrade, Content-Length, Transfer-Encoding and whatever
 * Connection named are not among the fields: each door reads and writes its own framing, and the
 * authority stands in `authority`. All bytes lie in the exchange's arena. The only way to a field
 * is hdr_put, which checks name, value, budget and origin; printers print what stands here and
 * nothing else. Owner: the exchange. Thread: that of the exchange.
 */
#pragma once
#include "base/arena.h"
#include "http/fault.h"
#include "http/names.h"

struct field {
    const char *name, *value;
    uint32_t value_len;
    uint16_t name_len, id; /* id: enum hdr_id */
};

struct head {
    struct arena *arena;
    struct field *field;
    uint16_t count, cap;
    uint16_t count_max;  /* 0: HEAD_COUNT_MAX */
    uint32_t bytes;      /* of all fields: name + value + 4 */
    uint32_t bytes_max;  /* 0: HEAD_BYTES_MAX */
    uint64_t present[2]; /* bit per hdr_id; bit 0: some HDR_OTHER */

    /* a request */
    enum method method;
    struct span method_text; /* for METHOD_OTHER as received, else the table's */
    struct span scheme;      /* "http", "https" */
    struct span authority;   /* host[:port], lower-case, no trailing dot, no default port */
    struct span host;        /* without the port; an IPv6 address keeps its brackets */
    struct span path;        /* canonical, percent-encoded, begins with "/"; "*" for OPTIONS * */
    struct span query;       /* raw, without "?" */
    bool has_query;          /* "/a?" differs from "/a" */
    struct span target;      /* as received: for the log only */
    struct span protocol;    /* extended CONNECT: "websocket"; else empty */

    /* a response */
    int status;
};

enum { HEAD_COUNT_MAX = 256, HEAD_BYTES_MAX = 128 * 1024 };

enum origin { ORIGIN_CLIENT, ORIGIN_UPSTREAM, ORIGIN_GATEWAY, ORIGIN_CONFIG };

void head_init(struct head *h, struct arena *a);

static inline bool hdr_has(const struct head *h, enum hdr_id id) {
    return h->present[(unsigned)id >> 6] >> ((unsigned)id & 63) & 1;
}

/* Appends. The name must be lower-case (else FAULT_BAD_HEADER_NAME); both spans must live as long
 * as the arena. Refuses what no next hop may see: control bytes, blanks at the ends, framing and
 * hop-by-hop names, more than the budget. ORIGIN_CLIENT also: a second copy of a single-valued
 * name, underscore twins. FAULT_NONE: it stands in the head. */
must_use enum fault hdr_put(struct head *h, struct span name, struct span value, enum origin o);
/* For a known name and a value that the gateway itself made of checked parts. */
void hdr_add(struct head *h, enum hdr_id id, struct span value);
/* Replaces every copy. */
must_use enum fault hdr_set(struct head *h, struct span name, struct span value, enum origin o);

struct span hdr_get(const struct head *h, enum hdr_id id); /* first value; {NULL,0}: absent */
struct span hdr_find(const struct head *h, struct span lower_name);
/* The next field of this name from *at on, which moves behind it; NULL: no more. */
const struct field *hdr_next(const struct head *h, struct span lower_name, size_t *at);
void hdr_remove(struct head *h, enum hdr_id id);
void hdr_remove_name(struct head *h, struct span lower_name);
void hdr_remove_flags(struct head *h, unsigned flags); /* every field whose id has one of them */

static inline struct span field_name(const struct field *f) {
    return (struct span){f->name, f->name_len};
}
static inline struct span field_value(const struct field *f) {
    return (struct span){f->value, f->value_len};
}

/* The method as routes, policies and the log see it: a WebSocket is asked for with GET, whatever
 * carries it (RFC 8441 5.1). */
static inline enum method head_method(const struct head *h) {
    return h->protocol.n ? METHOD_GET : h->method;
}
static inline struct span head_method_text(const struct head *h) {
    return h->protocol.n ? SPAN("GET") : h->method_text;
}

/* First value of a cookie (RFC 6265 4.2.1, over all Cookie fields), {NULL,0}: absent. */
struct span cookie_get(const struct head *h, struct span name);
/* First value of a query parameter, still encoded; {NULL,0}: absent. */
struct span query_get(struct span query, struct span name);
/* True if the comma-separated list in `value` has this token (ASCII case ignored). */
bool list_has(struct span value, struct span token);
