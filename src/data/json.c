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

/* Where reading stands is passed from function to function as `p` and returned, NULL for failure:
 * kept in the reader it would go through memory for every byte. */
struct reader {
    const unsigned char *end, *start;
    struct arena *a;
    struct value *top, *full, *stack; /* `first` or memory of its own */
    uint32_t nodes;
    unsigned depth, depth_max;
    bool unique, more; /* more: a value is expected next */
    struct open open[JSON_DEPTH_MAX];
    struct json_error *err;
    struct value *first;
};

static const unsigned char *fail(struct reader *r, const unsigned char *at, const char *text) {
    *r->err = (struct json_error){(size_t)(at - r->start), text, false};
    return NULL;
}

static const unsigned char *over(struct reader *r, const unsigned char *at, const char *text) {
    *r->err = (struct json_error){(size_t)(at - r->start), text, true};
    return NULL;
}

static const char no_memory[] = "there is no memory for this document";
static const char too_many[] = "the document has too many values";

static bool grow(struct reader *r) {
    size_t count = (size_t)(r->top - r->stack);
    struct value *more = mem_try(count * 2 * sizeof *more);
    if (!more)
        return false;
    memcpy(more, r->stack, count * sizeof *more);
    if (r->stack != r->first)
        mem_free(r->stack);
    r->stack = more;
    r->top = more + count;
    r->full = more + count * 2;
    return true;
}

/* Room for the next value on the stack; NULL: no memory. */
static inline struct value *slot(struct reader *r) {
    if (unlikely(r->top == r->full) && !grow(r))
        return NULL;
    return r->top++;
}

