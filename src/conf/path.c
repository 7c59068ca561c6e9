#include "conf/path.h"

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unreserved(unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* RFC 3986 pchar, without the percent sign. */
static bool plain(unsigned char c) {
    return unreserved(c) || (c && strchr("!$&'()*+,;=:@/", c));
}

static void put_escape(struct str *s, unsigned char c) {
    static const char digits[] = "0123456789ABCDEF";
    char e[3] = {'%', digits[c >> 4], digits[c & 15]};
    str_put(s, e, 3);
}

struct span path_canonical(struct arena *a, struct span text) {
    struct str s = str_on(arena_alloc(a, text.n * 3 + 1), text.n * 3 + 1);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool escape =
            c == '%' && i + 2 < text.n && hex(text.p[i + 1]) >= 0 && hex(text.p[i + 2]) >= 0;
        if (escape) {
            c = (unsigned char)(hex(text.p[i + 1]) << 4 | hex(text.p[i + 2]));
            i += 2;
            if (unreserved(c))
                str_char(&s, (char)c);
            else
                put_escape(&s, c);
        } else if (plain(c)) {
            str_char(&s, (char)c);
        } else {
            put_escape(&s, c);
        }
    }
    return str_span(&s);
}

char *path_regex(struct arena *a, struct span prefix) {
    char *out = arena_fmt(a, "%s", "");
    struct span rest = prefix;
    if (rest.n && rest.p[0] == '/')
        rest = span_from(rest, 1);
    while (rest.p) {
        struct span part = span_split(&rest, '/');
        bool capture = part.n > 2 && part.p[0] == '{';
        if (capture && part.p[part.n - 2] != '*')
            out = arena_fmt(a, "%s/(?<%.*s>[^/]+)", out, (int)(part.n - 2), part.p + 1);
        else
            out = arena_fmt(a, "%s/\\Q%.*s\\E", out, SPAN_ARG(path_canonical(a, part)));
    }
    return out;
}

static bool fail(struct path_error *e, size_t at, size_t len, const char *text, const char *help) {
    *e = (struct path_error){at, len ? len : 1, text, help};
    return false;
}

static bool identifier(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' ||
              (i && s.p[i] >= '0' && s.p[i] <= '9')))
            return false;
    return s.n > 0;
}

/* {name} or {name*} */
static bool capture(struct arena *a, struct span part, size_t at, struct segment *s,
                    struct path_error *e) {
    struct span name = span_cut(part, 1, part.n - 2);
    s->kind = SEGMENT_CAPTURE;
    if (name.n && name.p[name.n - 1] == '*') {
        s->kind = SEGMENT_TAIL;
        name.n--;
    }
    s->text = arena_span(a, name);
    return identifier(name) || fail(e, at, part.n, "a capture's name is made of a-z, 0-9 and _",
                                    "it begins with a letter: {order_id}");
}

static bool escapes_fine(struct span part, size_t at, struct path_error *e) {
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] != '%')
            continue;
        if (i + 2 >= part.n || hex(part.p[i + 1]) < 0 || hex(part.p[i + 2]) < 0)
            return fail(e, at + i, 1, "a percent sign is not followed by two hexadecimal digits",
                        "the sign itself is written %25");
    }
    return true;
}

static bool literal(struct arena *a, struct span part, size_t at, struct segment *s,
                    struct path_error *e) {
    if (part.n == 0)
        return fail(e, at, 1, "a path has no empty segments", "request paths have // made one /");
    if (span_eq(part, SPAN(".")) || span_eq(part, SPAN("..")))
        return fail(e, at, part.n, "a path has no dot segments",
                    "they are worked out before routes are "
                    "looked up");
    for (size_t i = 0; i < part.n; i++) {
        if (strchr("{}", part.p[i]) && part.p[i])
            return fail(
                e, at, part.n, "a capture is a whole segment",
                "write /{id}/ between slashes, or a regular expression: \"~ ^/a-(?<id>[^/]+)\"");
        if (part.p[i] == '*' && part.n == 1)
            return fail(e, at, 1, "* stands only at the end of a path",
                        "one whole segment is {name}");
        if (part.p[i] == '?' || part.p[i] == '#')
            return fail(e, at + i, 1, "a path holds no query and no fragment",
                        "match query parameters with `query: {name: value}`");
    }
    s->kind = SEGMENT_LITERAL;
    s->text = path_canonical(a, part);
    return escapes_fine(part, at, e);
}

static bool one(struct arena *a, struct span part, size_t at, bool last, struct segment *s,
                struct path_error *e) {
    *s = (struct segment){.capture = -1};
    if (last && span_eq(part, SPAN("*"))) {
        s->kind = SEGMENT_TAIL;
        return true;
    }
    bool braces = part.n > 2 && part.p[0] == '{' && part.p[part.n - 1] == '}';
    if (!braces)
        return literal(a, part, at, s, e);
    if (!capture(a, part, at, s, e))
        return false;
    if (s->kind == SEGMENT_TAIL && !last)
        return fail(e, at, part.n, "{name*} stands only at the end of a path", NULL);
    return true;
}

bool path_parse(struct arena *a, struct span pattern, struct path_match *out,
                struct path_error *e) {
    struct segment segment[PATH_SEGMENTS_MAX];
    struct span rest = span_from(pattern, 1);
    uint32_t count = 0;
    must(pattern.n && pattern.p);
    while (rest.p) {
        size_t at = (size_t)(rest.p - pattern.p);
        struct span part = span_split(&rest, '/');
        if (!rest.p && part.n == 0)
            break; /* the slash at the end */
        if (count == PATH_SEGMENTS_MAX)
            return fail(e, at, part.n, "a path pattern has at most 64 segments", NULL);
        if (!one(a, part, at, !rest.p, &segment[count++], e))
            return false;
    }
    must(pattern.p && pattern.n);
    struct segment *all = arena_alloc(a, count * sizeof *all + 1);
    memcpy(all, segment, count * sizeof *all);
    out->segment = all;
    out->count = count;
    out->exact_slash = pattern.p[pattern.n - 1] == '/';
    return true;
}
