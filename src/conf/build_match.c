#include "base/map.h"
#include "conf/build.h"
#include "conf/path.h"
#include "data/regex.h"

/* `match` of a group or route: every condition of the groups around still holds. */

enum { PATHS_MAX = 256 };

static bool usable(const struct node *n) {
    return n && !node_null(n) && !n->bad;
}

static uint32_t items(struct node *n, struct node *const **at, struct node **one) {
    *one = n;
    *at = n->kind == NODE_LIST ? (struct node *const *)n->item : (struct node *const *)one;
    return n->kind == NODE_LIST ? n->count : 1;
}

/* --- path --- */

static bool is_regex(struct span t) {
    return t.n && t.p[0] == '~';
}

static void bad_path(struct build *b, struct node *n, size_t at, size_t len, const char *text,
                     const char *help) {
    struct diag *d = diag_add(b->diags, DIAG_E0405, node_inside(b->diags, n, at, len), "%s", text);
    if (help)
        diag_help(b->diags, d, "%s", help);
    n->bad = true;
}

static bool path_begins(struct build *b, struct node *n) {
    struct span t = node_plain(n);
    if (is_regex(t) || (t.n && t.p[0] == '/'))
        return true;
    bad_path(b, n, 0, 1, "a path begins with /",
             "a regular expression begins with ~ and a blank, as \"~ ^/v[0-9]+/\"");
    return false;
}

/* What a group adds before its children's paths: without a trailing tail. */
static struct span as_prefix(struct span t) {
    if (t.n && t.p[t.n - 1] == '}') {
        size_t open = t.n;
        while (open && t.p[open - 1] != '{')
            open--;
        if (open > 1 && t.n > 2 && t.p[t.n - 2] == '*')
            t.n = open - 1;
    } else if (span_ends(t, SPAN("/*"))) {
        t.n--;
    }
    return t.n && t.p[t.n - 1] == '/' ? span_cut(t, 0, t.n - 1) : t;
}

/* The group's prefix as a condition on the beginning of the path, then the expression. */
static struct span regex_joined(struct build *b, struct span prefix, struct span child) {
    struct span re = span_trim(span_from(child, 1));
    char *look = path_regex(b->tree, prefix);
    return span_z(arena_fmt(b->tree, "~ \\A(?=%s(?:/|\\z))(?s:.*?)(?:%.*s)", look, SPAN_ARG(re)));
}

static void add_path(struct build *b, struct narrowed *out, struct span text, struct node *n) {
    if (out->paths == PATHS_MAX) {
        diag_add(b->diags, DIAG_E0121, n->at,
                 "with the groups around, this route has more than 256 paths");
        n->bad = true;
        return;
    }
    out->path[out->paths++] = (struct text_at){.text = text, .node = n};
}

static void join_one(struct build *b, struct narrowed *out, const struct text_at *group,
                     struct node *n) {
    struct span t = node_plain(n);
    struct span prefix = as_prefix(group->text);
    if (is_regex(group->text)) {
        bad_path(b, n, 0, t.n,
                 "the group's path is a regular expression, nothing can be joined to it",
                 "give the group a path of segments, or the child none");
    } else if (is_regex(t)) {
        add_path(b, out, prefix.n ? regex_joined(b, prefix, t) : t, n);
        if (prefix.n && out->paths)
            out->path[out->paths - 1].shown =
                span_z(arena_fmt(b->tree, "%.*s %.*s", SPAN_ARG(prefix), SPAN_ARG(t)));
    } else if (t.n == 1 && prefix.n) {
        /* "/" in a group is the group's own path, with and without the slash at its end. */
        add_path(b, out, prefix, n);
        add_path(b, out, span_z(arena_fmt(b->tree, "%.*s/", SPAN_ARG(prefix))), n);
    } else {
        add_path(b, out, span_z(arena_fmt(b->tree, "%.*s%.*s", SPAN_ARG(prefix), SPAN_ARG(t))), n);
    }
}

