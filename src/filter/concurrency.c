#include "filter/concurrency.h"
#include "core/asker.h"
#include "core/authenticator.h"
#include "core/facts.h"
#include "core/told.h"

enum { KEY_MAX = 65536, HOUR_MS = 3600000, SECOND_NS = 1000000000 };

/* ---- how it is written ------------------------------------------------------------------------
 */

#define C(member) FIELD(struct concurrency_conf, member)

static const struct schema_type limit = {.kind = SCHEMA_INT, .min = 1, .max = TURN_LIMIT_MAX};
static const struct schema_type keys = {
    .kind = SCHEMA_INT, .min = CONCURRENCY_KEYS_MIN, .max = CONCURRENCY_KEYS_MAX};
static const struct schema_type key = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST};
static const struct schema_type name = {
    .kind = SCHEMA_TEXT, .min = 1, .max = CONCURRENCY_NAME_MAX, .what = "a name"};
static const struct schema_type queue = {
    .kind = SCHEMA_OBJECT, .object = &queue_object, .flags = TYPE_OR_OFF};

static const struct schema_field plan_fields[] = {
    {.key = "limit",
     .type = &limit,
     FIELD(struct concurrency_plan, limit),
     .flags = FIELD_REQUIRED,
     .doc = "How many requests at once."},
};
static const struct schema_object plan_object = {.name = "concurrency of a plan",
                                                 SCHEMA_OBJECT_OF(plan_fields),
                                                 .doc = "What holds for consumers of a plan.",
                                                 .short_scalar = "limit"};
static const struct schema_type plan_type = {.kind = SCHEMA_OBJECT, .object = &plan_object};
static const struct schema_type plans = {.kind = SCHEMA_MAP,
                                         .of = &plan_type,
                                         .size = sizeof(struct concurrency_plan),
                                         .name_at = offsetof(struct concurrency_plan, name),
                                         .refers = REFERS_PLAN,
                                         .what = "a map of plans"};

static const struct schema_field fields[] = {
    {.key = "limit",
     .type = &limit,
     C(limit),
     .doc = "How many requests of one key may be under way at once."},
    {.key = "key",
     .type = &key,
     C(key),
     .doc = "What is counted apart; else the consumer, else the claim sub, else the address "
            "(IPv6: its /64)."},
    {.key = "queue",
     .type = &queue,
     C(queue),
     .doc = "How many more of the key may wait for their turn; without it nobody waits."},
    {.key = "priority",
     .type = &key,
     C(priority),
     .doc = "high, normal or low: who goes first of those who wait; anything else is normal."},
    {.key = "name",
     .type = &name,
     C(name),
     .doc = "Limits of one name count together; it is also what logs show."},
    {.key = "keys",
     .type = &keys,
     C(keys),
     .shipped = "16384",
     .doc = "How many keys with requests under way are told apart, at 8 bytes each; beyond them "
            "a newcomer counts together with one that is little busy."},
    {.key = "plans",
     .type = &plans,
     FIELD_LIST(struct concurrency_conf, plan, plans),
     .doc = "Other limits for consumers of a plan, as {gold: {limit: 50}}."},
};
static const struct schema_object form = {.name = "concurrency",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc = "How many requests at once.",
                                          .short_scalar = "limit"};

static const char *finish(struct arena *a, void *conf) {
    struct concurrency_conf *c = conf;
    (void)a;
    if (!c->limit && !c->plans)
        return "it needs a `limit`, as concurrency: 10";
    if (!limit_name_fits(c->name))
        return "`name` is at most 64 letters, digits and -._~ : logs show it";
    if (c->priority && !c->queue.size)
        return "`priority` is about who waits, and without a `queue` nobody does";
    if (c->priority && c->priority->constant && turn_class_of(c->priority->source) == TURN_NORMAL &&
        !span_eq(c->priority->source, SPAN("normal")))
        return "`priority` is high, normal or low, or an expression that gives one of them, as "
               "\"${consumer.plan == 'gold' ? 'high' : 'normal'}\"";
    return NULL;
}

/* ---- for every request ------------------------------------------------------------------------
 */

struct concurrency_step {
    struct step step;
    struct turn turn;
    struct limit_told told; /* of a refusal: for the log alone */
    struct limit_window window;
};

static struct concurrency_step *of(struct step *s) {
    return container_of(s, struct concurrency_step, step);
}

/* 0: nothing limits this caller here. */
static uint32_t limit_of(const struct concurrency_conf *c, const struct exchange *x) {
    for (uint32_t i = 0; x->caller && x->caller->plan.n && i < c->plans; i++)
        if (span_eq(c->plan[i].name, x->caller->plan))
            return c->plan[i].limit;
    return c->limit;
}

static struct span text_of(const struct template *t, struct exchange *x) {
    struct template_values v = facts_values(x);
    struct span out;
    return template_eval(t, &x->arena, &v, KEY_MAX, &out) ? out : SPAN("");
}

