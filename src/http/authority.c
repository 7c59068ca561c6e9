/* Host and the authority of absolute-form: checked and made canonical in one place. */
#include "http/uri.h"
#include <arpa/inet.h>

/* Letters, digits, "-", "." and "_": RFC 3986 allows more in a reg-name ("," or "%41"), which no
 * DNS name holds and which lets two readers see two hosts. 2: upper case. */
static const uint8_t host_char[256] = {['-'] = 1,         ['.'] = 1,         ['_'] = 1,
                                       ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 2};

enum { HOST_MAX = 253 };

struct parts {
    struct span host;
    uint32_t port;  /* 0: none, or the scheme's own */
    bool canonical; /* the input may be used as it stands */
};

static uint32_t default_port(struct span scheme) {
    return span_eq(scheme, SPAN("https")) ? 443 : 80;
}

static bool read_port(struct span s, struct span scheme, struct parts *out) {
    uint64_t port = 0;
    if (s.n == 0)
        return true;
    out->canonical = false;
    if (s.p[0] != ':' || (s.n > 1 && (!parse_dec(span_from(s, 1), 65535, &port) || port == 0)))
        return false;
    bool own = port == 0 || port == default_port(scheme);
    out->port = own ? 0 : (uint32_t)port;
    return true;
}

/* "[v6]", made canonical (RFC 5952) so that one address has one spelling. */
static bool read_v6(struct head *h, struct span s, struct parts *out) {
    char text[INET6_ADDRSTRLEN + 2];
    struct in6_addr addr;
    ptrdiff_t end = span_find(s, ']');
    if (end < 3 || end >= INET6_ADDRSTRLEN || memchr(s.p, 0, (size_t)end))
        return false; /* inet_pton stops at a NUL: what follows it would not be looked at */
    memcpy(text, s.p + 1, (size_t)end - 1);
    text[end - 1] = 0;
    if (inet_pton(AF_INET6, text, &addr) != 1 || !inet_ntop(AF_INET6, &addr, text, sizeof text))
        return false;
    struct span canonical = span_z(text);
    char *p = arena_alloc(h->arena, canonical.n + 2);
    p[0] = '[';
    memcpy(p + 1, canonical.p, canonical.n);
    p[canonical.n + 1] = ']';
    out->host = span_of(p, canonical.n + 2);
    out->canonical = false;
    return read_port(span_from(s, (size_t)end + 1), h->scheme, out);
}

/* Every label has at least one byte; one dot at the end is dropped. */
static bool labels_ok(struct span *host, bool *canonical) {
    if (host->n && host->p[host->n - 1] == '.') {
        host->n--;
        *canonical = false;
    }
    if (host->n == 0 || host->n > HOST_MAX || host->p[0] == '.' || host->p[host->n - 1] == '.')
        return false;
    for (size_t i = 1; i < host->n; i++)
        if (host->p[i] == '.' && host->p[i - 1] == '.')
            return false;
    return true;
}

static bool read_name(struct head *h, struct span s, struct parts *out) {
    size_t n = 0;
    for (uint8_t k; n < s.n && (k = host_char[(unsigned char)s.p[n]]); n++)
        if (k == 2)
            out->canonical = false;
    out->host = span_cut(s, 0, n);
    bool canonical = out->canonical;
    if (!labels_ok(&out->host, &canonical) || !read_port(span_from(s, n), h->scheme, out))
        return false;
    out->canonical = out->canonical && canonical;
    return true;
}

static struct span print_authority(struct head *h, struct parts *p) {
    struct str out = str_on(arena_alloc(h->arena, p->host.n + 6), p->host.n + 6);
    for (size_t i = 0; i < p->host.n; i++)
        str_char(&out, lower(p->host.p[i]));
    p->host = str_span(&out);
    if (p->port) {
        str_char(&out, ':');
        str_u64(&out, p->port);
    }
    return str_span(&out);
}

enum fault uri_authority(struct head *h, struct span authority) {
    struct parts p = {.canonical = true};
    bool v6 = authority.n && authority.p[0] == '[';
    if (!(v6 ? read_v6(h, authority, &p) : read_name(h, authority, &p)))
        return FAULT_BAD_HOST;
    struct span canonical = p.canonical ? p.host : print_authority(h, &p);
    if (h->authority.p)
        return span_eq(h->authority, canonical) ? FAULT_NONE : FAULT_AUTHORITY_MISMATCH;
    h->authority = canonical;
    h->host = p.host;
    return FAULT_NONE;
}
