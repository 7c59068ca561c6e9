#include "filter/authorize.h"
#include "core/facts.h"
#include "core/thread.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

static const struct schema_type cel = {
    .kind = SCHEMA_CEL, .min = 1, .scopes = SCOPE_REQUEST | SCOPE_BODY, .condition = true};
static const struct schema_type word = {.kind = SCHEMA_TEXT, .min = 1, .size = sizeof(struct span)};
static const struct schema_type words = {.kind = SCHEMA_LIST,
                                         .of = &word,
                                         .size = sizeof(struct span),
                                         .min = 1,
                                         .max = 64,
                                         .flags = TYPE_ONE_OR_MANY};

#define RULE_ROWS(type_)                                                                           \
    {.key = "allow",                                                                               \
     .type = &cel,                                                                                 \
     FIELD(type_, rule.allow),                                                                     \
     .doc = "A condition that must be true (CEL)."},                                               \
        {.key = "scopes",                                                                          \
         .type = &words,                                                                           \
         FIELD_LIST(type_, rule.scope, rule.scopes),                                               \
         .doc = "Scopes that the token must have, all of them (claim.scope or claim.scp)."},       \
        {.key = "roles",                                                                           \
         .type = &words,                                                                           \
         FIELD_LIST(type_, rule.role, rule.roles),                                                 \
         .doc = "Roles that the caller must have, all of them; \"a|b\": one of these."},           \
    {                                                                                              \
        .key = "groups", .type = &words, FIELD_LIST(type_, rule.group, rule.groups),               \
        .doc = "Groups that the caller must be in, all of them; \"a|b\": one of these "            \
               "(consumer.groups or claim.groups)."                                                \
    }

static const struct schema_field rule_fields[] = {RULE_ROWS(struct authorize_method)};
static const struct schema_object rule_object = {.name = "authorize of a method",
                                                 SCHEMA_OBJECT_OF(rule_fields),
                                                 .doc = "What is asked besides of one method.",
                                                 .short_scalar = "allow"};
static const struct schema_type rule_type = {.kind = SCHEMA_OBJECT, .object = &rule_object};
static const struct schema_type rules = {.kind = SCHEMA_MAP,
                                         .of = &rule_type,
                                         .size = sizeof(struct authorize_method),
                                         .name_at = offsetof(struct authorize_method, name),
                                         .what = "a map of methods"};

static const struct schema_field fields[] = {
    RULE_ROWS(struct authorize_conf),
    {.key = "methods",
     .type = &rules,
     FIELD_LIST(struct authorize_conf, method, methods),
     .doc = "What is asked besides of a method, as {POST: {scopes: [orders:write]}}; GET includes "
            "HEAD, \"*\" is every method that is not named."},
    {.key = "roles_claim",
     .type = &words,
     FIELD_LIST(struct authorize_conf, roles_claim, roles_claims),
     .doc = "Where roles stand among the claims; else roles and realm_access.roles."},
};
static const struct schema_object form = {.name = "authorize",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc = "Who may; all that is given must hold.",
                                          .short_scalar = "allow"};

static bool asks(const struct authorize_rule *r) {
    return r->allow || r->scopes || r->roles || r->groups;
}

static const char *judge_method(struct arena *a, const struct authorize_conf *c, uint32_t i) {
    struct span name = c->method[i].name;
    for (size_t k = 0; k < name.n; k++)
        if (!token_char[(unsigned char)name.p[k]] || (name.p[k] >= 'a' && name.p[k] <= 'z'))
            return arena_fmt(a, "`%.*s` is no method; they are written in capitals",
                             SPAN_ARG(name));
    return asks(&c->method[i].rule)
               ? NULL
               : arena_fmt(a, "`methods: {%.*s: ..}` asks nothing", SPAN_ARG(name));
}

static bool reads_body(const struct authorize_rule *r) {
    return r->allow && expr_loads(r->allow, FACT_BODY_ID);
}

/* RFC 6749 3.3: what may stand in a challenge as it is. */
static const char *judge_scopes(struct arena *a, const struct authorize_rule *r) {
    for (uint32_t i = 0; i < r->scopes; i++)
        for (size_t k = 0; k < r->scope[i].n; k++) {
            char c = r->scope[i].p[k];
            if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\')
                return arena_fmt(a, "`%.*s` is no scope: it has no blanks and no quotes",
                                 SPAN_ARG(r->scope[i]));
        }
    return NULL;
}

