/* Addresses and blocks of them: ip(), cidr() and what they can be asked. */
#include "expr/lib_net.h"
#include "expr/lib.h"

static bool put_octet(unsigned char *bytes, size_t at, struct span s) {
    uint64_t v;
    if (!parse_dec(s, 255, &v))
        return false;
    bytes[at] = (unsigned char)v;
    return true;
}

static bool parse_v4(struct span s, unsigned char bytes[4]) {
    struct span rest = s;
    for (size_t i = 0; i < 4; i++)
        if (rest.p == NULL || !put_octet(bytes, i, span_split(&rest, '.')))
            return false;
    return rest.p == NULL;
}

/* The groups of one side of "::", at most 8; a dotted end counts as two. */
static bool parse_groups(struct span s, unsigned char bytes[16], size_t *groups) {
    *groups = 0;
    if (s.n == 0)
        return true;
    for (struct span rest = s; rest.p;) {
        struct span part = span_split(&rest, ':');
        uint64_t v;
        unsigned char *at = bytes + 2 * *groups;
        if (!rest.p && *groups <= 6 && span_find(part, '.') >= 0) {
            *groups += 2;
            return parse_v4(part, at);
        }
        if (*groups == 8 || part.n > 4 || !parse_hex(part, &v))
            return false;
        at[0] = (unsigned char)(v >> 8);
        at[1] = (unsigned char)v;
        ++*groups;
    }
    return true;
}

static bool parse_v6(struct span s, unsigned char bytes[16]) {
    unsigned char right[16];
    size_t before, behind;
    const char *gap = s.n ? memmem(s.p, s.n, "::", 2) : NULL;
    if (!gap)
        return parse_groups(s, bytes, &before) && before == 8;
    size_t at = (size_t)(gap - s.p);
    struct span rest = span_from(s, at + 2);
    if (!parse_groups(span_cut(s, 0, at), bytes, &before) ||
        span_find(span_cut(s, 0, at), '.') >= 0 || !parse_groups(rest, right, &behind) ||
        before + behind > 7)
        return false;
    memset(bytes + 2 * before, 0, 16 - 2 * before);
    memcpy(bytes + 16 - 2 * behind, right, 2 * behind);
    return true;
}

static bool is_mapped(const unsigned char bytes[16]) {
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, prefix, sizeof prefix) == 0;
}

static const char is_none[] = "is no IP address", has_zone[] = "has a zone, which is not allowed",
                  maps[] = "is an IPv4-mapped IPv6 address, which is not allowed",
                  no_cidr[] = "is no network address (address/bits)";

const char *net_parse_ip(struct span s, unsigned char bytes[16], struct value *out) {
    *out = (struct value){.kind = VALUE_IP, .n = 4, .ip = bytes};
    if (span_find(s, ':') < 0)
        return parse_v4(s, bytes) ? NULL : is_none;
    if (span_find(s, '%') >= 0)
        return has_zone;
    if (!parse_v6(s, bytes))
        return is_none;
    if (!is_mapped(bytes)) {
        out->n = 16;
        return NULL;
    }
    if (span_find(s, '.') >= 0)
        return maps;
    memmove(bytes, bytes + 12, 4);
    return NULL;
}

const char *net_parse_cidr(struct span s, unsigned char bytes[16], struct value *out) {
    ptrdiff_t slash = span_find(s, '/');
    uint64_t bits;
    if (slash < 0)
        return no_cidr;
    struct span address = span_cut(s, 0, (size_t)slash);
    const char *why = net_parse_ip(address, bytes, out);
    if (why)
        return why == is_none ? no_cidr : why;
    if (out->n == 4 && span_find(address, ':') >= 0)
        return maps;
    if (!parse_dec(span_from(s, (size_t)slash + 1), out->n * 8, &bits))
        return no_cidr;
    out->kind = VALUE_CIDR;
    out->bits = (uint16_t)bits;
    return NULL;
}

/* The first of the longest runs of zero groups, two at least. */
static size_t longest_gap(const unsigned char *ip, size_t *len) {
    size_t best = 8, longest = 1;
    for (size_t at = 0; at < 8;) {
        size_t n = 0;
        while (at + n < 8 && ip[2 * (at + n)] == 0 && ip[2 * (at + n) + 1] == 0)
            n++;
        if (n > longest) {
            best = at;
            longest = n;
        }
        at += n ? n : 1;
    }
    *len = longest;
    return best;
}

