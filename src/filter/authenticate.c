#include "filter/authenticate.h"
#include "core/facts.h"
#include "core/thread.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

enum { CHALLENGE_MAX = 512, HEADER_MAX = 8192, AUTHENTICATORS_MAX = 16, GROUPS_MAX = 256 };

#define A(member) FIELD(struct authenticate_conf, member)
static const struct schema_type ref = {.kind = SCHEMA_REF,
                                       .refers = REFERS_AUTHENTICATOR,
                                       .size = sizeof(struct span),
                                       .what = "the name of an authenticator"};
static const struct schema_type refs = {.kind = SCHEMA_LIST,
                                        .of = &ref,
                                        .size = sizeof(struct span),
                                        .flags = TYPE_ONE_OR_MANY,
                                        .min = 1,
                                        .max = AUTHENTICATORS_MAX};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_field fields[] = {
    {.key = "any",
     .type = &refs,
     FIELD_LIST(struct authenticate_conf, any, any_count),
     .doc = "One of these suffices; the first whose credential came along decides.",
     .group = "which"},
    {.key = "all",
     .type = &refs,
     FIELD_LIST(struct authenticate_conf, all, all_count),
     .doc = "All of these are needed; claims and consumer are the first one's.",
     .group = "which"},
    {.key = "optional",
     .type = &flag,
     A(optional),
     .shipped = "false",
     .doc = "Nobody need say who he is; who says it wrongly is refused all the same."},
};
static const struct schema_object form = {
    .name = "authenticate",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Who asks: the authenticators that judge. A missing or wrong credential is 401.",
    .short_scalar = "any",
    .short_list = "any"};

static const char *finish(struct arena *a, void *conf) {
    struct authenticate_conf *c = conf;
    (void)a;
    c->every = c->all_count > 0;
    return c->any_count || c->all_count ? NULL
                                        : "it names no authenticator: give it `any` or `all`";
}

static const char *resolve(struct snapshot *s, void *conf) {
    struct authenticate_conf *c = conf;
    const struct span *name = c->every ? c->all : c->any;
    uint32_t count = c->every ? c->all_count : c->any_count;
    const struct authenticator **by = arena_alloc(&s->arena, count * sizeof *by + 1);
    for (uint32_t i = 0; i < count; i++) {
        by[i] = authenticator_of(s, name[i]);
        if (!by[i] || !by[i]->kind)
            return "it names an authenticator that is not there";
    }
    c->by = by;
    c->count = count;
    return NULL;
}

const struct policy authenticate_policy = {.name = "authenticate",
                                           .form = &form,
                                           .ops = &authenticate_ops,
                                           .size = sizeof(struct authenticate_conf),
                                           .finish = finish,
                                           .bind = resolve};

/* ---- what it does -----------------------------------------------------------------------------
 */

struct authenticate_step {
    struct step step;
    struct auth auth;    /* of the authenticator that is being asked */
    struct caller *said; /* `all`: what those said that accepted */
    enum fault other;    /* a credential that the others may take: the answer if none does */
    const char *other_detail;
    const struct authenticator *other_by;
    uint32_t at, accepts;
    bool sent_to_login; /* whoever can was asked to send the client there */
};

static struct authenticate_step *own(struct step *s) {
    return container_of(s, struct authenticate_step, step);
}

/* One field each: a client takes the first challenge that it understands. */
static void challenges(struct exchange *x, const struct authenticate_conf *c,
                       const struct authenticator *refused, enum fault why) {
    const struct own_field *last = x->own;
    for (uint32_t i = c->count; i-- > 0;) {
        const struct authenticator *by = c->by[i];
        char buf[CHALLENGE_MAX];
        struct str s = str_on(buf, sizeof buf);
        if (!by->kind->challenge)
            continue;
        by->kind->challenge(by, by == refused ? why : FAULT_MISSING_CREDENTIALS, &s);
        if (!s.n || s.full)
            continue;
        struct own_field *f = arena_alloc(&x->arena, sizeof *f);
        *f =
            (struct own_field){SPAN("www-authenticate"), arena_span(&x->arena, str_span(&s)), last};
        last = f;
    }
    x->own = last;
}

static enum verdict refuse(struct step *s, const struct authenticator *by, enum fault why,
                           const char *detail) {
    struct exchange *x = s->x;
    if (by)
        x->asked = by;
    x->auth_fault = (unsigned short)why;
    if (!s->filter->observe && fault_table[why].status == 401)
        challenges(x, s->filter->conf, by, why);
    return step_refuse(s, why, detail);
}

/* ---- who it is ---- */

