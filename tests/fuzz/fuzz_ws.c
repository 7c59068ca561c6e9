/*
 * WebSocket frames against a reader that is slow and plain: it has all bytes at once and looks at
 * one frame after the other. Verdict and number of bytes that pass must be the same however the
 * bytes are cut, so no byte of a refused frame ever passes.
 */
#include "http/ws.h"
#include <stdlib.h>

struct verdict {
    size_t passed;
    unsigned close;
    bool closed, between;
    uint64_t frames, pings;
};

struct plain {
    struct ws_limits limits;
    bool client, ext;
    const unsigned char *p;
    size_t n;
    uint64_t message, fragments;
    bool open, text, closed;
    unsigned char utf8[4]; /* an unfinished character */
    size_t utf8_len;
};

struct frame {
    unsigned op, rsv;
    bool fin, masked;
    uint64_t len;
    size_t head; /* bytes of the head; 0: not whole */
    unsigned char mask[4];
};

/* False: it breaks a rule by as much of the head as is there. */
static bool read_head(const struct plain *s, size_t at, struct frame *f) {
    const unsigned char *b = s->p + at;
    size_t n = s->n - at, ext;
    *f = (struct frame){.op = b[0] & 15, .rsv = b[0] >> 4 & 7, .fin = b[0] >> 7};
    bool control = f->op >= 8;
    if (f->op > 10 || (f->op > 2 && f->op < 8) || s->closed || f->rsv & 3)
        return false;
    if (f->rsv && (!s->ext || control || f->op == 0))
        return false;
    if (control ? !f->fin : (f->op == 0) != s->open)
        return false;
    if (n < 2)
        return true;
    f->masked = b[1] >> 7;
    f->len = b[1] & 127;
    if (f->masked != s->client || (control && f->len > 125) || (f->op == 8 && f->len == 1))
        return false;
    ext = f->len == 126 ? 2 : f->len == 127 ? 8 : 0;
    if (n < 2 + ext + (f->masked ? 4 : 0))
        return true;
    uint64_t least = ext == 2 ? 126 : ext == 8 ? 65536 : 0;
    if (ext)
        f->len = 0;
    for (size_t i = 0; i < ext; i++)
        f->len = f->len * 256 + b[2 + i];
    f->head = 2 + ext + (f->masked ? 4 : 0);
    if (f->masked)
        memcpy(f->mask, b + 2 + ext, 4);
    return f->len >= least && f->len < (uint64_t)1 << 63;
}

/* How many bytes of a text are good; `end`: nothing may follow it. */
static size_t good_text(struct plain *s, const struct frame *f, const unsigned char *p, size_t n,
                        bool end) {
    for (size_t i = 0; i < n; i++) {
        s->utf8[s->utf8_len++] = p[i] ^ f->mask[i & 3];
        unsigned char c = s->utf8[0];
        size_t want = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        unsigned char whole[4] = {s->utf8[0], 0x80, 0x80, 0x80};
        if (s->utf8_len == 1 && (c == 0xe0 || c == 0xf0))
            whole[1] = 0xbf & (c == 0xe0 ? 0xbf : 0x9f); /* 0x80 would be overlong */
        for (size_t k = 1; k < s->utf8_len; k++)
            whole[k] = s->utf8[k];
        if (utf8_len(whole, want) != want || (end && i + 1 == n && s->utf8_len < want))
            return i;
        if (s->utf8_len == want)
            s->utf8_len = 0;
    }
    return n;
}

/* Of a close frame of which `n` bytes are there. */
static unsigned close_fault(const struct plain *s, const struct frame *f, const unsigned char *p,
                            size_t n) {
    struct plain own = {.limits = s->limits};
    struct frame turned = *f;
    if (n < 2)
        return 0;
    unsigned code = (unsigned)(p[0] ^ f->mask[0]) << 8 | (p[1] ^ f->mask[1]);
    if (!(code >= 3000 && code < 5000) &&
        (code < 1000 || code > 1014 || (code > 1003 && code < 1007)))
        return WS_MALFORMED;
    for (size_t i = 0; i < 4; i++)
        turned.mask[i] = f->mask[(i + 2) & 3];
    bool good = !s->limits.utf8 || good_text(&own, &turned, p + 2, n - 2, n == f->len) == n - 2;
    return good ? 0 : WS_NOT_UTF8;
}