static const struct filter_ops ops; /* below */

/* By group and route, under one name: the turn that it has is enough. */
static bool has_turn(const struct step *s, struct span of_key) {
    const struct concurrency_conf *c = s->filter->conf;
    for (unsigned i = 0; i < s->at; i++) {
        struct step *b = s->x->step[i];
        if (b->filter->ops == &ops && concurrency_is(c->table, of_key, &of(b)->turn))
            return true;
    }
    return false;
}

/* RFC 9110 10.2.3: when a turn may be had, as far as the queue's pace tells. */
static void retry_after(struct exchange *x, uint64_t ns) {
    uint64_t s = ns / SECOND_NS + 1;
    struct own_field *f = arena_alloc(&x->arena, sizeof *f);
    *f = (struct own_field){SPAN("retry-after"),
                            span_z(arena_fmt(&x->arena, "%u", s < 60 ? (unsigned)s : 60u)), x->own};
    x->own = f;
}

static const char *const why[] = {[TURN_FULL] = "under way, and no place in the queue",
                                  [TURN_LATE] = "under way, and no turn in time",
                                  [TURN_DISPLACED] = "under way, and a higher class came"};

static void tell_log(struct step *s) {
    const struct concurrency_conf *c = s->filter->conf;
    struct concurrency_step *own = of(s);
    own->window.quota = limit_of(c, s->x);
    own->told = (struct limit_told){.id = c->id,
                                    .window = &own->window,
                                    .windows = 1,
                                    .verdict = s->filter->observe ? TOLD_OBSERVED : TOLD_REFUSED,
                                    .hidden = true};
    limit_told_add(s->x, &own->told);
}

static enum verdict refuse(struct step *s, enum turn_result r) {
    const struct concurrency_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    tell_log(s);
    if (!s->filter->observe)
        retry_after(x, of(s)->turn.pace);
    return step_refuse(
        s, FAULT_CONCURRENCY_LIMITED,
        arena_fmt(&x->arena, "limit %.*s: %u are %s", SPAN_ARG(c->id), limit_of(c, x), why[r]));
}

static void ready(struct turn *t, enum turn_result r) {
    struct step *s = &container_of(t, struct concurrency_step, turn)->step;
    s->x->queued_ns += s->x->thread->loop.now - t->since;
    exchange_resume(s->x, r == TURN_TAKEN ? NEXT : refuse(s, r));
}

static enum verdict observed(struct step *s, const struct turn_ask *ask, struct span of_key) {
    const struct concurrency_conf *c = s->filter->conf;
    struct turn *t = &of(s)->turn;
    enum turn_result r = concurrency_take(c->table, of_key, t, ask);
    if (r == TURN_TAKEN)
        return NEXT;
    concurrency_force(c->table, of_key, t);
    return refuse(s, r);
}

static enum verdict request(struct step *s) {
    const struct concurrency_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    uint32_t most = limit_of(c, x);
    if (!most)
        return NEXT;
    struct span of_key = asker_key_of(c->key, x);
    if (has_turn(s, of_key))
        return NEXT;
    struct turn_ask ask = {.limit = most, .ops = &s->ops, .class = TURN_NORMAL};
    of(s)->turn.ready = ready;
    if (s->filter->observe)
        return observed(s, &ask, of_key);
    if (c->queue.size) {
        ask.queue = c->queue.size;
        ask.wait_ms = exchange_time_left_ms(x, c->queue.max_wait_ms);
        ask.class = c->priority ? turn_class_of(text_of(c->priority, x)) : TURN_NORMAL;
    }
    enum turn_result r = concurrency_take(c->table, of_key, &of(s)->turn, &ask);
    return r == TURN_TAKEN ? NEXT : r == TURN_WAIT ? WAIT : refuse(s, r);
}

static void done(struct step *s) {
    turn_leave(&of(s)->turn);
}

/* ---- the record -------------------------------------------------------------------------------
 */

static void attach(struct snapshot *s, const struct filter *f) {
    struct concurrency_conf *c = (struct concurrency_conf *)(uintptr_t)f->conf;
    (void)s;
    c->id = c->name.n ? c->name : f->place;
    c->table = concurrency_get(c->id, c->keys);
}
static void detach(struct snapshot *s, const struct filter *f) {
    struct concurrency_conf *c = (struct concurrency_conf *)(uintptr_t)f->conf;
    (void)s;
    concurrency_unref(c->table);
    c->table = NULL;
}

static const struct filter_ops ops = {.name = "concurrency",
                                      .phase = PHASE_ADMIT,
                                      .step_size = sizeof(struct concurrency_step),
                                      .request = request,
                                      .done = done,
                                      .attach = attach,
                                      .detach = detach};

const struct policy concurrency_policy = {.name = "concurrency",
                                          .form = &form,
                                          .ops = &ops,
                                          .size = sizeof(struct concurrency_conf),
                                          .finish = finish};
