#include "h2_actor.h"
#include <stdio.h>
#include <stdlib.h>

#define MAGIC NGHTTP2_CLIENT_MAGIC
enum { HEAD = 9, FIELDS = 256, BLOCK = 128 * 1024, DATA_MAX = 16384 };

static const char *frame_name(unsigned type) {
    static const char *const names[] = {"DATA",     "HEADERS", "PRIORITY",     "RST_STREAM",
                                        "SETTINGS", "PUSH",    "PING",         "GOAWAY",
                                        "WINDOW",   "CONT",    "ALTSVC or so", "0x0b"};
    return type < array_len(names) ? names[type] : "a frame of no known type";
}

static uint32_t get32(const void *at) {
    const unsigned char *p = at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(unsigned char *p, uint32_t v) {
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (unsigned char)v;
}

/* ---- saying ---- */

void h2_frame(struct h2_actor *a, unsigned type, unsigned flags, uint32_t stream, const void *bytes,
              size_t n) {
    unsigned char head[HEAD] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n,
                                (unsigned char)type, (unsigned char)flags};
    put32(head + 5, stream);
    play_send_bytes(a->p, a->who, head, sizeof head);
    play_send_bytes(a->p, a->who, bytes, n);
}

void h2_settings(struct h2_actor *a, const uint32_t *settings, size_t pairs) {
    unsigned char bytes[6 * 64];
    must(pairs <= 64);
    for (size_t i = 0; i < pairs; i++) {
        bytes[6 * i] = (unsigned char)(settings[2 * i] >> 8);
        bytes[6 * i + 1] = (unsigned char)settings[2 * i];
        put32(bytes + 6 * i + 2, settings[2 * i + 1]);
    }
    h2_frame(a, NGHTTP2_SETTINGS, 0, 0, bytes, 6 * pairs);
}

/* One line a field; a pseudo-header's own colon does not end its name. */
static size_t read_lines(const char *lines, nghttp2_nv *nv) {
    struct span rest = span_z(lines);
    size_t n = 0;
    while (rest.p && rest.n) {
        struct span line = span_split(&rest, '\n');
        ptrdiff_t colon = line.n ? span_find(span_from(line, 1), ':') : -1;
        must(colon >= 0 && n < FIELDS);
        size_t name = (size_t)colon + 1, value = name + 1 + (line.p[name + 1] == ' ');
        nv[n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)line.p,
                               .namelen = name,
                               .value = (uint8_t *)(uintptr_t)line.p + value,
                               .valuelen = line.n - value};
    }
    return n;
}

void h2_headers(struct h2_actor *a, uint32_t stream, unsigned flags, const char *lines) {
    static uint8_t block[BLOCK];
    nghttp2_nv nv[FIELDS];
    if (a->p->lost)
        return;
    ssize_t n = nghttp2_hd_deflate_hd(a->deflater, block, sizeof block, nv, read_lines(lines, nv));
    must(n >= 0);
    size_t at = 0, left = (size_t)n;
    for (unsigned type = NGHTTP2_HEADERS; type; type = left ? NGHTTP2_CONTINUATION : 0) {
        size_t part = left < DATA_MAX ? left : DATA_MAX;
        unsigned f = type == NGHTTP2_HEADERS ? flags & H2_END : 0;
        left -= part;
        if (!left && !(flags & H2_OPEN))
            f |= NGHTTP2_FLAG_END_HEADERS;
        h2_frame(a, type, f, stream, block + at, part);
        at += part;
    }
}

void h2_get(struct h2_actor *a, uint32_t stream, const char *path) {
    char lines[1024];
    snprintf(lines, sizeof lines,
             ":method: GET\n:scheme: http\n:authority: shop.example\n:path: %s", path);
    h2_headers(a, stream, H2_END, lines);
}

