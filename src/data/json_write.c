#include "base/env.h"
#include "data/base64.h"
#include "data/json.h"
#include "data/json_scan.h"
#include "data/number.h"
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>

struct level {
    struct value v; /* a list or map */
    uint32_t at, n;
};

/* Text gathers on the stack, then in memory of its own, and is copied once, when its size is known.
 */
enum { ON_STACK = 1024 };

struct writer {
    struct arena *a; /* for elements of hosts */
    char *p, *first;
    size_t n, cap, max;
    unsigned indent, depth;
    bool failed, notation; /* CEL's */
    struct level *level;   /* JSON_DEPTH_MAX of them */
};

static __attribute__((noinline)) char *more_room(struct writer *w, size_t n) {
    if (w->failed || n > w->max - w->n) {
        w->failed = true;
        return NULL;
    }
    size_t cap = w->cap > w->max / 2 ? w->max : w->cap * 2;
    if (cap < w->n + n)
        cap = w->n + n;
    char *more = mem_try(cap);
    if (!more) {
        w->failed = true;
        return NULL;
    }
    memcpy(more, w->p, w->n);
    if (w->p != w->first)
        mem_free(w->p);
    w->p = more;
    w->cap = cap;
    return more + w->n;
}

/* Room for n more bytes; NULL: too much, or no memory. */
static inline char *room(struct writer *w, size_t n) {
    return likely(n <= w->cap - w->n) ? w->p + w->n : more_room(w, n);
}

static inline void put(struct writer *w, const char *p, size_t n) {
    char *to = n ? room(w, n) : NULL;
    if (to) {
        memcpy(to, p, n);
        w->n += n;
    }
}

static inline void put_char(struct writer *w, char c) {
    char *to = room(w, 1);
    if (to) {
        *to = c;
        w->n++;
    }
}

/* A character that stops a run of plain ones: its escape, or itself. Returns its length. */
static size_t put_special(struct writer *w, const unsigned char *p, const unsigned char *end) {
    size_t n = *p < 0x80 ? 1 : utf8_len(p, (size_t)(end - p));
    /* U+0080..U+009F: a terminal would obey them. */
    if (n > 1 && (p[0] != 0xc2 || p[1] >= 0xa0)) {
        put(w, (const char *)p, n);
        return n;
    }
    char text[8];
    struct str s = str_on(text, sizeof text);
    str_json(&s, span_of((const char *)p, n ? n : 1));
    put(w, s.p, s.n);
    return n ? n : 1;
}

/* Copies up to the first byte that is not plain, and returns it. */
static inline const unsigned char *put_plain(struct writer *w, const unsigned char *p,
                                             const unsigned char *end) {
    char *to = w->p + w->n, *o = to;
    if (unlikely((size_t)(end - p) > w->cap - w->n) || end - p >= 32) {
        const unsigned char *stop = json_plain_end(p, end);
        put(w, (const char *)p, (size_t)(stop - p));
        return stop;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        *o++ = (char)*p++;
    w->n += (size_t)(o - to);
    return p;
}

static inline void put_string(struct writer *w, struct span v) {
    const unsigned char *p = (const unsigned char *)v.p, *end = p + v.n;
    put_char(w, '"');
    while ((p = put_plain(w, p, end)) < end && !w->failed)
        p += put_special(w, p, end);
    put_char(w, '"');
}

static void put_bytes(struct writer *w, struct span v) {
    put_char(w, '"');
    char *to = room(w, base64_encode_max(v.n));
    if (to)
        w->n += base64_encode(BASE64, v, to);
    put_char(w, '"');
}

static void put_i64(struct writer *w, bool negative, uint64_t v) {
    char text[24];
    struct str s = str_on(text, sizeof text);
    if (negative)
        str_char(&s, '-');
    str_u64(&s, v);
    put(w, s.p, s.n);
}

static void put_double(struct writer *w, double d) {
    char text[NUMBER_TEXT];
    if (isfinite(d))
        put(w, text, number_text(d, text));
    else
        put(w, "null", 4);
}

static void put_address(struct writer *w, const struct value *v) {
    char text[INET6_ADDRSTRLEN + 8];
    inet_ntop(v->n == 4 ? AF_INET : AF_INET6, v->ip, text, INET6_ADDRSTRLEN);
    struct str s = str_on(text, sizeof text);
    s.n = strlen(text);
    if (v->kind == VALUE_CIDR) {
        str_char(&s, '/');
        str_u64(&s, v->bits);
    }
    put_string(w, str_span(&s));
}

static void put_time(struct writer *w, const struct value *v) {
    char text[MOMENT_TEXT];
    size_t n = v->kind == VALUE_TIMESTAMP ? timestamp_text(v->i, v->nanos, text)
                                          : duration_text(v->i, v->nanos, text);
    put_string(w, span_of(text, n));
}

static void put_bytes_notation(struct writer *w, struct span v) {
    put(w, "b\"", 2);
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        char text[8];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            put_char(w, (char)c);
        else
            put(w, text, (size_t)snprintf(text, sizeof text, "\\x%02x", c));
    }
    put_char(w, '"');
}

