#include "conf/conf.h"
#include "conf/schema.h"

enum { POLICIES_MAX = 48, KINDS_MAX = 16 };

static const struct conf_registry *used;
static struct schema_type form[POLICIES_MAX]; /* by place in the registry; the last: log */
static struct schema_type many[POLICIES_MAX]; /* lists of them, for what adds up over the levels */

static struct schema_type kind_form[KINDS_MAX];

static void form_of(struct schema_type *t, const struct policy *p) {
    *t = (struct schema_type){
        .kind = SCHEMA_OBJECT, .object = p->form, .flags = TYPE_POLICY | TYPE_OR_OFF | TYPE_OR_ON};
}

void schema_use(const struct conf_registry *r) {
    if (r == used)
        return;
    must(!r || r->policies < POLICIES_MAX);
    for (unsigned i = 0; r && i < r->policies; i++)
        if (r->policy[i]->form)
            form_of(&form[i], r->policy[i]);
    for (unsigned i = 0; i < POLICIES_MAX; i++)
        many[i] =
            (struct schema_type){.kind = SCHEMA_LIST, .of = &form[i], .flags = TYPE_ONE_OR_MANY};
    if (r && r->log)
        form_of(&form[POLICIES_MAX - 1], r->log);
    must(!r || r->auths <= KINDS_MAX);
    for (unsigned i = 0; r && i < r->auths; i++)
        kind_form[i] = (struct schema_type){
            .kind = SCHEMA_OBJECT, .object = r->auth[i]->form, .flags = TYPE_AUTH | TYPE_OR_ON};
    used = r;
}

static int place(struct span key) {
    if (used && used->log && span_eq(key, SPAN("log")))
        return POLICIES_MAX - 1;
    for (unsigned i = 0; used && i < used->policies; i++)
        if (span_eq(key, span_z(used->policy[i]->name)))
            return (int)i;
    return -1;
}

const struct policy *schema_policy(struct span key) {
    int i = place(key);
    return i < 0 ? NULL : i == POLICIES_MAX - 1 ? used->log : used->policy[i];
}

static int kind_place(struct span key) {
    for (unsigned i = 0; used && i < used->auths; i++)
        if (span_eq(key, span_z(used->auth[i]->name)))
            return (int)i;
    return -1;
}

const struct auth_kind *schema_kind(struct span key) {
    int i = kind_place(key);
    return i < 0 ? NULL : used->auth[i];
}

const struct schema_type *schema_type_of(const struct schema_field *f) {
    int kind = f->flags & FIELD_KIND ? kind_place(span_z(f->key)) : -1;
    if (kind >= 0)
        return &kind_form[kind];
    if (!(f->flags & FIELD_POLICY))
        return f->type;
    int i = place(span_z(f->key));
    if (i < 0 || !form[i].object)
        return f->type;
    return f->flags & FIELD_ADDITIVE ? &many[i] : &form[i];
}

const struct schema_type *schema_form_of(const struct schema_field *f) {
    const struct schema_type *t = schema_type_of(f);
    return (f->flags & FIELD_ADDITIVE) && t->kind == SCHEMA_LIST ? t->of : t;
}

bool schema_later(const struct schema_field *f) {
    if (!(f->flags & FIELD_LATER))
        return false;
    if (f->flags & FIELD_KIND)
        return kind_place(span_z(f->key)) < 0;
    return !(f->flags & FIELD_POLICY) || place(span_z(f->key)) < 0;
}