void h2_post(struct h2_actor *a, uint32_t stream, const char *path, const char *more) {
    char lines[4096];
    snprintf(lines, sizeof lines,
             ":method: POST\n:scheme: http\n:authority: shop.example\n:path: %s\n%s", path, more);
    h2_headers(a, stream, 0, lines);
}

static void sent(struct h2_actor *a, uint32_t stream, size_t n) {
    a->window -= (int64_t)n;
    if (stream < H2_STREAMS)
        a->given[stream] -= (int64_t)n;
}

void h2_data(struct h2_actor *a, uint32_t stream, unsigned flags, const char *text) {
    h2_frame(a, NGHTTP2_DATA, flags & H2_END, stream, text, strlen(text));
    sent(a, stream, strlen(text));
}

void h2_rst(struct h2_actor *a, uint32_t stream, uint32_t code) {
    unsigned char bytes[4];
    put32(bytes, code);
    h2_frame(a, NGHTTP2_RST_STREAM, 0, stream, bytes, sizeof bytes);
}

void h2_goaway(struct h2_actor *a, uint32_t last, uint32_t code) {
    unsigned char bytes[8];
    put32(bytes, last);
    put32(bytes + 4, code);
    h2_frame(a, NGHTTP2_GOAWAY, 0, 0, bytes, sizeof bytes);
}

void h2_ping(struct h2_actor *a, bool ack, uint64_t opaque) {
    h2_frame(a, NGHTTP2_PING, ack, 0, &opaque, sizeof opaque);
}

void h2_window(struct h2_actor *a, uint32_t stream, uint32_t more) {
    unsigned char bytes[4];
    put32(bytes, more);
    h2_frame(a, NGHTTP2_WINDOW_UPDATE, 0, stream, bytes, sizeof bytes);
}

int64_t h2_room(const struct h2_actor *a, uint32_t stream) {
    if (stream == 0 || stream >= H2_STREAMS)
        return a->window;
    int64_t own = a->initial + a->given[stream];
    return own < a->window ? own : a->window;
}

/* ---- hearing ---- */

static void heard_settings(struct h2_actor *a, uint8_t flags, const unsigned char *p, size_t n) {
    if (flags & NGHTTP2_FLAG_ACK)
        return;
    for (size_t i = 0; i + 6 <= n; i += 6) {
        unsigned id = (unsigned)p[i] << 8 | p[i + 1];
        if (id < array_len(a->settings)) {
            a->settings[id] = get32(p + i + 2);
            a->settings_seen |= 1u << id;
        }
        if (id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE)
            a->initial = get32(p + i + 2);
    }
    if (!a->quiet)
        h2_frame(a, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
}

static void heard_window(struct h2_actor *a, uint32_t stream, const unsigned char *p) {
    if (stream == 0)
        a->window += get32(p);
    else if (stream < H2_STREAMS)
        a->given[stream] += get32(p);
}

static struct h2_frame *new_frame(unsigned type, unsigned flags, uint32_t stream, size_t n) {
    struct h2_frame *f = calloc(1, sizeof *f + n + 1);
    must(f);
    f->type = (uint8_t)type;
    f->flags = (uint8_t)flags;
    f->stream = stream;
    f->n = n;
    return f;
}

static void keep(struct h2_actor *a, struct h2_frame *f) {
    *a->last = f;
    a->last = &f->next;
}

/* Decoded in the order of arrival, whenever it is expected. */
static void heard_block(struct h2_actor *a, uint8_t flags, uint32_t stream, const unsigned char *p,
                        size_t n) {
    static char text[BLOCK];
    size_t used = 0;
    for (int emitted = NGHTTP2_HD_INFLATE_EMIT; !(emitted & NGHTTP2_HD_INFLATE_FINAL);) {
        nghttp2_nv nv;
        emitted = 0;
        ssize_t took = nghttp2_hd_inflate_hd2(a->inflater, &nv, &emitted, p, n, 1);
        if (took < 0) {
            play_fail(a->p, "actor %d: HPACK of the gateway: %s", a->who,
                      nghttp2_strerror((int)took));
            return;
        }
        p += took;
        n -= (size_t)took;
        if (emitted & NGHTTP2_HD_INFLATE_EMIT)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%.*s: %.*s\n", (int)nv.namelen,
                                 (const char *)nv.name, (int)nv.valuelen, (const char *)nv.value);
        must(used < sizeof text);
    }
    nghttp2_hd_inflate_end_headers(a->inflater);
    struct h2_frame *f = new_frame(NGHTTP2_HEADERS, flags, stream, used);
    memcpy(f->bytes, text, used);
    keep(a, f);
}

