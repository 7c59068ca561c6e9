#include "conf/draft.h"
#include "conf/reference.h"
#include "conf/reference_objects.h"
#include "conf/tables.h"
#include "conf/types.h"

/* A value may always be a constant that is put in when the file is read. */
#define CONSTANT "\\\\$\\\\{.+\\\\}"

struct making {
    struct draft out;
    struct objects objects;
};

static const char *pattern_of(enum schema_kind k) {
    switch (k) {
    case SCHEMA_DURATION:
        return "^(0|[1-9][0-9]*) *(ms|s|m|h|d)$|" CONSTANT;
    case SCHEMA_SIZE:
        return "^(0|[1-9][0-9]*) *(B|[KMGT]iB|[kKMGT]B)$|" CONSTANT;
    case SCHEMA_BYTERATE:
        return "^(0|[1-9][0-9]*) *(B|[KMGT]iB|[kKMGT]B)/s$|" CONSTANT;
    case SCHEMA_RATE:
    case SCHEMA_PER_SECOND:
        return "^[0-9]+/([0-9]*(ms|s|m|h|d)|second|minute|hour|day|week|month|year)$|" CONSTANT;
    case SCHEMA_PERCENT:
        return "^[0-9]+(\\\\.[0-9]{1,2})?%$|" CONSTANT;
    case SCHEMA_ADDRESS:
        return "^(.*:[0-9]+|unix:.+)$|" CONSTANT;
    case SCHEMA_CIDR:
        return "^[0-9a-fA-F:.]+(/[0-9]+)?$|" CONSTANT;
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_TEXT:
    case SCHEMA_SECRET:
    case SCHEMA_TEMPLATE:
    case SCHEMA_CEL:
    case SCHEMA_REGEX:
    case SCHEMA_ENUM:
    case SCHEMA_REF:
    case SCHEMA_FILE:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
    case SCHEMA_ONE_OF:
        break;
    }
    return NULL;
}

/* What a reader of YAML takes for a number or a boolean: "308", "1.2", "true". */
static bool not_a_text(struct span s) {
    uint64_t number;
    ptrdiff_t dot = span_find(s, '.');
    if (dot > 0)
        return parse_dec(span_cut(s, 0, (size_t)dot), INT64_MAX, &number) &&
               parse_dec(span_from(s, (size_t)dot + 1), INT64_MAX, &number);
    return span_eq(s, SPAN("true")) || span_eq(s, SPAN("false")) ||
           parse_dec(s, INT64_MAX, &number);
}

static void put_words(struct draft *d, const struct schema_type *t) {
    draft_z(d, "{\"anyOf\":[{\"enum\":[");
    for (const struct schema_word *w = t->words; w->word; w++) {
        draft_z(d, w == t->words ? "" : ",");
        draft_quoted(d, span_z(w->word));
        if (not_a_text(span_z(w->word)))
            draft_fmt(d, ",%s", w->word);
    }
    draft_z(d, "]},{\"type\":\"string\",\"pattern\":\"" CONSTANT "\"}]}");
}

