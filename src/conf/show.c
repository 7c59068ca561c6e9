#include "conf/show.h"
#include "conf/draft.h"

enum { SHOWN_MAX = 2000 };

/* Plain where YAML would read it back as the same text. */
static bool plain(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_';
        if (!word && !(i && strchr("-./:%+", c) && c))
            if (!(i == 0 && c == '/'))
                return false;
    }
    return s.n > 0 && s.p[s.n - 1] != ':';
}

static void scalar(struct draft *t, const struct node *n) {
    struct span s = node_plain(n);
    if (node_secret(n))
        draft_z(t, "\"***\"");
    else if (node_null(n))
        draft_z(t, "null");
    else if (plain(s) && !(n->quoted && s.p[0] >= '0' && s.p[0] <= '9'))
        draft_add(t, s);
    else
        draft_quoted(t, s);
}

struct open {
    const struct node *node;
    uint32_t next;
    const struct schema_type *type;
};

static bool secret(const struct schema_type *t) {
    return t && t->kind == SCHEMA_SECRET;
}

struct span show_flow(struct arena *a, const struct node *root, const struct schema_field *field) {
    struct open stack[YAML_DEPTH + 2];
    unsigned depth = 0;
    struct draft t = {0};
    const struct node *n = root;
    const struct schema_type *type = field ? schema_type_of(field) : NULL;
    while (n || depth) {
        if (n) {
            type = type ? schema_choose(type, n) : NULL;
            if (n->kind == NODE_SCALAR && secret(type))
                draft_z(&t, "\"***\"");
            else if (n->kind == NODE_SCALAR)
                scalar(&t, n);
            else
                draft_z(&t, n->kind == NODE_MAP ? "{" : "[");
            if (n->kind != NODE_SCALAR && depth < array_len(stack))
                stack[depth++] = (struct open){n, 0, type};
            n = NULL;
            if (!depth)
                break;
        }
        struct open *top = &stack[depth - 1];
        if (top->next == top->node->count || t.n > SHOWN_MAX) {
            draft_z(&t, top->node->kind == NODE_MAP ? "}" : "]");
            depth--;
            continue;
        }
        uint32_t i = top->next++;
        draft_z(&t, i ? ", " : "");
        if (top->node->kind == NODE_LIST) {
            n = top->node->item[i];
            type = top->type ? top->type->of : NULL;
            continue;
        }
        const struct pair *p = &top->node->pair[i];
        scalar(&t, p->key);
        draft_z(&t, ": ");
        n = p->value;
        const struct schema_field *f = top->type && top->type->kind == SCHEMA_OBJECT
                                           ? schema_field_of(top->type, p->key->text)
                                           : NULL;
        type = f                                            ? schema_type_of(f)
               : top->type && top->type->kind == SCHEMA_MAP ? top->type->of
                                                            : NULL;
    }
    struct span s = arena_span(a, draft_span(&t));
    draft_finish(&t);
    return s;
}
