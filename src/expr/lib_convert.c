/* From one type to another; what does not fit is an error, never cut. */
#include "data/number.h"
#include "expr/lib.h"
#include "expr/lib_net.h"
#include "expr/lib_number.h"
#include "expr/lib_time.h"
#include <math.h>

static bool same(struct expr_call *c) {
    return lib_give(c, c->arg[0]);
}

static bool type_of(struct expr_call *c) {
    return lib_give(c, value_text(VALUE_TYPE, value_type_name(&c->arg[0])));
}

static bool range(struct expr_call *c, const char *to) {
    return expr_failf(c, "the value is out of the range of %s", to);
}

static bool no_such(struct expr_call *c, const char *to) {
    struct span s = lib_span(c, 0);
    return expr_failf(c, "\"%.*s\"%s is no %s", s.n > 64 ? 64 : (int)s.n, s.n ? s.p : "",
                      s.n > 64 ? ".." : "", to);
}

static bool bool_of_string(struct expr_call *c) {
    static const struct {
        struct span text;
        bool b;
    } words[] = {
        {SPAN("1"), true},      {SPAN("t"), true},      {SPAN("T"), true},
        {SPAN("true"), true},   {SPAN("TRUE"), true},   {SPAN("True"), true},
        {SPAN("0"), false},     {SPAN("f"), false},     {SPAN("F"), false},
        {SPAN("false"), false}, {SPAN("FALSE"), false}, {SPAN("False"), false},
    };
    for (size_t i = 0; i < array_len(words); i++)
        if (span_eq(lib_span(c, 0), words[i].text))
            return lib_bool(c, words[i].b);
    return no_such(c, "bool");
}

static bool int_of_uint(struct expr_call *c) {
    uint64_t u = c->arg[0].u;
    return u <= INT64_MAX ? lib_int(c, (int64_t)u) : range(c, "int");
}

/* Both ends are left out, as CEL says: they do not come back as the same double everywhere. */
static bool int_of_double(struct expr_call *c) {
    double d = c->arg[0].d;
    return d > -0x1p63 && d < 0x1p63 ? lib_int(c, (int64_t)d) : range(c, "int");
}

static bool int_of_string(struct expr_call *c) {
    int64_t i;
    return number_parse_int(lib_span(c, 0), &i) ? lib_int(c, i) : no_such(c, "int");
}

static bool int_of_timestamp(struct expr_call *c) {
    return lib_int(c, c->arg[0].i);
}

static bool uint_of_int(struct expr_call *c) {
    int64_t i = c->arg[0].i;
    return i >= 0 ? lib_give(c, value_uint((uint64_t)i)) : range(c, "uint");
}

static bool uint_of_double(struct expr_call *c) {
    double d = c->arg[0].d;
    return d >= 0 && d < 0x1p64 ? lib_give(c, value_uint((uint64_t)d)) : range(c, "uint");
}

static bool uint_of_string(struct expr_call *c) {
    uint64_t u;
    return number_parse_uint(lib_span(c, 0), &u) ? lib_give(c, value_uint(u)) : no_such(c, "uint");
}

static bool double_of_int(struct expr_call *c) {
    return lib_give(c, value_double((double)c->arg[0].i));
}

static bool double_of_uint(struct expr_call *c) {
    return lib_give(c, value_double((double)c->arg[0].u));
}

static bool double_of_string(struct expr_call *c) {
    double d;
    return number_parse(lib_span(c, 0), &d) ? lib_give(c, value_double(d)) : no_such(c, "double");
}

static bool give_copy(struct expr_call *c, const char *text, size_t n) {
    char *p = expr_memory(c, n);
    if (!p)
        return false;
    memcpy(p, text, n);
    return lib_given_string(c, span_of(p, n));
}

static bool string_of_bool(struct expr_call *c) {
    return lib_given_string(c, c->arg[0].b ? SPAN("true") : SPAN("false"));
}

static bool string_of_int(struct expr_call *c) {
    char text[24];
    struct str s = str_on(text, sizeof text);
    int64_t i = c->arg[0].i;
    if (i < 0)
        str_char(&s, '-');
    str_u64(&s, i < 0 ? 0 - (uint64_t)i : (uint64_t)i);
    return give_copy(c, text, s.n);
}

static bool string_of_uint(struct expr_call *c) {
    char text[24];
    struct str s = str_on(text, sizeof text);
    str_u64(&s, c->arg[0].u);
    return give_copy(c, text, s.n);
}

static bool string_of_double(struct expr_call *c) {
    char text[NUMBER_TEXT];
    return give_copy(c, text, number_text(c->arg[0].d, text));
}