static void put_int(struct draft *d, const struct schema_type *t) {
    draft_fmt(d, "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":%llu", (unsigned long long)t->min);
    if (t->max)
        draft_fmt(d, ",\"maximum\":%llu", (unsigned long long)t->max);
    draft_z(d, "},{\"type\":\"string\",\"pattern\":\"" CONSTANT "\"}]}");
}

/* A type whose parts are plain or refer to an object: no type nests deeper than list of map of
 * object. */
struct part {
    const struct schema_type *type;
    const char *before; /* text to write first; type NULL: only that */
};

enum { PARTS_MAX = 64 };

struct parts {
    struct part at[PARTS_MAX];
    unsigned count;
};

static void later(struct parts *p, const struct schema_type *t, const char *before) {
    must(p->count < PARTS_MAX);
    p->at[p->count++] = (struct part){t, before};
}

static void put_scalar(struct draft *d, const struct schema_type *t) {
    const char *pattern = pattern_of(t->kind);
    if (t->kind == SCHEMA_ENUM)
        put_words(d, t);
    else if (t->kind == SCHEMA_INT)
        put_int(d, t);
    else if (t->kind == SCHEMA_BOOL)
        draft_z(d, "{\"type\":\"boolean\"}");
    else if (pattern)
        draft_fmt(d, "{\"type\":\"string\",\"pattern\":\"%s\"}", pattern);
    else if (t->kind == SCHEMA_ANY)
        draft_z(d, "true");
    else /* a scalar is read as its field expects: 1.0 is a text where a text is wanted */
        draft_z(d, "{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}");
}

static const char *slug(const struct schema_object *o, char out[64]) {
    size_t n = 0;
    for (const char *p = o->name; *p && n < 63; p++)
        out[n++] = *p == ' ' ? '_' : *p;
    out[n] = 0;
    return out;
}

/* Pieces are put on the stack last first. */
static void put_object(struct making *m, struct parts *p, const struct schema_type *t) {
    char name[64];
    struct draft *d = &m->out;
    draft_fmt(d, "{\"anyOf\":[{\"$ref\":\"#/$defs/%s\"}", slug(t->object, name));
    if (t->flags & TYPE_OR_OFF)
        draft_z(d, ",{\"const\":false}");
    if (t->flags & TYPE_OR_ON)
        draft_z(d, ",{\"const\":true}");
    later(p, NULL, "]}");
    const char *keys[] = {t->object->short_list, t->object->short_scalar};
    for (size_t i = 0; i < array_len(keys); i++) {
        const struct schema_field *f = keys[i] ? schema_field_of(t, span_z(keys[i])) : NULL;
        bool twice = i == 1 && keys[0] && keys[1] && strcmp(keys[0], keys[1]) == 0;
        bool any =
            f && schema_type_of(f)->kind == SCHEMA_ANY; /* here only a plain scalar is meant */
        if (f && !twice)
            later(p, any ? &type_text : schema_type_of(f), ",");
    }
}

static void put_one(struct making *m, struct parts *p, const struct schema_type *t) {
    struct draft *d = &m->out;
    if (t->kind == SCHEMA_OBJECT) {
        put_object(m, p, t);
    } else if (t->kind == SCHEMA_LIST && (t->flags & TYPE_ONE_OR_MANY)) {
        draft_z(d, "{\"anyOf\":[");
        later(p, NULL, "}]}");
        later(p, t->of, ",{\"type\":\"array\",\"items\":");
        later(p, t->of, "");
    } else if (t->kind == SCHEMA_LIST) {
        draft_z(d, "{\"type\":\"array\",\"items\":");
        later(p, NULL, "}");
        later(p, t->of, "");
    } else if (t->kind == SCHEMA_MAP) {
        bool list = t->flags & TYPE_NAMED_LIST;
        draft_z(d, list ? "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"object\","
                          "\"required\":[\"name\"]}},{\"type\":\"object\",\"additionalProperties\":"
                        : "{\"type\":\"object\",\"additionalProperties\":");
        later(p, NULL, list ? "}]}" : "}");
        later(p, t->of, "");
    } else if (t->kind == SCHEMA_ONE_OF) {
        draft_z(d, "{\"anyOf\":[");
        later(p, NULL, "]}");
        unsigned n = 0;
        while (t->choice[n])
            n++;
        while (n--)
            later(p, t->choice[n], n ? "," : "");
    } else {
        put_scalar(d, t);
    }
}

static void put_type(struct making *m, const struct schema_type *t) {
    struct parts p = {.count = 0};
    later(&p, t, "");
    while (p.count) {
        struct part next = p.at[--p.count];
        draft_z(&m->out, next.before);
        if (next.type)
            put_one(m, &p, next.type);
    }
}

/* The shipped value as an editor would insert it. */
static void put_default(struct draft *d, const struct schema_field *f) {
    struct span s = span_z(f->shipped);
    draft_z(d, ",\"default\":");
    if (not_a_text(s))
        draft_add(d, s);
    else
        draft_quoted(d, s);
}

static void put_field(struct making *m, const struct schema_field *f) {
    struct draft *d = &m->out;
    draft_quoted(d, span_z(f->key));
    draft_z(d, ":{\"description\":");
    draft_z(d, "\"");
    draft_json(d, span_z(f->doc));
    draft_z(d, schema_later(f) ? " Not available yet.\"" : "\"");
    if (f->shipped)
        put_default(d, f);
    draft_z(d, ",\"anyOf\":[{\"type\":\"null\"},");
    put_type(m, schema_type_of(f));
    draft_z(d, "]}");
}

static bool has_key(const struct schema_object *o, const char *key) {
    for (unsigned i = 0; o && i < o->fields; i++)
        if (strcmp(o->field[i].key, key) == 0)
            return true;
    return false;
}

/* `own`: what has its place already under the same key. */
static void put_properties(struct making *m, const struct schema_object *o,
                           const struct schema_object *own, bool first) {
    for (unsigned i = 0; i < o->fields; i++) {
        if (has_key(own, o->field[i].key))
            continue;
        draft_z(&m->out, first ? "\n    " : ",\n    ");
        put_field(m, &o->field[i]);
        first = false;
    }
}

static void put_required(struct draft *d, const struct schema_object *o) {
    bool first = true;
    for (unsigned i = 0; i < o->fields; i++) {
        if (!(o->field[i].flags & FIELD_REQUIRED))
            continue;
        draft_z(d, first ? ",\n   \"required\":[" : ",");
        draft_quoted(d, span_z(o->field[i].key));
        first = false;
    }
    draft_z(d, first ? "" : "]");
}

static void put_body(struct making *m, const struct schema_type *t, bool open, bool list_name) {
    struct draft *d = &m->out;
    draft_z(d, "\"type\":\"object\",\"description\":");
    draft_quoted(d, span_z(t->object->doc));
    draft_z(d, ",\n   \"properties\":{");
    put_properties(m, t->object, NULL, true);
    bool first = t->object->fields == 0;
    if (t->flags & TYPE_POLICY)
        put_properties(m, &schema_policy_common, t->object, first);
    if (t->flags & TYPE_AUTH)
        put_properties(m, &schema_kind_common, t->object, first);
    (void)list_name;
    draft_fmt(d, "},\n   \"additionalProperties\":%s", open ? "true" : "false");
    put_required(d, t->object);
}

void reference_json_schema(const struct conf_registry *r, diag_out out, void *ctx) {
    schema_use(r);
    struct making m = {.out = {0}};
    objects_collect(&m.objects);
    draft_z(&m.out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\n"
                    "\"title\":\"sluice configuration\",\n");
    put_body(&m, &schema_root_type, false, false);
    draft_z(&m.out, ",\n\"$defs\":{");
    for (unsigned i = 1; i < m.objects.count; i++) {
        char name[64];
        const struct schema_type *t = m.objects.type[i];
        draft_fmt(&m.out, "%s\n  \"%s\":{", i > 1 ? "," : "", slug(t->object, name));
        put_body(&m, t, m.objects.later[i], true);
        draft_z(&m.out, "}");
    }
    draft_z(&m.out, "\n}}\n");
    out(ctx, draft_span(&m.out));
    draft_finish(&m.out);
}
