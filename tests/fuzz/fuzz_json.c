/*
 * JSON. What must hold: what was read can be written; that is read again and then written the same,
 * compact and for people; what `unique` accepts means the same without it; limits only refuse.
 */
#include "data/json.h"

enum { ROOM = 1 << 20 };

static bool reads(struct arena *a, struct span doc, const struct json_limits *limits,
                  struct value *out) {
    struct json_error err = {.text = NULL};
    bool fine = json_read(a, doc, limits, out, &err);
    must(fine || (err.text && err.at <= doc.n));
    return fine;
}

static struct span written(struct arena *a, const struct value *v, unsigned indent) {
    struct span out;
    must(json_write(a, v, indent, ROOM, &out));
    return out;
}

static struct span again(struct arena *a, struct span doc, unsigned indent) {
    struct value v;
    must(reads(a, doc, NULL, &v));
    return written(a, &v, indent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const struct json_limits unique = {.unique = true}, tight = {.depth = 3, .nodes = 5};
    struct span doc = {(const char *)data, n};
    struct arena a;
    struct value v, other;
    if (n > 8192)
        return 0;
    arena_init(&a, NULL);
    if (reads(&a, doc, NULL, &v)) {
        struct span compact = written(&a, &v, 0), wide = written(&a, &v, 2);
        must(span_eq(again(&a, compact, 0), compact));
        must(span_eq(again(&a, compact, 2), wide) && span_eq(again(&a, wide, 0), compact));
        if (reads(&a, doc, &unique, &other))
            must(span_eq(written(&a, &other, 0), compact));
        if (reads(&a, doc, &tight, &other))
            must(span_eq(written(&a, &other, 0), compact));
    } else {
        must(!reads(&a, doc, &unique, &other));
    }
    arena_finish(&a);
    return 0;
}