static void heard(struct h2_actor *a, unsigned type, uint8_t flags, uint32_t stream,
                  const unsigned char *p, size_t n) {
    a->frames++;
    switch (type) {
    case NGHTTP2_SETTINGS:
        heard_settings(a, flags, p, n);
        return;
    case NGHTTP2_WINDOW_UPDATE:
        heard_window(a, stream, p);
        return;
    case NGHTTP2_HEADERS:
        heard_block(a, flags, stream, p, n);
        return;
    case NGHTTP2_PING:
        if (flags & NGHTTP2_FLAG_ACK || a->quiet)
            break;
        h2_frame(a, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, p, n);
        return;
    default:
        break;
    }
    struct h2_frame *f = new_frame(type, flags, stream, n);
    if (n)
        memcpy(f->bytes, p, n);
    keep(a, f);
}

/* CONTINUATION frames are joined to their HEADERS before anything is decoded. */
static size_t whole(const unsigned char *p, size_t n, unsigned char **joined, size_t *joined_len) {
    size_t at = 0;
    *joined = NULL;
    *joined_len = 0;
    for (;;) {
        size_t len = n - at < HEAD ? 0 : (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
        if (n - at < HEAD + len) {
            free(*joined);
            *joined = NULL;
            return 0;
        }
        *joined = realloc(*joined, *joined_len + len + 1);
        must(*joined);
        if (len)
            memcpy(*joined + *joined_len, p + at + HEAD, len);
        *joined_len += len;
        bool block = p[at + 3] == NGHTTP2_HEADERS || p[at + 3] == NGHTTP2_CONTINUATION;
        bool more = block && !(p[at + 4] & NGHTTP2_FLAG_END_HEADERS);
        at += HEAD + len;
        if (!more)
            return at;
    }
}

static void parse(struct h2_actor *a) {
    size_t at = 0, took;
    unsigned char *p = (unsigned char *)a->raw, *bytes;
    if (!a->client && !a->greeted) {
        if (a->raw_len < sizeof MAGIC - 1)
            return;
        if (memcmp(a->raw, MAGIC, sizeof MAGIC - 1) != 0)
            play_fail(a->p, "actor %d: no preface of HTTP/2: %.24s", a->who, a->raw);
        a->greeted = true;
        at = sizeof MAGIC - 1;
    }
    for (size_t n; !a->p->lost && (took = whole(p + at, a->raw_len - at, &bytes, &n));) {
        heard(a, p[at + 3], p[at + 4], get32(p + at + 5) & 0x7fffffff, bytes, n);
        free(bytes);
        at += took;
    }
    if (at)
        memmove(a->raw, a->raw + at, a->raw_len -= at);
}

static char *raw_room(struct h2_actor *a) {
    if (a->raw_cap - a->raw_len < DATA_MAX) {
        a->raw_cap = 2 * a->raw_cap + DATA_MAX;
        a->raw = realloc(a->raw, a->raw_cap);
        must(a->raw);
    }
    return a->raw + a->raw_len;
}

/* Something more, or the play is lost. */
static void hear_more(struct h2_actor *a, const char *what) {
    size_t got = play_hear(a->p, a->who, raw_room(a), DATA_MAX, what);
    a->raw_len += got;
    parse(a);
}

void h2_hear(struct h2_actor *a) {
    size_t got;
    play_quiet(a->p);
    while (!a->p->lost && !a->ended) {
        enum io_result r = actor_read(a->p->actor[a->who].fd, raw_room(a), DATA_MAX, &got);
        if (r == IO_AGAIN)
            return;
        a->ended = r != IO_OK;
        if (r == IO_OK)
            a->raw_len += got;
        parse(a);
        play_quiet(a->p);
    }
}

/* ---- expecting ---- */

static struct h2_frame *take(struct h2_actor *a, struct h2_frame **at) {
    struct h2_frame *f = *at;
    *at = f->next;
    if (a->last == &f->next)
        a->last = at;
    return f;
}

/* The next one of this stream. NULL: the play is lost. The caller frees it. */
static struct h2_frame *next(struct h2_actor *a, uint32_t stream, const char *what) {
    while (!a->p->lost) {
        for (struct h2_frame **f = &a->inbox; *f; f = &(*f)->next)
            if ((*f)->stream == stream)
                return take(a, f);
        hear_more(a, what);
    }
    return NULL;
}

static struct h2_frame *next_of(struct h2_actor *a, uint32_t stream, unsigned type) {
    struct h2_frame *f = next(a, stream, frame_name(type));
    if (!f || f->type == type)
        return f;
    play_fail(a->p, "actor %d, stream %u: expected %s and heard %s of %zu bytes%s%.300s%s%u",
              a->who, stream, frame_name(type), frame_name(f->type), f->n, f->type < 2 ? ":\n" : "",
              f->type < 2 ? f->bytes : "", f->type == NGHTTP2_RST_STREAM ? ", code " : ", flags ",
              f->type == NGHTTP2_RST_STREAM ? get32(f->bytes) : f->flags);
    free(f);
    return NULL;
}

static void check_end(struct h2_actor *a, const struct h2_frame *f, unsigned flags) {
    if ((f->flags & H2_END) != (flags & H2_END))
        play_fail(a->p, "actor %d, stream %u: %s %s the stream:\n%.300s", a->who, f->stream,
                  frame_name(f->type), f->flags & H2_END ? "ends" : "does not end", f->bytes);
}

void h2_expect(struct h2_actor *a, uint32_t stream, unsigned flags, const char *pieces) {
    struct h2_frame *f = next_of(a, stream, NGHTTP2_HEADERS);
    if (!f)
        return;
    play_pieces(a->p, a->who, f->bytes, pieces);
    check_end(a, f, flags);
    free(f);
}

uint32_t h2_expect_request(struct h2_actor *a, unsigned flags, const char *pieces) {
    while (!a->p->lost) {
        for (struct h2_frame *f = a->inbox; f; f = f->next)
            if (f->type == NGHTTP2_HEADERS && strstr(f->bytes, ":method: ")) {
                uint32_t stream = f->stream;
                h2_expect(a, stream, flags, pieces);
                return stream;
            }
        hear_more(a, "a request");
    }
    return 1;
}

static void give_back(struct h2_actor *a, uint32_t stream, size_t n, bool end) {
    if (a->hold || !n)
        return;
    h2_window(a, 0, (uint32_t)n);
    if (!end)
        h2_window(a, stream, (uint32_t)n);
}

static bool same(struct h2_actor *a, uint32_t stream, const char *bytes, size_t n,
                 const char *text) {
    if (text)
        return memcmp(bytes, text, n) == 0;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != play_pattern(a->data_in[stream]++))
            return false;
    return true;
}

