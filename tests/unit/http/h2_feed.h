/*
 * h2_feed - sections of HTTP/2 as tests write them: "name: value" with " || " between, or a block
 * that HPACK compressed. Every name and value lies in a block of its size while it is shown.
 */
#pragma once
#include "http/h2.h"
#include <stdlib.h>

static inline char *h2_feed_block(struct span s) {
    char *p = malloc(s.n + !s.n);
    must(p != NULL);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

static inline void h2_feed_field(struct h2_section *s, struct span name, struct span value) {
    char *n = h2_feed_block(name), *v = h2_feed_block(value);
    h2_section_field(s, span_of(n, name.n), span_of(v, value.n));
    free(n);
    free(v);
}

/* Decodes a whole header block. False: the decoder refuses it. */
static inline bool h2_feed_hpack(struct h2_section *s, nghttp2_hd_inflater *in, struct span block) {
    const uint8_t *p = (const uint8_t *)block.p;
    for (size_t n = block.n;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(in, &nv, &flags, p, n, 1);
        if (used < 0)
            return false;
        p += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            h2_feed_field(s, span_of((char *)nv.name, nv.namelen),
                          span_of((char *)nv.value, nv.valuelen));
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return nghttp2_hd_inflate_end_headers(in) == 0;
        if (n == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT))
            return false;
    }
}

/* The four pseudo-headers of a plain request. */
static inline void h2_feed_start_line(struct h2_section *s, struct span method) {
    h2_feed_field(s, SPAN(":method"), method);
    h2_feed_field(s, SPAN(":scheme"), SPAN("http"));
    h2_feed_field(s, SPAN(":path"), SPAN("/"));
    h2_feed_field(s, SPAN(":authority"), SPAN("gw.test"));
}
