#include "core/facts.h"
#include "expr/lib_zone.h"
#include "limit/quota.h"

/* How quotas are written, and what is made of it. */

#define Q(member) FIELD(struct quota_conf, member)

static const uint64_t limit_max = 100000000000000; /* 10^14: a counter has room for more */
static const uint64_t second_ms = 1000, longest_s = 100ull * 366 * 86400;

static const struct schema_type rate = {.kind = SCHEMA_RATE,
                                        .size = sizeof(struct schema_calendar_rate),
                                        .flags = TYPE_CALENDAR,
                                        .what = "a quota, as 10000/month"};
static const struct schema_type rates = {.kind = SCHEMA_LIST,
                                         .of = &rate,
                                         .size = sizeof(struct schema_calendar_rate),
                                         .min = 1,
                                         .max = QUOTA_LIMITS_MAX,
                                         .flags = TYPE_ONE_OR_MANY};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_type keys = {.kind = SCHEMA_INT, .min = 16, .max = 1 << 24};
static const struct schema_type name = {
    .kind = SCHEMA_TEXT, .min = 1, .max = 64, .what = "a name", .size = sizeof(struct span)};
static const struct schema_type anchor = {
    .kind = SCHEMA_TEXT, .min = 1, .max = 40, .what = "a day that a period begins with"};
static const struct schema_type zone = {
    .kind = SCHEMA_TEXT, .min = 1, .max = 64, .what = "a time zone, as Europe/Berlin"};
static const struct schema_type asked = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_BODY};
static const struct schema_type answered = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_RESPONSE};
static const struct schema_word failure_words[] = {{"local", QUOTA_LOCAL, false},
                                                   {"open", QUOTA_OPEN, false},
                                                   {"closed", QUOTA_CLOSED, false},
                                                   {NULL, 0, false}};
static const struct schema_type failure = {.kind = SCHEMA_ENUM, .words = failure_words};

static const struct schema_field plan_fields[] = {
    {.key = "limit",
     .type = &rates,
     FIELD_LIST(struct quota_conf, limit, limits),
     .flags = FIELD_REQUIRED,
     .doc = "How much in a period; a list: all of them hold."},
    {.key = "key", .type = &asked, Q(key), .doc = "What is counted apart."},
    {.key = "cost", .type = &asked, Q(cost), .doc = "How much a request counts."},
};
static const struct schema_object plan_object = {.name = "quota of a plan",
                                                 SCHEMA_OBJECT_OF(plan_fields),
                                                 .doc = "What holds for consumers of a plan.",
                                                 .short_scalar = "limit",
                                                 .short_list = "limit"};
static const struct schema_type plan_type = {.kind = SCHEMA_OBJECT, .object = &plan_object};
static const struct schema_type plans = {.kind = SCHEMA_MAP,
                                         .of = &plan_type,
                                         .size = sizeof(struct quota_plan),
                                         .name_at = offsetof(struct quota_plan, name),
                                         .refers = REFERS_PLAN,
                                         .what = "a map of plans"};

static const struct schema_field fields[] = {
    {.key = "limit",
     .type = &rates,
     FIELD_LIST(struct quota_conf, limit, limits),
     .doc = "How much in a period, as 1000000/month: hour, day, week, month and year are those of "
            "the calendar, a length as 30d is that long; a list: all of them hold."},
    {.key = "key",
     .type = &asked,
     Q(key),
     .doc = "What is counted apart; else the consumer, else the claim sub, else the address "
            "(IPv6: its /64)."},
    {.key = "cost",
     .type = &asked,
     Q(cost),
     .shipped = "1",
     .doc = "How much a request counts: a number, or an expression."},
    {.key = "cost_after",
     .type = &answered,
     Q(cost_after),
     .doc = "What it cost after all, known from its answer: replaces `cost`."},
    {.key = "name",
     .type = &name,
     Q(name),
     .doc = "Quotas of one name count together; it is also what logs and headers show."},
    {.key = "anchor",
     .type = &anchor,
     Q(anchor),
     .doc = "What a period begins with: a day of the month (15), a weekday (monday), a date or a "
            "date with a time (2026-01-15T06:00); else midnight of the 1st, of Monday, of January "
            "1st."},
    {.key = "time_zone",
     .type = &zone,
     Q(time_zone),
     .shipped = "UTC",
     .doc = "Whose calendar it is, as Europe/Berlin."},
    {.key = "plans",
     .type = &plans,
     FIELD_LIST(struct quota_conf, plan, plans),
     .doc = "Other limits for consumers of a plan, as {gold: {limit: 5000000/month}}."},
    {.key = "keys",
     .type = &keys,
     Q(keys),
     .shipped = "100000",
     .doc = "How many keys that have used something are told apart, at some 200 bytes each; beyond "
            "them newcomers are counted together."},
    {.key = "headers",
     .type = &flag,
     Q(headers),
     .shipped = "true",
     .doc = "RateLimit and RateLimit-Policy on answers."},
    {.key = "on_failure",
     .type = &failure,
     Q(on_failure),
     .shipped = "local",
     .doc = "While the shared state is away: local (what this gateway counts), open (let all pass) "
            "or closed (refuse all, 503)."},
};
const struct schema_object quota_object = {
    .name = "quota",
    SCHEMA_OBJECT_OF(fields),
    .doc = "How much a caller may have in a day, a month, a year.",
    .short_scalar = "limit",
    .short_list = "limit"};

/* ---- what is made of it -----------------------------------------------------------------------
 */