static void print_v6(struct str *s, const unsigned char *ip) {
    size_t len, gap = longest_gap(ip, &len);
    for (size_t i = 0; i < 8; i++) {
        if (i == gap) {
            str_lit(s, "::");
            i += len - 1;
            continue;
        }
        if (i > 0 && i != gap + len)
            str_char(s, ':');
        str_fmt(s, "%x", ip[2 * i] << 8 | ip[2 * i + 1]);
    }
}

size_t net_print(char out[NET_TEXT_MAX], const struct value *v) {
    struct str s = str_on(out, NET_TEXT_MAX);
    if (v->n == 4)
        str_fmt(&s, "%d.%d.%d.%d", v->ip[0], v->ip[1], v->ip[2], v->ip[3]);
    else
        print_v6(&s, v->ip);
    if (v->kind == VALUE_CIDR)
        str_fmt(&s, "/%d", v->bits);
    return s.n;
}

static bool same_bits(const unsigned char *x, const unsigned char *y, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(x, y, whole) == 0 && (rest == 0 || ((x[whole] ^ y[whole]) >> (8 - rest)) == 0);
}

bool net_contains(const struct value *cidr, const struct value *address) {
    return cidr->n == address->n && same_bits(cidr->ip, address->ip, cidr->bits);
}

typedef const char *net_parse(struct span s, unsigned char bytes[16], struct value *out);

/* The value that argument i spells, its bytes in memory of the run. */
static bool parsed(struct expr_call *c, unsigned i, net_parse *parse, struct value *out) {
    unsigned char *bytes = expr_memory(c, 16);
    if (!bytes)
        return false;
    struct span s = lib_span(c, i);
    const char *why = parse(s, bytes, out);
    return !why || expr_failf(c, "'%.*s' %s", s.n > 64 ? 64 : (int)s.n, s.n ? s.p : "", why);
}

static bool same(struct expr_call *c) {
    return lib_give(c, c->arg[0]);
}

static bool ip(struct expr_call *c) {
    return parsed(c, 0, net_parse_ip, c->out);
}

static bool cidr(struct expr_call *c) {
    return parsed(c, 0, net_parse_cidr, c->out);
}

static bool is_ip(struct expr_call *c) {
    unsigned char bytes[16];
    struct value v = VALUE_NOTHING;
    return lib_bool(c, !net_parse_ip(lib_span(c, 0), bytes, &v));
}

static bool is_cidr(struct expr_call *c) {
    unsigned char bytes[16];
    struct value v = VALUE_NOTHING;
    return lib_bool(c, !net_parse_cidr(lib_span(c, 0), bytes, &v));
}

/* Whether it is written as it would be printed. */
static bool is_canonical(struct expr_call *c) {
    struct value v = VALUE_NOTHING;
    char text[NET_TEXT_MAX];
    if (!parsed(c, 0, net_parse_ip, &v))
        return false;
    size_t n = net_print(text, &v);
    return lib_bool(c, span_eq(lib_span(c, 0), span_of(text, n)));
}

static bool family(struct expr_call *c) {
    return lib_int(c, c->arg[0].n == 4 ? 4 : 6);
}

static bool all_zero(const unsigned char *ip_bytes, size_t n) {
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++)
        any |= ip_bytes[i];
    return any == 0;
}

static bool unspecified(const struct value *v) {
    return all_zero(v->ip, v->n);
}

static bool loopback(const struct value *v) {
    return v->n == 4 ? v->ip[0] == 127 : all_zero(v->ip, 15) && v->ip[15] == 1;
}

static bool multicast(const struct value *v) {
    return v->n == 4 ? v->ip[0] >> 4 == 0xe : v->ip[0] == 0xff;
}

static bool link_local_multicast(const struct value *v) {
    return v->n == 4 ? v->ip[0] == 224 && v->ip[1] == 0 && v->ip[2] == 0
                     : v->ip[0] == 0xff && (v->ip[1] & 0x0f) == 2;
}

static bool link_local_unicast(const struct value *v) {
    return v->n == 4 ? v->ip[0] == 169 && v->ip[1] == 254
                     : v->ip[0] == 0xfe && (v->ip[1] & 0xc0) == 0x80;
}

static bool broadcast(const struct value *v) {
    return v->n == 4 && memcmp(v->ip, "\xff\xff\xff\xff", 4) == 0;
}

static bool is_unspecified(struct expr_call *c) {
    return lib_bool(c, unspecified(&c->arg[0]));
}

static bool is_loopback(struct expr_call *c) {
    return lib_bool(c, loopback(&c->arg[0]));
}

