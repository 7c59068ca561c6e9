/*
 * json - RFC 8259, strict: bytes to values and back.
 *
 * Read: one pass without recursion. UTF-8 is checked, lone surrogates are refused, a BOM is
 * refused; strings without escapes and all numbers stay spans of the document, so it must live as
 * long as the values. Depth and nodes are bounded. Duplicate members are an error
 * where `unique` asks for it (tokens: JSON that somebody signed must mean one thing to everybody),
 * else the last one counts. Write: untouched numbers as they were written; bytes as base64,
 * timestamps and durations as texts (as protobuf's JSON has them), NaN and infinities as null.
 * Owner: the arena. Thread: any.
 */
#pragma once
#include "data/value.h"

enum { JSON_DEPTH_MAX = 64, JSON_NODES_MAX = 65536 };

struct json_limits {
    uint32_t depth, nodes; /* 0: JSON_DEPTH_MAX, JSON_NODES_MAX */
    bool unique;           /* duplicate members are an error */
};

struct json_error {
    size_t at;        /* byte of the document */
    const char *text; /* static: "a comma or \"]\" is expected here" */
    bool memory;      /* no memory, or over a limit: not the document's grammar */
};

must_use bool json_read(struct arena *a, struct span doc, const struct json_limits *limits,
                        struct value *out, struct json_error *err);

/* Compact, or (indent > 0) for people. False: more than `max` bytes, or too deep, or no memory.
 * What has no JSON becomes a text (an error, a type, an ip) or null (an optional without value). */
must_use bool json_write(struct arena *a, const struct value *v, unsigned indent, size_t max,
                         struct span *out);
/* The same in CEL's notation, for people: JSON where JSON has it, else b"\xff", 1.0, {1: 2},
 * timestamp("..."), optional.of(1), and no doubt about what is what. */
must_use bool json_notation(struct arena *a, const struct value *v, unsigned indent, size_t max,
                            struct span *out);