/* "month", "30d" */
static struct span unit_text(struct arena *a, const struct schema_calendar_rate *r) {
    static const char *const word[] = {[PER_HOUR] = "hour",
                                       [PER_DAY] = "day",
                                       [PER_WEEK] = "week",
                                       [PER_MONTH] = "month",
                                       [PER_YEAR] = "year"};
    uint64_t s = r->rate.per_ms / second_ms;
    if (r->calendar != PER_LENGTH)
        return span_z(word[r->calendar]);
    return span_z(s % 86400 == 0  ? arena_fmt(a, "%llud", (unsigned long long)s / 86400)
                  : s % 3600 == 0 ? arena_fmt(a, "%lluh", (unsigned long long)s / 3600)
                                  : arena_fmt(a, "%llus", (unsigned long long)s));
}

static struct span period_text(struct arena *a, const struct quota_conf *c, struct span unit) {
    bool utc = span_eq(c->time_zone, SPAN("UTC"));
    return span_z(arena_fmt(a, "%.*s%s%.*s%s%.*s", SPAN_ARG(unit), c->anchor.n ? " from " : "",
                            SPAN_ARG(c->anchor), utc ? "" : " in ",
                            SPAN_ARG(utc ? SPAN("") : c->time_zone)));
}

static const char *make_window(struct arena *a, struct quota_conf *c, uint32_t i,
                               const struct zone *z) {
    const struct schema_calendar_rate *r = &c->limit[i];
    struct quota_window *w = &c->window[i];
    struct span unit = unit_text(a, r);
    if (!r->rate.count)
        return "a quota of 0 lets nobody in; `respond: {status: 403}` says so more clearly";
    if (r->rate.count > limit_max)
        return "a quota counts at most 100000000000000";
    if (r->rate.per_ms % second_ms || r->rate.per_ms / second_ms > longest_s)
        return "a period is whole seconds, and at most 100 years; rate_limit counts shorter ones";
    if (c->anchor.n && r->calendar == PER_HOUR)
        return "`anchor` has no meaning for hours; a length as 1h begins with it";
    w->limit = r->rate.count;
    w->rule = (struct period_rule){
        .unit = r->calendar, .length = (int64_t)(r->rate.per_ms / second_ms), .zone = z};
    w->period = period_text(a, c, unit);
    w->suffix = c->limits > 1 ? span_z(arena_fmt(a, "-%.*s", SPAN_ARG(unit))) : SPAN("");
    for (uint32_t k = 0; k < i; k++)
        if (span_eq(c->window[k].period, w->period))
            return arena_fmt(a, "two limits of one period (%.*s): the smaller one is enough",
                             SPAN_ARG(unit));
    return period_anchor(c->anchor, &w->rule);
}

static const char *judge_cost(struct arena *a, struct quota_conf *c) {
    uint64_t most = UINT64_MAX;
    for (uint32_t i = 0; i < c->limits; i++)
        most = c->window[i].limit < most ? c->window[i].limit : most;
    c->cost_fixed = c->cost ? 0 : 1;
    if (!c->cost || !c->cost->constant)
        return NULL;
    if (!parse_dec(span_trim(c->cost->source), 1000000000, &c->cost_fixed) || !c->cost_fixed)
        return "`cost` is a whole number from 1, or an expression that gives one";
    return c->cost_fixed > most
               ? arena_fmt(a, "a request costs %llu, and the quota is %llu",
                           (unsigned long long)c->cost_fixed, (unsigned long long)most)
               : NULL;
}

static bool reads_body(const struct template *t) {
    return t && template_loads(t, FACT_BODY_ID);
}

static const char *judge(struct arena *a, struct quota_conf *c) {
    const char *why = NULL;
    if (c->limits > QUOTA_LIMITS_MAX)
        return NULL; /* the loader has said so of the list */
    const struct zone *z = zone_get(a, c->time_zone, &why);
    if (!z)
        return arena_fmt(a, "time_zone \"%.*s\": %s", SPAN_ARG(c->time_zone), why);
    if (!limit_name_fits(c->name))
        return "`name` is at most 64 letters, digits and -._~ : headers and logs show it";
    c->reads_body = reads_body(c->key) || reads_body(c->cost);
    why = NULL;
    for (uint32_t i = 0; !why && i < c->limits; i++)
        why = make_window(a, c, i, z);
    return why ? why : judge_cost(a, c);
}

/* A plan's own words, and for the rest those of the quota that it stands in. */
static void inherit(struct quota_conf *plan, const struct quota_conf *c) {
    struct quota_conf own = *plan;
    *plan = *c;
    plan->limit = own.limit;
    plan->limits = own.limits;
    plan->key = own.key ? own.key : c->key;
    plan->cost = own.cost ? own.cost : c->cost;
    plan->plan = NULL;
    plan->plans = 0;
}

const char *quota_finish(struct arena *a, void *conf) {
    struct quota_conf *c = conf;
    struct quota_plan *plan = (struct quota_plan *)(uintptr_t)c->plan;
    if (!c->limits && !c->plans)
        return "it needs a `limit`, as quota: 10000/month";
    const char *why = judge(a, c);
    for (uint32_t i = 0; !why && i < c->plans; i++) {
        inherit(&plan[i].conf, c);
        why = judge(a, &plan[i].conf);
    }
    return why;
}

void *quota_of_plans(struct arena *a, const struct span *plan, void *const *conf, uint32_t n) {
    struct quota_conf *all = arena_zero(a, sizeof *all);
    struct quota_plan *each = arena_zero(a, n * sizeof *each + 1);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&each[i].conf, conf[i], sizeof each[i].conf);
        each[i].name = plan[i];
    }
    all->plan = each;
    all->plans = n;
    return all;
}

const struct quota_conf *quota_of(const struct quota_conf *c, struct span plan) {
    for (uint32_t i = 0; plan.n && i < c->plans; i++)
        if (span_eq(c->plan[i].name, plan))
            return &c->plan[i].conf;
    return c->limits ? c : NULL;
}