static inline bool space(unsigned char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const unsigned char *skip_space(const unsigned char *p, const unsigned char *end) {
    while (p < end && space(*p)) {
        uint64_t eight = 0; /* indentation */
        p++;
        while (end - p >= 8 && (memcpy(&eight, p, 8), eight == 0x2020202020202020))
            p += 8;
    }
    return p;
}

/* The next byte that is not white space. */
static inline const unsigned char *next(const struct reader *r, const unsigned char *p) {
    return likely(p<r->end && * p> ' ') ? p : skip_space(p, r->end);
}

/* Is it this one? Never at the end. */
static inline bool here(const struct reader *r, const unsigned char *p, char c) {
    return likely(p < r->end) && *p == (unsigned char)c;
}

/* The closing quote of a string, from its first byte `p` that is not plain; NULL: there is none, or
 * bytes that a string may not hold. */
static const unsigned char *string_end(struct reader *r, const unsigned char *p, bool *escaped) {
    for (;; p = json_plain_end(p, r->end)) {
        if (p == r->end)
            break;
        if (*p == '"')
            return p;
        size_t n = 2;
        if (*p == '\\')
            *escaped = true;
        else
            n = *p < 0x20 ? 0 : utf8_len(p, (size_t)(r->end - p));
        if (n == 0)
            return fail(r, p,
                        *p < 0x20 ? "a control character in a string must be escaped"
                                  : "this is not valid UTF-8");
        if ((size_t)(r->end - p) < n)
            break;
        p += n;
    }
    return fail(r, r->end, "the document ends inside a string");
}

static bool hex4(const unsigned char *p, const unsigned char *end, uint32_t *out) {
    uint64_t v = 0;
    if (end - p < 4 || !parse_hex(span_of((const char *)p, 4), &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

/* \uXXXX at p, a pair where it is a high surrogate. Returns the byte behind it. */
static const unsigned char *unicode(struct reader *r, const unsigned char *p,
                                    const unsigned char *end, char **out) {
    uint32_t c = 0, low = 0;
    const unsigned char *from = p;
    if (!hex4(p + 2, end, &c))
        return fail(r, from, "four hexadecimal digits are expected behind \\u");
    p += 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        if (c >= 0xdc00 || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p + 2, end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return fail(r, from, "half of a surrogate pair is no character");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out += utf8_put(c, *out);
    return p;
}

static char escape_of(unsigned char c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? memchr(from, c, sizeof from - 1) : NULL;
    return at ? to[at - from] : 0;
}

/* A string with escapes, in memory of its own; they only make it shorter. Returns `end`. */
static const unsigned char *unescape(struct reader *r, const unsigned char *p,
                                     const unsigned char *end, struct value *out) {
    char *o = arena_try(r->a, (size_t)(end - p)), *text = o;
    if (!o)
        return over(r, p, no_memory);
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
                return NULL;
            continue;
        }
        *o = escape_of(p[1]);
        if (*o++ == 0)
            return fail(r, p, "there is no such escape in a string");
        p += 2;
    }
    *out = value_string(span_of(text, (size_t)(o - text)));
    return end;
}

/* A string that is not all plain ASCII: it is up to `plain`. */
static __attribute__((noinline)) const unsigned char *read_special(struct reader *r,
                                                                   const unsigned char *p,
                                                                   const unsigned char *plain,
                                                                   struct value *out) {
    bool escaped = false;
    const unsigned char *end = string_end(r, plain, &escaped);
    if (!end)
        return NULL;
    *out = value_string(span_of((const char *)p, (size_t)(end - p)));
    if (escaped && !unescape(r, p, end, out))
        return NULL;
    return end + 1;
}

/* p is the byte behind its opening quote. */
static inline const unsigned char *read_string(struct reader *r, const unsigned char *p,
                                               struct value *out) {
    const unsigned char *end = json_plain_end(p, r->end);
    if (unlikely(!here(r, end, '"')))
        return read_special(r, p, end, out);
    *out = value_string(span_of((const char *)p, (size_t)(end - p)));
    return end + 1;
}

static inline const unsigned char *digits(const unsigned char *p, const unsigned char *end) {
    while (p < end && (unsigned)(*p - '0') <= 9)
        p++;
    return p;
}

/* What may follow a number's whole part. */
static const unsigned char *read_fraction(struct reader *r, const unsigned char *p) {
    const unsigned char *from, *end = r->end;
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
    return p;
}

static inline const unsigned char *read_number(struct reader *r, const unsigned char *first,
                                               struct value *out) {
    const unsigned char *from = first + (*first == '-'), *p = digits(from, r->end);
    if (p == from)
        return fail(r, p, "a digit is expected here");
    if (*from == '0' && p - from > 1)
        return fail(r, from, "a number has no zeros in front");
    if (p < r->end && (*p == '.' || (*p | 0x20) == 'e'))
        p = read_fraction(r, p);
    if (p)
        *out = value_text(VALUE_NUMBER, span_of((const char *)first, (size_t)(p - first)));
    return p;
}

static const unsigned char *no_value(struct reader *r, const unsigned char *p) {
    if (p == r->end)
        return fail(r, p, "the document ends where a value is expected");
    if (p == r->start && r->end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return fail(r, p, "a byte order mark is no JSON");
    return fail(r, p, "a value is expected here");
}

static const unsigned char *read_word(struct reader *r, const unsigned char *p, struct value *out) {
    static const struct {
        const char *text;
        unsigned n;
        struct value v;
    } words[] = {{"null", 4, {.kind = VALUE_NULL}},
                 {"true", 4, {.kind = VALUE_BOOL, .b = true}},
                 {"false", 5, {.kind = VALUE_BOOL}}};
    for (size_t i = 0; i < array_len(words); i++) {
        if (!here(r, p, words[i].text[0]))
            continue;
        if (r->end - p < words[i].n || memcmp(p, words[i].text, words[i].n) != 0)
            return fail(r, p, "a value is expected here (words are true, false and null)");
        *out = words[i].v;
        return p + words[i].n;
    }
    return no_value(r, p);
}

/* The innermost object's or list's last byte is p. */
static const unsigned char *close_one(struct reader *r, const unsigned char *p) {
    const struct open *o = &r->open[r->depth - 1];
    struct value *from = r->stack + o->from;
    uint32_t n = (uint32_t)(r->top - from);
    struct value v = {.kind = o->map ? VALUE_MAP : VALUE_LIST, .n = o->map ? n / 2 : n};
    const struct value_member *twice = NULL;
    if (v.n) {
        struct value_member *m = (struct value_member *)(void *)from;
        if (o->map && v.n > 1 && !json_members(m, &v.n, r->unique ? &twice : NULL))
            return over(r, p, no_memory);
        if (twice) {
            const unsigned char *at = (const unsigned char *)twice->key.p;
            bool inside = at >= r->start && at < r->end; /* it has no escapes */
            return fail(r, inside ? at - 1 : p, "this name stands twice in one object");
        }
        size_t size = (o->map ? (size_t)v.n * 2 : v.n) * sizeof *from;
        void *own = arena_try(r->a, size);
        if (!own)
            return over(r, p, no_memory);
        memcpy(own, from, size);
        v.item = own;
    }
    r->depth--;
    r->top = from; /* where it was opened there was room for it */
    *r->top++ = v;
    return p + 1;
}

/* A member's name and colon. */
static inline const unsigned char *read_name(struct reader *r, const unsigned char *p) {
    struct value *name = slot(r);
    if (!name)
        return over(r, p, no_memory);
    p = next(r, p);
    if (!here(r, p, '"'))
        return fail(r, p,
                    p == r->end ? "the document ends inside an object"
                                : "a member's name in quotes is expected here");
    p = read_string(r, p + 1, name);
    if (!p)
        return NULL;
    p = next(r, p);
    return here(r, p, ':') ? p + 1 : fail(r, p, "a colon is expected behind the name");
}

/* Opens a list or object, at p. It may be empty, and is closed then. */
static const unsigned char *read_open(struct reader *r, const unsigned char *p) {
    bool map = *p == '{';
    if (r->depth == r->depth_max)
        return over(r, p, "lists and maps stand too deep in each other");
    if (unlikely(r->top == r->full) && !grow(r))
        return over(r, p, no_memory);
    r->open[r->depth++] = (struct open){(uint32_t)(r->top - r->stack), map};
    p = next(r, p + 1);
    r->more = !here(r, p, map ? '}' : ']');
    return r->more ? p : close_one(r, p);
}

/* Behind a value: closes what ends; then a comma came, or it was all. */
static inline const unsigned char *read_behind(struct reader *r, const unsigned char *p) {
    while (r->depth) {
        bool map = r->open[r->depth - 1].map;
        p = next(r, p);
        if (here(r, p, ',')) {
            r->more = true;
            return p + 1;
        }
        if (!here(r, p, map ? '}' : ']'))
            return fail(r, p,
                        p == r->end ? "the document ends before it is complete"
                        : map       ? "a comma or \"}\" is expected here"
                                    : "a comma or \"]\" is expected here");
        p = close_one(r, p);
        if (!p)
            return NULL;
    }
    return p;
}

static inline const unsigned char *read_scalar(struct reader *r, const unsigned char *p) {
    struct value *out = slot(r);
    if (!out)
        return over(r, p, no_memory);
    if (here(r, p, '"'))
        return read_string(r, p + 1, out);
    if (here(r, p, '-') || (p < r->end && (unsigned)(*p - '0') <= 9))
        return read_number(r, p, out);
    return read_word(r, p, out);
}

static const unsigned char *read_document(struct reader *r) {
    const unsigned char *p = r->start;
    for (r->more = true; r->more;) {
        if (r->depth && r->open[r->depth - 1].map)
            p = read_name(r, p);
        if (!p)
            return NULL;
        p = next(r, p);
        if (unlikely(r->nodes-- == 0))
            return over(r, p, too_many);
        r->more = false;
        p = here(r, p, '{') || here(r, p, '[') ? read_open(r, p) : read_scalar(r, p);
        if (p && !r->more)
            p = read_behind(r, p);
        if (!p)
            return NULL;
    }
    p = next(r, p);
    return p == r->end ? p : fail(r, p, "nothing is expected behind the document");
}

bool json_read(struct arena *a, struct span doc, const struct json_limits *limits,
               struct value *out, struct json_error *err) {
    unzeroed struct value first[ON_STACK];
    static const struct json_limits usual;
    const struct json_limits *l = limits ? limits : &usual;
    struct json_error unseen;
    unzeroed struct reader r;
    r.a = a;
    r.start = (const unsigned char *)(doc.p ? doc.p : "");
    r.end = r.start + doc.n;
    r.stack = r.first = r.top = first;
    r.full = first + ON_STACK;
    r.unique = l->unique;
    r.nodes = l->nodes ? l->nodes : JSON_NODES_MAX;
    r.depth = 0;
    r.depth_max = l->depth && l->depth < JSON_DEPTH_MAX ? l->depth : JSON_DEPTH_MAX;
    r.err = err ? err : &unseen;
    if (doc.n > UINT32_MAX)
        return over(&r, r.start, "the document is longer than 4 GiB") != NULL;
    bool fine = read_document(&r) != NULL;
    if (fine)
        *out = r.stack[0];
    if (r.stack != first)
        mem_free(r.stack);
    return fine;
}