/* {NULL, 0}: it is null. */
static enum fault text_of(struct exchange *x, const struct template *t, struct span *out) {
    struct template_values v = facts_values(x);
    *out = SPAN_NONE;
    switch (template_text(t, &x->arena, &v, HEADER_MAX, out, NULL)) {
    case TEMPLATE_FINE:
    case TEMPLATE_NULL:
        return FAULT_NONE;
    case TEMPLATE_UNSAFE:
        return FAULT_HEADER_REFUSED;
    case TEMPLATE_FAILED:
    case TEMPLATE_LONG:
        break;
    }
    return FAULT_EXPRESSION_FAILED;
}

static void add_groups(struct exchange *x, const struct value *v, struct caller *who,
                       struct span *group) {
    uint32_t n = v->kind == VALUE_LIST ? value_count(v) : v->kind == VALUE_STRING;
    for (uint32_t i = 0; i < n && who->group_count < GROUPS_MAX; i++) {
        struct value one = v->kind == VALUE_LIST ? value_at(v, &x->arena, i) : *v;
        if (one.kind == VALUE_STRING)
            group[who->group_count++] = value_span(&one);
    }
}

/* Each a text, or a list of texts. */
static enum fault groups_of(struct exchange *x, const struct authenticator *by,
                            struct caller *who) {
    struct template_values v = facts_values(x);
    struct span *group = arena_alloc(&x->arena, GROUPS_MAX * sizeof *group);
    struct caller found = {.group_count = 0};
    for (uint32_t i = 0; i < by->consumer.groups; i++) {
        struct value value = VALUE_NOTHING;
        enum template_result r =
            template_value(by->consumer.group[i], &x->arena, &v, HEADER_MAX, &value, NULL);
        if (r != TEMPLATE_FINE && r != TEMPLATE_NULL)
            return FAULT_EXPRESSION_FAILED;
        add_groups(x, &value, &found, group);
    }
    who->group = group;
    who->group_count = found.group_count;
    return FAULT_NONE;
}

/* What the claims say of the consumer; one of that name in the file lends the rest. */
static enum fault name_consumer(struct exchange *x, struct caller *who) {
    const struct authenticator *by = who->by;
    enum fault why = FAULT_NONE;
    if (by->consumer.name) {
        struct span name;
        why = text_of(x, by->consumer.name, &name);
        const struct consumer *c = name.n ? consumer_by_name(x->snap->snapshot, name) : NULL;
        if (c)
            caller_of_consumer(who, c);
        who->name = name;
    }
    if (!why && by->consumer.plan)
        why = text_of(x, by->consumer.plan, &who->plan);
    if (!why && by->consumer.groups)
        why = groups_of(x, by, who);
    return why;
}

static enum fault set_headers(struct exchange *x, const struct authenticator *by) {
    for (uint32_t i = 0; i < by->header_count; i++) {
        struct span value;
        enum fault why = text_of(x, by->header[i].value, &value);
        if (why)
            return why;
        if (value.p && hdr_set(&x->req, by->header[i].name, span_trim(value), ORIGIN_CONFIG))
            return FAULT_HEADER_REFUSED;
    }
    return FAULT_NONE;
}

/* Credentials that are not the service's business, whichever of them were looked at. */
static void conceal(struct exchange *x, const struct authenticate_conf *c) {
    for (uint32_t i = 0; i < c->count; i++)
        if (!c->by[i]->forward && c->by[i]->kind->conceal)
            c->by[i]->kind->conceal(c->by[i], x);
}

enum fault authenticate_accept(const struct authenticate_conf *c, struct exchange *x,
                               struct caller *who, uint32_t n) {
    enum fault why = FAULT_NONE;
    for (uint32_t i = n; !why && i-- > 0;) {
        x->caller = &who[i];
        why = name_consumer(x, &who[i]);
        if (!why)
            why = set_headers(x, who[i].by);
    }
    x->asked = who->by;
    if (why) {
        x->caller = NULL;
        x->auth_fault = (unsigned short)why;
        return why;
    }
    conceal(x, c);
    return FAULT_NONE;
}

static enum verdict accepted(struct step *s, struct caller *who, uint32_t n) {
    enum fault why = authenticate_accept(s->filter->conf, s->x, who, n);
    return why ? exchange_answer(s->x, why, "consumer or identity headers") : NEXT;
}

/* ---- asking ---- */

static void resumed(struct auth *auth, enum auth_result r);
static enum verdict go(struct authenticate_step *a, enum auth_result r);

static void take_up(struct authenticate_step *a, const struct authenticator *by) {
    a->auth = (struct auth){
        .x = a->step.x, .step = &a->step, .by = by, .caller = {.by = by}, .resume = resumed};
}

