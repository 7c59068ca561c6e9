#include "base/env.h"
#include "conf/schema.h"
#include "conf/tables.h"

struct todo {
    const struct schema_type *type;
    const struct schema_field *field; /* NULL: an element */
    struct node *node;
    bool later; /* below something that is not available yet: said already */
};

struct checker {
    struct arena *arena;
    struct diag_list *diags;
    const struct schema_names *names;
    struct todo *todo;
    size_t count, cap;
};

static void push(struct checker *c, struct todo t) {
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 1024;
        c->todo = mem_realloc(c->todo, c->cap * sizeof t, cap * sizeof t);
        c->cap = cap;
    }
    c->todo[c->count++] = t;
}

static const char *scalar_wants(const struct schema_type *t) {
    static const char *const names[] = {
        [SCHEMA_BOOL] = "true or false",
        [SCHEMA_INT] = "a whole number",
        [SCHEMA_DURATION] = "a duration like 250ms",
        [SCHEMA_SIZE] = "a size like 64KiB",
        [SCHEMA_BYTERATE] = "a data rate like 240B/s",
        [SCHEMA_RATE] = "a rate like 100/s",
        [SCHEMA_PER_SECOND] = "a rate like 100/s",
        [SCHEMA_PERCENT] = "a percentage like 20%",
        [SCHEMA_TEXT] = "a text",
        [SCHEMA_SECRET] = "a secret, as ${secret('file:path')}",
        [SCHEMA_TEMPLATE] = "a text, which may hold ${..}",
        [SCHEMA_CEL] = "a CEL expression in single quotes",
        [SCHEMA_REGEX] = "a regular expression",
        [SCHEMA_ENUM] = "a word",
        [SCHEMA_REF] = "a name",
        [SCHEMA_ADDRESS] = "an address like 0.0.0.0:8080",
        [SCHEMA_CIDR] = "a network like 10.0.0.0/8",
        [SCHEMA_FILE] = "the path of a file",
        [SCHEMA_LIST] = "a list",
        [SCHEMA_MAP] = "a map by name",
        [SCHEMA_OBJECT] = "a map of keys",
        [SCHEMA_ANY] = "any data",
        [SCHEMA_ONE_OF] = "one of several forms",
    };
    return t->what ? t->what : names[t->kind];
}

static const char *wants(struct arena *a, const struct schema_type *t) {
    if (t->what || t->kind != SCHEMA_ONE_OF)
        return scalar_wants(t);
    const char *text = "";
    for (const struct schema_type *const *c = t->choice; *c; c++)
        text = arena_fmt(a, "%s%s%s", text, *text ? ", or " : "", scalar_wants(*c));
    return text;
}

static void wrong_shape(struct checker *c, const struct todo *t) {
    t->node->bad = true;
    struct diag *d = diag_add(c->diags, DIAG_E0113, t->node->at,
                              "%s%s%swants %s, but here stands %s", t->field ? "`" : "",
                              t->field ? t->field->key : "", t->field ? "` " : "this place ",
                              wants(c->arena, t->type), node_kind_name(t->node));
    if (t->node->kind == NODE_SCALAR && node_null(t->node))
        diag_help(c->diags, d, "is the rest indented deeper than this line?");
    else if (t->node->kind == NODE_MAP && t->type->kind < SCHEMA_LIST)
        diag_help(c->diags, d, "a text that begins with { must be quoted");
}

static void unknown_key(struct checker *c, const struct schema_type *t, const struct node *key) {
    const char *word[96];
    size_t n = 0;
    for (unsigned i = 0; i < t->object->fields && n < array_len(word); i++)
        word[n++] = t->object->field[i].key;
    struct diag *d = diag_add(c->diags, DIAG_E0112, key->at, "%s has no key `%.*s`",
                              t->object->name, SPAN_ARG(key->text));
    bool part = t->object == &schema_route_limits || t->object == &schema_listener_limits;
    if (part && schema_field_of(&schema_limits_type, key->text)) {
        bool listener = schema_field_of(&schema_listener_limits_type, key->text);
        diag_help(c->diags, d, "this limit is set in the top-level limits%s",
                  listener ? ", or in those of a listener" : " only");
        return;
    }
    if (t->object == &schema_root && schema_field_of(&schema_defaults_type, key->text)) {
        diag_help(c->diags, d, "it stands in defaults, in groups and in routes");
        return;
    }
    const char *guess = diag_guess(key->text, word, n);
    if (guess) {
        diag_help(c->diags, d, "did you mean `%s`?", guess);
        return;
    }
    const char *all = "";
    for (size_t i = 0; i < n && i < 24; i++)
        all = arena_fmt(c->arena, "%s%s%s", all, i ? ", " : "", word[i]);
    if (n)
        diag_help(c->diags, d, "known here are: %s%s", all, n > 24 ? ", ..." : "");
}

