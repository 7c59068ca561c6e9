/* Version 1 is a line of text, version 2 a block of bytes; their first bytes tell them apart. */
#include "http/proxy_protocol.h"
#include <arpa/inet.h>

enum { V1_MAX = 107 /* CRLF included */, V2_FIXED = 16 };

static const char v2_signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                      '\n', 'Q',  'U',  'I',  'T', '\n'};

/* As in IPv4 of version 1: no other spelling of a number is legal. */
static bool read_port(struct span s, uint16_t *port) {
    uint64_t v;
    if (!parse_dec(s, UINT16_MAX, &v))
        return false;
    *port = (uint16_t)v;
    return true;
}

static bool read_address(struct span s, bool ip6, unsigned char out[16]) {
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, 0, s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return inet_pton(ip6 ? AF_INET6 : AF_INET, text, out) == 1;
}

/* What stands between "PROXY " and CRLF: each part once, one blank between them. */
static enum proxy_status read_words(struct span line, struct proxy_header *out) {
    struct span family = span_split(&line, ' ');
    out->ip6 = span_eq(family, SPAN("TCP6"));
    out->local = span_eq(family, SPAN("UNKNOWN")); /* what follows it is to be ignored */
    if (out->local)
        return PROXY_DONE;
    if (!out->ip6 && !span_eq(family, SPAN("TCP4")))
        return PROXY_BAD;
    struct span source = span_split(&line, ' '), target = span_split(&line, ' ');
    struct span source_port = span_split(&line, ' ');
    return line.p && read_address(source, out->ip6, out->source) &&
                   read_address(target, out->ip6, out->target) &&
                   read_port(source_port, &out->source_port) && read_port(line, &out->target_port)
               ? PROXY_DONE
               : PROXY_BAD;
}

static enum proxy_status read_v1(struct span b, struct proxy_header *out) {
    struct span head = SPAN("PROXY "), line = span_cut(b, 0, V1_MAX);
    size_t n = b.n < head.n ? b.n : head.n;
    if (memcmp(b.p, head.p, n) != 0)
        return PROXY_BAD;
    ptrdiff_t cr = span_find(line, '\r'), lf = span_find(line, '\n');
    if (lf >= 0 && cr != lf - 1)
        return PROXY_BAD;
    if (cr >= 0 && lf < 0 && (size_t)cr + 1 < line.n)
        return PROXY_BAD;
    if (lf < 0)
        return line.n < V1_MAX ? PROXY_MORE : PROXY_BAD;
    out->version = 1;
    out->length = (uint32_t)lf + 1;
    return read_words(span_cut(line, head.n, (size_t)cr - head.n), out);
}

