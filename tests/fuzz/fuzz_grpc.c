/*
 * gRPC's readers: message frames and base64 give the same however they are cut, no byte of a
 * refused frame passes, and what is printed is read back as what it was.
 */
#include "http/grpc.h"
#include <stdlib.h>

struct verdict {
    size_t passed;
    uint64_t messages;
    enum grpc_code fault;
    bool between;
};

struct options {
    uint32_t max;
    bool encoding, web;
};

static char *copy(const uint8_t *p, size_t n) {
    char *piece = malloc(n + !n);
    must(piece);
    if (n)
        memcpy(piece, p, n);
    return piece;
}

static struct verdict look(const struct options *o, const uint8_t *p, size_t n, size_t step) {
    struct verdict v = {0};
    struct grpc_scan s;
    grpc_scan_start(&s, o->max, o->encoding);
    s.web = o->web;
    for (size_t at = 0; at < n; at += step) {
        size_t len = n - at < step ? n - at : step;
        char *piece = copy(p + at, len);
        v.passed += grpc_scan(&s, span_of(piece, len));
        free(piece);
    }
    v.messages = s.messages;
    v.fault = s.fault;
    v.between = grpc_scan_between(&s);
    return v;
}

/* One frame after the other, with all bytes there. */
static struct verdict look_plainly(const struct options *o, const uint8_t *p, size_t n) {
    struct verdict v = {.between = true};
    unsigned legal = (o->encoding ? 1 : 0) | (o->web ? 128 : 0);
    bool trailed = false;
    while (v.passed < n) {
        const uint8_t *b = p + v.passed;
        size_t there = n - v.passed;
        v.between = false;
        if (b[0] & ~legal || trailed) {
            v.fault = GRPC_INTERNAL;
            break;
        }
        if (there < 5)
            break;
        uint32_t len = (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 8 | b[4];
        if (o->max && len > o->max) {
            v.fault = GRPC_RESOURCE_EXHAUSTED;
            break;
        }
        trailed = b[0] & 128;
        v.messages += !trailed;
        v.between = there - 5 >= len;
        v.passed += v.between ? 5 + (size_t)len : there;
    }
    return v;
}

static void same(const struct verdict *a, const struct verdict *b) {
    must(a->passed == b->passed && a->messages == b->messages && a->fault == b->fault);
    must(a->between == b->between);
}

static size_t decode(const uint8_t *p, size_t n, size_t step, char *out, struct base64_in *b) {
    size_t len = 0;
    *b = (struct base64_in){0};
    for (size_t at = 0; at < n; at += step) {
        size_t part = n - at < step ? n - at : step;
        char *piece = copy(p + at, part), *room = malloc(part);
        must(room);
        size_t wrote = base64_decode_some(b, span_of(piece, part), room);
        memcpy(out + len, room, wrote);
        len += wrote;
        free(piece);
        free(room);
    }
    return len;
}

static void check_base64(const uint8_t *p, size_t n, size_t step) {
    static char whole[20000], cut[20000], text[40000];
    struct base64_in a, b;
    struct base64_out out = {0};
    size_t len = decode(p, n, n, whole, &a);
    must(decode(p, n, step, cut, &b) == len && memcmp(whole, cut, len) == 0);
    must(a.bad == b.bad && base64_ended(&a) == base64_ended(&b));
    /* Text that ended well and was padded only at its end has one spelling. */
    size_t wrote = base64_encode_some(&out, span_of(whole, len), text);
    wrote += base64_encode_end(&out, text + wrote);
    const void *pad = memchr(p, '=', n);
    if (base64_ended(&a) && (!pad || (const uint8_t *)pad >= p + n - 2))
        must(wrote == n && memcmp(text, p, n) == 0);
    /* Bytes of any kind come back. */
    out = (struct base64_out){0};
    wrote = base64_encode_some(&out, span_of((const char *)p, n), text);
    wrote += base64_encode_end(&out, text + wrote);
    must(wrote == 4 * ((n + 2) / 3));
    must(decode((const uint8_t *)text, wrote, step, whole, &a) == n && base64_ended(&a));
    must(memcmp(whole, p, n) == 0);
}

static void check_text(struct span s) {
    static char room[3 * 16384];
    char printed[16];
    uint64_t ns, back;
    struct arena arena;
    arena_init(&arena, NULL);
    if (grpc_timeout(s, &ns)) {
        must(grpc_timeout(grpc_timeout_print(ns, printed), &back));
        must(back >= ns && back - ns <= ns / 25000);
    }
    for (unsigned k = GRPC_PLAIN; k <= GRPC_WEB_TEXT && grpc_kind(s) != GRPC_NONE; k++) {
        struct span other = grpc_content_type(s, (enum grpc_kind)k, &arena);
        must(grpc_kind(other) == (enum grpc_kind)k);
        struct span again = grpc_content_type(other, grpc_kind(s), &arena);
        must(span_eq_nocase(again, s));
    }
    struct str out = str_on(room, sizeof room);
    grpc_message(&out, s);
    must(!out.full && out.n >= s.n);
    for (size_t i = 0; i < out.n; i++)
        must(out.p[i] >= 0x20 && out.p[i] < 0x7f);
    arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 3 || n > 16384)
        return 0;
    struct options o = {.max = data[0] & 1 ? 100 : 0, .encoding = data[0] & 2, .web = data[0] & 4};
    size_t step = 1 + data[1];
    data += 2;
    n -= 2;
    struct verdict want = look_plainly(&o, data, n), whole = look(&o, data, n, n);
    struct verdict cut = look(&o, data, n, step);
    same(&want, &whole);
    same(&want, &cut);
    check_base64(data, n, step);
    check_text(span_of((const char *)data, n));
    return 0;
}