/* text NULL: the pattern. */
static void expect_bytes(struct h2_actor *a, uint32_t stream, unsigned flags, const char *text,
                         size_t n) {
    for (bool end = false; !a->p->lost && (n || (flags & H2_END && !end));) {
        struct h2_frame *f = next_of(a, stream, NGHTTP2_DATA);
        if (!f)
            return;
        end = f->flags & H2_END;
        size_t part = f->n < n ? f->n : n;
        bool over = f->n > n || (end && (f->n < n || !(flags & H2_END)));
        if (over && f->n > n && !end) { /* the rest belongs to the next expectation */
            struct h2_frame *rest = new_frame(f->type, f->flags, stream, f->n - n);
            memcpy(rest->bytes, f->bytes + n, f->n - n);
            rest->next = a->inbox;
            if (a->last == &a->inbox)
                a->last = &rest->next;
            a->inbox = rest;
            over = flags & H2_END;
        }
        if (over || !same(a, stream, f->bytes, part, text))
            play_fail(a->p,
                      "actor %d, stream %u: expected DATA \"%.200s\" (%zu bytes%s), heard "
                      "\"%.200s\" (%zu bytes%s)",
                      a->who, stream, text ? text : "pattern", n, flags & H2_END ? ", end" : "",
                      f->bytes, f->n, end ? ", end" : "");
        n -= part;
        text = text ? text + part : NULL;
        give_back(a, stream, part, end);
        free(f);
    }
}

