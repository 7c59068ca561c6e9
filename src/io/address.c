#include "io/address.h"
#include <arpa/inet.h>
#include <string.h>

static struct address of_in4(struct in_addr ip, unsigned port) {
    struct address a = {.len = sizeof a.in};
    a.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = ip};
    return a;
}

static struct address of_in6(struct in6_addr ip, unsigned port) {
    struct address a = {.len = sizeof a.in6};
    a.in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = ip};
    return a;
}

static bool text_z(struct span s, char *out, size_t max) {
    if (s.n == 0 || s.n >= max || memchr(s.p, 0, s.n))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

bool address_parse_ip(struct span text, struct address *out) {
    char z[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = span_cut(text, 1, text.n - 2);
    if (!text_z(text, z, sizeof z))
        return false;
    if (inet_pton(AF_INET, z, &v4) == 1)
        *out = of_in4(v4, 0);
    else if (inet_pton(AF_INET6, z, &v6) == 1)
        *out = of_in6(v6, 0);
    else
        return false;
    return true;
}

static bool parse_unix(struct span path, struct address *out) {
    if (path.n == 0 || path.n >= sizeof out->un.sun_path || memchr(path.p, 0, path.n))
        return false;
    *out = (struct address){.len = 0};
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path.p, path.n);
    bool abstract = path.p[0] == '@';
    if (abstract)
        out->un.sun_path[0] = 0;
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + (abstract ? 0 : 1));
    return true;
}

bool address_parse(struct span text, struct address *out) {
    uint64_t port;
    if (span_starts(text, SPAN("unix:")))
        return parse_unix(span_from(text, 5), out);
    size_t colon = text.n;
    while (colon && text.p[colon - 1] != ':')
        colon--;
    struct span host = span_cut(text, 0, colon ? colon - 1 : 0);
    if (!colon || !parse_dec(span_from(text, colon), 65535, &port))
        return false;
    bool bracketed = host.n && host.p[0] == '[';
    if (!address_parse_ip(host, out) || bracketed != (out->sa.sa_family == AF_INET6))
        return false;
    address_set_port(out, (unsigned)port);
    return true;
}

/* In every log line and X-Forwarded-For: inet_ntop prints it five times slower. */
static void put_ipv4(struct str *s, const struct in_addr *a) {
    const unsigned char *b = (const unsigned char *)a;
    for (int i = 0; i < 4; i++) {
        if (i)
            str_char(s, '.');
        str_u64(s, b[i]);
    }
}

struct span address_text(const struct address *a, char out[ADDRESS_TEXT_MAX], bool with_port) {
    struct str s = str_on(out, ADDRESS_TEXT_MAX);
    char ip[INET6_ADDRSTRLEN] = "";
    if (a->len && a->sa.sa_family == AF_UNIX) {
        size_t n = a->len - offsetof(struct sockaddr_un, sun_path);
        bool abstract = n && a->un.sun_path[0] == 0;
        str_lit(&s, "unix:");
        if (abstract)
            str_char(&s, '@');
        if (n > 1)
            str_put(&s, a->un.sun_path + abstract, n - 1);
        return str_span(&s);
    }
    if (a->len && a->sa.sa_family == AF_INET)
        put_ipv4(&s, &a->in.sin_addr);
    else if (a->len && a->sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof ip);
    bool v6 = a->len && a->sa.sa_family == AF_INET6 && with_port;
    if (v6)
        str_char(&s, '[');
    str_add(&s, span_z(ip));
    if (v6)
        str_char(&s, ']');
    if (with_port) {
        str_char(&s, ':');
        str_u64(&s, address_port(a));
    }
    return str_span(&s);
}

bool address_eq(const struct address *a, const struct address *b) {
    return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

unsigned address_port(const struct address *a) {
    if (a->len && a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    return a->len && a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void address_set_port(struct address *a, unsigned port) {
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons((uint16_t)port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons((uint16_t)port);
}

bool address_ip16(const struct address *a, unsigned char out[16]) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->len && a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->in6.sin6_addr, 16);
        return true;
    }
    if (!a->len || a->sa.sa_family != AF_INET)
        return false;
    memcpy(out, mapped, 12);
    memcpy(out + 12, &a->in.sin_addr, 4);
    return true;
}

bool cidr_parse(struct span text, struct cidr *out) {
    struct address a;
    struct span rest = text, ip = span_split(&rest, '/');
    uint64_t bits = 128;
    if (!address_parse_ip(ip, &a) || !address_ip16(&a, out->ip))
        return false;
    bool v4 = a.sa.sa_family == AF_INET;
    if (rest.p) {
        if (!parse_dec(rest, v4 ? 32 : 128, &bits))
            return false;
        bits += v4 ? 96 : 0;
    }
    out->bits = (unsigned)bits;
    return true;
}

bool cidr_has(const struct cidr *c, const struct address *a) {
    unsigned char ip[16];
    if (!address_ip16(a, ip))
        return false;
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->ip, ip, whole) != 0)
        return false;
    return !rest || ((c->ip[whole] ^ ip[whole]) >> (8 - rest)) == 0;
}
