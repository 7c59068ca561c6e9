#include "data/value.h"
#include "data/number.h"
#include <math.h>

/* ---- one value --------------------------------------------------------------------------------
 */

/* [-]digits within 64 bits. */
static bool whole(struct span s, int64_t *out) {
    bool minus = s.n && s.p[0] == '-';
    uint64_t u;
    struct span digits = span_from(s, minus);
    if (!parse_dec(digits, (uint64_t)INT64_MAX + minus, &u))
        return false;
    *out = minus ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

struct value value_settle(struct value v) {
    int64_t i;
    double d;
    if (likely(v.kind != VALUE_NUMBER))
        return v;
    if (whole(value_span(&v), &i))
        return value_int(i);
    return value_double(number_read(value_span(&v), &d) ? d : NAN);
}

struct span value_type_name(const struct value *v) {
    static const char *const name[] = {
        [VALUE_NULL] = "null_type",
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",
        [VALUE_UINT] = "uint",
        [VALUE_DOUBLE] = "double",
        [VALUE_STRING] = "string",
        [VALUE_BYTES] = "bytes",
        [VALUE_LIST] = "list",
        [VALUE_MAP] = "map",
        [VALUE_TYPE] = "type",
        [VALUE_DURATION] = "google.protobuf.Duration",
        [VALUE_TIMESTAMP] = "google.protobuf.Timestamp",
        [VALUE_OPTIONAL] = "optional_type",
        [VALUE_NUMBER] = "double",
        [VALUE_IP] = "net.IP",
        [VALUE_CIDR] = "net.CIDR",
        [VALUE_ERROR] = "error",
    };
    struct value s = value_settle(*v);
    return span_z(name[s.kind]);
}

/* ---- lists and maps ---------------------------------------------------------------------------
 */

uint32_t value_count(const struct value *v) {
    return v->form == VALUE_HOST ? v->host->ops->count(v->host) : v->n;
}

struct value value_at(const struct value *list, struct arena *a, uint32_t i) {
    struct value key = VALUE_NOTHING, out = VALUE_NOTHING;
    if (list->form == VALUE_PLAIN)
        return list->item[i];
    list->host->ops->at(list->host, a, i, &key, &out);
    return out;
}

void value_member_at(const struct value *map, struct arena *a, uint32_t i, struct value *key,
                     struct value *out) {
    if (map->form == VALUE_HOST) {
        map->host->ops->at(map->host, a, i, key, out);
        return;
    }
    *key = map->member[i].key;
    *out = map->member[i].value;
}

const struct value *value_find(const struct value *v, struct span name) {
    if (v->kind != VALUE_MAP || v->form != VALUE_PLAIN)
        return NULL;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct value *k = &v->member[i].key;
        if (k->kind == VALUE_STRING && span_eq(value_span(k), name))
            return &v->member[i].value;
    }
    return NULL;
}

static bool number_kind(unsigned kind) {
    return kind == VALUE_INT || kind == VALUE_UINT || kind == VALUE_DOUBLE || kind == VALUE_NUMBER;
}

static bool keys_equal(const struct value *a, const struct value *b) {
    int order;
    if (a->kind == VALUE_STRING || b->kind == VALUE_STRING)
        return a->kind == b->kind && span_eq(value_span(a), value_span(b));
    if (a->kind == VALUE_BOOL || b->kind == VALUE_BOOL)
        return a->kind == b->kind && a->b == b->b;
    return value_compare(a, b, &order) && order == 0;
}

bool value_get(const struct value *map, struct arena *a, const struct value *key,
               struct value *out) {
    if (map->form == VALUE_HOST)
        return map->host->ops->get(map->host, a, key, out);
    for (uint32_t i = 0; i < map->n; i++)
        if (keys_equal(&map->member[i].key, key)) {
            *out = map->member[i].value;
            return true;
        }
    return false;
}

/* ---- order ------------------------------------------------------------------------------------
 */

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

static int int_uint(int64_t i, uint64_t u) {
    return i < 0 ? -1 : ORDER((uint64_t)i, u);
}

/* As doubles, as the language's other implementations do: next to 2^63 some are equal. */
static bool int_double(int64_t i, double d, int *order) {
    *order = ORDER((double)i, d);
    return !isnan(d);
}

static bool uint_double(uint64_t u, double d, int *order) {
    *order = ORDER((double)u, d);
    return !isnan(d);
}

