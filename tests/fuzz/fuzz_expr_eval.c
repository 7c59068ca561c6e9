/*
 * CEL, evaluated. What must hold: constants computed when compiled or when run make no difference,
 * nor does a checker that is switched off; two runs agree; whatever the text, a run stays within
 * its memory and steps, and with smaller budgets comes to the same or fails.
 */
#include "data/json.h"
#include "data/regex.h"
#include "expr/expr.h"

enum { TEXT_MAX = 2048, PATTERNS_MAX = 4096, ROOM = 1 << 22 };

struct world {
    struct value of[16]; /* by id */
    struct regex *r[PATTERNS_MAX];
    unsigned n;
};

static void keep(void *ctx, struct regex *r) {
    struct world *w = ctx;
    must(w->n < PATTERNS_MAX);
    w->r[w->n++] = r;
}

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    const struct world *w = ctx;
    (void)a;
    if (!ref->key.p) {
        *out = w->of[ref->id];
        return true;
    }
    const struct value *v = value_find(&w->of[ref->id], ref->key);
    *out = v ? *v : value_string(SPAN(""));
    return true;
}

/* header: missing ones are "", as in the gateway; the fields are those of the map in ctx. */
static uint32_t header_count(const struct value_host *h) {
    return ((const struct value *)h->ctx)->n;
}
static void header_at(const struct value_host *h, struct arena *a, uint32_t i, struct value *key,
                      struct value *out) {
    const struct value *map = h->ctx;
    value_member_at(map, a, i, key, out);
}
static bool header_get(const struct value_host *h, struct arena *a, const struct value *key,
                       struct value *out) {
    const struct value *map = h->ctx;
    return value_get(map, a, key, out);
}
static const struct value_host_ops header_ops = {
    .count = header_count, .at = header_at, .get = header_get, .empty_when_missing = true};

static const struct expr_name request[] = {
    {"method", &expr_string, 1}, {"size", &expr_int, 2}, {NULL, NULL, 0}};
static const struct expr_type request_type = {.kind = EXPR_OBJECT, .field = request};
static const struct expr_type path_type = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_type header_type = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string};
static const struct expr_name names[] = {
    {"x", &expr_dyn, 3},         {"y", &expr_dyn, 4},          {"s", &expr_string, 5},
    {"i", &expr_int, 6},         {"u", &expr_uint, 7},         {"d", &expr_double, 8},
    {"l", &expr_list_string, 9}, {"m", &expr_map_dyn, 10},     {"request", &request_type, 0},
    {"path", &path_type, 11},    {"header", &header_type, 12}, {"t", &expr_timestamp, 13},
    {"b", &expr_bytes, 14},      {"c", &expr_ip, 15},
};

static struct value json(struct arena *a, const char *text) {
    struct value v;
    must(json_read(a, span_z(text), NULL, &v, NULL));
    return v;
}

static void fill(struct world *w, struct arena *a) {
    static struct value fields;
    static const struct value_host header = {&header_ops, &fields};
    fields = json(a, "{\"accept\":\"*/*\",\"host\":\"shop.example\"}");
    w->of[1] = value_string(SPAN("GET"));
    w->of[2] = value_int(INT64_MAX);
    w->of[3] = json(a, "{\"a\":{\"b\":[1,2.5,\"s\",null,true,[]]},\"n\":-1,\"big\":"
                       "18446744073709551615,\"e\":1e400,\"roles\":[\"admin\",\"dev\"]}");
    w->of[4] = json(a, "[3,1,2,\"x\"]");
    w->of[5] = value_string(SPAN("t\xc3\xa9xt, more"));
    w->of[6] = value_int(-7);
    w->of[7] = value_uint(UINT64_MAX);
    w->of[8] = value_double(0.5);
    w->of[9] = json(a, "[\"a\",\"b\",\"a\"]");
    w->of[10] = json(a, "{\"k\":[{\"k\":1}],\"\":0}");
    w->of[11] = json(a, "{\"id\":\"42\"}");
    w->of[12] = (struct value){.kind = VALUE_MAP, .form = VALUE_HOST, .host = &header};
    w->of[13] = (struct value){.kind = VALUE_TIMESTAMP, .i = 1234567890, .nanos = 5};
    w->of[14] = value_text(VALUE_BYTES, span_of("\0\xff z", 4));
    w->of[15] = (struct value){.kind = VALUE_IP, .n = 4, .ip = (const unsigned char *)"\x7f\0\0\1"};
}

struct result {
    bool fine, spent;
    struct span text; /* {NULL, 0}: too large or deep to be shown */
    uint64_t steps;
    size_t memory;
};

/* The result lies in `keep_in`; the run's own memory is looked at and given back. */
static struct result run(struct world *w, struct arena *keep_in, const struct expr *e,
                         uint64_t steps, size_t memory) {
    struct arena a;
    struct value v;
    struct result r = {.text = SPAN_NONE};
    arena_init(&a, NULL);
    struct expr_run x = {.arena = &a, .get = get, .ctx = w, .steps = steps, .memory = memory};
    r.fine = expr_eval(e, &x, &v);
    r.spent = x.steps == 0 || x.memory == 0;
    r.steps = steps - x.steps;
    r.memory = memory - x.memory;
    must(x.steps <= steps && x.memory <= memory);
    must(a.used <= 4 * memory + (1 << 20));
    if (r.fine && !json_notation(keep_in, &v, 0, ROOM, &r.text))
        r.text = SPAN_NONE;
    if (!r.fine)
        must(x.error.text && x.error.text[0] && x.error.at <= expr_source(e).n);
    arena_finish(&a);
    return r;
}

static void same(const struct result *x, const struct result *y) {
    if (x->spent || y->spent)
        return;
    must(x->fine == y->fine);
    must(!x->fine || span_eq(x->text, y->text));
}

static void try_all(struct world *w, struct arena *a, struct expr_scope *s, struct span source) {
    struct expr_error err;
    const struct expr *folded = expr_compile(a, source, s, &err);
    s->no_fold = true;
    const struct expr *plain = expr_compile(a, source, s, &err);
    s->no_check = true;
    const struct expr *loose = expr_compile(a, source, s, &err);
    if (!folded) /* a constant pattern may be wrong that no run would ask for */
        return;
    must(plain && loose);
    struct result r = run(w, a, folded, EXPR_STEPS, EXPR_MEMORY), other;
    other = run(w, a, folded, EXPR_STEPS, EXPR_MEMORY);
    must(r.steps == other.steps && r.memory == other.memory);
    same(&r, &other);
    other = run(w, a, plain, EXPR_STEPS, EXPR_MEMORY);
    same(&r, &other);
    other = run(w, a, loose, EXPR_STEPS, EXPR_MEMORY);
    same(&r, &other);
    other = run(w, a, folded, 40, 2000);
    must(other.fine <= (r.fine || r.spent));
    same(&r, &other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct world w;
    struct arena a;
    struct expr_scope s = {.name = names, .count = array_len(names), .keep = keep, .ctx = &w};
    if (n > TEXT_MAX)
        return 0;
    arena_init(&a, NULL);
    w.n = 0;
    fill(&w, &a);
    try_all(&w, &a, &s, span_of((const char *)data, n));
    while (w.n)
        regex_free(w.r[--w.n]);
    arena_finish(&a);
    return 0;
}