static void narrow_path(struct build *b, struct node *n, struct narrowed *out) {
    struct node *const *at, *one;
    uint32_t count = items(n, &at, &one);
    struct text_at *group = out->path;
    uint32_t groups = out->paths;
    uint64_t room = ((uint64_t)groups ? groups : 1) * count * 2;
    out->path =
        arena_alloc(b->tree, (size_t)(room < PATHS_MAX ? room : PATHS_MAX) * sizeof *group + 1);
    out->paths = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (at[i]->kind != NODE_SCALAR || at[i]->bad || !path_begins(b, at[i]))
            continue;
        for (uint32_t k = 0; k < groups; k++)
            join_one(b, out, &group[k], at[i]);
        if (!groups)
            add_path(b, out, node_plain(at[i]), at[i]);
    }
}

/* --- host --- */

static bool host_fine(struct span t) {
    struct span rest = span_starts(t, SPAN("*.")) ? span_from(t, 2) : t;
    if (rest.n > 2 && rest.p[0] == '[') {
        struct address ignored;
        return address_parse_ip(rest, &ignored);
    }
    for (size_t i = 0; i < rest.n; i++) {
        char c = rest.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                    (c == '.' && i && rest.p[i - 1] != '.');
        if (!fine)
            return false;
    }
    return rest.n > 0 && rest.n <= 253;
}

static bool host_text(struct build *b, struct node *n, struct span *out) {
    struct span t = node_plain(n);
    char *z = arena_text(b->tree, t);
    for (size_t i = 0; i < t.n; i++)
        z[i] = lower(z[i]);
    *out = span_of(z, t.n && z[t.n - 1] == '.' ? t.n - 1 : t.n);
    if (host_fine(*out))
        return true;
    struct diag *d = diag_add(b->diags, DIAG_E0211, n->at, "\"%.*s\" is not a host", SPAN_ARG(t));
    if (span_find(t, ':') >= 0)
        diag_help(b->diags, d,
                  "a host stands without its port and scheme; choose ports by `listener`");
    else if (span_find(t, '*') >= 0)
        diag_help(b->diags, d, "* stands only at the beginning, as *.shop.example, for any depth");
    else
        diag_help(b->diags, d, "write shop.example or *.shop.example; other alphabets as xn--..");
    n->bad = true;
    return false;
}

/* Which hosts fit both; {NULL,0}: none. */
static struct span host_both(struct span x, struct span y) {
    bool wx = span_starts(x, SPAN("*.")), wy = span_starts(y, SPAN("*."));
    if (span_eq(x, y))
        return x;
    if (wx && span_ends(y, span_from(x, 1)) && y.n > x.n - (wy ? 0 : 1))
        return y;
    if (wy && span_ends(x, span_from(y, 1)) && x.n > y.n - (wx ? 0 : 1))
        return x;
    return SPAN_NONE;
}

static void add_host(struct narrowed *out, struct span t, struct node *n) {
    for (uint32_t i = 0; i < out->hosts; i++)
        if (span_eq(out->host[i].text, t))
            return;
    out->host[out->hosts++] = (struct text_at){.text = t, .node = n};
}

static void impossible(struct build *b, struct node *n, const char *what,
                       const struct node *group) {
    struct diag *d = diag_add(b->diags, DIAG_E0406, n->at,
                              "no request can meet this: the group around wants %s", what);
    if (group)
        diag_note(b->diags, d, group->at, "the group's condition");
    n->bad = true;
}

static void narrow_host(struct build *b, struct node *n, struct narrowed *out) {
    struct node *const *at, *one;
    uint32_t count = items(n, &at, &one), groups = out->hosts;
    struct text_at *group = out->host;
    out->host = arena_alloc(b->tree, (groups ? groups : 1) * count * sizeof *group + 1);
    out->hosts = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct span t;
        if (at[i]->kind != NODE_SCALAR || at[i]->bad || !host_text(b, at[i], &t))
            continue;
        bool fits = !groups;
        if (!groups)
            add_host(out, t, at[i]);
        for (uint32_t k = 0; k < groups; k++) {
            struct span both = host_both(group[k].text, t);
            if (both.p)
                add_host(out, both, at[i]);
            fits |= both.p != NULL;
        }
        if (!fits)
            impossible(b, at[i], "other hosts", group[0].node);
    }
    if (!out->hosts && groups) { /* said; the group's stand in */
        out->host = group;
        out->hosts = groups;
    }
    out->host_node = n;
}

