/* The values of the cases: read from their tagged form, and compared. */
#include "cli/eval.h"
#include "data/base64.h"
#include "data/json.h"
#include "data/number.h"

/* A number as JSON has it, or a text: whole, with a sign. */
static bool whole(const struct value *v, bool *negative, uint64_t *out) {
    struct span s = value_span(v);
    if (v->kind != VALUE_STRING && v->kind != VALUE_NUMBER)
        return false;
    *negative = s.n && s.p[0] == '-';
    return parse_dec(span_from(s, *negative), UINT64_MAX, out);
}

static bool signed_whole(const struct value *v, int64_t *out) {
    bool negative;
    uint64_t n;
    if (!whole(v, &negative, &n) || n > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - n : n);
    return true;
}

static bool real(const struct value *v, double *out) {
    struct span s = value_span(v);
    if (v->kind != VALUE_STRING && v->kind != VALUE_NUMBER)
        return false;
    if (span_eq(s, SPAN("NaN")))
        *out = __builtin_nan("");
    else if (span_eq(s, SPAN("Infinity")) || span_eq(s, SPAN("-Infinity")))
        *out = s.p[0] == '-' ? -__builtin_inf() : __builtin_inf();
    else
        return number_read(s, out);
    return true;
}

static bool untag_int(struct arena *a, const struct value *v, struct value *out) {
    (void)a;
    *out = value_int(0);
    return signed_whole(v, &out->i);
}

static bool untag_uint(struct arena *a, const struct value *v, struct value *out) {
    bool negative;
    (void)a;
    *out = value_uint(0);
    return whole(v, &negative, &out->u) && !negative;
}

static bool untag_double(struct arena *a, const struct value *v, struct value *out) {
    (void)a;
    *out = value_double(0);
    return real(v, &out->d);
}

static bool untag_same(struct arena *a, const struct value *v, struct value *out) {
    (void)a;
    *out = *v;
    return v->kind == VALUE_BOOL || v->kind == VALUE_STRING || v->kind == VALUE_NULL;
}

static bool untag_type(struct arena *a, const struct value *v, struct value *out) {
    (void)a;
    *out = value_text(VALUE_TYPE, value_span(v));
    return v->kind == VALUE_STRING;
}

static bool untag_bytes(struct arena *a, const struct value *v, struct value *out) {
    size_t n = 0;
    if (v->kind != VALUE_STRING)
        return false;
    char *p = arena_alloc(a, base64_decode_max(v->n));
    bool fine = base64_decode(BASE64, value_span(v), (unsigned char *)p, &n);
    *out = value_text(VALUE_BYTES, span_of(p, n));
    return fine;
}

/* "-1.5s": seconds and up to nine digits of nanoseconds. */
static bool untag_duration(struct arena *a, const struct value *v, struct value *out) {
    struct span part = value_span(v);
    (void)a;
    if (v->kind != VALUE_STRING || !span_ends(part, SPAN("s")))
        return false;
    part.n--;
    bool negative = part.n && part.p[0] == '-';
    part = span_from(part, negative);
    struct span seconds = span_split(&part, '.');
    uint64_t n, nanos = 0;
    for (size_t i = 0; i < 9; i++) {
        if (i < part.n && (part.p[i] < '0' || part.p[i] > '9'))
            return false;
        nanos = nanos * 10 + (i < part.n ? (uint64_t)(part.p[i] - '0') : 0);
    }
    if (!parse_dec(seconds, INT64_MAX, &n) || part.n > 9)
        return false;
    *out = (struct value){.kind = VALUE_DURATION,
                          .i = negative ? -(int64_t)n : (int64_t)n,
                          .nanos = negative ? -(int32_t)nanos : (int32_t)nanos};
    return true;
}

static bool untag_timestamp(struct arena *a, const struct value *v, struct value *out) {
    int64_t nanos;
    (void)a;
    *out = (struct value){.kind = VALUE_TIMESTAMP};
    if (v->kind != VALUE_LIST || v->n != 2 || !signed_whole(&v->item[0], &out->i) ||
        !signed_whole(&v->item[1], &nanos) || nanos < 0 || nanos > 999999999)
        return false;
    out->nanos = (int32_t)nanos;
    return true;
}

static const struct {
    struct span tag;
    bool (*fn)(struct arena *a, const struct value *v, struct value *out);
} tags[] = {
    {{"int", 3}, untag_int},           {{"uint", 4}, untag_uint},
    {{"double", 6}, untag_double},     {{"bool", 4}, untag_same},
    {{"string", 6}, untag_same},       {{"null", 4}, untag_same},
    {{"bytes", 5}, untag_bytes},       {{"type", 4}, untag_type},
    {{"duration", 8}, untag_duration}, {{"timestamp", 9}, untag_timestamp},
};

/* A row of tagged values, of which `at` are done; a map's are keys and values in turn. */
struct row {
    const struct value *in;
    struct value *out;
    uint32_t n, at;
};

/* The tagged elements of a list, or the [k, v] of a map one after the other; NULL: it is neither.
 */
static bool open_row(struct arena *a, bool map, const struct value *v, struct row *row,
                     struct value *out) {
    if (v->kind != VALUE_LIST)
        return false;
    uint32_t n = map ? v->n * 2 : v->n;
    struct value *in = arena_alloc(a, (n + 1) * sizeof *in);
    struct value *to = arena_alloc(a, (n + 1) * sizeof *to);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!map) {
            in[i] = v->item[i];
            continue;
        }
        if (v->item[i].kind != VALUE_LIST || v->item[i].n != 2)
            return false;
        in[2 * i] = v->item[i].item[0];
        in[2 * i + 1] = v->item[i].item[1];
    }
    *row = (struct row){in, to, n, 0};
    *out = (struct value){.kind = map ? VALUE_MAP : VALUE_LIST, .n = v->n, .item = to};
    return true;
}

