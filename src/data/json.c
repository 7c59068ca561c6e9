#include "data/json.h"
#include "base/env.h"
#include "data/json_members.h"
#include "data/json_scan.h"

/* Values that are read but belong to an open list or map stand on a stack: a list's elements one
 * after the other, a map's members as key and value, so closing it copies them in one piece. */
enum { ON_STACK = 128 };
_Static_assert(sizeof(struct value_member) == 2 * sizeof(struct value), "a member is two values");

struct open {
    uint32_t from; /* where its values begin */
    bool map;
};

struct reader {
    const unsigned char *at, *end, *start;
    struct arena *a;
    struct value *stack; /* `first` or memory of its own */
    uint32_t count, cap, nodes;
    unsigned depth, depth_max;
    bool unique;
    struct open open[JSON_DEPTH_MAX];
    struct json_error *err;
    struct value *first;
};

static bool fail(struct reader *r, const unsigned char *at, const char *text) {
    *r->err = (struct json_error){(size_t)(at - r->start), text, false};
    return false;
}

static bool over(struct reader *r, const char *text) {
    *r->err = (struct json_error){(size_t)(r->at - r->start), text, true};
    return false;
}

static bool grow(struct reader *r) {
    struct value *more = mem_try((size_t)r->cap * 2 * sizeof *more);
    if (!more)
        return over(r, "there is no memory for this document");
    memcpy(more, r->stack, r->count * sizeof *more);
    if (r->stack != r->first)
        mem_free(r->stack);
    r->stack = more;
    r->cap *= 2;
    return true;
}

static inline bool push(struct reader *r, struct value v) {
    if (unlikely(r->count == r->cap) && !grow(r))
        return false;
    r->stack[r->count++] = v;
    return true;
}

static inline bool push_node(struct reader *r, struct value v) {
    if (unlikely(r->nodes == 0))
        return over(r, "the document has too many values");
    r->nodes--;
    return push(r, v);
}