void h2_expect_data(struct h2_actor *a, uint32_t stream, unsigned flags, const char *text) {
    expect_bytes(a, stream, flags, text, strlen(text));
}

void h2_expect_bytes(struct h2_actor *a, uint32_t stream, unsigned flags, const void *bytes,
                     size_t n) {
    expect_bytes(a, stream, flags, bytes, n);
}

void h2_expect_body(struct h2_actor *a, uint32_t stream, const char *pieces) {
    char body[8192];
    size_t n = 0;
    for (bool end = false; !end && !a->p->lost;) {
        struct h2_frame *f = next_of(a, stream, NGHTTP2_DATA);
        if (!f)
            return;
        must(n + f->n < sizeof body);
        memcpy(body + n, f->bytes, f->n);
        n += f->n;
        end = f->flags & H2_END;
        give_back(a, stream, f->n, end);
        free(f);
    }
    body[n] = 0;
    if (!a->p->lost)
        play_pieces(a->p, a->who, body, pieces);
}

void h2_filled(struct h2_actor *a, uint32_t stream, size_t n, unsigned flags) {
    must(stream < H2_STREAMS);
    expect_bytes(a, stream, flags, NULL, n);
}

static void expect_code(struct h2_actor *a, const char *what, const char *at, uint32_t code) {
    if (get32(at) != code)
        play_fail(a->p, "actor %d: expected %s %s and heard %s", a->who, what,
                  nghttp2_http2_strerror(code), nghttp2_http2_strerror(get32(at)));
}

void h2_expect_rst(struct h2_actor *a, uint32_t stream, uint32_t code) {
    struct h2_frame *f = next_of(a, stream, NGHTTP2_RST_STREAM);
    if (f)
        expect_code(a, "RST_STREAM", f->bytes, code);
    free(f);
}

uint32_t h2_expect_goaway(struct h2_actor *a, uint32_t code) {
    struct h2_frame *f = next_of(a, 0, NGHTTP2_GOAWAY);
    uint32_t last = f ? get32(f->bytes) : 0;
    if (f)
        expect_code(a, "GOAWAY", f->bytes + 4, code);
    free(f);
    return last;
}

void h2_any_goaway(struct h2_actor *a, uint32_t code) {
    const struct h2_frame *f = a->inbox;
    while (f && (f->type != NGHTTP2_GOAWAY || get32(f->bytes + 4) != code))
        f = f->next;
    if (!f)
        play_fail(a->p, "actor %d: no GOAWAY with %s came", a->who, nghttp2_http2_strerror(code));
}

void h2_expect_ping(struct h2_actor *a, bool ack, uint64_t opaque) {
    struct h2_frame *f = next_of(a, 0, NGHTTP2_PING);
    if (f && (ack != (f->flags & NGHTTP2_FLAG_ACK) ||
              (ack && memcmp(f->bytes, &opaque, sizeof opaque) != 0)))
        play_fail(a->p, "actor %d: another PING came", a->who);
    free(f);
}

