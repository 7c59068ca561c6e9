/* One frame after the other: head byte by byte, payload in strides. */
#include "http/ws.h"

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
enum { FIN = 0x80, RSV1 = 0x40, RSV23 = 0x30, MASKED = 0x80, CONTROL_MAX = 125 };

void ws_scan_start(struct ws_scan *s, enum ws_role role, const struct ws_limits *limits,
                   bool extensions) {
    *s =
        (struct ws_scan){.limits = *limits, .role = role, .extensions = extensions, .head_need = 2};
}

static bool control(unsigned opcode) {
    return opcode & 8;
}

/* FIN, RSV and opcode. */
static uint16_t judge_first(const struct ws_scan *s, unsigned char b) {
    unsigned op = b & 15;
    bool known = op <= OP_BINARY || (op >= OP_CLOSE && op <= OP_PONG);
    bool rsv1 = b & RSV1, begins = op == OP_TEXT || op == OP_BINARY;
    if (!known || b & RSV23 || s->closed)
        return WS_MALFORMED;
    if (rsv1 && !(s->extensions && begins)) /* RFC 7692 6: on a message's first frame only */
        return WS_MALFORMED;
    if (control(op))
        return b & FIN ? 0 : WS_MALFORMED;
    return begins == s->open ? WS_MALFORMED : 0; /* a message inside another; a rest of none */
}

/* Mask and short length; tells how long the head is. */
static uint16_t judge_second(struct ws_scan *s, unsigned char b) {
    unsigned op = s->head[0] & 15, n = b & 127;
    bool masked = b & MASKED;
    if (masked != (s->role == WS_FROM_CLIENT))
        return WS_MALFORMED;
    if (control(op) && n > CONTROL_MAX)
        return WS_MALFORMED;
    if (op == OP_CLOSE && n == 1)
        return WS_MALFORMED;
    s->head_need = (unsigned char)(2 + (n == 126 ? 2 : n == 127 ? 8 : 0) + (masked ? 4 : 0));
    return 0;
}

static uint64_t payload_length(const struct ws_scan *s) {
    uint64_t n = s->head[1] & 127;
    unsigned bytes = n == 126 ? 2 : n == 127 ? 8 : 0;
    if (bytes)
        n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | s->head[2 + i];
    return n;
}

/* RFC 6455 5.2: the top bit is 0 and no shorter form would do. */
static bool length_ok(const struct ws_scan *s, uint64_t n) {
    unsigned form = s->head[1] & 127;
    return form < 126 || (form == 126 ? n > 125 : n > 65535 && n <= INT64_MAX);
}

/* A frame of a message, by its whole head. */
static uint16_t judge_data(struct ws_scan *s, uint64_t n) {
    const struct ws_limits *l = &s->limits;
    if (s->opcode != OP_CONTINUATION) {
        s->message = 0;
        s->fragments = 0;
        s->text = s->opcode == OP_TEXT && l->utf8 && !s->extensions;
    }
    if (__builtin_add_overflow(s->message, n, &s->message))
        s->message = UINT64_MAX;
    s->fragments += s->fragments < UINT32_MAX;
    if ((l->frame_max && n > l->frame_max) || (l->message_max && s->message > l->message_max) ||
        (l->fragments_max && s->fragments > l->fragments_max))
        return WS_TOO_BIG;
    s->open = !s->fin;
    return 0;
}

/* The head is whole: a frame begins. */
static uint16_t begin(struct ws_scan *s) {
    uint64_t n = payload_length(s);
    if (!length_ok(s, n))
        return WS_MALFORMED;
    s->opcode = s->head[0] & 15;
    s->fin = s->head[0] & FIN;
    s->left = n;
    s->frames++;
    s->pings += s->opcode == OP_PING;
    s->mask_at = 0;
    s->code = s->code_len = 0;
    s->reason.left = 0;
    s->payload = true;
    return control(s->opcode) ? 0 : judge_data(s, n);
}

static uint16_t head_byte(struct ws_scan *s, unsigned char b) {
    uint16_t why = 0;
    s->head[s->head_len++] = b;
    if (s->head_len == 1)
        why = judge_first(s, b);
    else if (s->head_len == 2)
        why = judge_second(s, b);
    return why || s->head_len < s->head_need ? why : begin(s);
}

/* RFC 3629: what may follow a first byte. False: none may. */
static bool utf8_first(struct ws_utf8 *u, unsigned char c) {
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0x80)
        u->left = 0;
    else if (c >= 0xc2 && c < 0xe0)
        u->left = 1;
    else if (c >= 0xe0 && c < 0xf0)
        u->left = 2;
    else if (c >= 0xf0 && c < 0xf5)
        u->left = 3;
    else
        return false;
    if (c == 0xe0)
        u->low = 0xa0; /* else overlong */
    else if (c == 0xed)
        u->high = 0x9f; /* surrogates */
    else if (c == 0xf0)
        u->low = 0x90;
    else if (c == 0xf4)
        u->high = 0x8f; /* above U+10FFFF */
    return true;
}