/* --- method and listener --- */

static bool token(struct span t) {
    for (size_t i = 0; i < t.n; i++)
        if (!token_char[(unsigned char)t.p[i]])
            return false;
    return t.n > 0;
}

static bool other_has(const struct span *list, uint32_t n, struct span t) {
    for (uint32_t i = 0; i < n; i++)
        if (span_eq(list[i], t))
            return true;
    return false;
}

struct methods {
    uint32_t bits;
    struct span other[32];
    uint32_t others;
};

static void read_method(struct build *b, struct node *n, struct methods *m) {
    struct span t = node_plain(n);
    enum method known = method_lookup(t);
    if (known != METHOD_OTHER) {
        m->bits |= 1u << known | (known == METHOD_GET ? 1u << METHOD_HEAD : 0);
        return;
    }
    char upper[16];
    for (size_t i = 0; i < t.n && i < sizeof upper; i++)
        upper[i] = t.p[i] >= 'a' && t.p[i] <= 'z' ? (char)(t.p[i] & ~0x20) : t.p[i];
    enum method meant = t.n <= sizeof upper ? method_lookup(span_of(upper, t.n)) : METHOD_OTHER;
    if (!token(t) || t.n > 32 || meant != METHOD_OTHER) {
        struct diag *d =
            diag_add(b->diags, DIAG_E0212, n->at, "\"%.*s\" is not a method", SPAN_ARG(t));
        if (meant != METHOD_OTHER)
            diag_help(b->diags, d, "methods are written in capitals: %.*s",
                      SPAN_ARG(method_name(meant)));
        n->bad = true;
    } else if (m->others < array_len(m->other) && !other_has(m->other, m->others, t)) {
        m->other[m->others++] = t;
    }
}

static void narrow_method(struct build *b, struct node *n, struct narrowed *out) {
    struct node *const *at, *one;
    uint32_t count = items(n, &at, &one);
    struct methods m = {0};
    bool bad = false;
    for (uint32_t i = 0; i < count; i++) {
        if (at[i]->kind == NODE_SCALAR && !at[i]->bad)
            read_method(b, at[i], &m);
        bad |= at[i]->bad;
    }
    if (bad)
        return;
    if (out->methods_set) {
        uint32_t kept = 0;
        m.bits &= out->methods;
        for (uint32_t i = 0; i < m.others; i++)
            if (other_has(out->method_other, out->method_others, m.other[i]))
                m.other[kept++] = m.other[i];
        m.others = kept;
        if (!m.bits && !m.others) {
            impossible(b, n, "other methods", out->method_node);
            return;
        }
    }
    out->methods_set = true;
    out->methods = m.bits;
    out->method_others = m.others;
    memcpy(out->method_other, m.other, m.others * sizeof *m.other);
    out->method_node = n;
}

static uint64_t listener_bit(struct build *b, struct span name) {
    for (uint32_t i = 0; i < b->s->listener_count; i++)
        if (span_eq(b->listener[i].name, name)) {
            b->listener_used[i] = true;
            return b->listener[i].routes_bit;
        }
    return 0;
}

static void narrow_listener(struct build *b, struct node *n, struct narrowed *out) {
    struct node *const *at, *one;
    uint32_t count = items(n, &at, &one);
    uint64_t bits = 0;
    for (uint32_t i = 0; i < count; i++)
        if (at[i]->kind == NODE_SCALAR && !at[i]->bad)
            bits |= listener_bit(b, node_plain(at[i]));
    if (!bits)
        return;
    if (out->listeners && !(bits & out->listeners)) {
        impossible(b, n, "other listeners", out->listener_node);
        return;
    }
    out->listeners = out->listeners ? bits & out->listeners : bits;
    out->listener_node = n;
}