static bool service_value(const struct schema_type *t, struct span key) {
    const struct schema_field *f = schema_field_of(&schema_route_type, key);
    return t->object == &schema_defaults && f && (f->flags & FIELD_SERVICE);
}

static void misplaced(struct checker *c, const struct node *key) {
    struct diag *d = diag_add(c->diags, DIAG_E0601, key->at, "`%.*s` does not stand in defaults",
                              SPAN_ARG(key->text));
    diag_help(c->diags, d,
              "it belongs to services: set it in service_defaults, a service, a group or a "
              "route");
}

static void check_key(struct checker *c, const struct todo *t, const struct pair *p) {
    const struct schema_field *f = schema_field_of(t->type, p->key->text);
    if (!f && service_value(t->type, p->key->text)) {
        misplaced(c, p->key);
        return;
    }
    if (!f) {
        /* What is not there yet may still get keys. */
        if (!t->later)
            unknown_key(c, t->type, p->key);
        return;
    }
    bool later = t->later;
    if (schema_later(f) && !later) {
        diag_add(c->diags, DIAG_E0901, p->key->at, "`%s` is not available yet", f->key);
        later = true;
    }
    push(c, (struct todo){schema_type_of(f), f, p->value, later});
}

static void check_groups(struct checker *c, const struct schema_type *t, const struct node *n) {
    for (uint32_t i = 0; i < n->count; i++) {
        const struct schema_field *f = schema_field_of(t, n->pair[i].key->text);
        if (!f || !f->group || node_null(n->pair[i].value))
            continue;
        for (uint32_t k = 0; k < i; k++) {
            const struct schema_field *g = schema_field_of(t, n->pair[k].key->text);
            if (!g || !schema_excludes(f, g) || node_null(n->pair[k].value))
                continue;
            bool action = f->flags & FIELD_ACTION;
            struct diag *d =
                diag_add(c->diags, action ? DIAG_E0402 : DIAG_E0115, n->pair[i].key->at,
                         action ? "a route has one action, and besides `%s` here stands `%s`"
                                : "`%s` and `%s` exclude each other",
                         g->key, f->key);
            diag_note(c->diags, d, n->pair[k].key->at, "`%s` stands here", g->key);
            break;
        }
    }
}

static void check_required(struct checker *c, const struct todo *t, const struct node *n) {
    for (unsigned i = 0; i < t->type->object->fields; i++) {
        const struct schema_field *f = &t->type->object->field[i];
        struct node *v = f->flags & FIELD_REQUIRED ? node_get(n, f->key) : NULL;
        bool version = t->type->object == &schema_root; /* has a code of its own */
        if (!(f->flags & FIELD_REQUIRED) || version || (v && !node_null(v)))
            continue;
        t->node->bad = true;
        struct diag *d = diag_add(c->diags, DIAG_E0114, t->node->at, "%s needs the key `%s`",
                                  t->type->object->name, f->key);
        diag_help(c->diags, d, "%s: %s", f->key, f->doc);
    }
}

static void check_object(struct checker *c, const struct todo *t) {
    struct node *n = schema_long(c->arena, c->diags, t->type, t->node);
    if (n->kind != NODE_MAP) {
        if (!(node_false(n) && (t->type->flags & TYPE_OR_OFF)))
            wrong_shape(c, t);
        return;
    }
    for (uint32_t i = 0; i < n->count; i++)
        check_key(c, t, &n->pair[i]);
    check_groups(c, t->type, n);
    check_required(c, t, n);
}

static bool identifier(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (!((ch >= 'a' && ch <= 'z') || ch == '_' || (i && ch >= '0' && ch <= '9')))
            return false;
    }
    return s.n > 0;
}

static bool printable(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= 256;
}