void h2_expect_room(struct h2_actor *a, uint32_t stream, int64_t room) {
    while (!a->p->lost && h2_room(a, stream) < room)
        hear_more(a, "window");
}

void h2_fill(struct h2_actor *a, uint32_t stream, size_t n, unsigned flags) {
    static char bytes[DATA_MAX];
    must(stream < H2_STREAMS);
    while (!a->p->lost && n) {
        h2_expect_room(a, stream, 1);
        int64_t room = h2_room(a, stream);
        size_t part = n < DATA_MAX ? n : DATA_MAX;
        if (room < (int64_t)part)
            part = room > 0 ? (size_t)room : 0;
        for (size_t i = 0; i < part; i++)
            bytes[i] = play_pattern(a->data_out[stream]++);
        n -= part;
        h2_frame(a, NGHTTP2_DATA, n ? 0 : flags & H2_END, stream, bytes, part);
        sent(a, stream, part);
    }
}

void h2_nothing(struct h2_actor *a) {
    h2_hear(a);
    struct h2_frame *f = a->inbox;
    if (a->ended)
        play_fail(a->p, "actor %d: nothing was to come, but the connection ended%s%s", a->who,
                  f ? ", before that " : "", f ? frame_name(f->type) : "");
    else if (f)
        play_fail(a->p, "actor %d: nothing was to come, but %s on stream %u:\n%.300s", a->who,
                  frame_name(f->type), f->stream, f->type < 2 ? f->bytes : "");
}

void h2_closed(struct h2_actor *a) {
    h2_hear(a);
    if (!a->ended)
        play_fail(a->p, "actor %d: all is quiet and the connection stays open", a->who);
}

/* ---- begin and end ---- */

static void forget(void *more) {
    struct h2_actor *a = more;
    for (struct h2_frame *f; (f = a->inbox);) {
        a->inbox = f->next;
        free(f);
    }
    nghttp2_hd_deflate_del(a->deflater);
    nghttp2_hd_inflate_del(a->inflater);
    free(a->raw);
    free(a);
}

static struct h2_actor *create(struct play *p, int who, bool client) {
    struct h2_actor *a = calloc(1, sizeof *a);
    must(a);
    *a = (struct h2_actor){.p = p, .who = who, .client = client, .initial = 65535, .window = 65535};
    a->last = &a->inbox;
    must(nghttp2_hd_deflate_new(&a->deflater, 4096) == 0);
    must(nghttp2_hd_inflate_new(&a->inflater) == 0);
    p->actor[who].more = a;
    p->actor[who].forget = forget;
    return a;
}

static struct h2_actor *client_on(struct play *p, int who, size_t said, const uint32_t *settings,
                                  size_t pairs) {
    struct h2_actor *a = create(p, who, true);
    play_send_bytes(p, a->who, &MAGIC[said], sizeof MAGIC - 1 - said);
    h2_settings(a, settings, pairs);
    return a;
}

struct h2_actor *h2_client_with(struct play *p, const uint32_t *settings, size_t pairs) {
    return client_on(p, play_client(p), 0, settings, pairs);
}

struct h2_actor *h2_client_on(struct play *p, int who, size_t said) {
    return client_on(p, who, said, NULL, 0);
}

struct h2_actor *h2_client(struct play *p) {
    return h2_client_with(p, NULL, 0);
}

struct h2_actor *h2_service_with(struct play *p, int who, const uint32_t *settings, size_t pairs) {
    struct h2_actor *a = create(p, who, false);
    h2_settings(a, settings, pairs); /* before the gateway's are acknowledged */
    while (!p->lost && !a->greeted)
        hear_more(a, "the preface");
    return a;
}

struct h2_actor *h2_service(struct play *p, int who) {
    return h2_service_with(p, who, NULL, 0);
}
