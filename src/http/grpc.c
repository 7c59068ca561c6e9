/* What gRPC says in fields: content types, timeouts, codes, messages. */
#include "http/grpc.h"

static const struct span type_of_kind[] = {[GRPC_PLAIN] = SPAN("application/grpc"),
                                           [GRPC_WEB] = SPAN("application/grpc-web"),
                                           [GRPC_WEB_TEXT] = SPAN("application/grpc-web-text")};

/* The longest that fits, and only where a suffix, a parameter or nothing follows. */
enum grpc_kind grpc_kind(struct span content_type) {
    for (unsigned k = GRPC_WEB_TEXT; k > GRPC_NONE; k--) {
        size_t n = type_of_kind[k].n;
        if (!span_eq_nocase(span_cut(content_type, 0, n), type_of_kind[k]))
            continue;
        struct span rest = span_from(content_type, n);
        if (rest.n == 0 || memchr("+; \t", rest.p[0], 4))
            return (enum grpc_kind)k;
    }
    return GRPC_NONE;
}

struct span grpc_content_type(struct span content_type, enum grpc_kind kind, struct arena *a) {
    enum grpc_kind is = grpc_kind(content_type);
    if (is == GRPC_NONE || is == kind || kind == GRPC_NONE)
        return content_type;
    struct span rest = span_from(content_type, type_of_kind[is].n);
    size_t n = type_of_kind[kind].n + rest.n;
    char *p = arena_try(a, n);
    if (!p)
        return SPAN_NONE;
    struct str out = str_on(p, n);
    str_add(&out, type_of_kind[kind]);
    str_add(&out, rest);
    return str_span(&out);
}

static const struct unit {
    char letter;
    uint64_t ns;
} units[] = {{'n', 1},
             {'u', 1000},
             {'m', 1000 * 1000},
             {'S', 1000 * 1000 * 1000},
             {'M', 60 * 1000000000ull},
             {'H', 3600 * 1000000000ull}};
enum { TIMEOUT_MAX = 99999999 };

bool grpc_timeout(struct span value, uint64_t *ns) {
    uint64_t n = 0, unit = 0;
    if (value.n < 2 || value.n > 9)
        return false;
    for (size_t i = 0; i + 1 < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(value.p[i] - '0');
    }
    for (unsigned i = 0; i < array_len(units); i++)
        if (units[i].letter == value.p[value.n - 1])
            unit = units[i].ns;
    if (__builtin_mul_overflow(n, unit, ns))
        *ns = UINT64_MAX;
    return unit != 0;
}

struct span grpc_timeout_print(uint64_t ns, char out[16]) {
    struct str s = str_on(out, 16);
    unsigned i = 0;
    while (i + 1 < array_len(units) && (ns - 1) / units[i].ns >= TIMEOUT_MAX && ns)
        i++;
    str_u64(&s, ns / units[i].ns + (ns % units[i].ns != 0));
    str_char(&s, units[i].letter);
    return str_span(&s);
}

static const char *const names[GRPC_CODES] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

const char *grpc_code_name(enum grpc_code c) {
    return c < GRPC_CODES ? names[c] : names[GRPC_UNKNOWN];
}

enum grpc_code grpc_code_read(struct span grpc_status) {
    uint64_t v;
    return parse_dec(grpc_status, GRPC_CODES - 1, &v) ? (enum grpc_code)v : GRPC_UNKNOWN;
}

enum grpc_code grpc_code_of_status(int status) {
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* Where the status of the fault does not tell it: the call never reached the service (try again),
 * or it would have been too much. */
static const unsigned char exact[FAULT_COUNT] = {
    [FAULT_MISDIRECTED] = GRPC_UNAVAILABLE,
    [FAULT_OVERLOADED] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_OUT_OF_MEMORY] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_RATE_LIMITED] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_QUOTA_EXCEEDED] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_CONCURRENCY_LIMITED] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_LOCAL_RESOURCE] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_CONNECT_TIMEOUT] = GRPC_UNAVAILABLE,
    [FAULT_BAD_WEBSOCKET_FRAME] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_PROTOCOL] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_BAD_FRAMING] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_BAD_STATUS] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_UNASKED_UPGRADE] = GRPC_INTERNAL,
    [FAULT_UPGRADE_NOT_ACCEPTED] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_TOO_MANY_INTERIM] = GRPC_INTERNAL,
    [FAULT_UPSTREAM_HEADER_TOO_LARGE] = GRPC_RESOURCE_EXHAUSTED,
    [FAULT_UPSTREAM_TOO_LARGE] = GRPC_RESOURCE_EXHAUSTED,
};

enum grpc_code grpc_code_of_fault(enum fault f) {
    if (f == FAULT_NONE || exact[f])
        return (enum grpc_code)exact[f];
    switch (fault_table[f].status) {
    case 405: /* gRPC has but one method of HTTP */
    case 501:
        return GRPC_UNIMPLEMENTED;
    case 408:
    case 504:
        return GRPC_DEADLINE_EXCEEDED;
    case 413:
    case 414:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 417:
    case 426:
    case 500:
    case 505:
    case 508:
        return GRPC_INTERNAL;
    case 499:
        return GRPC_CANCELLED;
    default:
        return grpc_code_of_status(fault_table[f].status);
    }
}

void grpc_message(struct str *out, struct span text) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c < 0x7f && c != '%')
            str_char(out, (char)c);
        else
            str_put(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}
