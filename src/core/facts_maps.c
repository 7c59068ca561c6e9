/* Facts that are whole maps: all headers, all query parameters, cookies, captures. Built when they
 * are asked for; their size is bounded by the limits of a head. */
#include "base/map.h"
#include "core/facts_ids.h"
#include "http/uri.h"

struct members { /* grows */
    struct arena *a;
    struct value_member *m;
    uint32_t n, cap;
    struct map place; /* of each name, from 1: a thousand of them cost no square of it */
};

static void add(struct members *l, struct span name, struct value v) {
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 16;
        struct value_member *m = arena_alloc(l->a, cap * sizeof *m);
        if (l->n)
            memcpy(m, l->m, l->n * sizeof *m);
        l->m = m;
        l->cap = cap;
    }
    l->m[l->n++] = (struct value_member){value_string(name), v};
    map_put(&l->place, name, (void *)(uintptr_t)l->n);
}

static struct value_member *find(const struct members *l, struct span name) {
    uintptr_t at = (uintptr_t)map_get(&l->place, name);
    return at ? &l->m[at - 1] : NULL;
}

static struct value finished(struct members *l) {
    map_finish(&l->place);
    return (struct value){.kind = VALUE_MAP, .n = l->n, .member = l->m};
}

/* One more text in the list that `name` has; its memory doubles. */
static void add_to_list(struct members *l, struct span name, struct span text) {
    struct value_member *m = find(l, name);
    if (!m) {
        add(l, name, (struct value){.kind = VALUE_LIST});
        m = &l->m[l->n - 1];
    }
    uint32_t n = m->value.n;
    if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4 ..: it is full */
        struct value *more = arena_alloc(l->a, (n ? 2 * n : 1) * sizeof *more);
        if (n)
            memcpy(more, m->value.item, n * sizeof *more);
        m->value.item = more;
    }
    ((struct value *)(uintptr_t)m->value.item)[n] = value_string(text);
    m->value.n = n + 1;
}

static void add_first(struct members *l, struct span name, struct span text) {
    if (!find(l, name))
        add(l, name, value_string(text));
}

static struct span decoded(struct arena *a, struct span enc, enum uri_place place) {
    struct str s = str_on(arena_alloc(a, enc.n + 1), enc.n + 1);
    uri_decode(&s, enc, place);
    return str_span(&s);
}

typedef void add_fn(struct members *l, struct span name, struct span text);

static void headers(struct members *l, const struct head *h, add_fn *put) {
    if (h->authority.p)
        put(l, SPAN("host"), h->authority);
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        put(l, span_of(f->name, f->name_len), span_of(f->value, f->value_len));
    }
}

static void query(struct members *l, const struct head *h, add_fn *put) {
    struct span rest = h->query.n ? h->query : SPAN_NONE;
    while (rest.p) {
        struct span value = span_split(&rest, '&');
        struct span name = span_split(&value, '=');
        if (name.n || value.p)
            put(l, decoded(l->a, name, URI_QUERY),
                value.p ? decoded(l->a, value, URI_QUERY) : SPAN(""));
    }
}

static void cookies(struct members *l, const struct head *h) {
    size_t at = 0;
    const struct field *f;
    while ((f = hdr_next(h, SPAN("cookie"), &at))) {
        struct span rest = span_of(f->value, f->value_len);
        while (rest.p) {
            struct span value = span_trim(span_split(&rest, ';'));
            struct span name = span_trim(span_split(&value, '='));
            if (name.n && value.p)
                add_first(l, name, span_trim(value));
        }
    }
}

static void captures(struct members *l, const struct exchange *x) {
    for (uint32_t i = 0; x->route && i < x->route->capture_count; i++)
        add_first(l, x->route->capture_name[i], decoded(l->a, x->capture[i], URI_PATH));
}

struct value facts_header_lists(struct arena *a, const struct head *h) {
    struct members l = {.a = a};
    headers(&l, h, add_to_list);
    return finished(&l);
}

struct value facts_query_lists(struct arena *a, const struct head *h) {
    struct members l = {.a = a};
    query(&l, h, add_to_list);
    return finished(&l);
}

/* ---- maps of first values: what is not there is "" --------------------------------------------
 */

struct first_values {
    struct value_host host;
    struct value map;
    bool lower_case;
};

static const struct first_values *of(const struct value_host *h) {
    return h->ctx;
}
static uint32_t count(const struct value_host *h) {
    return of(h)->map.n;
}
static void at(const struct value_host *h, struct arena *a, uint32_t i, struct value *key,
               struct value *out) {
    value_member_at(&of(h)->map, a, i, key, out);
}
static bool get(const struct value_host *h, struct arena *a, const struct value *key,
                struct value *out) {
    struct value k = *key;
    if (of(h)->lower_case && k.kind == VALUE_STRING) {
        char *text = arena_text(a, value_span(&k));
        for (uint32_t i = 0; i < k.n; i++)
            text[i] = lower(text[i]);
        k.p = text;
    }
    return value_get(&of(h)->map, a, &k, out);
}
static const struct value_host_ops ops = {
    .count = count, .at = at, .get = get, .empty_when_missing = true};

struct value facts_direct_map(struct exchange *x, struct arena *a, int id) {
    struct members l = {.a = a};
    struct first_values *v = arena_zero(a, sizeof *v);
    if (id == HEADER)
        headers(&l, &x->req, add_first);
    else if (id == QUERY)
        query(&l, &x->req, add_first);
    else if (id == COOKIE)
        cookies(&l, &x->req);
    else
        captures(&l, x);
    v->host = (struct value_host){&ops, v};
    v->map = finished(&l);
    v->lower_case = id == HEADER;
    return (struct value){.kind = VALUE_MAP, .form = VALUE_HOST, .host = &v->host};
}