static bool utf8_byte(struct ws_utf8 *u, unsigned char c) {
    if (u->left == 0)
        return utf8_first(u, c);
    if (c < u->low || c > u->high)
        return false;
    u->left--;
    u->low = 0x80;
    u->high = 0xbf;
    return true;
}

static const unsigned char *mask_of(const struct ws_scan *s) {
    static const unsigned char none[4];
    return s->role == WS_FROM_CLIENT ? s->head + s->head_need - 4 : none;
}

/* Eight bytes of ASCII at once; most texts are. */
static size_t skip_ascii(const struct ws_scan *s, const unsigned char *p, size_t n) {
    const unsigned char *m = mask_of(s);
    unsigned char turned[8];
    uint64_t mask, v;
    size_t i = 0;
    for (unsigned k = 0; k < 8; k++)
        turned[k] = m[(s->mask_at + k) & 3];
    memcpy(&mask, turned, 8);
    for (; n - i >= 8; i += 8) {
        memcpy(&v, p + i, 8);
        if ((v ^ mask) & 0x8080808080808080u)
            break;
    }
    return i;
}

/* Returns how many bytes are good. */
static size_t text_bytes(struct ws_scan *s, const unsigned char *p, size_t n) {
    const unsigned char *m = mask_of(s);
    for (size_t i = 0; i < n; i++) {
        i += s->utf8.left ? 0 : skip_ascii(s, p + i, n - i);
        if (i < n && !utf8_byte(&s->utf8, p[i] ^ m[s->mask_at]))
            return i;
        s->mask_at = (s->mask_at + (i < n)) & 3;
    }
    return n;
}

/* RFC 6455 7.4 and the registry: codes that may stand on the wire. */
static bool code_ok(unsigned code) {
    return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) ||
           (code >= 3000 && code <= 4999);
}

static uint16_t close_bytes(struct ws_scan *s, const unsigned char *p, size_t n) {
    const unsigned char *m = mask_of(s);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = p[i] ^ m[s->mask_at];
        s->mask_at = (s->mask_at + 1) & 3;
        if (s->code_len == 2) {
            if (s->limits.utf8 && !utf8_byte(&s->reason, c))
                return WS_NOT_UTF8;
            continue;
        }
        s->code = (uint16_t)(s->code << 8 | c);
        if (++s->code_len == 2 && !code_ok(s->code))
            return WS_MALFORMED;
    }
    return 0;
}

static uint16_t end(struct ws_scan *s) {
    bool ends = s->fin && !control(s->opcode);
    if ((ends && s->text && s->utf8.left) || s->reason.left)
        return WS_NOT_UTF8;
    s->closed |= s->opcode == OP_CLOSE;
    s->payload = false;
    s->head_len = 0;
    s->head_need = 2;
    return 0;
}

/* What is there of a payload. Returns how many bytes are good: at a fault those before it. */
static size_t payload_bytes(struct ws_scan *s, const unsigned char *p, size_t n) {
    size_t took = s->left < n ? (size_t)s->left : n, good = took;
    s->left -= took;
    if (s->opcode == OP_CLOSE)
        s->close = close_bytes(s, p, took);
    else if (s->text && !control(s->opcode) && (good = text_bytes(s, p, took)) < took)
        s->close = WS_NOT_UTF8;
    return good;
}

/* One stride: a byte of a head, or what is there of a payload. Returns as payload_bytes. */
static size_t stride(struct ws_scan *s, const unsigned char *p, size_t n) {
    bool head = !s->payload;
    size_t good = 1;
    if (head)
        s->close = head_byte(s, *p);
    else
        good = payload_bytes(s, p, n);
    if (s->close == 0 && s->payload && s->left == 0 && (s->close = end(s)))
        good--; /* a text that ends within a character: its last byte is the fault */
    return head && s->close ? 0 : good;
}

/* What may be refused yet waits: a head until it is whole, a close frame until its end. */
static bool waits(const struct ws_scan *s) {
    return s->payload ? s->opcode == OP_CLOSE : s->head_len > 0;
}

size_t ws_scan(struct ws_scan *s, struct span bytes) {
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t passed = 0, held = s->held;
    for (size_t at = 0, good; at < bytes.n && s->close == 0; at += good) {
        good = stride(s, p + at, bytes.n - at);
        held += good;
        if (s->close ? s->inside : !waits(s)) {
            passed += held;
            held = 0;
            s->inside = s->payload;
        }
    }
    s->held = (uint32_t)held;
    return passed;
}

bool ws_scan_between(const struct ws_scan *s) {
    return !s->inside;
}

size_t ws_close_frame(unsigned char out[32], uint16_t code, const char *reason,
                      const unsigned char *mask) {
    size_t n = strnlen(reason, 20), at = 2;
    out[0] = FIN | OP_CLOSE;
    out[1] = (unsigned char)((mask ? MASKED : 0) | (n + 2));
    if (mask) {
        memcpy(out + at, mask, 4);
        at += 4;
    }
    unsigned char *payload = out + at;
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    memcpy(payload + 2, reason, n);
    for (size_t i = 0; mask && i < n + 2; i++)
        payload[i] ^= mask[i & 3];
    return at + n + 2;
}