static bool too_big(struct plain *s, const struct frame *f) {
    const struct ws_limits *l = &s->limits;
    if (f->op) {
        s->message = s->fragments = 0;
        s->text = f->op == 1 && l->utf8 && !s->ext;
        s->utf8_len = 0;
    }
    s->message = s->message + f->len < f->len ? UINT64_MAX : s->message + f->len;
    s->fragments++;
    s->open = !f->fin;
    return (l->frame_max && f->len > l->frame_max) ||
           (l->message_max && s->message > l->message_max) ||
           (l->fragments_max && s->fragments > l->fragments_max);
}

/* A frame whose head is fine. False: nothing more to look at. */
static bool plain_frame(struct plain *s, const struct frame *f, size_t *at, struct verdict *v) {
    const unsigned char *p = s->p + *at + f->head;
    size_t there = s->n - *at - f->head, n = f->len < there ? (size_t)f->len : there;
    v->frames++;
    v->pings += f->op == 9;
    if (f->op < 8 && too_big(s, f)) {
        v->close = WS_TOO_BIG;
        return false;
    }
    if (f->op == 8) {
        v->close = close_fault(s, f, p, n);
        s->closed = v->closed = v->close == 0 && n == f->len;
        *at += v->closed ? f->head + n : 0;
        return v->closed;
    }
    bool ends = f->fin && n == f->len;
    if (f->op < 8 && s->text && n == 0 && ends && s->utf8_len) {
        v->close = WS_NOT_UTF8;
        return false;
    }
    size_t good = f->op < 8 && s->text ? good_text(s, f, p, n, ends) : n;
    v->close = good < n ? WS_NOT_UTF8 : 0;
    v->between = good == f->len;
    *at += f->head + good;
    return v->between;
}

static struct verdict look_plainly(struct plain s) {
    struct verdict v = {.between = true};
    while (v.passed < s.n) {
        struct frame f;
        if (!read_head(&s, v.passed, &f)) {
            v.close = WS_MALFORMED;
            break;
        }
        if (!f.head || !plain_frame(&s, &f, &v.passed, &v))
            break;
    }
    return v;
}

static struct verdict look(const struct plain *s, size_t step) {
    struct verdict v = {0};
    struct ws_scan scan;
    ws_scan_start(&scan, s->client ? WS_FROM_CLIENT : WS_FROM_SERVICE, &s->limits, s->ext);
    for (size_t at = 0; at < s->n; at += step) {
        size_t n = s->n - at < step ? s->n - at : step;
        char *piece = malloc(n);
        must(piece);
        memcpy(piece, s->p + at, n);
        size_t held = scan.held, passed = ws_scan(&scan, span_of(piece, n));
        must(passed <= held + n);
        must(scan.close || (scan.held == held + n - passed && scan.held <= 131));
        v.passed += passed;
        free(piece);
    }
    v.close = scan.close;
    v.closed = scan.closed;
    v.between = ws_scan_between(&scan);
    v.frames = scan.frames;
    v.pings = scan.pings;
    return v;
}

static void same(const struct verdict *a, const struct verdict *b) {
    must(a->passed == b->passed);
    must(a->close == b->close && a->closed == b->closed && a->between == b->between);
    must(a->close || (a->frames == b->frames && a->pings == b->pings));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 2 || n > 16384)
        return 0;
    struct plain s = {.client = data[0] & 1,
                      .ext = data[0] & 2,
                      .p = data + 2,
                      .n = n - 2,
                      .limits = {.utf8 = data[0] & 4,
                                 .frame_max = data[0] & 8 ? 100 : 0,
                                 .message_max = data[0] & 16 ? 200 : 0,
                                 .fragments_max = data[0] & 32 ? 3 : 0}};
    struct verdict want = look_plainly(s), whole = look(&s, n), cut = look(&s, 1 + data[1]);
    same(&want, &whole);
    same(&want, &cut);
    if (n < 2048) {
        struct verdict single = look(&s, 1);
        same(&want, &single);
    }
    return 0;
}