/* The name in `n`, a value or a key, must stand elsewhere. */
static void check_ref(struct checker *c, enum schema_refers r, struct node *n) {
    static const enum diag_code codes[] = {
        [REFERS_NOTHING] = DIAG_E0301,       [REFERS_SERVICE] = DIAG_E0301,
        [REFERS_LISTENER] = DIAG_E0302,      [REFERS_POLICY_SET] = DIAG_E0303,
        [REFERS_AUTHENTICATOR] = DIAG_E0304, [REFERS_PLAN] = DIAG_E0304,
    };
    static const char *const what[] = {
        [REFERS_NOTHING] = "thing",
        [REFERS_SERVICE] = "service",
        [REFERS_LISTENER] = "listener",
        [REFERS_POLICY_SET] = "policy set",
        [REFERS_AUTHENTICATOR] = "authenticator",
        [REFERS_PLAN] = "plan",
    };
    struct span name = node_plain(n);
    if (!c->names || n->bad || map_get(&c->names->map[r], name))
        return;
    struct diag *d =
        diag_add(c->diags, codes[r], n->at, "there is no %s \"%.*s\"", what[r], SPAN_ARG(name));
    n->bad = true;
    const char *best = NULL;
    for (uint32_t i = 0; i < c->names->count[r] && i < 10000 && !best; i++) {
        const char *word = c->names->name[r][i].p;
        best = diag_guess(name, &word, 1);
    }
    if (best)
        diag_help(c->diags, d, "did you mean \"%s\"?", best);
    else if (!c->names->count[r])
        diag_help(c->diags, d, "no %s is defined at all", what[r]);
}

static void check_map(struct checker *c, const struct todo *t) {
    struct node *n = schema_long(c->arena, c->diags, t->type, t->node);
    if (n->kind != NODE_MAP) {
        wrong_shape(c, t);
        return;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *key = n->pair[i].key;
        if ((t->type->flags & TYPE_IDENTIFIERS) && !identifier(key->text)) {
            struct diag *d = diag_add(c->diags, DIAG_E0218, key->at,
                                      "\"%.*s\" cannot be a name here", SPAN_ARG(key->text));
            diag_help(c->diags, d,
                      "a name that expressions use is made of a-z, 0-9 and _, and begins "
                      "with a letter");
        } else if (!printable(key->text)) {
            diag_add(c->diags, DIAG_E0218, key->at,
                     "a name has 1 to 256 bytes and no control characters");
        } else if (t->type->refers) {
            check_ref(c, t->type->refers, n->pair[i].key);
        }
        if (!node_null(n->pair[i].value) || t->type->of->kind == SCHEMA_ANY)
            push(c, (struct todo){t->type->of, NULL, n->pair[i].value, t->later});
    }
}

static void check_list(struct checker *c, const struct todo *t) {
    struct node *n = schema_long(c->arena, c->diags, t->type, t->node);
    if (n->kind == NODE_MAP && (t->type->flags & TYPE_MAP_LATER)) {
        diag_add(c->diags, DIAG_E0901, n->at,
                 "a map here is not available yet, only a list of names");
        n->bad = true;
        return;
    }
    if (n->kind != NODE_LIST) {
        wrong_shape(c, t);
        return;
    }
    if (t->type->min && n->count < t->type->min)
        diag_add(c->diags, DIAG_E0113, n->at, "this list must not be empty");
    if (t->type->max && n->count > t->type->max)
        diag_add(c->diags, DIAG_E0121, n->at, "this list has %u elements; at most %llu are taken",
                 n->count, (unsigned long long)t->type->max);
    for (uint32_t i = 0; i < n->count; i++)
        push(c, (struct todo){t->type->of, t->field, n->item[i], t->later});
}

static void check_one(struct checker *c, struct todo t) {
    const struct schema_type *chosen = schema_choose(t.type, t.node);
    if (t.node->bad)
        return;
    if (node_null(t.node) && chosen && chosen->kind != SCHEMA_ANY) {
        if (!t.field)
            wrong_shape(c, &t);
        return; /* a key without a value is back to the shipped one */
    }
    if (!chosen) {
        wrong_shape(c, &t);
        return;
    }
    t.type = chosen;
    if (chosen->kind == SCHEMA_OBJECT)
        check_object(c, &t);
    else if (chosen->kind == SCHEMA_MAP)
        check_map(c, &t);
    else if (chosen->kind == SCHEMA_LIST)
        check_list(c, &t);
    else if (chosen->kind == SCHEMA_ANY)
        return;
    else if (t.node->kind != NODE_SCALAR)
        wrong_shape(c, &t);
    else if (schema_scalar(c->arena, c->diags, chosen, t.field ? t.field->width : 0, t.node,
                           NULL) &&
             chosen->kind == SCHEMA_REF)
        check_ref(c, chosen->refers, t.node);
}

void schema_check(struct arena *a, struct diag_list *d, const struct schema_names *names,
                  const struct schema_type *t, struct node *root) {
    struct checker c = {.arena = a, .diags = d, .names = names};
    push(&c, (struct todo){t, NULL, root, false});
    while (c.count)
        check_one(&c, c.todo[--c.count]);
    mem_free(c.todo);
}
