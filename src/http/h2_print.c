/* Heads as arrays of names and values. */
#include "http/h2.h"

/* Shorter cookies can be guessed byte by byte from the size of frames. */
enum { SHORT_COOKIE = 20, DIGITS_MAX = 20, DOOR_FIELDS = 8 };

static nghttp2_nv pair(struct span name, struct span value, uint8_t flags) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                        .value = (uint8_t *)(uintptr_t)value.p,
                        .namelen = name.n,
                        .valuelen = value.n,
                        .flags = flags};
}
#define PAIR(name, value) pair(SPAN(name), value, NGHTTP2_NV_FLAG_NO_COPY_NAME)

/* RFC 7541 7.1.3: a table that attacker and secret share is an oracle. What never comes again would
 * only push others out, and nghttp2 searches all entries of one name. Names that we know need no
 * copy, they live as long as the process. */
static uint8_t flags_of(const struct field *f) {
    bool once = f->id == HDR_X_REQUEST_ID || f->id == HDR_TRACEPARENT;
    bool secret = f->id == HDR_AUTHORIZATION || f->id == HDR_SET_COOKIE ||
                  (f->id == HDR_COOKIE && f->value_len < SHORT_COOKIE) ||
                  hdr_table[f->id].flags & HF_IDENTITY;
    return (secret || once ? NGHTTP2_NV_FLAG_NO_INDEX : 0) |
           (f->id ? NGHTTP2_NV_FLAG_NO_COPY_NAME : 0);
}

static nghttp2_nv *put_fields(nghttp2_nv *to, const struct field *f, size_t n) {
    for (const struct field *end = f + n; f < end; f++)
        *to++ = pair(f->id ? hdr_table[f->id].name : field_name(f), field_value(f), flags_of(f));
    return to;
}

/* Room for a message's fields, and behind them for digits. */
static nghttp2_nv *room(const struct head *h, struct arena *a, size_t extra, char **digits) {
    size_t n = (size_t)h->count + extra + DOOR_FIELDS;
    nghttp2_nv *nv = arena_try(a, n * sizeof *nv + DIGITS_MAX + 3);
    if (nv)
        *digits = (char *)(nv + n);
    return nv;
}

static nghttp2_nv *put_length(nghttp2_nv *to, char *digits, int64_t length) {
    if (length < 0)
        return to;
    struct str out = str_on(digits, DIGITS_MAX);
    str_u64(&out, (uint64_t)length);
    *to++ = PAIR("content-length", str_span(&out));
    return to;
}

/* {NULL,0}: no memory. */
static struct span path_of(const struct head *h, struct arena *a) {
    if (!h->has_query)
        return h->path;
    size_t n = h->path.n + 1 + h->query.n;
    char *p = arena_try(a, n);
    if (!p)
        return SPAN_NONE;
    memcpy(p, h->path.p, h->path.n);
    p[h->path.n] = '?';
    if (h->query.n)
        memcpy(p + h->path.n + 1, h->query.p, h->query.n);
    return span_of(p, n);
}

size_t h2_print_request(const struct head *h, struct arena *a, const struct h2_print *how,
                        nghttp2_nv **out) {
    char *digits = NULL;
    struct span path = path_of(h, a);
    nghttp2_nv *nv = room(h, a, how->extra_count, &digits), *to = nv;
    if (!path.p || !nv)
        return 0;
    *to++ = PAIR(":method", h->method_text);
    if (h->protocol.n)
        *to++ = PAIR(":protocol", h->protocol);
    *to++ = PAIR(":scheme", how->scheme.p ? how->scheme : h->scheme);
    *to++ = PAIR(":authority", how->authority.p ? how->authority : h->authority);
    *to++ = PAIR(":path", path);
    to = put_fields(to, h->field, h->count);
    to = put_fields(to, how->extra, how->extra_count);
    to = put_length(to, digits, how->length);
    *to++ = PAIR("te", SPAN("trailers")); /* they pass through here; gRPC services insist on it */
    *out = nv;
    return (size_t)(to - nv);
}

size_t h2_print_response(const struct head *h, struct arena *a, const struct h2_print *how,
                         nghttp2_nv **out) {
    char *digits = NULL;
    nghttp2_nv *nv = room(h, a, how->extra_count, &digits), *to = nv;
    must(h->status >= 100 && h->status <= 599 && h->status != 101);
    if (!nv)
        return 0;
    struct str status = str_on(digits + DIGITS_MAX, 3);
    str_u64(&status, (uint64_t)h->status);
    *to++ = PAIR(":status", str_span(&status));
    to = put_fields(to, h->field, h->count);
    to = put_fields(to, how->extra, how->extra_count);
    to = put_length(to, digits, how->length);
    *out = nv;
    return (size_t)(to - nv);
}

size_t h2_print_trailers(const struct head *h, struct arena *a, nghttp2_nv **out) {
    char *digits = NULL;
    nghttp2_nv *nv = h && h->count ? room(h, a, 0, &digits) : NULL;
    if (!nv)
        return 0;
    *out = nv;
    return (size_t)(put_fields(nv, h->field, h->count) - nv);
}
