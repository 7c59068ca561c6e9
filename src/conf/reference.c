#include "conf/reference.h"
#include "conf/draft.h"
#include "conf/reference_objects.h"
#include "conf/tables.h"

/* Markdown out of the tables. */

static const char *kind_text(const struct schema_type *t) {
    static const char *const names[] = {
        [SCHEMA_BOOL] = "`true` or `false`",
        [SCHEMA_INT] = "whole number",
        [SCHEMA_DURATION] = "duration",
        [SCHEMA_SIZE] = "size",
        [SCHEMA_BYTERATE] = "data rate",
        [SCHEMA_RATE] = "rate",
        [SCHEMA_PER_SECOND] = "rate",
        [SCHEMA_PERCENT] = "percentage",
        [SCHEMA_TEXT] = "text",
        [SCHEMA_SECRET] = "secret",
        [SCHEMA_TEMPLATE] = "template",
        [SCHEMA_CEL] = "CEL",
        [SCHEMA_REGEX] = "regular expression",
        [SCHEMA_ENUM] = "word",
        [SCHEMA_REF] = "name",
        [SCHEMA_ADDRESS] = "address",
        [SCHEMA_CIDR] = "network",
        [SCHEMA_FILE] = "file",
        [SCHEMA_LIST] = "list",
        [SCHEMA_MAP] = "map by name",
        [SCHEMA_OBJECT] = "map",
        [SCHEMA_ANY] = "any data",
        [SCHEMA_ONE_OF] = "",
    };
    return t->what && t->kind < SCHEMA_LIST ? t->what : names[t->kind];
}

static void put_words(struct draft *d, const struct schema_type *t) {
    for (const struct schema_word *w = t->words; w->word; w++)
        draft_fmt(d, "%s`%s`%s", w == t->words ? "" : ", ", w->word, w->later ? " (not yet)" : "");
}

static void anchor(struct draft *d, const struct schema_object *o) {
    for (const char *p = o->name; *p; p++)
        draft_fmt(d, "%c", *p == ' ' ? '-' : *p);
}

static void put_link(struct draft *d, const struct schema_object *o) {
    draft_fmt(d, "[%s](#", o->name);
    anchor(d, o);
    draft_z(d, ")");
}

/* One level: elements of lists and maps are named, objects are linked. */
static void put_plain(struct draft *d, const struct schema_type *t) {
    if (t->kind == SCHEMA_ENUM)
        put_words(d, t);
    else if (t->kind == SCHEMA_OBJECT)
        put_link(d, t->object);
    else
        draft_z(d, kind_text(t));
}

static void put_type(struct draft *d, const struct schema_type *t) {
    if (t->kind == SCHEMA_ONE_OF) {
        for (const struct schema_type *const *c = t->choice; *c; c++) {
            draft_z(d, c == t->choice ? "" : ", or ");
            put_plain(d, (*c)->kind == SCHEMA_MAP ? (*c)->of : *c);
        }
        return;
    }
    if (t->kind == SCHEMA_LIST && (t->flags & TYPE_ONE_OR_MANY)) {
        put_plain(d, t->of);
        draft_z(d, ", or a list");
    } else if (t->kind == SCHEMA_LIST) {
        draft_z(d, "list of ");
        put_plain(d, t->of);
    } else if (t->kind == SCHEMA_MAP) {
        draft_z(d, "map: name to ");
        put_plain(d, t->of->kind == SCHEMA_LIST ? t->of->of : t->of);
    } else {
        put_plain(d, t);
    }
    if (t->kind == SCHEMA_OBJECT && (t->flags & TYPE_OR_OFF))
        draft_z(d, ", or `false`");
}

static void put_range(struct draft *d, const struct schema_type *t) {
    if (t->kind == SCHEMA_INT && t->max && !t->what)
        draft_fmt(d, ", %llu to %llu", (unsigned long long)t->min, (unsigned long long)t->max);
}

