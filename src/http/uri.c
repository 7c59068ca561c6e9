#include "http/uri.h"

/* What a byte is in a path. The printable bytes that RFC 3986 leaves out are tolerated (browsers
 * send some of them raw) and percent-encoded; a backslash is not: some services take it for a
 * slash. */
enum { PLAIN, REFUSED, SLASH, PERCENT, QUESTION, HASH, ENCODE };
static const uint8_t path_class[256] = {[0 ... 0x20] = REFUSED, [0x7f ... 0xff] = REFUSED,
                                        ['\\'] = REFUSED,       ['/'] = SLASH,
                                        ['%'] = PERCENT,        ['?'] = QUESTION,
                                        ['#'] = HASH,           ['"'] = ENCODE,
                                        ['<'] = ENCODE,         ['>'] = ENCODE,
                                        ['['] = ENCODE,         [']'] = ENCODE,
                                        ['^'] = ENCODE,         ['`'] = ENCODE,
                                        ['{'] = ENCODE,         ['|'] = ENCODE,
                                        ['}'] = ENCODE};

static int hex_value(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%XX" at the head of s stands for, or -1. */
static int escape_value(struct span s) {
    if (s.n < 3 || s.p[0] != '%')
        return -1;
    int hi = hex_value(s.p[1]), lo = hex_value(s.p[2]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

static bool unreserved(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void put_escape(struct str *out, int c) {
    static const char digit[] = "0123456789ABCDEF";
    char e[3] = {'%', digit[c >> 4 & 15], digit[c & 15]};
    str_put(out, e, sizeof e);
}

struct canon {
    struct str out;
    size_t segment; /* where the current one begins in out */
    bool keep_slash, keep_percent;
};

/* One multi-byte character, all of it escaped. Returns its bytes in `s`, 0: not UTF-8. */
static size_t put_utf8(struct canon *c, struct span s) {
    unsigned char text[4] = {0};
    size_t n = 0;
    for (int v; n < 4 && (v = escape_value(span_from(s, 3 * n))) >= 0x80; n++)
        text[n] = (unsigned char)v;
    size_t len = n ? utf8_len(text, n) : 0;
    for (size_t i = 0; i < len; i++)
        put_escape(&c->out, text[i]);
    return 3 * len;
}

static enum fault put_escaped(struct canon *c, struct span s, size_t *used) {
    int v = escape_value(s);
    *used = 3;
    if (v < 0)
        return FAULT_BAD_PERCENT;
    if (v >= 0x80)
        return (*used = put_utf8(c, s)) ? FAULT_NONE : FAULT_BAD_PERCENT;
    if (v < 0x20 || v == 0x7f || v == '\\' || (v == '/' && !c->keep_slash) ||
        (v == '%' && !c->keep_percent))
        return FAULT_ENCODED_SEPARATOR;
    if (unreserved(v))
        str_char(&c->out, (char)v);
    else
        put_escape(&c->out, v);
    return FAULT_NONE;
}

/* 1 or 2: a dot segment of so many dots, alone or with parameters; 0: not one. */
static unsigned dots_of(struct span s, bool *parameters) {
    unsigned dots = 0;
    while (dots < s.n && s.p[dots] == '.')
        dots++;
    struct span rest = span_from(s, dots);
    *parameters = span_starts(rest, SPAN(";")) || span_starts(rest, SPAN("%3B"));
    return dots > 2 || (rest.n && !*parameters) ? 0 : dots;
}

/* With encoded slashes kept, what stands between them may still not be a dot segment: a service
 * that decodes late would climb. */
static bool hidden_dots(struct span s) {
    bool parameters;
    for (size_t i = 0, from = 0; i <= s.n; i++) {
        bool slash = span_starts(span_from(s, i), SPAN("%2F"));
        if (i < s.n && !slash)
            continue;
        if (dots_of(span_cut(s, from, i - from), &parameters))
            return true;
        from = i + 3;
    }
    return false;
}

static enum fault end_segment(struct canon *c, bool encoded_slash) {
    bool parameters;
    struct span s = span_from(str_span(&c->out), c->segment);
    unsigned dots = dots_of(s, &parameters);
    if (dots && parameters)
        return FAULT_DOT_PARAMETER;
    if (encoded_slash && hidden_dots(s))
        return FAULT_ENCODED_SEPARATOR;
    if (dots == 0)
        return FAULT_NONE;
    c->out.n = c->segment;
    if (dots == 1)
        return FAULT_NONE;
    if (c->segment == 1)
        return FAULT_DOT_ESCAPE;
    do
        c->out.n--;
    while (c->out.p[c->out.n - 1] != '/');
    return FAULT_NONE;
}

static enum fault put_segment(struct canon *c, struct span s) {
    bool encoded_slash = false;
    c->segment = c->out.n;
    for (size_t i = 0, used = 1; i < s.n; i += used) {
        unsigned char b = (unsigned char)s.p[i];
        enum fault f = FAULT_NONE;
        used = 1;
        if (b == '%') {
            encoded_slash |= escape_value(span_from(s, i)) == '/';
            f = put_escaped(c, span_from(s, i), &used);
        } else if (path_class[b] == ENCODE) {
            put_escape(&c->out, b);
        } else {
            str_char(&c->out, (char)b);
        }
        if (f != FAULT_NONE)
            return f;
    }
    return end_segment(c, encoded_slash);
}

/* RFC 3986 6.2.2 and merged slashes. `path` begins with "/" and holds no byte of class REFUSED. */
static enum fault canonical(struct head *h, struct span path, struct canon *c) {
    char *room = arena_try(h->arena, uri_encode_max(path.n));
    if (!room)
        return FAULT_OUT_OF_MEMORY;
    c->out = str_on(room, uri_encode_max(path.n));
    struct span rest = span_from(path, 1);
    str_char(&c->out, '/');
    while (rest.p) {
        if (c->out.p[c->out.n - 1] != '/')
            str_char(&c->out, '/');
        enum fault f = put_segment(c, span_split(&rest, '/'));
        if (f != FAULT_NONE)
            return f;
    }
    must(!c->out.full);
    h->path = str_span(&c->out);
    return FAULT_NONE;
}

static enum fault read_path(struct head *h, struct span s, size_t *used, struct canon *c) {
    bool plain = true;
    size_t i = 0;
    for (; i < s.n; i++) {
        uint8_t k = path_class[(unsigned char)s.p[i]];
        if (k == PLAIN)
            continue;
        if (k == QUESTION)
            break;
        if (k == REFUSED || k == HASH)
            return k == HASH ? FAULT_FRAGMENT : FAULT_BAD_TARGET_BYTE;
        if (k != SLASH || (i + 1 < s.n && (s.p[i + 1] == '/' || s.p[i + 1] == '.')))
            plain = false;
    }
    *used = i;
    h->path = span_cut(s, 0, i);
    return plain ? FAULT_NONE : canonical(h, h->path, c);
}

/* Opaque to routing: only bytes that could end the request line, or lie about its end, are refused.
 */
static enum fault read_query(struct head *h, struct span q, uint32_t params_max) {
    uint32_t params = q.n > 0;
    for (size_t i = 0; i < q.n; i++) {
        unsigned char c = (unsigned char)q.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return c == '#' ? FAULT_FRAGMENT : FAULT_BAD_TARGET_BYTE;
        params += c == '&';
    }
    h->query = q;
    h->has_query = true;
    return params_max && params > params_max ? FAULT_TOO_MANY_PARAMETERS : FAULT_NONE;
}

static enum fault read_origin(struct head *h, struct span s, uint32_t params_max, struct canon *c) {
    size_t used = 0;
    enum fault f = read_path(h, s, &used, c);
    h->query = SPAN_NONE;
    h->has_query = false;
    if (f == FAULT_NONE && used < s.n)
        f = read_query(h, span_from(s, used + 1), params_max);
    return f;
}

/* RFC 9112 3.2.2. The scheme must be the listener's: another one asks for what does not stand here.
 */
static enum fault read_absolute(struct head *h, struct span s, const struct uri_limits *lim,
                                struct canon *c) {
    ptrdiff_t colon = span_find(s, ':');
    if (colon <= 0 || !span_starts(span_from(s, (size_t)colon), SPAN("://")))
        return FAULT_BAD_TARGET;
    struct span scheme = span_cut(s, 0, (size_t)colon), rest = span_from(s, (size_t)colon + 3);
    struct span want = h->scheme.n ? h->scheme : SPAN("http");
    if (!span_eq_nocase(scheme, want))
        return FAULT_BAD_TARGET;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#')
        n++;
    enum fault f = uri_authority(h, span_cut(rest, 0, n));
    if (f != FAULT_NONE)
        return f;
    rest = span_from(rest, n);
    if (rest.n && rest.p[0] == '/')
        return read_origin(h, rest, lim->query_params_max, c);
    h->path = h->method == METHOD_OPTIONS && rest.n == 0 ? SPAN("*") : SPAN("/");
    if (rest.n == 0)
        return FAULT_NONE;
    return rest.p[0] == '#' ? FAULT_FRAGMENT
                            : read_query(h, span_from(rest, 1), lim->query_params_max);
}

enum fault uri_target(struct head *h, struct span target, const struct uri_limits *lim) {
    struct canon c = {.keep_slash = lim->keep_encoded_slash};
    h->target = target;
    h->query = SPAN_NONE;
    h->has_query = false;
    if (target.n && target.p[0] == '/')
        return read_origin(h, target, lim->query_params_max, &c);
    if (!span_eq(target, SPAN("*")))
        return read_absolute(h, target, lim, &c);
    h->path = SPAN("*");
    return h->method == METHOD_OPTIONS ? FAULT_NONE : FAULT_BAD_TARGET;
}

enum fault uri_rewrite(struct head *h, struct span path_and_query) {
    struct canon c = {.keep_slash = true, .keep_percent = true};
    struct head made = {.arena = h->arena};
    if (path_and_query.n == 0 || path_and_query.p[0] != '/')
        return FAULT_BAD_TARGET;
    enum fault f = read_origin(&made, path_and_query, 0, &c);
    if (f != FAULT_NONE)
        return f;
    h->path = made.path;
    if (made.has_query) {
        h->query = made.query;
        h->has_query = true;
    }
    return FAULT_NONE;
}

void uri_encode(struct str *out, struct span raw, enum uri_place place) {
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (unreserved(c) || (c == '/' && place == URI_PATH))
            str_char(out, (char)c);
        else
            put_escape(out, c);
    }
}

void uri_decode(struct str *out, struct span enc, enum uri_place place) {
    for (size_t i = 0; i < enc.n; i++) {
        int v = escape_value(span_from(enc, i));
        if (v >= 0) {
            str_char(out, (char)v);
            i += 2;
        } else {
            str_char(out, place == URI_QUERY && enc.p[i] == '+' ? ' ' : enc.p[i]);
        }
    }
}
