/*
 * Templates with ${CEL}. The first byte says the place; the rest is the text. What must hold: a
 * template that compiles gives a value that cannot leave its place, whatever a client sent; the
 * same twice; and errors point into the text.
 */
#include "data/json.h"
#include "data/regex.h"
#include "expr/template.h"

enum { TEXT_MAX = 2048, PATTERNS_MAX = 4096, ROOM = 1 << 20 };

struct patterns {
    struct regex *r[PATTERNS_MAX];
    unsigned n;
};

static void keep(void *ctx, struct regex *r) {
    struct patterns *p = ctx;
    must(p->n < PATTERNS_MAX);
    p->r[p->n++] = r;
}

static const struct expr_type map = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_name names[] = {
    {"s", &expr_string, 1}, {"i", &expr_int, 2}, {"path", &map, 3}, {"j", &expr_dyn, 4}};

/* What a client might send to break out of wherever it is put. */
#define HOSTILE "a/../b?c#d%2F\"',}\\\r\nx: y\0\x7f\xc3\xa4"

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    static const char json[] = "{\"a\":[1,2.50,null,true,\"\\\"\\n\"],\"b\":{\"c\":\"}\"}}";
    (void)ctx;
    *out = value_string(span_of(HOSTILE, sizeof HOSTILE - 1));
    if (ref->id == 2)
        *out = value_int(-7);
    if (ref->id == 3 && !ref->key.p)
        *out = (struct value){.kind = VALUE_MAP};
    if (ref->id == 4)
        return json_read(a, SPAN(json), NULL, out, NULL);
    return true;
}

static bool in_place(enum template_place place, const struct template *t, struct span out) {
    const char *bad = place == PLACE_HEADER ? "\r\n\x7f" : "\"\\\r\n# ";
    for (uint32_t i = 0; i < t->count; i++) /* what the author himself wrote is his */
        if (!t->part[i].expr && place != PLACE_HEADER)
            return true;
    for (size_t i = 0; i < out.n && place != PLACE_TEXT && place != PLACE_JSON; i++)
        if (!out.p[i] || strchr(bad, out.p[i]))
            return false;
    return true;
}

static void evaluate(struct arena *a, const struct template *t, enum template_place place) {
    struct template_values v = {.get = get};
    struct span first = SPAN_NONE, second = SPAN_NONE;
    struct expr_error err = {0};
    struct value value;
    enum template_result r = template_text(t, a, &v, ROOM, &first, &err);
    must(template_text(t, a, &v, ROOM, &second, &err) == r);
    if (r != TEMPLATE_FINE && r != TEMPLATE_NULL)
        return;
    must(first.n <= ROOM && span_eq(first, second));
    must(in_place(place, t, first));
    if (t->count == 1 && t->part[0].expr && place == PLACE_JSON)
        must(json_read(a, first, NULL, &value, NULL)); /* a bare value is a document */
    r = template_value(t, a, &v, ROOM, &value, &err);
    must(r == TEMPLATE_FINE || r == TEMPLATE_NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct patterns patterns;
    struct expr_scope scope = {
        .name = names, .count = array_len(names), .keep = keep, .ctx = &patterns};
    struct expr_error err = {0};
    struct arena a;
    if (n < 1 || n > TEXT_MAX)
        return 0;
    enum template_place place = (enum template_place)(data[0] % (PLACE_JSON + 1));
    struct span text = span_of((const char *)data + 1, n - 1);
    arena_init(&a, NULL);
    patterns.n = 0;
    const struct template *t = template_compile(&a, text, place, &scope, &err);
    if (t)
        evaluate(&a, t, place);
    else
        must(err.text && err.len && err.at <= text.n);
    for (unsigned i = 0; i < patterns.n; i++)
        regex_free(patterns.r[i]);
    arena_finish(&a);
    return 0;
}
