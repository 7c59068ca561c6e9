/* Facts that are whole maps: all headers, all query parameters, cookies, captures. Built when they
 * are asked for; their size is bounded by the limits of a head. */
#include "core/facts_ids.h"
#include "http/uri.h"

struct members { /* grows */
    struct arena *a;
    struct value_member *m;
    uint32_t n, cap;
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
}

static struct value_member *find(const struct members *l, struct span name) {
    for (uint32_t i = 0; i < l->n; i++)
        if (span_eq(value_span(&l->m[i].key), name))
            return &l->m[i];
    return NULL;
}

static struct value map_of(const struct members *l) {
    return (struct value){.kind = VALUE_MAP, .n = l->n, .member = l->m};
}

/* One more text in the list that `name` has. */
static void add_to_list(struct members *l, struct span name, struct span text) {
    struct value_member *m = find(l, name);
    uint32_t n = m ? m->value.n : 0;
    struct value *item = arena_alloc(l->a, (n + 1) * sizeof *item);
    if (n)
        memcpy(item, m->value.item, n * sizeof *item);
    item[n] = value_string(text);
    struct value list = {.kind = VALUE_LIST, .n = n + 1, .item = item};
    if (m)
        m->value = list;
    else
        add(l, name, list);
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
    return map_of(&l);
}

struct value facts_query_lists(struct arena *a, const struct head *h) {
    struct members l = {.a = a};
    query(&l, h, add_to_list);
    return map_of(&l);
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
    v->map = map_of(&l);
    v->lower_case = id == HEADER;
    return (struct value){.kind = VALUE_MAP, .form = VALUE_HOST, .host = &v->host};
}