/* Nobody said who he is: the first that can send the client to a login does. */
static enum verdict log_in(struct authenticate_step *a) {
    const struct authenticate_conf *c = a->step.filter->conf;
    for (uint32_t i = 0; i < c->count && !a->sent_to_login && !a->step.filter->observe; i++) {
        if (!c->by[i]->kind->login)
            continue;
        a->sent_to_login = true;
        take_up(a, c->by[i]);
        return go(a, c->by[i]->kind->login(&a->auth));
    }
    return refuse(&a->step, NULL, FAULT_MISSING_CREDENTIALS, NULL);
}

static enum verdict none_left(struct authenticate_step *a) {
    struct step *s = &a->step;
    const struct authenticate_conf *c = s->filter->conf;
    if (c->every && a->accepts == c->count)
        return accepted(s, a->said, a->accepts);
    if (a->other)
        return refuse(s, a->other_by, a->other, a->other_detail);
    s->x->asked = c->by[0]; /* for the count of those who say nothing */
    s->x->auth_fault = FAULT_MISSING_CREDENTIALS;
    if (c->optional && !a->accepts) {
        conceal(s->x, c);
        return NEXT;
    }
    return log_in(a);
}

static void keep_other(struct authenticate_step *a) {
    if (a->other)
        return;
    a->other = a->auth.fault;
    a->other_detail = a->auth.detail;
    a->other_by = a->auth.by;
}

static void remember(struct authenticate_step *a) {
    const struct authenticate_conf *c = a->step.filter->conf;
    if (!a->said)
        a->said = arena_alloc(&a->step.x->arena, c->count * sizeof *a->said);
    a->said[a->accepts++] = a->auth.caller;
}

static enum auth_result ask(struct authenticate_step *a) {
    const struct authenticate_conf *c = a->step.filter->conf;
    const struct authenticator *by = c->by[a->at++];
    take_up(a, by);
    return by->kind->check(&a->auth);
}

/* What follows from one authenticator's word, and from those after it. */
static enum verdict go(struct authenticate_step *a, enum auth_result r) {
    const struct authenticate_conf *c = a->step.filter->conf;
    for (;; r = ask(a)) {
        switch (r) {
        case AUTH_WAIT:
            a->step.x->auth_waited = true;
            return WAIT;
        case AUTH_BODY:
            return WAIT_BODY;
        case AUTH_ANSWER:
            return ANSWER;
        case AUTH_REFUSED:
            return refuse(&a->step, a->auth.by, a->auth.fault, a->auth.detail);
        case AUTH_OK:
            if (!c->every)
                return accepted(&a->step, &a->auth.caller, 1);
            remember(a);
            break;
        case AUTH_OTHER:
            keep_other(a);
            break;
        case AUTH_MISSING:
            break;
        }
        if (a->at == c->count)
            return none_left(a);
    }
}

static void resumed(struct auth *auth, enum auth_result r) {
    struct authenticate_step *a = container_of(auth, struct authenticate_step, auth);
    exchange_resume(a->step.x, go(a, r));
}

static enum verdict request(struct step *s) {
    return go(own(s), ask(own(s)));
}

static enum verdict request_body(struct step *s) {
    struct authenticate_step *a = own(s);
    return go(a, a->auth.by->kind->body(&a->auth));
}

/* Nobody need say who he is, but a later policy wanted to know: its 401 says how. */
static void ask_after_all(struct step *s) {
    struct exchange *x = s->x;
    x->own = NULL;
    challenges(x, s->filter->conf, NULL, FAULT_MISSING_CREDENTIALS);
    for (const struct own_field *f = x->own; f; f = f->next)
        (void)!hdr_put(&x->resp, f->name, f->value, ORIGIN_GATEWAY);
}

/* On the way back: a session's cookie may be renewed. */
static enum verdict response(struct step *s) {
    struct auth *a = &own(s)->auth;
    if (s->x->fault == FAULT_MISSING_CREDENTIALS && !s->x->caller &&
        !hdr_has(&s->x->resp, HDR_WWW_AUTHENTICATE))
        ask_after_all(s);
    if (s->x->caller && a->by && a->by == s->x->caller->by && a->by->kind->answered)
        a->by->kind->answered(a);
    return NEXT;
}

const struct filter_ops authenticate_ops = {.name = "authenticate",
                                            .phase = PHASE_IDENTIFY,
                                            .step_size = sizeof(struct authenticate_step),
                                            .request = request,
                                            .request_body = request_body,
                                            .response = response,
                                            .tunnels = true};
