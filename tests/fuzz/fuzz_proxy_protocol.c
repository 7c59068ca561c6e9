/*
 * Headers of the PROXY protocol: one verdict however the bytes came, nothing that is told lies
 * outside the header, and what is written from it says the same.
 */
#include "http/proxy_protocol.h"
#include <stdlib.h>

/* What is told lies in the header. */
static void check_inside(struct span v, const char *from, size_t n) {
    must(v.n == 0 || (v.p >= from && v.n <= n && (size_t)(v.p - from) <= n - v.n));
}

static enum proxy_status look(const uint8_t *data, size_t n, struct proxy_header *h) {
    char *block = malloc(n + !n);
    must(block);
    if (n)
        memcpy(block, data, n);
    enum proxy_status s = proxy_header_read(span_of(block, n), h);
    must(s != PROXY_MORE || n < PROXY_HEADER_MAX);
    if (s == PROXY_DONE) {
        must(h->length > 0 && h->length <= n && h->length <= PROXY_HEADER_MAX);
        check_inside(h->authority, block, h->length);
        check_inside(h->alpn, block, h->length);
        check_inside(h->unique_id, block, h->length);
    }
    free(block);
    return s;
}

static void check_written(const uint8_t *data, size_t n) {
    struct proxy_header h, back;
    unsigned char out[PROXY_HEADER_MAX];
    must(proxy_header_read(span_of((const char *)data, n), &h) == PROXY_DONE);
    for (unsigned char version = 1; version <= 2; version++) {
        h.version = version;
        size_t len = proxy_header_write(out, &h), ip = h.local ? 0 : h.ip6 ? 16 : 4;
        must(proxy_header_read(span_of((char *)out, len), &back) == PROXY_DONE);
        must(back.length == len && back.version == version && back.local == h.local);
        must(h.local || back.ip6 == h.ip6);
        must(memcmp(h.source, back.source, ip) == 0 && memcmp(h.target, back.target, ip) == 0);
        must(h.local || (h.source_port == back.source_port && h.target_port == back.target_port));
        if (version == 2 && !h.local) /* together they fitted, so they fit again */
            must(span_eq(h.authority, back.authority) && span_eq(h.alpn, back.alpn) &&
                 span_eq(h.unique_id, back.unique_id) && h.tls == back.tls);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct proxy_header whole, part;
    if (n > 2048)
        return 0;
    enum proxy_status want = look(data, n, &whole), s = PROXY_MORE;
    for (size_t at = 0; at <= n && s == PROXY_MORE; at++)
        s = look(data, at, &part);
    must(s == want);
    must(s != PROXY_DONE || part.length == whole.length);
    if (want == PROXY_DONE)
        check_written(data, n);
    return 0;
}