static bool string_of_bytes(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    if (!lib_spend_bytes(c, s.n))
        return false;
    for (size_t at = 0, n; at < s.n; at += n) {
        n = utf8_len((const unsigned char *)s.p + at, s.n - at);
        if (n == 0)
            return expr_failf(c, "invalid UTF-8: byte %zu of the bytes begins no character", at);
    }
    return lib_given_string(c, s);
}

static bool bytes_of_string(struct expr_call *c) {
    return lib_give(c, value_text(VALUE_BYTES, lib_span(c, 0)));
}

static bool string_of_timestamp(struct expr_call *c) {
    char text[MOMENT_TEXT];
    return give_copy(c, text, timestamp_text(c->arg[0].i, c->arg[0].nanos, text));
}

static bool string_of_duration(struct expr_call *c) {
    char text[MOMENT_TEXT];
    return give_copy(c, text, duration_text(c->arg[0].i, c->arg[0].nanos, text));
}

static bool string_of_address(struct expr_call *c) {
    char text[NET_TEXT_MAX];
    return give_copy(c, text, net_print(text, &c->arg[0]));
}

static bool timestamp_of_int(struct expr_call *c) {
    struct value v;
    return time_of(c->arg[0].i, &v) ? lib_give(c, v) : range(c, "timestamp");
}

static bool timed(struct expr_call *c, enum time_result r, const struct value *v, const char *to) {
    switch (r) {
    case TIME_FINE:
        return lib_give(c, *v);
    case TIME_RANGE:
        return range(c, to);
    case TIME_MALFORMED:
        break;
    }
    return no_such(c, to);
}

static bool timestamp_of_string(struct expr_call *c) {
    struct value v;
    enum time_result r = time_parse(lib_span(c, 0), &v);
    return timed(c, r, &v, "timestamp");
}

static bool duration_of_string(struct expr_call *c) {
    struct value v;
    enum time_result r = duration_parse(lib_span(c, 0), &v);
    return lib_spend_bytes(c, c->arg[0].n) && timed(c, r, &v, "duration");
}

const struct expr_function lib_convert[] = {
    {.signature = "type(A) -> type", .fn = type_of},
    {.signature = "dyn(A) -> dyn", .fn = same},
    {.signature = "bool(bool) -> bool", .fn = same},
    {.signature = "bool(string) -> bool", .fn = bool_of_string},
    {.signature = "int(int) -> int", .fn = same},
    {.signature = "int(uint) -> int", .fn = int_of_uint},
    {.signature = "int(double) -> int", .fn = int_of_double},
    {.signature = "int(string) -> int", .fn = int_of_string},
    {.signature = "int(timestamp) -> int", .fn = int_of_timestamp},
    {.signature = "uint(uint) -> uint", .fn = same},
    {.signature = "uint(int) -> uint", .fn = uint_of_int},
    {.signature = "uint(double) -> uint", .fn = uint_of_double},
    {.signature = "uint(string) -> uint", .fn = uint_of_string},
    {.signature = "double(double) -> double", .fn = same},
    {.signature = "double(int) -> double", .fn = double_of_int},
    {.signature = "double(uint) -> double", .fn = double_of_uint},
    {.signature = "double(string) -> double", .fn = double_of_string},
    {.signature = "string(string) -> string", .fn = same},
    {.signature = "string(bool) -> string", .fn = string_of_bool},
    {.signature = "string(int) -> string", .fn = string_of_int},
    {.signature = "string(uint) -> string", .fn = string_of_uint},
    {.signature = "string(double) -> string", .fn = string_of_double},
    {.signature = "string(bytes) -> string", .fn = string_of_bytes},
    {.signature = "string(timestamp) -> string", .fn = string_of_timestamp},
    {.signature = "string(duration) -> string", .fn = string_of_duration},
    {.signature = "string(net.IP) -> string", .fn = string_of_address},
    {.signature = "string(net.CIDR) -> string", .fn = string_of_address},
    {.signature = "bytes(bytes) -> bytes", .fn = same},
    {.signature = "bytes(string) -> bytes", .fn = bytes_of_string},
    {.signature = "timestamp(timestamp) -> timestamp", .fn = same},
    {.signature = "timestamp(int) -> timestamp", .fn = timestamp_of_int},
    {.signature = "timestamp(string) -> timestamp", .fn = timestamp_of_string},
    {.signature = "duration(duration) -> duration", .fn = same},
    {.signature = "duration(string) -> duration", .fn = duration_of_string},
    {0},
};