static bool numbers(const struct value *x, const struct value *y, int *order) {
    bool fine = true;
    if (x->kind == VALUE_INT && y->kind == VALUE_UINT)
        *order = int_uint(x->i, y->u);
    else if (x->kind == VALUE_UINT && y->kind == VALUE_INT)
        *order = -int_uint(y->i, x->u);
    else if (x->kind == VALUE_INT && y->kind == VALUE_DOUBLE)
        fine = int_double(x->i, y->d, order);
    else if (x->kind == VALUE_UINT && y->kind == VALUE_DOUBLE)
        fine = uint_double(x->u, y->d, order);
    else if (x->kind == VALUE_DOUBLE && y->kind == VALUE_INT) {
        fine = int_double(y->i, x->d, order);
        *order = fine ? -*order : 0;
    } else {
        fine = uint_double(y->u, x->d, order);
        *order = fine ? -*order : 0;
    }
    return fine;
}

static int moments(const struct value *x, const struct value *y) {
    int by_second = ORDER(x->i, y->i);
    return by_second ? by_second : ORDER(x->nanos, y->nanos);
}

static bool same_kind(const struct value *x, const struct value *y, int *order) {
    switch ((enum value_kind)x->kind) {
    case VALUE_BOOL:
        *order = ORDER(x->b, y->b);
        return true;
    case VALUE_INT:
        *order = ORDER(x->i, y->i);
        return true;
    case VALUE_UINT:
        *order = ORDER(x->u, y->u);
        return true;
    case VALUE_DOUBLE:
        *order = ORDER(x->d, y->d);
        return !isnan(x->d) && !isnan(y->d);
    case VALUE_STRING:
    case VALUE_BYTES:
        *order = span_cmp(value_span(x), value_span(y));
        return true;
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
        *order = moments(x, y);
        return true;
    case VALUE_NULL:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_TYPE:
    case VALUE_OPTIONAL:
    case VALUE_NUMBER:
    case VALUE_IP:
    case VALUE_CIDR:
    case VALUE_ERROR:
        break;
    }
    return false;
}

bool value_compare(const struct value *x, const struct value *y, int *order) {
    struct value a = value_settle(*x), b = value_settle(*y);
    *order = 0;
    if (a.kind == b.kind)
        return same_kind(&a, &b, order);
    return number_kind(a.kind) && number_kind(b.kind) && numbers(&a, &b, order);
}

/* ---- equality ---------------------------------------------------------------------------------
 */

/* Of what has no parts; long texts cost more than the step that is paid already. */
static bool leaves_equal(const struct value *x, const struct value *y, uint64_t *steps) {
    int order;
    if (x->kind == y->kind && (x->kind == VALUE_STRING || x->kind == VALUE_BYTES)) {
        uint64_t cost = x->n == y->n ? x->n / VALUE_TEXT_STEP : 0;
        if (cost > *steps) {
            *steps = 0;
            return false;
        }
        *steps -= cost;
        return span_eq(value_span(x), value_span(y));
    }
    switch ((enum value_kind)x->kind) {
    case VALUE_NULL:
        return y->kind == VALUE_NULL;
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_TYPE:
        return y->kind == x->kind && span_eq(value_span(x), value_span(y));
    case VALUE_IP:
        return y->kind == VALUE_IP && x->n == y->n && memcmp(x->ip, y->ip, x->n) == 0;
    case VALUE_CIDR:
        return y->kind == VALUE_CIDR && x->n == y->n && x->bits == y->bits &&
               memcmp(x->ip, y->ip, x->n) == 0;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_DOUBLE:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
    case VALUE_OPTIONAL:
    case VALUE_NUMBER:
    case VALUE_ERROR:
        break;
    }
    return value_compare(x, y, &order) && order == 0;
}

struct pair_walk { /* two lists or maps of the same count, up to element `at` */
    struct value x, y;
    uint32_t at, count;
};
enum { WALK_DEPTH = 384 }; /* a source's nesting and that of JSON in it */

/* What stands at `at` on both sides; false: y has no such member. */
static bool parts(const struct pair_walk *w, struct arena *a, struct value *x, struct value *y) {
    if (w->x.kind == VALUE_LIST) {
        *x = value_at(&w->x, a, w->at);
        *y = value_at(&w->y, a, w->at);
        return true;
    }
    struct value key;
    value_member_at(&w->x, a, w->at, &key, x);
    return value_get(&w->y, a, &key, y);
}

/* Optionals: as deep as they are, each a step. None equals none. */
static bool unwrap(struct value *x, struct value *y, bool *equal, uint64_t *steps) {
    while (x->kind == VALUE_OPTIONAL && y->kind == VALUE_OPTIONAL) {
        if (*steps == 0)
            return *equal = false;
        --*steps;
        if (!x->of || !y->of) {
            *equal = x->of == y->of;
            return false;
        }
        *x = *x->of;
        *y = *y->of;
    }
    return true;
}

