/* The conditions of a route beside host and path. */
#include "core/route_tree.h"
#include "http/uri.h"

enum { VALUE_TEXT_MAX = 2048 };

uint32_t route_methods(const struct route_match *m) {
    uint32_t get = 1u << METHOD_GET, head = 1u << METHOD_HEAD;
    return m->methods & get ? m->methods | head : m->methods;
}

bool route_method(const struct route_match *m, const struct head *h) {
    uint32_t methods = route_methods(m);
    enum method method = head_method(h);
    if (method != METHOD_OTHER)
        return methods ? methods >> method & 1 : m->method_other_count == 0;
    for (uint32_t i = 0; i < m->method_other_count; i++)
        if (span_eq(m->method_other[i], h->method_text))
            return true;
    return methods == 0 && m->method_other_count == 0;
}

unsigned route_condition_count(const struct route_match *m) {
    unsigned n = m->methods || m->method_other_count;
    n += m->listeners != 0;
    for (int i = 0; i < 3; i++)
        n += m->value_count[i];
    return n + m->when_count;
}

/* One value that stands there, against a condition that wants something to stand there. */
static bool one_holds(const struct value_match *v, struct span text) {
    switch (v->kind) {
    case VALUE_PRESENT:
        return true;
    case VALUE_ABSENT:
        return false;
    case VALUE_IS:
        return span_eq(text, v->value);
    case VALUE_REGEX:
        return regex_test(v->regex, text);
    }
    return false;
}

/* Every copy counts: a request with two values meets the conditions on either. */
static bool header_holds(const struct value_match *v, const struct head *h, bool *there) {
    size_t at = 0;
    const struct field *f;
    if (span_eq(v->name, SPAN("host"))) {
        *there = h->authority.n > 0;
        return *there && one_holds(v, h->authority);
    }
    while ((f = hdr_next(h, v->name, &at))) {
        *there = true;
        if (one_holds(v, field_value(f)))
            return true;
    }
    return false;
}

/* Text of a query part as a service will read it; without escapes it stays where it is. */
static bool decoded(struct span enc, char room[VALUE_TEXT_MAX], struct span *out) {
    *out = enc;
    if (!enc.n || (!memchr(enc.p, '%', enc.n) && !memchr(enc.p, '+', enc.n)))
        return true;
    struct str s = str_on(room, VALUE_TEXT_MAX);
    uri_decode(&s, enc, URI_QUERY);
    *out = str_span(&s);
    return !s.full;
}

/* Parameters whose escaped text decodes to more than 2 KiB are there, but equal nothing. */
static bool query_holds(const struct value_match *v, const struct head *h, bool *there) {
    struct span rest = h->query, text;
    char room[VALUE_TEXT_MAX];
    while (rest.n) {
        struct span value = span_split(&rest, '&');
        struct span name = span_split(&value, '=');
        if (!decoded(name, room, &text) || !span_eq(text, v->name))
            continue;
        *there = true;
        if (v->kind == VALUE_PRESENT)
            return true;
        if (decoded(value.p ? value : SPAN(""), room, &text) && one_holds(v, text))
            return true;
    }
    return false;
}

bool value_holds(const struct value_match *v, enum value_of of, const struct head *h) {
    bool there = false, holds = false;
    if (of == VALUE_HEADER)
        holds = header_holds(v, h, &there);
    else if (of == VALUE_QUERY)
        holds = query_holds(v, h, &there);
    else {
        struct span c = cookie_get(h, v->name);
        there = c.p != NULL;
        holds = there && one_holds(v, c);
    }
    return v->kind == VALUE_ABSENT ? !there : holds;
}

bool route_conditions(const struct route_match *m, const struct head *h,
                      const struct listener_conf *l) {
    if (m->listeners && !(l && m->listeners & l->routes_bit))
        return false;
    for (unsigned of = 0; of < 3; of++)
        for (uint32_t i = 0; i < m->value_count[of]; i++)
            if (!value_holds(&m->value[of][i], (enum value_of)of, h))
                return false;
    return true;
}