static const char *finish(struct arena *a, void *conf) {
    static const struct span usual[] = {SPAN("roles"), SPAN("realm_access.roles")};
    struct authorize_conf *c = conf;
    const char *why = NULL;
    for (uint32_t i = 0; !why && i < c->methods; i++)
        why = judge_method(a, c, i);
    if (why)
        return why;
    if (!asks(&c->rule) && !c->methods)
        return "it asks nothing: give it `allow`, `scopes`, `roles`, `groups` or `methods`";
    if (!c->roles_claims) {
        c->roles_claim = usual;
        c->roles_claims = array_len(usual);
    }
    c->reads_body = reads_body(&c->rule);
    why = judge_scopes(a, &c->rule);
    for (uint32_t i = 0; !why && i < c->methods; i++) {
        c->reads_body |= reads_body(&c->method[i].rule);
        why = judge_scopes(a, &c->method[i].rule);
    }
    return why;
}

static bool needs_caller(const struct authorize_conf *c) {
    bool needs = c->rule.scopes || c->rule.roles || c->rule.groups;
    for (uint32_t i = 0; i < c->methods; i++)
        needs |= c->method[i].rule.scopes || c->method[i].rule.roles || c->method[i].rule.groups;
    return needs;
}

static const char *on_caller(void *conf, bool known) {
    struct authorize_conf *c = conf;
    c->known = known;
    return !known && needs_caller(c)
               ? "`scopes`, `roles` and `groups` ask of somebody who is known: `authenticate` must "
                 "stand on this route"
               : NULL;
}

/* ---- what is asked ----------------------------------------------------------------------------
 */

static bool fits(struct span text, struct span want, bool alternatives) {
    while (alternatives && want.p) {
        struct span one = span_split(&want, '|');
        if (one.n && span_eq(one, text))
            return true;
    }
    return !alternatives && span_eq(text, want);
}

static bool words_have(struct span text, struct span want, bool alternatives) {
    while (text.p) {
        struct span one = span_split(&text, ' ');
        if (one.n && fits(one, want, alternatives))
            return true;
    }
    return false;
}

bool authorize_has(const struct value *v, struct span want, bool alternatives) {
    if (v && v->kind == VALUE_STRING)
        return words_have(value_span(v), want, alternatives);
    for (uint32_t i = 0; v && v->kind == VALUE_LIST && v->form == VALUE_PLAIN && i < v->n; i++)
        if (v->item[i].kind == VALUE_STRING && fits(value_span(&v->item[i]), want, alternatives))
            return true;
    return false;
}

const struct value *authorize_claim(const struct value *claims, struct span path) {
    while (claims && path.p) {
        const struct value *whole = value_find(claims, path);
        if (whole)
            return whole;
        struct span first = span_split(&path, '.');
        claims = path.p ? value_find(claims, first) : NULL;
    }
    return NULL;
}

static bool has_scope(const struct caller *who, struct span scope) {
    return authorize_has(value_find(&who->claims, SPAN("scope")), scope, false) ||
           authorize_has(value_find(&who->claims, SPAN("scp")), scope, false);
}

static bool has_role(const struct authorize_conf *c, const struct caller *who, struct span role) {
    for (uint32_t i = 0; i < c->roles_claims; i++)
        if (authorize_has(authorize_claim(&who->claims, c->roles_claim[i]), role, true))
            return true;
    return false;
}

static bool in_group(const struct caller *who, struct span group) {
    for (uint32_t i = 0; i < who->group_count; i++)
        if (fits(who->group[i], group, true))
            return true;
    return authorize_has(value_find(&who->claims, SPAN("groups")), group, true);
}

struct refusal {
    enum fault fault; /* FAULT_NONE: he may */
    const char *detail;
    const struct authorize_rule *rule;
};

static struct refusal no(enum fault why, const char *detail) {
    return (struct refusal){why, detail, NULL};
}

