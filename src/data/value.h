/*
 * value - one form for everything that expressions, JSON and claims are made of: 16 bytes, by
 * value.
 *
 * A value owns nothing. Texts, elements and members lie in some arena, or in the bytes that they
 * were read from (a JSON string without escapes is a span of its document), and live as long as
 * that. Numbers of JSON stay as written (VALUE_NUMBER) until somebody computes with them:
 * value_settle makes an int (whole and within 64 bits) or a double of them; printed untouched,
 * every digit is kept.
 *
 * Lists and maps are arrays, or (form VALUE_HOST) somebody's own data behind a table of calls:
 * header fields, query parameters. Keys of maps are bool, int, uint or string; those of JSON
 * strings, in the order of the document. Nothing here recurses: depth is bounded by whoever builds
 * (JSON_DEPTH_MAX). Owner: none. Thread: that of its memory.
 */
#pragma once
#include "base/arena.h"

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_UINT,
    VALUE_DOUBLE,
    VALUE_STRING,    /* UTF-8, n bytes */
    VALUE_BYTES,     /* n bytes */
    VALUE_LIST,      /* n elements */
    VALUE_MAP,       /* n members */
    VALUE_TYPE,      /* the type's name, n bytes: "int" */
    VALUE_DURATION,  /* i seconds and `nanos` of the same sign */
    VALUE_TIMESTAMP, /* i seconds since 1970 and nanos 0..999,999,999 */
    VALUE_OPTIONAL,  /* of: the value, or NULL: none */
    VALUE_NUMBER,    /* of JSON, as written: n bytes */
    VALUE_IP,        /* ip: 4 or 16 bytes, n of them */
    VALUE_CIDR,      /* the same, with `bits` of prefix */
    VALUE_ERROR,     /* why there is no value: text p, n */
};

enum value_form { VALUE_PLAIN, VALUE_HOST };

struct value_member;
struct value_host;

struct value {
    unsigned char kind; /* enum value_kind */
    unsigned char form; /* LIST, MAP: enum value_form */
    uint16_t bits;      /* CIDR */
    union {
        uint32_t n;
        int32_t nanos;
    };
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const char *p;
        const struct value *item;          /* LIST, plain */
        const struct value_member *member; /* MAP, plain */
        const struct value_host *host;     /* LIST, MAP of form VALUE_HOST */
        const struct value *of;            /* OPTIONAL */
        const unsigned char *ip;
    };
};
_Static_assert(sizeof(struct value) == 16, "values are passed in two registers");

struct value_member {
    struct value key, value;
};

/* A list or map that is somebody's own. */
struct value_host {
    const struct value_host_ops *ops;
    void *ctx;
};
struct value_host_ops {
    uint32_t (*count)(const struct value_host *h);
    /* Element or member `i` of count. For a list *key is not set. May use the arena. */
    void (*at)(const struct value_host *h, struct arena *a, uint32_t i, struct value *key,
               struct value *out);
    /* A map's member. False: there is none. */
    bool (*get)(const struct value_host *h, struct arena *a, const struct value *key,
                struct value *out);
    bool empty_when_missing; /* m["x"] is "" where x is not there ("x" in m tells) */
};

#define VALUE_NOTHING ((struct value){.kind = VALUE_NULL})
static inline struct value value_bool(bool b) {
    return (struct value){.kind = VALUE_BOOL, .b = b};
}
static inline struct value value_int(int64_t i) {
    return (struct value){.kind = VALUE_INT, .i = i};
}
static inline struct value value_uint(uint64_t u) {
    return (struct value){.kind = VALUE_UINT, .u = u};
}
static inline struct value value_double(double d) {
    return (struct value){.kind = VALUE_DOUBLE, .d = d};
}
static inline struct value value_text(enum value_kind kind, struct span s) {
    return (struct value){.kind = (unsigned char)kind, .n = (uint32_t)s.n, .p = s.p};
}
static inline struct value value_string(struct span s) {
    return value_text(VALUE_STRING, s);
}
static inline struct span value_span(const struct value *v) { /* STRING BYTES TYPE NUMBER ERROR */
    return span_of(v->p, v->n);
}

/* NUMBER becomes INT or DOUBLE; every other value is left as it is. */
struct value value_settle(struct value v);
/* "int", "map", "google.protobuf.Timestamp", "net.IP": as CEL calls it. */
struct span value_type_name(const struct value *v);

/* Any form of list and map. */
uint32_t value_count(const struct value *v);
struct value value_at(const struct value *list, struct arena *a, uint32_t i);
void value_member_at(const struct value *map, struct arena *a, uint32_t i, struct value *key,
                     struct value *out);
/* False: not there. Numbers are equal across int, uint and whole doubles, as CEL says. */
bool value_get(const struct value *map, struct arena *a, const struct value *key,
               struct value *out);
/* The member of that name; NULL: there is none, or v is no plain map. */
const struct value *value_find(const struct value *v, struct span name);

enum { VALUE_TEXT_STEP = 64 }; /* bytes of a text that are compared for one step */
/* CEL's equality: across number types, deep, never an error (different types are unequal). Walks at
 * most *steps values and counts them down; false with *steps 0: it was too much. */
bool value_equal(const struct value *x, const struct value *y, struct arena *a, uint64_t *steps);
/* <0, 0, >0 of two numbers (any types), strings, bytes, bools, durations, timestamps. False: they
 * have no order (NaN, different kinds). */
bool value_compare(const struct value *x, const struct value *y, int *order);

/* A deep copy whose memory is all in `a` (host forms become plain). False: more than `max` bytes,
 * or no memory. */
must_use bool value_copy(const struct value *v, struct arena *a, size_t max, struct value *out);