static void put_row(struct draft *d, const struct schema_field *f) {
    const struct schema_type *t = schema_type_of(f);
    draft_fmt(d, "| `%s` | ", f->key);
    put_type(d, t);
    put_range(d, t);
    draft_z(d, " | ");
    if (f->flags & FIELD_REQUIRED)
        draft_z(d, "required");
    else if (f->shipped)
        draft_fmt(d, "`%s`", f->shipped);
    draft_z(d, " | ");
    if (schema_later(f))
        draft_z(d, "*Not available yet.* ");
    draft_fmt(d, "%s |\n", f->doc);
}

static void put_object(struct draft *d, const struct schema_type *t) {
    const struct schema_object *o = t->object;
    draft_fmt(d, "\n## %s\n\n%s\n", o->name, o->doc);
    if (o->short_scalar || o->short_list) {
        const char *key = o->short_scalar ? o->short_scalar : o->short_list;
        bool both = o->short_scalar && o->short_list;
        draft_fmt(d, "\nShort form: a %s stands for `{%s: ..}`.\n",
                  both              ? "text or a list"
                  : o->short_scalar ? "text"
                                    : "list",
                  key);
    }
    if (t->flags & TYPE_POLICY)
        draft_z(d, "\nA policy: it also takes the keys of [policy](#policy).\n");
    if (t->flags & TYPE_AUTH)
        draft_z(d, "\nA kind of [authenticator](#authenticator): its `headers` may stand here as "
                   "well.\n");
    if (!o->fields)
        return;
    draft_z(d, "\n| key | value | shipped | |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < o->fields; i++)
        put_row(d, &o->field[i]);
}

void reference_configuration(const struct conf_registry *r, diag_out out, void *ctx) {
    struct draft d = {0};
    struct objects o;
    schema_use(r);
    objects_collect(&o);
    draft_z(
        &d,
        "<!-- Made by `sluice docs configuration` from the tables in the code. Do not edit. -->\n"
        "# Reference of the configuration\n\n"
        "Every key, its value, and what holds when it is not given. How the parts work together "
        "stands "
        "in\n[config-guide.md](config-guide.md); error codes in [errors.md](errors.md). For "
        "editors: "
        "`sluice schema` prints a JSON Schema.\n\n"
        "Units are written: durations `250ms` `2s` `5m` `1h` `1d`; sizes `64KiB` `10MB`; data "
        "rates "
        "`240B/s`; rates `100/s` `5000/day`;\npercentages `20%`. Templates are texts with `${..}`. "
        "Keys "
        "marked *Not available yet* are known and refused.\n\n"
        "The top level of a file is [configuration](#configuration).\n");
    for (unsigned i = 0; i < o.count; i++)
        if (!o.later[i])
            put_object(&d, o.type[i]);
    static const struct schema_type common = {.kind = SCHEMA_OBJECT,
                                              .object = &schema_policy_common};
    put_object(&d, &common);
    draft_z(&d,
            "\n# Keys of later versions\n\nTheir shapes are checked already; using one is error "
            "[E0901](errors.md#e0901).\n");
    for (unsigned i = 0; i < o.count; i++)
        if (o.later[i])
            put_object(&d, o.type[i]);
    out(ctx, draft_span(&d));
    draft_finish(&d);
}

void reference_errors(diag_out out, void *ctx) {
    struct draft d = {0};
    draft_z(
        &d,
        "<!-- Made by `sluice docs errors` from the table in the code. Do not edit. -->\n"
        "# Errors and warnings of the configuration\n\n"
        "Codes are stable. `sluice help CODE` prints what stands here; `sluice check` tells all "
        "that are in a file in one run.\nAn error (E) keeps a configuration from coming into "
        "force; "
        "a warning (W) does not.\n");
    for (unsigned i = 0; i < DIAG_CODES; i++) {
        const struct diag_info *c = &diag_codes[i];
        draft_fmt(&d, "\n## %s\n\n**%s.** %s\n", c->code, c->title, c->text);
        if (c->example)
            draft_fmt(&d, "\n```yaml\n%s\n```\n", c->example);
    }
    out(ctx, draft_span(&d));
    draft_finish(&d);
}