static unsigned get16(const char *p) {
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* Castagnoli, bit by bit: headers with a checksum are few and short. */
static uint32_t crc32c(uint32_t crc, struct span s) {
    crc = ~crc;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= (unsigned char)s.p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* Over the whole header, with zeros where the sum stands. */
static bool crc_ok(struct span whole, struct span sum) {
    size_t at = (size_t)(sum.p - whole.p);
    uint32_t want = (uint32_t)get16(sum.p) << 16 | get16(sum.p + 2);
    uint32_t crc = crc32c(0, span_cut(whole, 0, at));
    crc = crc32c(crc, span_of("\0\0\0", 4));
    return crc32c(crc, span_from(whole, at + 4)) == want;
}

enum tlv {
    TLV_ALPN = 1,
    TLV_AUTHORITY = 2,
    TLV_CRC32C = 3,
    TLV_NOOP = 4,
    TLV_UNIQUE_ID = 5,
    TLV_SSL = 0x20,
    TLV_LAST = 0x3f /* of those whose repetition is noted */
};
enum { SSL_FIXED = 5, CLIENT_SSL = 1 };

/* Takes one TLV off. False: its length goes past the end. */
static bool next_tlv(struct span *rest, unsigned *type, struct span *value) {
    if (rest->n < 3 || get16(rest->p + 1) > rest->n - 3)
        return false;
    *type = (unsigned char)rest->p[0];
    *value = span_cut(*rest, 3, get16(rest->p + 1));
    *rest = span_from(*rest, 3 + value->n);
    return true;
}

static bool read_ssl(struct span v, struct proxy_header *out) {
    unsigned type;
    struct span value, rest = span_from(v, SSL_FIXED);
    if (v.n < SSL_FIXED)
        return false;
    out->tls = v.p[0] & CLIENT_SSL;
    while (rest.n)
        if (!next_tlv(&rest, &type, &value))
            return false;
    return true;
}

static bool read_tlv(struct span whole, unsigned type, struct span v, struct proxy_header *out) {
    switch (type) {
    case TLV_ALPN:
        out->alpn = v;
        return true;
    case TLV_AUTHORITY:
        out->authority = v;
        return true;
    case TLV_CRC32C:
        return v.n == 4 && crc_ok(whole, v);
    case TLV_UNIQUE_ID:
        out->unique_id = v;
        return v.n <= PROXY_UNIQUE_ID_MAX;
    case TLV_SSL:
        return read_ssl(v, out);
    default:
        return true;
    }
}

/* Two of a kind that means something, and two readers may see different ones. */
static bool read_tlvs(struct span whole, struct span rest, struct proxy_header *out) {
    uint64_t seen = 0;
    while (rest.n) {
        unsigned type;
        struct span value;
        if (!next_tlv(&rest, &type, &value))
            return false;
        uint64_t bit = type <= TLV_LAST && type != TLV_NOOP ? (uint64_t)1 << type : 0;
        if (seen & bit || !read_tlv(whole, type, value, out))
            return false;
        seen |= bit;
    }
    return true;
}

static void read_addresses(const char *p, struct proxy_header *out) {
    size_t n = out->ip6 ? 16 : 4;
    memcpy(out->source, p, n);
    memcpy(out->target, p + n, n);
    out->source_port = (uint16_t)get16(p + 2 * n);
    out->target_port = (uint16_t)get16(p + 2 * n + 2);
}

/* Bytes of both addresses by family and protocol; -1: no value that the document knows. */
static int addresses_size(unsigned char family) {
    switch (family) {
    case 0x00:
        return 0;
    case 0x11:
    case 0x12:
        return 12;
    case 0x21:
    case 0x22:
        return 36;
    case 0x31:
    case 0x32:
        return 216;
    default:
        return -1;
    }
}

/* Signature, version, command, family and length, as far as they are there. */
static bool fixed_ok(struct span b) {
    size_t n = b.n < sizeof v2_signature ? b.n : sizeof v2_signature;
    bool local = b.n > 12 && b.p[12] == 0x20;
    if (memcmp(b.p, v2_signature, n) != 0 || (b.n > 12 && !local && b.p[12] != 0x21))
        return false;
    if (b.n > 13 && !local && addresses_size((unsigned char)b.p[13]) < 0)
        return false;
    if (b.n < V2_FIXED)
        return true;
    unsigned len = get16(b.p + 14);
    if (local)
        return len <= PROXY_HEADER_MAX - V2_FIXED;
    unsigned size = (unsigned)addresses_size((unsigned char)b.p[13]);
    return len >= size && len - size <= PROXY_TLV_MAX;
}

static enum proxy_status read_v2(struct span b, struct proxy_header *out) {
    if (!fixed_ok(b))
        return PROXY_BAD;
    if (b.n < V2_FIXED || b.n - V2_FIXED < get16(b.p + 14))
        return PROXY_MORE;
    struct span whole = span_cut(b, 0, V2_FIXED + get16(b.p + 14));
    unsigned char family = (unsigned char)b.p[13];
    out->version = 2;
    out->length = (uint32_t)whole.n;
    out->local = b.p[12] == 0x20 || family >> 4 == 0 || family >> 4 == 3;
    /* Of these nobody knows what stands there: it is skipped. */
    if (b.p[12] == 0x20 || family == 0)
        return PROXY_DONE;
    out->ip6 = family >> 4 == 2;
    if (!out->local)
        read_addresses(b.p + V2_FIXED, out);
    struct span tlvs = span_from(whole, V2_FIXED + (size_t)addresses_size(family));
    return read_tlvs(whole, tlvs, out) ? PROXY_DONE : PROXY_BAD;
}

enum proxy_status proxy_header_read(struct span bytes, struct proxy_header *out) {
    *out = (struct proxy_header){0};
    if (bytes.n == 0)
        return PROXY_MORE;
    return bytes.p[0] == 'P' ? read_v1(bytes, out) : read_v2(bytes, out);
}

static size_t write_v1(struct str *out, const struct proxy_header *h) {
    char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];
    int af = h->ip6 ? AF_INET6 : AF_INET;
    if (h->local) {
        str_lit(out, "PROXY UNKNOWN\r\n");
        return out->n;
    }
    must(inet_ntop(af, h->source, source, sizeof source) &&
         inet_ntop(af, h->target, target, sizeof target));
    str_fmt(out, "PROXY TCP%c %s %s %u %u\r\n", h->ip6 ? '6' : '4', source, target,
            (unsigned)h->source_port, (unsigned)h->target_port);
    return out->n;
}

static void put16(struct str *out, size_t v) {
    str_char(out, (char)(v >> 8));
    str_char(out, (char)v);
}

/* What does not fit is left out: nobody depends on it. */
static void put_tlv(struct str *out, enum tlv type, struct span v) {
    if (v.n == 0 || v.n > PROXY_TLV_MAX || out->max - out->n < 3 + v.n)
        return;
    str_char(out, (char)type);
    put16(out, v.n);
    str_add(out, v);
}

static size_t write_v2(struct str *out, const struct proxy_header *h) {
    size_t n = h->ip6 ? 16 : 4;
    str_put(out, v2_signature, sizeof v2_signature);
    str_char(out, h->local ? 0x20 : 0x21);
    str_char(out, h->local ? 0 : h->ip6 ? 0x21 : 0x11);
    put16(out, 0);
    if (h->local)
        return out->n;
    out->max = V2_FIXED + 2 * n + 4 + PROXY_TLV_MAX;
    str_put(out, (const char *)h->source, n);
    str_put(out, (const char *)h->target, n);
    put16(out, h->source_port);
    put16(out, h->target_port);
    /* "client" says TLS; "verify" is 0 for a certificate that was accepted: none is told of here.
     */
    put_tlv(out, TLV_SSL, h->tls ? SPAN("\1\0\0\0\1") : SPAN_NONE);
    put_tlv(out, TLV_ALPN, h->alpn);
    put_tlv(out, TLV_AUTHORITY, h->authority);
    put_tlv(out, TLV_UNIQUE_ID, h->unique_id.n <= PROXY_UNIQUE_ID_MAX ? h->unique_id : SPAN_NONE);
    out->p[14] = (char)((out->n - V2_FIXED) >> 8);
    out->p[15] = (char)(out->n - V2_FIXED);
    return out->n;
}

size_t proxy_header_write(unsigned char out[PROXY_HEADER_MAX], const struct proxy_header *h) {
    struct str s = str_on((char *)out, PROXY_HEADER_MAX);
    size_t n = h->version == 1 ? write_v1(&s, h) : write_v2(&s, h);
    must(!s.full);
    return n;
}