/* --- header, query, cookie --- */

static const char *const value_keys[] = {
    [VALUE_HEADER] = "header", [VALUE_QUERY] = "query", [VALUE_COOKIE] = "cookie"};

static bool contradicts(const struct value_match *x, const struct value_match *y) {
    if (!span_eq(x->name, y->name))
        return false;
    if (x->kind == VALUE_IS && y->kind == VALUE_IS)
        return !span_eq(x->value, y->value);
    return (x->kind == VALUE_ABSENT) != (y->kind == VALUE_ABSENT);
}

static void value_of_text(struct build *b, struct node *n, struct value_match *v) {
    struct span t = node_plain(n);
    v->kind = VALUE_IS;
    v->secret = node_secret(n);
    if (node_null(n)) {
        v->kind = VALUE_ABSENT;
    } else if (span_eq(t, SPAN("*"))) {
        v->kind = VALUE_PRESENT;
    } else if (span_starts(t, SPAN("~ "))) {
        v->kind = VALUE_REGEX;
        v->value = build_text(b, n);
        v->regex = build_regex(b, n, span_from(t, 2), 2);
    } else {
        v->value = build_text(b, n);
    }
}

static bool value_name(struct build *b, enum value_of of, const struct node *key,
                       struct span *out) {
    char *z = arena_text(b->arena, key->text);
    for (size_t i = 0; i < key->text.n && of == VALUE_HEADER; i++)
        z[i] = lower(z[i]);
    *out = span_of(z, key->text.n);
    if (of == VALUE_QUERY ? key->text.n > 0 : token(*out))
        return true;
    diag_add(b->diags, DIAG_E0212, key->at, "\"%.*s\" is not the name of a %s", SPAN_ARG(key->text),
             value_keys[of]);
    return false;
}

static void narrow_values(struct build *b, enum value_of of, struct node *map,
                          struct narrowed *out) {
    struct value_match *all =
        arena_zero(b->arena, (out->values[of] + map->count) * sizeof *all + 1);
    if (out->values[of])
        memcpy(all, out->value[of], out->values[of] * sizeof *all);
    uint32_t count = out->values[of];
    for (uint32_t i = 0; i < map->count; i++) {
        struct node *n = map->pair[i].value;
        struct value_match *v = &all[count];
        if (n->bad || n->kind != NODE_SCALAR || !value_name(b, of, map->pair[i].key, &v->name))
            continue;
        v->where = build_where(b, map->pair[i].key);
        value_of_text(b, n, v);
        for (uint32_t k = 0; k < count; k++)
            if (contradicts(&all[k], v))
                impossible(b, map->pair[i].key, "another value", NULL);
        count++;
    }
    out->value[of] = all;
    out->values[of] = count;
}

void match_narrow(struct build *b, struct node *match, struct narrowed *out) {
    if (!usable(match) || match->kind != NODE_MAP)
        return;
    struct node *n;
    if (usable(n = node_get(match, "path")))
        narrow_path(b, n, out);
    if (usable(n = node_get(match, "host")))
        narrow_host(b, n, out);
    if (usable(n = node_get(match, "method")))
        narrow_method(b, n, out);
    if (usable(n = node_get(match, "listener")))
        narrow_listener(b, n, out);
    for (int of = 0; of < 3; of++)
        if (usable(n = node_get(match, value_keys[of])) && n->kind == NODE_MAP)
            narrow_values(b, (enum value_of)of, n, out);
    if (usable(n = node_get(match, "when")) && out->whens < array_len(out->when))
        out->when[out->whens++] = n;
    uint64_t priority;
    if (usable(n = node_get(match, "priority")) && n->kind == NODE_SCALAR &&
        parse_dec(node_plain(n), 1000000, &priority))
        out->priority = (unsigned)priority;
}