static bool untag_scalar(struct arena *a, struct span tag, const struct value *v,
                         struct value *out) {
    for (size_t i = 0; i < array_len(tags); i++)
        if (span_eq(tag, tags[i].tag))
            return tags[i].fn(a, v, out);
    return false;
}

const char *eval_untag(struct arena *a, const struct value *tagged, struct value *out) {
    struct row row[JSON_DEPTH_MAX];
    unsigned depth = 1;
    row[0] = (struct row){tagged, out, 1, 0};
    while (depth) {
        struct row *r = &row[depth - 1];
        if (r->at == r->n) {
            depth--;
            continue;
        }
        const struct value *t = &r->in[r->at];
        struct value *to = &r->out[r->at++];
        if (t->kind != VALUE_MAP || t->n != 1)
            return "a value is an object with one member, its type";
        struct span tag = value_span(&t->member->key);
        const struct value *v = &t->member->value;
        bool map = span_eq(tag, SPAN("map"));
        if (!map && !span_eq(tag, SPAN("list"))) {
            if (!untag_scalar(a, tag, v, to))
                return arena_fmt(a, "this is no value of type \"%.*s\"", SPAN_ARG(tag));
        } else if (depth == JSON_DEPTH_MAX || !open_row(a, map, v, &row[depth++], to)) {
            return "a list is [..], and a map is [[key, value], ..]";
        }
    }
    return NULL;
}

/* Two lists or maps, compared up to `at`. */
struct pair {
    struct value x, y;
    uint32_t at;
};

/* What stands at `*at` of an expected text may be an escape that whoever made the cases did not
 * know; then the character that it stands for is put into `to`. Returns the number of bytes. */
static size_t left_escaped(struct span want, size_t *at, char to[4]) {
    struct span rest = span_from(want, *at);
    bool small = span_starts(rest, SPAN("\\u")), large = span_starts(rest, SPAN("\\U"));
    uint64_t c = 0;
    if (span_starts(rest, SPAN("\\?"))) {
        *at += 2;
        to[0] = '?';
        return 1;
    }
    size_t digits = small ? 4 : 8;
    if ((!small && !large) || rest.n < 2 + digits || !parse_hex(span_cut(rest, 2, digits), &c) ||
        c > 0x10ffff) {
        to[0] = want.p[(*at)++];
        return 1;
    }
    *at += 2 + digits;
    return utf8_put((uint32_t)c, to);
}

/* Text protocol buffers have the escapes \u, \U and \?, which cases made from them may have kept:
 * such a text is the one wanted, or the one that it is the escaped form of. */
static bool same_text(struct span want, struct span got) {
    size_t at = 0, seen = 0;
    if (span_eq(want, got))
        return true;
    while (at < want.n) {
        char c[4];
        size_t n = left_escaped(want, &at, c);
        if (got.n - seen < n || memcmp(got.p + seen, c, n) != 0)
            return false;
        seen += n;
    }
    return seen == got.n;
}

static bool same_scalar(const struct value *x, const struct value *y) {
    switch ((enum value_kind)x->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return x->b == y->b;
    case VALUE_INT:
    case VALUE_UINT:
        return x->i == y->i;
    case VALUE_DOUBLE:
        return x->d == y->d || (x->d != x->d && y->d != y->d);
    case VALUE_STRING:
    case VALUE_BYTES:
        return same_text(value_span(x), value_span(y));
    case VALUE_TYPE:
        return span_eq(value_span(x), value_span(y));
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
        return x->i == y->i && x->nanos == y->nanos;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
    case VALUE_NUMBER:
    case VALUE_IP:
    case VALUE_CIDR:
    case VALUE_ERROR:
        break;
    }
    return false;
}

static bool same_kind(const struct value *x, const struct value *y) {
    bool many = x->kind == VALUE_LIST || x->kind == VALUE_MAP;
    return x->kind == y->kind && (!many || value_count(x) == value_count(y));
}

/* The next of both: elements, or the values of one key of the same type. */
static bool next_of(struct arena *a, struct pair *p, struct value *x, struct value *y) {
    struct value key, other;
    uint32_t i = p->at++;
    if (p->x.kind == VALUE_LIST) {
        *x = value_settle(value_at(&p->x, a, i));
        *y = value_settle(value_at(&p->y, a, i));
        return true;
    }
    value_member_at(&p->x, a, i, &key, x);
    *x = value_settle(*x);
    for (uint32_t k = 0; k < value_count(&p->y); k++) {
        value_member_at(&p->y, a, k, &other, y);
        *y = value_settle(*y);
        if (key.kind == other.kind && same_scalar(&key, &other))
            return true;
    }
    return false;
}

bool eval_same(struct arena *a, const struct value *want, const struct value *got) {
    struct pair pair[JSON_DEPTH_MAX];
    unsigned depth = 1;
    struct value one = value_settle(*want), other = value_settle(*got);
    pair[0] = (struct pair){.x = {.kind = VALUE_LIST, .n = 1, .item = &one},
                            .y = {.kind = VALUE_LIST, .n = 1, .item = &other}};
    while (depth) {
        struct pair *p = &pair[depth - 1];
        struct value v, w;
        if (p->at == value_count(&p->x)) {
            depth--;
            continue;
        }
        if (!next_of(a, p, &v, &w) || !same_kind(&v, &w))
            return false;
        if (v.kind != VALUE_LIST && v.kind != VALUE_MAP) {
            if (!same_scalar(&v, &w))
                return false;
        } else if (depth == JSON_DEPTH_MAX) {
            return false;
        } else {
            pair[depth++] = (struct pair){v, w, 0};
        }
    }
    return true;
}
