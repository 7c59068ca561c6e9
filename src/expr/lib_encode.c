/* base64.*: the standard alphabet; padding is written, and may be missing when read. */
#include "data/base64.h"
#include "expr/lib.h"

static bool encode(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    char *p = lib_spend_bytes(c, s.n) ? expr_memory(c, base64_encode_max(s.n)) : NULL;
    return p && lib_given_string(c, span_of(p, base64_encode(BASE64, s, p)));
}

static bool decode(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    size_t n;
    unsigned char *p = lib_spend_bytes(c, s.n) ? expr_memory(c, base64_decode_max(s.n)) : NULL;
    if (!p)
        return false;
    if (!base64_decode(BASE64_LENIENT, s, p, &n))
        return expr_fail(c, "the text is not base64");
    return lib_give(c, value_text(VALUE_BYTES, span_of((char *)p, n)));
}

const struct expr_function lib_encode[] = {
    {.signature = "base64.encode(bytes) -> string", .fn = encode},
    {.signature = "base64.decode(string) -> bytes", .fn = decode},
    {0},
};