static struct refusal ask_caller(const struct authorize_conf *c, const struct authorize_rule *r,
                                 struct exchange *x) {
    const struct caller *who = x->caller;
    for (uint32_t i = 0; i < r->scopes; i++)
        if (!has_scope(who, r->scope[i]))
            return (struct refusal){
                FAULT_INSUFFICIENT_SCOPE,
                arena_fmt(&x->arena, "authorize: no scope %.*s", SPAN_ARG(r->scope[i])), r};
    for (uint32_t i = 0; i < r->roles; i++)
        if (!has_role(c, who, r->role[i]))
            return no(FAULT_FORBIDDEN,
                      arena_fmt(&x->arena, "authorize: no role %.*s", SPAN_ARG(r->role[i])));
    for (uint32_t i = 0; i < r->groups; i++)
        if (!in_group(who, r->group[i]))
            return no(FAULT_FORBIDDEN,
                      arena_fmt(&x->arena, "authorize: not in group %.*s", SPAN_ARG(r->group[i])));
    return no(FAULT_NONE, NULL);
}

static struct refusal ask_condition(const struct authorize_conf *c, const struct expr *e,
                                    struct exchange *x) {
    enum fault why = c->known && !x->caller ? FAULT_MISSING_CREDENTIALS : FAULT_FORBIDDEN;
    switch (facts_test(x, e)) {
    case EXPR_TRUE:
        return no(FAULT_NONE, NULL);
    case EXPR_FALSE:
        return no(why, "authorize: `allow` is false");
    case EXPR_FAILED:
        break;
    }
    return no(why, "authorize: `allow` failed");
}

static struct refusal ask(const struct authorize_conf *c, const struct authorize_rule *r,
                          struct exchange *x) {
    struct refusal why = no(FAULT_NONE, NULL);
    if (r->scopes || r->roles || r->groups)
        why = x->caller ? ask_caller(c, r, x)
                        : no(FAULT_MISSING_CREDENTIALS, "authorize: nobody is known");
    return why.fault || !r->allow ? why : ask_condition(c, r->allow, x);
}

static const struct authorize_rule *of_method(const struct authorize_conf *c,
                                              const struct head *h) {
    struct span name = head_method_text(h);
    const struct authorize_rule *other = NULL, *get = NULL;
    for (uint32_t i = 0; i < c->methods; i++) {
        if (span_eq(c->method[i].name, name))
            return &c->method[i].rule;
        if (span_eq(c->method[i].name, SPAN("*")))
            other = &c->method[i].rule;
        if (span_eq(c->method[i].name, SPAN("GET")))
            get = &c->method[i].rule;
    }
    return get && h->method == METHOD_HEAD ? get : other;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

/* RFC 6750 3.1, for those who came with a bearer token. */
static void put_challenge(struct exchange *x, const struct authorize_rule *r) {
    const char *kind =
        x->caller && x->caller->by && x->caller->by->kind ? x->caller->by->kind->name : "";
    if (strcmp(kind, "jwt") != 0 && strcmp(kind, "introspection") != 0)
        return;
    size_t max = 64;
    for (uint32_t i = 0; i < r->scopes; i++)
        max += r->scope[i].n + 1;
    struct own_field *f = arena_alloc(&x->arena, sizeof *f);
    struct str s = str_on(arena_alloc(&x->arena, max), max);
    str_lit(&s, "Bearer error=\"insufficient_scope\", scope=\"");
    for (uint32_t i = 0; i < r->scopes; i++)
        str_fmt(&s, "%s%.*s", i ? " " : "", SPAN_ARG(r->scope[i]));
    str_char(&s, '"');
    *f = (struct own_field){SPAN("www-authenticate"), str_span(&s), x->own};
    x->own = f;
}

static enum verdict judge(struct step *s) {
    const struct authorize_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    const struct authorize_rule *more = of_method(c, &x->req);
    struct refusal why = ask(c, &c->rule, x);
    if (!why.fault && more)
        why = ask(c, more, x);
    if (!why.fault)
        return NEXT;
    if (why.rule && !s->filter->observe)
        put_challenge(x, why.rule);
    return step_refuse(s, why.fault, why.detail);
}

static enum verdict request(struct step *s) {
    const struct authorize_conf *c = s->filter->conf;
    return c->reads_body ? WAIT_BODY : judge(s);
}

/* A body that is no JSON makes a condition that asks for it fail. */
static enum verdict request_body(struct step *s) {
    (void)facts_body(s->x);
    return judge(s);
}

static const struct filter_ops ops = {.name = "authorize",
                                      .phase = PHASE_PERMIT,
                                      .step_size = sizeof(struct step),
                                      .request = request,
                                      .request_body = request_body};

const struct policy authorize_policy = {.name = "authorize",
                                        .form = &form,
                                        .ops = &ops,
                                        .size = sizeof(struct authorize_conf),
                                        .finish = finish,
                                        .on_caller = on_caller};
