#include "front/h2_frames.h"
#include <nghttp2/nghttp2.h>

enum { CONTINUATIONS_MAX = 8, BLOCK_MAX = 64 * 1024, FRAME_MAX = 16384 };

void h2_frames_init(struct h2_frames *f) {
    *f = (struct h2_frames){.left = NGHTTP2_CLIENT_MAGIC_LEN};
}

static uint32_t get32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- streams ---- */

static uint64_t bit_of(uint32_t stream) {
    return (uint64_t)1 << (stream / 2 % 64);
}
static unsigned word_of(uint32_t stream) {
    return stream / 2 % H2_KNOWN_IDS / 64;
}

static bool known(const struct h2_frames *f, uint32_t stream) {
    return stream % 2 && stream <= f->last && f->last - stream < 2 * H2_KNOWN_IDS;
}
static bool ended(const struct h2_frames *f, uint32_t stream) {
    return known(f, stream) && f->ended[word_of(stream)] & bit_of(stream);
}
bool h2_frames_opened(const struct h2_frames *f, uint32_t stream) {
    return known(f, stream) && f->opened[word_of(stream)] & bit_of(stream);
}

static void end(struct h2_frames *f, uint32_t stream) {
    if (known(f, stream))
        f->ended[word_of(stream)] |= bit_of(stream);
}

/* Those in between were passed over: closed without having been open (RFC 9113 5.1.1). */
static void opens(struct h2_frames *f, uint32_t stream) {
    uint32_t from = stream - f->last > 2 * H2_KNOWN_IDS ? stream - 2 * H2_KNOWN_IDS : f->last;
    for (uint32_t id = from + 2 - (from % 2 == 0); id <= stream; id += 2) {
        f->opened[word_of(id)] &= ~bit_of(id);
        f->ended[word_of(id)] &= ~bit_of(id);
    }
    f->last = stream;
    f->opened[word_of(stream)] |= bit_of(stream);
}

/* ---- judging ---- */

static void wrong(struct h2_trouble *t, uint32_t code, const char *why) {
    if (!t->code)
        *t = (struct h2_trouble){.code = code, .why = why};
}

static void flood(struct h2_trouble *t, enum h2_flood f, const char *why) {
    if (f && !t->code)
        *t = (struct h2_trouble){.flood = f, .code = NGHTTP2_ENHANCE_YOUR_CALM, .why = why};
}

static void block_frame(struct h2_frames *f, struct h2_trouble *t) {
    f->block = !(f->flags & NGHTTP2_FLAG_END_HEADERS);
    f->block_len += f->left;
    if (f->parts > CONTINUATIONS_MAX || f->block_len > BLOCK_MAX)
        flood(t, H2_FLOOD_HEADERS, "a header block of too many frames or bytes");
}

/* What is wrong with ids that are even, or 0, nghttp2 finds. */
static void headers_frame(struct h2_frames *f, uint64_t now, struct h2_trouble *t) {
    f->parts = 0;
    f->block_len = 0;
    f->block_since = now;
    if (f->stream % 2 && f->stream > f->last) {
        opens(f, f->stream);
        f->streams++;
    } else if (ended(f, f->stream)) {
        wrong(t, NGHTTP2_STREAM_CLOSED, "HEADERS on a stream that has ended");
    } else if (known(f, f->stream) && !h2_frames_opened(f, f->stream)) {
        wrong(t, NGHTTP2_PROTOCOL_ERROR, "a stream below the last one");
    }
    block_frame(f, t);
}

static void data_frame(const struct h2_frames *f, struct h2_trouble *t) {
    if (ended(f, f->stream) || (known(f, f->stream) && !h2_frames_opened(f, f->stream)))
        wrong(t, NGHTTP2_STREAM_CLOSED, "DATA on a stream that has ended");
}

static void by_type(struct h2_frames *f, uint64_t now, struct h2_trouble *t) {
    switch (f->type) {
    case NGHTTP2_DATA:
        data_frame(f, t);
        break;
    case NGHTTP2_HEADERS:
        headers_frame(f, now, t);
        break;
    case NGHTTP2_CONTINUATION:
        f->parts++;
        block_frame(f, t);
        break;
    case NGHTTP2_PRIORITY:
        if (f->stream == 0)
            wrong(t, NGHTTP2_PROTOCOL_ERROR, "PRIORITY on stream 0");
        break;
    default:
        break;
    }
}

static void judge(struct h2_frames *f, struct h2_guard *g, uint64_t now, struct h2_trouble *t) {
    nghttp2_frame_hd hd = {.length = f->left, .type = f->type, .flags = f->flags};
    bool message = f->type == NGHTTP2_DATA || f->type == NGHTTP2_HEADERS;
    if (f->left > FRAME_MAX)
        return; /* nghttp2 ends the connection over it */
    by_type(f, now, t);
    uint32_t tokens = g->glitches.tokens;
    const char *why =
        h2_guard_frame(g, &hd, h2_frames_opened(f, f->stream) && !ended(f, f->stream), now);
    f->glitches += g->glitches.tokens < tokens;
    flood(t, why ? H2_FLOOD_CONTROL : H2_CALM, why);
    if (f->type == NGHTTP2_RST_STREAM || (message && f->flags & NGHTTP2_FLAG_END_STREAM))
        end(f, f->stream);
}

/* ---- walking ---- */

static void gather(struct h2_frames *f, const char *p, size_t n, size_t *at) {
    size_t part = (size_t)(f->need - f->have) < n - *at ? (size_t)(f->need - f->have) : n - *at;
    memcpy(f->head + f->have, p + *at, part);
    f->have = (unsigned char)(f->have + part);
    *at += part;
}

static void read_head(struct h2_frames *f) {
    f->left = get32(f->head) >> 8;
    f->type = f->head[3];
    f->flags = f->head[4];
    f->stream = get32(f->head + 5) & 0x7fffffff;
    bool inside = f->type == NGHTTP2_PRIORITY && f->left == 5;
    f->need = inside ? sizeof f->head : 0;
}

static void read_priority(struct h2_frames *f, struct h2_trouble *t) {
    if ((get32(f->head + H2_FRAME_HEAD) & 0x7fffffff) == f->stream)
        wrong(t, NGHTTP2_PROTOCOL_ERROR, "PRIORITY of a stream that depends on itself");
    f->left -= 4;
    f->need = 0;
}

size_t h2_frames_look(struct h2_frames *f, struct h2_guard *g, uint64_t now, struct span in,
                      struct h2_trouble *t) {
    size_t start = 0; /* of the current frame; 0: it began earlier */
    *t = (struct h2_trouble){.code = 0};
    for (size_t at = 0; at < in.n;) {
        if (f->need) {
            start = f->have ? start : at;
            gather(f, in.p, in.n, &at);
            if (f->have < f->need)
                break;
            if (f->have > H2_FRAME_HEAD) {
                read_priority(f, t);
            } else {
                read_head(f);
                judge(f, g, now, t);
            }
            if (t->code)
                return start;
        } else {
            size_t part = f->left < in.n - at ? f->left : in.n - at;
            f->left -= (uint32_t)part;
            at += part;
        }
        if (!f->need && f->left == 0) {
            f->need = H2_FRAME_HEAD;
            f->have = 0;
        }
    }
    return in.n;
}
