/* gRPC's messages on the wire, and the base64 that gRPC-Web text puts around them. */
#include "http/grpc.h"

enum { COMPRESSED = 1, WEB_TRAILERS = 0x80, HEAD = 5 };

void grpc_scan_start(struct grpc_scan *s, uint32_t max, bool encoding) {
    *s = (struct grpc_scan){.max = max, .encoding = encoding};
}

static enum grpc_code judge_flags(const struct grpc_scan *s, unsigned char flags) {
    unsigned legal = (s->encoding ? COMPRESSED : 0) | (s->web ? WEB_TRAILERS : 0);
    return flags & ~legal || s->trailed ? GRPC_INTERNAL : GRPC_OK;
}

static enum grpc_code begin(struct grpc_scan *s) {
    const unsigned char *h = s->head;
    uint32_t n = (uint32_t)h[1] << 24 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 8 | h[4];
    if (s->max && n > s->max)
        return GRPC_RESOURCE_EXHAUSTED;
    s->trailed = h[0] & WEB_TRAILERS;
    s->messages += !s->trailed;
    s->left = n;
    s->head_len = 0;
    return GRPC_OK;
}

static enum grpc_code head_byte(struct grpc_scan *s, unsigned char b) {
    s->head[s->head_len++] = b;
    if (s->head_len == 1)
        return judge_flags(s, b);
    return s->head_len == HEAD ? begin(s) : GRPC_OK;
}

size_t grpc_scan(struct grpc_scan *s, struct span bytes) {
    size_t passed = 0, held = s->fault ? 0 : s->head_len, at = 0;
    while (at < bytes.n && s->fault == GRPC_OK) {
        size_t took = 1;
        if (s->left) {
            took = s->left < bytes.n - at ? (size_t)s->left : bytes.n - at;
            s->left -= took;
        } else {
            s->fault = head_byte(s, (unsigned char)bytes.p[at]);
        }
        at += took;
        held += took;
        if (s->fault == GRPC_OK && s->head_len == 0) {
            passed += held;
            held = 0;
        }
    }
    return passed;
}

bool grpc_scan_between(const struct grpc_scan *s) {
    return s->fault == GRPC_OK && s->left == 0 && s->head_len == 0;
}

struct span grpc_web_trailers(const struct head *trailers, struct arena *a) {
    size_t text = trailers ? trailers->bytes : 0; /* name + value + 4 each */
    char *p = text <= UINT32_MAX ? arena_try(a, HEAD + text) : NULL;
    if (!p)
        return SPAN_NONE;
    struct str out = str_on(p, HEAD + text);
    str_put(&out,
            (char[]){(char)WEB_TRAILERS, (char)(text >> 24), (char)(text >> 16), (char)(text >> 8),
                     (char)text},
            HEAD);
    for (unsigned i = 0; trailers && i < trailers->count; i++) {
        str_add(&out, field_name(&trailers->field[i]));
        str_lit(&out, ": ");
        str_add(&out, field_value(&trailers->field[i]));
        str_lit(&out, "\r\n");
    }
    must(!out.full && out.n == out.max);
    return str_span(&out);
}

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static unsigned char digit_of[256]; /* its value + 1; 0: no digit */

/* Before main(); read-only from then on. */
__attribute__((constructor)) static void fill_digits(void) {
    for (unsigned i = 0; i < 64; i++)
        digit_of[(unsigned char)digits[i]] = (unsigned char)(i + 1);
}

/* RFC 4648 3.5: the bits that a pad leaves over are zero, so a text has but one spelling. */
static bool pad(struct base64_in *b) {
    if (b->pads) {
        b->pads--;
        return true;
    }
    if (b->have < 2 || b->bits & (b->have == 2 ? 15 : 3))
        return false;
    b->pads = b->have == 2;
    b->have = 0;
    return true;
}

static bool digit(struct base64_in *b, unsigned value, char **out) {
    if (b->pads)
        return false;
    b->bits = b->bits << 6 | value;
    if (b->have) /* bits left over behind the byte: 4, 2, 0 */
        *(*out)++ = (char)(b->bits >> (6 - 2 * b->have));
    b->have = (b->have + 1) & 3;
    return true;
}

size_t base64_decode_some(struct base64_in *b, struct span in, char *out) {
    char *to = out;
    for (size_t i = 0; i < in.n && !b->bad; i++) {
        unsigned value = digit_of[(unsigned char)in.p[i]];
        b->bad = !(value ? digit(b, value - 1, &to) : in.p[i] == '=' && pad(b));
    }
    return (size_t)(to - out);
}

bool base64_ended(const struct base64_in *b) {
    return !b->bad && b->have == 0 && b->pads == 0;
}

static char *put_group(char *to, const unsigned char *p) {
    to[0] = digits[p[0] >> 2];
    to[1] = digits[(p[0] & 3) << 4 | p[1] >> 4];
    to[2] = digits[(p[1] & 15) << 2 | p[2] >> 6];
    to[3] = digits[p[2] & 63];
    return to + 4;
}

size_t base64_encode_some(struct base64_out *b, struct span in, char *out) {
    const unsigned char *p = (const unsigned char *)in.p, *end = p + in.n;
    char *to = out;
    while (p < end && b->have) {
        b->held[b->have++] = *p++;
        if (b->have == 3) {
            to = put_group(to, b->held);
            b->have = 0;
        }
    }
    for (; end - p >= 3; p += 3)
        to = put_group(to, p);
    while (p < end)
        b->held[b->have++] = *p++;
    return (size_t)(to - out);
}

size_t base64_encode_end(struct base64_out *b, char out[4]) {
    if (b->have == 0)
        return 0;
    memset(b->held + b->have, 0, sizeof b->held - b->have);
    put_group(out, b->held);
    memset(out + 1 + b->have, '=', 3u - b->have);
    b->have = 0;
    return 4;
}