static inline bool space(unsigned char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next byte that is not white space; 0 at the end of the document (a byte 0 is none of those
 * that are looked for). */
static inline unsigned char next(struct reader *r) {
    const unsigned char *p = r->at;
    if (likely(p<r->end && * p> ' '))
        return *p;
    while (p < r->end && space(*p)) {
        uint64_t eight = 0; /* indentation */
        while (r->end - p >= 8 && (memcpy(&eight, p, 8), eight == 0x2020202020202020))
            p += 8;
        p += p < r->end && space(*p);
    }
    r->at = p;
    return p < r->end ? *p : 0;
}

/* The closing quote of the string whose first byte is r->at; NULL: there is none, or bytes that a
 * string may not hold. */
static const unsigned char *string_end(struct reader *r, bool *escaped) {
    const unsigned char *p = r->at;
    for (;;) {
        p = json_plain_end(p, r->end);
        if (p == r->end)
            break;
        if (*p == '"')
            return p;
        size_t n = 2;
        if (*p == '\\')
            *escaped = true;
        else if (*p < 0x20)
            n = 0;
        else
            n = utf8_len(p, (size_t)(r->end - p));
        if (n == 0) {
            fail(r, p,
                 *p < 0x20 ? "a control character in a string must be escaped"
                           : "this is not valid UTF-8");
            return NULL;
        }
        if ((size_t)(r->end - p) < n)
            break;
        p += n;
    }
    fail(r, r->end, "the document ends inside a string");
    return NULL;
}

static bool hex4(const unsigned char *p, const unsigned char *end, uint32_t *out) {
    uint64_t v = 0;
    if (end - p < 4 || !parse_hex(span_of((const char *)p, 4), &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

static char *put_utf8(char *o, uint32_t c) {
    if (c < 0x80) {
        *o++ = (char)c;
        return o;
    }
    if (c >= 0x10000) {
        *o++ = (char)(0xf0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 0x3f));
    } else if (c >= 0x800) {
        *o++ = (char)(0xe0 | c >> 12);
    }
    *o++ = c >= 0x800 ? (char)(0x80 | (c >> 6 & 0x3f)) : (char)(0xc0 | c >> 6);
    *o++ = (char)(0x80 | (c & 0x3f));
    return o;
}

/* \uXXXX at p, a pair where it is a high surrogate. Returns the byte behind it; NULL: it is none.
 */
static const unsigned char *unicode(struct reader *r, const unsigned char *p,
                                    const unsigned char *end, char **out) {
    uint32_t c = 0, low = 0;
    const unsigned char *from = p;
    if (!hex4(p + 2, end, &c)) {
        fail(r, from, "four hexadecimal digits are expected behind \\u");
        return NULL;
    }
    p += 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        if (c >= 0xdc00 || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p + 2, end, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            fail(r, from, "half of a surrogate pair is no character");
            return NULL;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out = put_utf8(*out, c);
    return p;
}

static char escape_of(unsigned char c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? memchr(from, c, sizeof from - 1) : NULL;
    return at ? to[at - from] : 0;
}

/* A string with escapes, in memory of its own; they only make it shorter. */
static bool unescape(struct reader *r, const unsigned char *end, struct span *out) {
    const unsigned char *p = r->at;
    char *o = arena_try(r->a, (size_t)(end - p)), *text = o;
    if (!o)
        return over(r, "there is no memory for this document");
    while (p < end) {
        const unsigned char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        memcpy(o, p, n);
        o += n;
        p += n;
        if (!slash)
            break;
        if (p[1] == 'u') {
            p = unicode(r, p, end, &o);
            if (!p)
                return false;
            continue;
        }
        *o = escape_of(p[1]);
        if (*o++ == 0)
            return fail(r, p, "there is no such escape in a string");
        p += 2;
    }
    *out = span_of(text, (size_t)(o - text));
    return true;
}

/* r->at is its opening quote. */
static bool read_string(struct reader *r, struct value *out) {
    bool escaped = false;
    r->at++;
    const unsigned char *end = string_end(r, &escaped);
    if (!end)
        return false;
    struct span s = span_of((const char *)r->at, (size_t)(end - r->at));
    if (unlikely(escaped) && !unescape(r, end, &s))
        return false;
    *out = value_string(s);
    r->at = end + 1;
    return true;
}

static inline const unsigned char *digits(const unsigned char *p, const unsigned char *end) {
    while (p < end && (unsigned)(*p - '0') <= 9)
        p++;
    return p;
}

static bool read_number(struct reader *r, struct value *out) {
    const unsigned char *p = r->at + (*r->at == '-'), *from = p, *end = r->end;
    p = digits(p, end);
    if (p == from)
        return fail(r, p, "a digit is expected here");
    if (*from == '0' && p - from > 1)
        return fail(r, from, "a number has no zeros in front");
    if (p < end && *p == '.') {
        from = ++p;
        p = digits(p, end);
        if (p == from)
            return fail(r, p, "a digit is expected behind the point");
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        from = p += p < end && (*p == '+' || *p == '-');
        p = digits(p, end);
        if (p == from)
            return fail(r, p, "a digit is expected in the exponent");
    }
    *out = value_text(VALUE_NUMBER, span_of((const char *)r->at, (size_t)(p - r->at)));
    r->at = p;
    return true;
}

static bool read_word(struct reader *r, struct span word, struct value v, struct value *out) {
    if ((size_t)(r->end - r->at) < word.n || memcmp(r->at, word.p, word.n) != 0)
        return fail(r, r->at, "a value is expected here (words are true, false and null)");
    r->at += word.n;
    *out = v;
    return true;
}

static bool no_value(struct reader *r) {
    if (r->at == r->end)
        return fail(r, r->at, "the document ends where a value is expected");
    if (r->at == r->start && r->end - r->at >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
        return fail(r, r->at, "a byte order mark is no JSON");
    return fail(r, r->at, "a value is expected here");
}

static bool open_one(struct reader *r, bool map) {
    if (r->depth == r->depth_max)
        return over(r, "lists and maps stand too deep in each other");
    r->open[r->depth++] = (struct open){r->count, map};
    r->at++;
    return true;
}

/* The innermost list or map ends at r->at, its closing bracket. */
static bool close_one(struct reader *r) {
    struct open *o = &r->open[--r->depth];
    uint32_t n = r->count - o->from;
    struct value v = {.kind = o->map ? VALUE_MAP : VALUE_LIST};
    const struct value_member *twice = NULL;
    struct value *own = NULL;
    if (n) {
        own = arena_try(r->a, n * sizeof *own);
        if (!own)
            return over(r, "there is no memory for this document");
        memcpy(own, r->stack + o->from, n * sizeof *own);
    }
    v.n = o->map ? n / 2 : n;
    v.item = own;
    if (o->map && v.n > 1) {
        struct value_member *m = (struct value_member *)(void *)own;
        if (!json_members(m, &v.n, r->unique ? &twice : NULL))
            return over(r, "there is no memory for this document");
    }
    if (twice) {
        const unsigned char *at = (const unsigned char *)twice->key.p;
        bool inside = at >= r->start && at < r->end;
        return fail(r, inside ? at - 1 : r->at, "this name stands twice in one object");
    }
    r->at++;
    r->count = o->from;
    return push(r, v);
}

/* A member's name and colon. */
static bool read_name(struct reader *r) {
    struct value name;
    if (next(r) != '"')
        return fail(r, r->at,
                    r->at == r->end ? "the document ends inside an object"
                                    : "a member's name in quotes is expected here");
    if (!read_string(r, &name))
        return false;
    if (next(r) != ':')
        return fail(r, r->at, "a colon is expected behind the name");
    r->at++;
    return push(r, name);
}

static bool read_scalar(struct reader *r, unsigned char c) {
    struct value v;
    bool fine;
    if (c == '"')
        fine = read_string(r, &v);
    else if (c == '-' || (unsigned)(c - '0') <= 9)
        fine = read_number(r, &v);
    else if (c == 't')
        fine = read_word(r, SPAN("true"), value_bool(true), &v);
    else if (c == 'f')
        fine = read_word(r, SPAN("false"), value_bool(false), &v);
    else if (c == 'n')
        fine = read_word(r, SPAN("null"), VALUE_NOTHING, &v);
    else
        fine = no_value(r);
    return fine && push_node(r, v);
}

/* Opens a list or map. *more: a value is expected next; else it was empty and is closed. */
static bool read_open(struct reader *r, bool map, bool *more) {
    if (unlikely(r->nodes == 0))
        return over(r, "the document has too many values");
    r->nodes--;
    if (!open_one(r, map))
        return false;
    *more = next(r) != (map ? '}' : ']');
    if (!*more)
        return close_one(r);
    return !map || read_name(r);
}

/* Behind a value: closes what ends. *more: a comma came and a value is expected. */
static bool read_behind(struct reader *r, bool *more) {
    *more = false;
    while (r->depth) {
        bool map = r->open[r->depth - 1].map;
        unsigned char c = next(r);
        if (c == ',') {
            r->at++;
            *more = true;
            return !map || read_name(r);
        }
        if (c != (map ? '}' : ']')) {
            const char *text =
                map ? "a comma or \"}\" is expected here" : "a comma or \"]\" is expected here";
            return fail(r, r->at,
                        r->at == r->end ? "the document ends before it is complete" : text);
        }
        if (!close_one(r))
            return false;
    }
    return true;
}

static bool read_document(struct reader *r) {
    for (bool more = true; more;) {
        unsigned char c = next(r);
        if (c == '{' || c == '[') {
            if (!read_open(r, c == '{', &more))
                return false;
            if (more)
                continue;
        } else if (!read_scalar(r, c)) {
            return false;
        }
        if (!read_behind(r, &more))
            return false;
    }
    next(r);
    return r->at == r->end || fail(r, r->at, "nothing is expected behind the document");
}

bool json_read(struct arena *a, struct span doc, const struct json_limits *limits,
               struct value *out, struct json_error *err) {
    unzeroed struct value first[ON_STACK];
    static const struct json_limits usual;
    const struct json_limits *l = limits ? limits : &usual;
    struct json_error unseen;
    struct reader r = {.a = a,
                       .start = (const unsigned char *)(doc.p ? doc.p : ""),
                       .stack = first,
                       .first = first,
                       .cap = ON_STACK,
                       .unique = l->unique,
                       .nodes = l->nodes ? l->nodes : JSON_NODES_MAX,
                       .depth_max =
                           l->depth && l->depth < JSON_DEPTH_MAX ? l->depth : JSON_DEPTH_MAX,
                       .err = err ? err : &unseen};
    r.at = r.start;
    r.end = r.start + doc.n;
    if (doc.n > UINT32_MAX)
        return over(&r, "the document is longer than 4 GiB");
    bool fine = read_document(&r);
    if (fine)
        *out = r.stack[0];
    if (r.stack != first)
        mem_free(r.stack);
    return fine;
}