static bool is_link_local_multicast(struct expr_call *c) {
    return lib_bool(c, link_local_multicast(&c->arg[0]));
}

static bool is_link_local_unicast(struct expr_call *c) {
    return lib_bool(c, link_local_unicast(&c->arg[0]));
}

/* Private addresses are among them. */
static bool is_global_unicast(struct expr_call *c) {
    const struct value *v = &c->arg[0];
    return lib_bool(c, !unspecified(v) && !loopback(v) && !multicast(v) && !link_local_unicast(v) &&
                           !broadcast(v));
}

static bool contains_ip(struct expr_call *c) {
    return lib_bool(c, net_contains(&c->arg[0], &c->arg[1]));
}

static bool contains_ip_text(struct expr_call *c) {
    struct value v = VALUE_NOTHING;
    return parsed(c, 1, net_parse_ip, &v) && lib_bool(c, net_contains(&c->arg[0], &v));
}

static bool contains_block(const struct value *x, const struct value *y) {
    return y->bits >= x->bits && net_contains(x, y);
}

static bool contains_cidr(struct expr_call *c) {
    return lib_bool(c, contains_block(&c->arg[0], &c->arg[1]));
}

static bool contains_cidr_text(struct expr_call *c) {
    struct value v = VALUE_NOTHING;
    return parsed(c, 1, net_parse_cidr, &v) && lib_bool(c, contains_block(&c->arg[0], &v));
}

static bool cidr_ip(struct expr_call *c) {
    struct value v = c->arg[0];
    v.kind = VALUE_IP;
    v.bits = 0;
    return lib_give(c, v);
}

static bool prefix_length(struct expr_call *c) {
    return lib_int(c, c->arg[0].bits);
}

static void mask(const struct value *v, unsigned char *out) {
    for (unsigned i = 0; i < v->n; i++) {
        unsigned keep = v->bits > 8 * i ? v->bits - 8 * i : 0;
        unsigned low = keep >= 8 ? 0xffU : 0xff00U >> keep;
        out[i] = (unsigned char)(v->ip[i] & low);
    }
}

static bool masked(struct expr_call *c) {
    struct value v = c->arg[0];
    unsigned char *bytes = expr_memory(c, 16);
    if (!bytes)
        return false;
    mask(&v, bytes);
    v.ip = bytes;
    return lib_give(c, v);
}

static bool is_mask(struct expr_call *c) {
    unsigned char bytes[16];
    mask(&c->arg[0], bytes);
    return lib_bool(c, memcmp(bytes, c->arg[0].ip, c->arg[0].n) == 0);
}

const struct expr_function lib_net[] = {
    {.signature = "ip(string) -> net.IP", .fn = ip},
    {.signature = "ip(net.IP) -> net.IP", .fn = same},
    {.signature = "cidr(string) -> net.CIDR", .fn = cidr},
    {.signature = "cidr(net.CIDR) -> net.CIDR", .fn = same},
    {.signature = "isIP(string) -> bool", .fn = is_ip},
    {.signature = "isCIDR(string) -> bool", .fn = is_cidr},
    {.signature = "ip.isCanonical(string) -> bool", .fn = is_canonical},
    {.signature = "net.IP.family() -> int", .fn = family},
    {.signature = "net.IP.isUnspecified() -> bool", .fn = is_unspecified},
    {.signature = "net.IP.isLoopback() -> bool", .fn = is_loopback},
    {.signature = "net.IP.isLinkLocalMulticast() -> bool", .fn = is_link_local_multicast},
    {.signature = "net.IP.isLinkLocalUnicast() -> bool", .fn = is_link_local_unicast},
    {.signature = "net.IP.isGlobalUnicast() -> bool", .fn = is_global_unicast},
    {.signature = "net.CIDR.containsIP(net.IP) -> bool", .fn = contains_ip},
    {.signature = "net.CIDR.containsIP(string) -> bool", .fn = contains_ip_text},
    {.signature = "net.CIDR.containsCIDR(net.CIDR) -> bool", .fn = contains_cidr},
    {.signature = "net.CIDR.containsCIDR(string) -> bool", .fn = contains_cidr_text},
    {.signature = "net.CIDR.ip() -> net.IP", .fn = cidr_ip},
    {.signature = "net.CIDR.prefixLength() -> int", .fn = prefix_length},
    {.signature = "net.CIDR.masked() -> net.CIDR", .fn = masked},
    {.signature = "net.CIDR.isMask() -> bool", .fn = is_mask},
    {0},
};