static bool equal_deep(const struct value *x, const struct value *y, struct arena *a,
                       uint64_t *steps) {
    unzeroed struct pair_walk stack[WALK_DEPTH];
    unsigned depth = 0;
    struct value l = *x, r = *y;
    for (;;) {
        bool equal = true;
        if (*steps == 0)
            return false;
        --*steps;
        if (!unwrap(&l, &r, &equal, steps)) {
            if (!equal)
                return false;
        } else if ((l.kind == VALUE_LIST || l.kind == VALUE_MAP) && l.kind == r.kind) {
            uint32_t n = value_count(&l);
            if (n != value_count(&r))
                return false;
            if (depth == WALK_DEPTH) {
                *steps = 0;
                return false;
            }
            uint64_t cost = l.kind == VALUE_MAP ? (uint64_t)n * n / 8 : 0;
            *steps -= cost < *steps ? cost : *steps;
            stack[depth++] = (struct pair_walk){l, r, 0, n};
        } else if (!leaves_equal(&l, &r, steps)) {
            return false;
        }
        while (depth && stack[depth - 1].at == stack[depth - 1].count)
            depth--;
        if (!depth)
            return true;
        struct pair_walk *w = &stack[depth - 1];
        if (!parts(w, a, &l, &r))
            return false;
        w->at++;
    }
}

bool value_equal(const struct value *x, const struct value *y, struct arena *a, uint64_t *steps) {
    const uint32_t parts_of = 1u << VALUE_LIST | 1u << VALUE_MAP | 1u << VALUE_OPTIONAL;
    if ((1u << x->kind | 1u << y->kind) & parts_of || !*steps)
        return equal_deep(x, y, a, steps);
    --*steps;
    return leaves_equal(x, y, steps); /* most are */
}

/* ---- copies -----------------------------------------------------------------------------------
 */

struct copy_walk {
    struct value from;
    struct value *item; /* LIST */
    struct value_member *member;
    uint32_t at, count;
};

static void *take(struct arena *a, size_t n, size_t *left) {
    if (n > *left)
        return NULL;
    *left -= n;
    return arena_try(a, n ? n : 1);
}

static bool copy_bytes(struct value *v, struct arena *a, size_t *left) {
    size_t n = v->n;
    char *p = take(a, n, left);
    if (!p)
        return false;
    if (n)
        memcpy(p, v->p, n);
    v->p = p;
    return true;
}

static bool has_bytes(unsigned kind) {
    return kind == VALUE_STRING || kind == VALUE_BYTES || kind == VALUE_TYPE ||
           kind == VALUE_NUMBER || kind == VALUE_IP || kind == VALUE_CIDR || kind == VALUE_ERROR;
}

/* A place for the parts of *v, which becomes plain. */
static bool open_copy(struct value *v, struct copy_walk *w, struct arena *a, size_t *left) {
    uint32_t n = value_count(v);
    *w = (struct copy_walk){.from = *v, .count = n};
    if (v->kind == VALUE_LIST)
        v->item = w->item = take(a, n * sizeof *w->item, left);
    else
        v->member = w->member = take(a, n * sizeof *w->member, left);
    v->n = n;
    v->form = VALUE_PLAIN;
    return w->item || w->member;
}

/* The next part's place, holding what it copies; its key is copied at once. */
static struct value *next_part(struct copy_walk *w, struct arena *a, size_t *left) {
    if (w->item) {
        w->item[w->at] = value_at(&w->from, a, w->at);
        return &w->item[w->at++];
    }
    struct value_member *m = &w->member[w->at];
    value_member_at(&w->from, a, w->at++, &m->key, &m->value);
    if (has_bytes(m->key.kind) && !copy_bytes(&m->key, a, left))
        return NULL;
    return &m->value;
}

bool value_copy(const struct value *v, struct arena *a, size_t max, struct value *out) {
    unzeroed struct copy_walk stack[WALK_DEPTH];
    unsigned depth = 0;
    struct value *at = out;
    *out = *v;
    for (;;) {
        while (at->kind == VALUE_OPTIONAL && at->of) {
            struct value *of = take(a, sizeof *of, &max);
            if (!of)
                return false;
            *of = *at->of;
            at->of = of;
            at = of;
        }
        if (has_bytes(at->kind) && !copy_bytes(at, a, &max))
            return false;
        if (at->kind == VALUE_LIST || at->kind == VALUE_MAP) {
            if (depth == WALK_DEPTH || !open_copy(at, &stack[depth], a, &max))
                return false;
            depth++;
        }
        while (depth && stack[depth - 1].at == stack[depth - 1].count)
            depth--;
        if (!depth)
            return true;
        at = next_part(&stack[depth - 1], a, &max);
        if (!at)
            return false;
    }
}