static void put_double_notation(struct writer *w, double d) {
    char text[NUMBER_TEXT];
    size_t n = number_text(d, text);
    if (!isfinite(d))
        put(w, "double(\"", 8);
    put(w, text, n);
    if (!isfinite(d))
        put(w, "\")", 2);
    else if (!memchr(text, '.', n) && !memchr(text, 'e', n))
        put(w, ".0", 2);
}

static void put_call(struct writer *w, const char *name, const struct value *v) {
    put(w, name, strlen(name));
    put_char(w, '(');
    if (v->kind == VALUE_IP || v->kind == VALUE_CIDR)
        put_address(w, v);
    else if (v->kind == VALUE_ERROR)
        put_string(w, value_span(v));
    else
        put_time(w, v);
    put_char(w, ')');
}

/* False: its notation is its JSON. */
static bool put_notation(struct writer *w, const struct value *v) {
    static const char *const call[VALUE_ERROR + 1] = {[VALUE_DURATION] = "duration",
                                                      [VALUE_TIMESTAMP] = "timestamp",
                                                      [VALUE_IP] = "ip",
                                                      [VALUE_CIDR] = "cidr",
                                                      [VALUE_ERROR] = "error"};
    if (v->kind == VALUE_BYTES)
        put_bytes_notation(w, value_span(v));
    else if (v->kind == VALUE_DOUBLE)
        put_double_notation(w, v->d);
    else if (v->kind == VALUE_TYPE)
        put(w, v->p, v->n);
    else if (v->kind == VALUE_OPTIONAL)
        put(w, "optional.none()", 15);
    else if (call[v->kind])
        put_call(w, call[v->kind], v);
    else
        return false;
    return true;
}

static void put_scalar(struct writer *w, const struct value *v) {
    if (likely(v->kind == VALUE_STRING)) {
        put_string(w, value_span(v));
        return;
    }
    if (w->notation && put_notation(w, v))
        return;
    switch ((enum value_kind)v->kind) {
    case VALUE_BOOL:
        put(w, v->b ? "true" : "false", v->b ? 4 : 5);
        return;
    case VALUE_INT:
        put_i64(w, v->i < 0, v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i);
        return;
    case VALUE_UINT:
        put_i64(w, false, v->u);
        return;
    case VALUE_DOUBLE:
        put_double(w, v->d);
        return;
    case VALUE_NUMBER:
        put(w, v->p, v->n);
        return;
    case VALUE_STRING:
    case VALUE_TYPE:
    case VALUE_ERROR:
        put_string(w, value_span(v));
        return;
    case VALUE_BYTES:
        put_bytes(w, value_span(v));
        return;
    case VALUE_IP:
    case VALUE_CIDR:
        put_address(w, v);
        return;
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
        put_time(w, v);
        return;
    case VALUE_NULL:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
        break;
    }
    put(w, "null", 4);
}

