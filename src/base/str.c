#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>

bool span_eq_nocase(struct span a, struct span b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool span_starts(struct span s, struct span prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool span_ends(struct span s, struct span suffix) {
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int span_cmp(struct span a, struct span b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

ptrdiff_t span_find(struct span s, char c) {
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

struct span span_trim(struct span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct span span_split(struct span *rest, char sep) {
    struct span s = *rest;
    ptrdiff_t at = span_find(s, sep);
    if (at < 0) {
        *rest = SPAN_NONE;
        return s;
    }
    *rest = span_from(s, (size_t)at + 1);
    return span_cut(s, 0, (size_t)at);
}

bool parse_dec(struct span s, uint64_t max, uint64_t *out) {
    uint64_t v = 0;
    if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    *out = v;
    return v <= max;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parse_hex(struct span s, uint64_t *out) {
    uint64_t v = 0;
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int d = hex_digit(s.p[i]);
        if (d < 0)
            return false;
        v = v << 4 | (uint64_t)d;
    }
    *out = v;
    return true;
}

void str_u64(struct str *s, uint64_t v) {
    char buf[20], *p = buf + sizeof buf;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    str_put(s, p, (size_t)(buf + sizeof buf - p));
}

void str_fmt(struct str *s, const char *fmt, ...) {
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof buf)
        s->full = true;
    else
        str_put(s, buf, (size_t)n);
}

size_t utf8_len(const unsigned char *p, size_t n) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;
    if (len == 1)
        return 1;
    uint32_t v = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    return v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : len;
}

size_t utf8_put(uint32_t c, char *out) {
    char *o = out;
    if (c < 0x80) {
        *o = (char)c;
        return 1;
    }
    if (c >= 0x10000) {
        *o++ = (char)(0xf0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 0x3f));
    } else if (c >= 0x800) {
        *o++ = (char)(0xe0 | c >> 12);
    }
    *o++ = c >= 0x800 ? (char)(0x80 | (c >> 6 & 0x3f)) : (char)(0xc0 | c >> 6);
    *o++ = (char)(0x80 | (c & 0x3f));
    return (size_t)(o - out);
}

static void json_escape(struct str *s, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    switch (c) {
    case '"':
        str_lit(s, "\\\"");
        return;
    case '\\':
        str_lit(s, "\\\\");
        return;
    case '\n':
        str_lit(s, "\\n");
        return;
    case '\r':
        str_lit(s, "\\r");
        return;
    case '\t':
        str_lit(s, "\\t");
        return;
    default:
        str_put(s, u, sizeof u);
    }
}

void str_json(struct str *s, struct span v) {
    const unsigned char *p = (const unsigned char *)v.p, *e = p + v.n, *from = p;
    while (p < e) {
        if (likely(*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')) {
            p++;
            continue;
        }
        size_t len = utf8_len(p, (size_t)(e - p));
        /* U+0080..U+009F are control characters too: a terminal would obey them. */
        bool c1 = len == 2 && p[0] == 0xc2 && p[1] < 0xa0;
        if (len > 1 && !c1) {
            p += len;
            continue;
        }
        str_add(s, span_of((const char *)from, (size_t)(p - from)));
        if (c1)
            p++; /* the code point is its second byte */
        json_escape(s, *p++);
        from = p;
    }
    str_add(s, span_of((const char *)from, (size_t)(p - from)));
}

void str_html(struct str *s, struct span v) {
    for (size_t i = 0; i < v.n; i++) {
        switch (v.p[i]) {
        case '&':
            str_lit(s, "&amp;");
            break;
        case '<':
            str_lit(s, "&lt;");
            break;
        case '>':
            str_lit(s, "&gt;");
            break;
        case '"':
            str_lit(s, "&quot;");
            break;
        case '\'':
            str_lit(s, "&#39;");
            break;
        default:
            str_char(s, v.p[i]);
        }
    }
}
