#include "base/env.h"
#include "conf/schema.h"

struct fill_job {
    const struct schema_type *type;
    const struct schema_field *field; /* NULL: an element */
    struct node *node;
    char *out; /* the struct that holds the field, or the element itself */
};

struct filler {
    const struct schema_fill *in;
    struct fill_job *job;
    size_t count, cap;
};

static void push(struct filler *f, struct fill_job j) {
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        f->job = mem_realloc(f->job, f->cap * sizeof j, cap * sizeof j);
        f->cap = cap;
    }
    f->job[f->count++] = j;
}

static void fill_object(struct filler *f, const struct schema_type *t, const struct node *n,
                        char *out) {
    for (uint32_t i = 0; i < n->count; i++) {
        const struct schema_field *field = schema_field_of(t, n->pair[i].key->text);
        if (field && !(field->flags & FIELD_NO_FILL) && !schema_later(field) &&
            !node_null(n->pair[i].value))
            push(f, (struct fill_job){schema_type_of(field), field, n->pair[i].value, out});
    }
}

/* Lists and maps: an array of elements, and their count. */
static void fill_many(struct filler *f, const struct schema_type *t, const struct fill_job *j,
                      const struct node *n) {
    if (!t->size || !j->field) {
        must(!j->field || !j->field->count_at); /* a row with a place wants to be filled */
        return;
    }
    char *items = arena_zero(f->in->arena, n->count * t->size + 1);
    memcpy(j->out + j->field->offset, &items, sizeof items);
    memcpy(j->out + j->field->count_at, &n->count, sizeof n->count);
    for (uint32_t i = 0; i < n->count; i++) {
        char *item = items + i * t->size;
        struct node *value = n->kind == NODE_MAP ? n->pair[i].value : n->item[i];
        if (n->kind == NODE_MAP) {
            struct span name = arena_span(f->in->arena, n->pair[i].key->text);
            memcpy(item + t->name_at, &name, sizeof name);
        }
        push(f, (struct fill_job){t->of, NULL, value, item});
    }
}

static void fill_template(struct filler *f, const struct schema_type *t, struct node *n, void *at) {
    const struct template *compiled = t->kind == SCHEMA_TEMPLATE
                                          ? schema_template(f->in, n, t->place, t->scopes)
                                          : schema_json(f->in, n, t->scopes);
    memcpy(at, &compiled, sizeof compiled);
}

static void fill_cel(struct filler *f, const struct schema_type *t, struct node *n, void *at) {
    const struct expr *e =
        n->kind == NODE_SCALAR ? schema_cel(f->in, n, t->scopes, t->condition) : NULL;
    memcpy(at, &e, sizeof e);
}

static void fill_outbound(const struct filler *f, const struct schema_type *t, struct node *n,
                          void *at) {
    const struct outbound *o = schema_url_fill(f->in, t, n);
    memcpy(at, &o, sizeof o);
}

static void fill_one(struct filler *f, struct fill_job j) {
    struct arena *a = f->in->arena;
    const struct schema_type *t = schema_choose(j.type, j.node);
    if (!t || j.node->bad)
        return;
    char *at = j.field ? j.out + j.field->offset : j.out;
    struct node *n = schema_long(f->in->tree, f->in->diags, t, j.node);
    switch (t->kind) {
    case SCHEMA_OBJECT:
        if (t->flags & TYPE_OUTBOUND)
            fill_outbound(f, t, n, at);
        else if (n->kind == NODE_MAP) {
            if (j.field) /* an object within another: what it does not say is as shipped */
                schema_shipped(a, t->object, at);
            fill_object(f, t, n, at);
        }
        break;
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        if (n->kind != NODE_SCALAR)
            fill_many(f, t, &j, n);
        break;
    case SCHEMA_TEMPLATE:
        fill_template(f, t, n, at);
        break;
    case SCHEMA_CEL:
        fill_cel(f, t, n, at);
        break;
    case SCHEMA_ANY:
        if (t->place == PLACE_JSON)
            fill_template(f, t, n, at);
        break;
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
    case SCHEMA_BYTERATE:
    case SCHEMA_RATE:
    case SCHEMA_PER_SECOND:
    case SCHEMA_PERCENT:
    case SCHEMA_TEXT:
    case SCHEMA_SECRET:
    case SCHEMA_ENUM:
    case SCHEMA_REF:
    case SCHEMA_ADDRESS:
    case SCHEMA_CIDR:
    case SCHEMA_FILE:
        if (n->kind == NODE_SCALAR)
            schema_scalar(a, f->in->diags, t, j.field ? j.field->width : (unsigned)t->size, n, at);
        break;
    case SCHEMA_REGEX:
    case SCHEMA_ONE_OF:
        break;
    }
}

void schema_fill(const struct schema_fill *in, const struct schema_type *t, struct node *n,
                 void *out) {
    struct filler f = {.in = in};
    push(&f, (struct fill_job){t, NULL, n, out});
    while (f.count)
        fill_one(&f, f.job[--f.count]);
    mem_free(f.job);
}

static void shipped_one(struct arena *a, struct diag_list *d, const struct schema_field *f,
                        char *out) {
    struct node n = {.kind = NODE_SCALAR, .text = span_z(f->shipped)};
    const struct schema_type *t = schema_choose(f->type, &n);
    bool simple = t && t->kind < SCHEMA_LIST && t->kind != SCHEMA_TEMPLATE &&
                  t->kind != SCHEMA_REGEX && t->kind != SCHEMA_CEL;
    if (simple && !(f->flags & (FIELD_NO_FILL | FIELD_LATER)))
        must(schema_scalar(a, d, t, f->width, &n, out + f->offset));
}

void schema_shipped(struct arena *a, const struct schema_object *o, void *out) {
    struct diag_list none;
    diag_init(&none, false);
    diag_source(&none, "shipped values", SPAN_NONE);
    for (unsigned i = 0; i < o->fields; i++)
        if (o->field[i].shipped)
            shipped_one(a, &none, &o->field[i], out);
    diag_finish(&none);
}