/* Keys are texts in JSON, whatever they were. */
static inline void put_key(struct writer *w, const struct value *key) {
    if (likely(key->kind == VALUE_STRING && !w->indent && !w->notation)) {
        put_string(w, value_span(key));
        put_char(w, ':');
        return;
    }
    bool text = key->kind == VALUE_STRING || w->notation;
    if (!text)
        put_char(w, '"');
    put_scalar(w, key);
    if (!text)
        put_char(w, '"');
    put(w, ": ", w->indent || w->notation ? 2 : 1);
}

static void new_line(struct writer *w) {
    size_t n = (size_t)w->indent * w->depth;
    put_char(w, '\n');
    char *to = room(w, n);
    if (to) {
        memset(to, ' ', n);
        w->n += n;
    }
}

/* Element `l->at` of a list; of a map its key is written and its value given. */
static inline struct value element(struct writer *w, struct level *l) {
    struct value key = VALUE_NOTHING, v;
    uint32_t i = l->at++;
    if (l->v.kind == VALUE_OPTIONAL)
        v = *l->v.of;
    else if (l->v.form == VALUE_HOST)
        l->v.host->ops->at(l->v.host, w->a, i, &key, &v);
    else if (l->v.kind == VALUE_LIST)
        v = l->v.item[i];
    else
        key = l->v.member[i].key, v = l->v.member[i].value;
    if (l->v.kind == VALUE_MAP)
        put_key(w, &key);
    return v;
}

/* JSON has no optionals: the value, or null. */
static struct value unwrapped(const struct writer *w, struct value v) {
    while (v.kind == VALUE_OPTIONAL && !w->notation)
        v = v.of ? *v.of : VALUE_NOTHING;
    return v;
}

/* Writes v, or its opening bracket, which stands open then. */
static inline void begin(struct writer *w, struct value v) {
    uint32_t n = 1;
    if (v.kind == VALUE_LIST || v.kind == VALUE_MAP) {
        n = v.form == VALUE_HOST ? v.host->ops->count(v.host) : v.n;
    } else if (v.kind != VALUE_OPTIONAL || !v.of) {
        put_scalar(w, &v);
        return;
    }
    if (w->depth == JSON_DEPTH_MAX) {
        w->failed = true;
        return;
    }
    w->level[w->depth++] = (struct level){v, 0, n};
    if (v.kind == VALUE_OPTIONAL)
        put(w, "optional.of(", 12);
    else
        put_char(w, v.kind == VALUE_LIST ? '[' : '{');
}

static void end(struct writer *w) {
    struct level *l = &w->level[--w->depth];
    if (l->n && w->indent)
        new_line(w);
    put_char(w, l->v.kind == VALUE_LIST ? ']' : l->v.kind == VALUE_MAP ? '}' : ')');
}

static void write_value(struct writer *w, struct value v) {
    begin(w, unwrapped(w, v));
    while (w->depth && !w->failed) {
        struct level *l = &w->level[w->depth - 1];
        if (l->at == l->n) {
            end(w);
            continue;
        }
        if (l->at)
            put_char(w, ',');
        if (l->at && w->notation && !w->indent)
            put_char(w, ' ');
        if (w->indent)
            new_line(w);
        begin(w, unwrapped(w, element(w, l)));
    }
}

static bool write_all(struct writer w, const struct value *v, struct span *out) {
    unzeroed char first[ON_STACK];
    unzeroed struct level level[JSON_DEPTH_MAX];
    w.level = level;
    w.p = w.first = first;
    w.cap = w.max < ON_STACK ? w.max : ON_STACK;
    write_value(&w, *v);
    char *p = w.failed ? NULL : arena_try(w.a, w.n);
    if (p) {
        memcpy(p, w.p, w.n);
        *out = span_of(p, w.n);
    }
    if (w.p != first)
        mem_free(w.p);
    return p != NULL;
}

bool json_write(struct arena *a, const struct value *v, unsigned indent, size_t max,
                struct span *out) {
    struct writer w = {.a = a, .max = max, .indent = indent};
    return write_all(w, v, out);
}

bool json_notation(struct arena *a, const struct value *v, unsigned indent, size_t max,
                   struct span *out) {
    struct writer w = {.a = a, .max = max, .indent = indent, .notation = true};
    return write_all(w, v, out);
}
