#include "http/h1.h"
#include <openssl/evp.h>

/* Most pieces are short: copied by two overlapping words instead of a call. */
static inline char *put(char *to, struct span s) {
    if (s.n >= 8 && s.n <= 16) {
        uint64_t a, b;
        memcpy(&a, s.p, 8);
        memcpy(&b, s.p + s.n - 8, 8);
        memcpy(to, &a, 8);
        memcpy(to + s.n - 8, &b, 8);
    } else if (s.n) {
        memcpy(to, s.p, s.n);
    }
    return to + s.n;
}
#define PUT(to, lit) put((to), SPAN(lit))

static char *put_u64(char *to, uint64_t v) {
    char digits[20], *p = digits + sizeof digits;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    return put(to, span_of(p, (size_t)(digits + sizeof digits - p)));
}

/* Known names leave in the spelling that HTTP/1.1 is used to. */
static char *put_fields(char *to, const struct field *f, size_t n) {
    for (const struct field *end = f + n; f < end; f++) {
        to = put(to, f->id ? hdr_table[f->id].title : field_name(f));
        to = PUT(to, ": ");
        to = put(to, field_value(f));
        to = PUT(to, "\r\n");
    }
    return to;
}

static size_t extra_bytes(const struct h1_print *how) {
    size_t n = 0;
    for (size_t i = 0; i < how->extra_count; i++)
        n += (size_t)how->extra[i].name_len + how->extra[i].value_len + 4;
    return n;
}

/* The longest that everything but start line and fields may become: upgrade lines with a key, a
 * length, Connection, the empty line. */
enum { DOOR_LINES = 256 };

static char *put_framing(char *to, const struct h1_print *how) {
    switch (how->framing) {
    case FRAMING_NONE:
        if (!how->no_length)
            to = PUT(to, "Content-Length: 0\r\n");
        break;
    case FRAMING_LENGTH:
        to = PUT(to, "Content-Length: ");
        to = put_u64(to, how->length);
        to = PUT(to, "\r\n");
        break;
    case FRAMING_CHUNKED:
        to = PUT(to, "Transfer-Encoding: chunked\r\n");
        break;
    case FRAMING_CLOSE:
    case FRAMING_TUNNEL:
        break;
    }
    return to;
}

static char *put_upgrade(char *to, struct span key_name, struct span key) {
    to = PUT(to, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    to = put(to, key_name);
    to = put(to, key);
    return PUT(to, "\r\n");
}

static char *put_connection(char *to, const struct h1_print *how) {
    if (how->close || how->framing == FRAMING_CLOSE)
        return PUT(to, "Connection: close\r\n");
    return how->http10 ? PUT(to, "Connection: keep-alive\r\n") : to;
}

static char *put_request_line(char *to, const struct head *h) {
    /* An extended CONNECT is the GET of a WebSocket here (RFC 8441 5). */
    to = put(to, h->protocol.n ? SPAN("GET") : h->method_text);
    to = PUT(to, " ");
    to = put(to, h->path);
    if (h->has_query) {
        to = PUT(to, "?");
        to = put(to, h->query);
    }
    return PUT(to, " HTTP/1.1\r\nHost: ");
}

struct span h1_print_request(const struct head *h, struct arena *a, const struct h1_print *how) {
    struct span authority = how->authority.p ? how->authority : h->authority;
    must(how->ws_key.n <= 64);
    char *p = arena_try(a, h->method_text.n + h->path.n + h->query.n + authority.n + h->bytes +
                               extra_bytes(how) + DOOR_LINES);
    if (!p)
        return SPAN_NONE;
    char *to = put_request_line(p, h);
    to = put(to, authority);
    to = PUT(to, "\r\n");
    to = put_fields(to, h->field, h->count);
    to = put_fields(to, how->extra, how->extra_count);
    if (how->framing == FRAMING_TUNNEL) {
        if (!hdr_has(h, HDR_SEC_WEBSOCKET_VERSION))
            to = PUT(to, "Sec-WebSocket-Version: 13\r\n");
        to = put_upgrade(to, SPAN("Sec-WebSocket-Key: "), how->ws_key);
    } else {
        to = put_framing(to, how);
        to = put_connection(to, how);
    }
    to = PUT(to, "\r\n");
    return span_of(p, (size_t)(to - p));
}

static char *put_status_line(char *to, int status, struct span text) {
    must(status >= 100 && status <= 599);
    to = PUT(to, "HTTP/1.1 ");
    to = put_u64(to, (uint64_t)status);
    to = PUT(to, " ");
    to = put(to, text);
    return PUT(to, "\r\n");
}

static char *put_door_lines(char *to, int status, const struct h1_print *how) {
    if (how->framing == FRAMING_TUNNEL)
        return put_upgrade(to, SPAN("Sec-WebSocket-Accept: "), how->ws_key);
    if (status < 200)
        return to;
    /* RFC 9110 8.6: no length in 204, and in 304 only that of the body that is not sent. */
    bool bodiless = status == 204 || (status == 304 && how->framing != FRAMING_LENGTH);
    if (!bodiless)
        to = put_framing(to, how);
    return put_connection(to, how);
}

struct span h1_print_response(const struct head *h, struct arena *a, const struct h1_print *how) {
    int status = how->framing == FRAMING_TUNNEL ? 101 : h->status;
    struct span text = span_z(status_reason(status));
    must(how->ws_key.n <= 64);
    char *p = arena_try(a, text.n + h->bytes + extra_bytes(how) + DOOR_LINES);
    if (!p)
        return SPAN_NONE;
    char *to = put_status_line(p, status, text);
    to = put_fields(to, h->field, h->count);
    to = put_fields(to, how->extra, how->extra_count);
    to = put_door_lines(to, status, how);
    to = PUT(to, "\r\n");
    return span_of(p, (size_t)(to - p));
}

size_t h1_chunk_line(char out[20], uint64_t n, bool first) {
    char digits[16], *p = digits + sizeof digits, *to = out;
    do
        *--p = "0123456789abcdef"[n & 15];
    while (n >>= 4);
    if (!first)
        to = PUT(to, "\r\n");
    to = put(to, span_of(p, (size_t)(digits + sizeof digits - p)));
    to = PUT(to, "\r\n");
    return (size_t)(to - out);
}

struct span h1_print_last_chunk(const struct head *trailers, struct arena *a, bool first) {
    char *p = arena_try(a, (trailers ? trailers->bytes : 0) + 8), *to = p;
    if (!p)
        return SPAN_NONE;
    to = first ? PUT(to, "0\r\n") : PUT(to, "\r\n0\r\n");
    if (trailers)
        to = put_fields(to, trailers->field, trailers->count);
    to = PUT(to, "\r\n");
    return span_of(p, (size_t)(to - p));
}

void ws_accept(struct span key, char out[28]) {
    char text[64 + 36];
    unsigned char digest[20], base64[29];
    must(key.n <= 64);
    char *end = put(put(text, key), SPAN("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    must(EVP_Digest(text, (size_t)(end - text), digest, NULL, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock(base64, digest, sizeof digest);
    memcpy(out, base64, 28);
}

void ws_key(const unsigned char random[16], char out[WS_KEY_LEN]) {
    unsigned char base64[WS_KEY_LEN + 1];
    EVP_EncodeBlock(base64, random, 16);
    memcpy(out, base64, WS_KEY_LEN);
}
