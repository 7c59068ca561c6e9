/* The library's signatures, read once into a sorted table. */
#include "base/env.h"
#include "expr/program.h"
#include <pthread.h>
#include <stdlib.h>

static struct {
    pthread_once_t once;
    struct arena arena;
    struct overload *all;
    uint32_t count;
} library = {.once = PTHREAD_ONCE_INIT};

/* ---- one signature ----------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum expr_type_kind kind;
} names[] = {
    {"dyn", EXPR_DYN},
    {"null", EXPR_NULL},
    {"bool", EXPR_BOOL},
    {"int", EXPR_INT},
    {"uint", EXPR_UINT},
    {"double", EXPR_DOUBLE},
    {"string", EXPR_STRING},
    {"bytes", EXPR_BYTES},
    {"list", EXPR_LIST},
    {"map", EXPR_MAP},
    {"type", EXPR_TYPE},
    {"duration", EXPR_DURATION},
    {"timestamp", EXPR_TIMESTAMP},
    {"optional", EXPR_OPTIONAL},
    {"net.IP", EXPR_IP},
    {"net.CIDR", EXPR_CIDR},
    {"A", EXPR_DYN},
    {"B", EXPR_DYN},
};

static bool name_char(char c) {
    return c == '_' || c == '.' || (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

static struct span word(struct span s) {
    size_t n = 0;
    while (n < s.n && name_char(s.p[n]) && !span_starts(span_from(s, n), SPAN("...")))
        n++;
    return span_cut(s, 0, n);
}

static int kind_of(struct span name) {
    for (size_t i = 0; i < array_len(names); i++)
        if (span_eq(name, span_z(names[i].name)))
            return (int)names[i].kind;
    return -1;
}

/* "list<A>" at the head of *s: read outside in, so the parts hang below each other. */
static struct expr_type *type_at(struct span *s) {
    struct expr_type *first = NULL, *last = NULL;
    for (;;) {
        struct span w = word(*s);
        int kind = kind_of(w);
        must(kind >= 0);
        struct expr_type *t = arena_zero(&library.arena, sizeof *t);
        t->kind = (enum expr_type_kind)kind;
        *s = span_from(*s, w.n);
        if (last)
            last->of = t;
        first = first ? first : t;
        last = t;
        if (!s->n || s->p[0] != '<')
            break;
        *s = span_from(*s, 1);
        ptrdiff_t comma = t->kind == EXPR_MAP ? span_find(*s, ',') : -1;
        if (comma >= 0) /* a map's key is any that keys are */
            *s = span_trim(span_from(*s, (size_t)comma + 1));
    }
    while (s->n && s->p[0] == '>')
        *s = span_from(*s, 1);
    return first;
}

static void skip(struct span *s, const char *what) {
    *s = span_trim(*s);
    must(span_starts(*s, span_z(what)));
    *s = span_trim(span_from(*s, strlen(what)));
}

static void parameter(struct overload *o, struct span *s) {
    const struct expr_type *t = type_at(s);
    must(o->args < PARAMETERS_MAX);
    o->type[o->args] = t;
    o->kinds[o->args++] = type_kinds(t);
    if (span_starts(*s, SPAN("..."))) {
        *s = span_from(*s, 3);
        o->variadic = true;
    }
}

/* "string.startsWith(" a receiver's type, or "math.greatest(" a namespace. */
static void head(struct overload *o, struct span *s) {
    ptrdiff_t paren = span_find(*s, '(');
    must(paren > 0);
    struct span before = span_cut(*s, 0, (size_t)paren);
    size_t dot = before.n;
    while (dot > 0 && before.p[dot - 1] != '.')
        dot--;
    struct span receiver = dot ? span_cut(before, 0, dot - 1) : SPAN("");
    bool space = span_eq(receiver, SPAN("optional")); /* the type is written optional<A> */
    if (dot && !space && kind_of(word(receiver)) >= 0) {
        o->member = true;
        parameter(o, &receiver);
        o->name = span_from(before, dot);
    } else {
        o->name = before;
    }
    *s = span_from(*s, (size_t)paren + 1);
}

static void read_signature(struct overload *o, const struct expr_function *f) {
    struct span s = span_z(f->signature);
    *o = (struct overload){.function = f};
    head(o, &s);
    s = span_trim(s);
    while (s.n && s.p[0] != ')') {
        parameter(o, &s);
        s = span_trim(s);
        if (s.n && s.p[0] == ',')
            skip(&s, ",");
    }
    skip(&s, ")");
    skip(&s, "->");
    o->result = type_at(&s);
}

/* ---- the table --------------------------------------------------------------------------------
 */

static int by_name(const void *x, const void *y) {
    const struct overload *a = x, *b = y;
    int order = span_cmp(a->name, b->name);
    return order ? order : (a->function > b->function) - (a->function < b->function);
}

static void read_library(void) {
    uint32_t max = 0;
    for (unsigned k = 0; expr_library[k]; k++)
        for (const struct expr_function *f = expr_library[k]; f->signature; f++)
            max++;
    arena_init(&library.arena, NULL);
    library.all = arena_alloc(&library.arena, (max + 1) * sizeof *library.all);
    for (unsigned k = 0; expr_library[k]; k++)
        for (const struct expr_function *f = expr_library[k]; f->signature; f++)
            read_signature(&library.all[library.count++], f);
    qsort(library.all, library.count, sizeof *library.all, by_name);
}

const struct overload *overloads_of(struct span name, uint32_t *count) {
    pthread_once(&library.once, read_library);
    uint32_t low = 0, high = library.count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (span_cmp(library.all[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *count = 0;
    while (low + *count < library.count && span_eq(library.all[low + *count].name, name))
        ++*count;
    return *count ? &library.all[low] : NULL;
}

struct span overload_name(uint32_t i) {
    pthread_once(&library.once, read_library);
    return i < library.count ? library.all[i].name : SPAN_NONE;
}
