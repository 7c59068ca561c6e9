#include "core/limits.h"
#include "core/facts.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define R(member) FIELD(struct rate_limit_conf, member)

enum { HOUR_MS = 3600000, COST_MAX = 1000000000 };

static const struct schema_type rate = {
    .kind = SCHEMA_RATE, .size = sizeof(struct schema_rate), .what = "a rate, as 20/s or 1000/day"};
static const struct schema_type rates = {.kind = SCHEMA_LIST,
                                         .of = &rate,
                                         .size = sizeof(struct schema_rate),
                                         .min = 1,
                                         .max = LIMIT_RATES_MAX,
                                         .flags = TYPE_ONE_OR_MANY};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_type count1 = {.kind = SCHEMA_INT, .min = 1, .max = COST_MAX};
static const struct schema_type keys = {.kind = SCHEMA_INT, .min = 16, .max = LIMIT_KEYS_MAX};
static const struct schema_type queue = {.kind = SCHEMA_INT, .min = 1, .max = 100000};
static const struct schema_type wait_time = {.kind = SCHEMA_DURATION, .min = 1, .max = HOUR_MS};
static const struct schema_type name = {
    .kind = SCHEMA_TEXT, .min = 1, .max = 64, .what = "a name", .size = sizeof(struct span)};
static const struct schema_type key = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_BODY};
static const struct schema_type service_key = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST};
static const struct schema_type service_cost = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST};
static const struct schema_type cost = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_BODY};
static const struct schema_type cost_after = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_RESPONSE};

static const struct schema_word algorithm_words[] = {
    {"gcra", LIMIT_GCRA, false},
    {"token_bucket", LIMIT_GCRA, false},
    {"sliding_window", LIMIT_SLIDING_WINDOW, false},
    {"fixed_window", LIMIT_FIXED_WINDOW, false},
    {NULL, 0, false}};
static const struct schema_type algorithm = {.kind = SCHEMA_ENUM, .words = algorithm_words};
static const struct schema_word failure_words[] = {{"local_share", LIMIT_LOCAL_SHARE, false},
                                                   {"open", LIMIT_OPEN, false},
                                                   {"closed", LIMIT_CLOSED, false},
                                                   {NULL, 0, false}};
static const struct schema_type failure = {.kind = SCHEMA_ENUM, .words = failure_words};
static const struct schema_word sync_words[] = {
    {"exact", LIMIT_EXACT, false}, {"lease", LIMIT_LEASE, false}, {NULL, 0, false}};
static const struct schema_type sync_type = {.kind = SCHEMA_ENUM, .words = sync_words};
static const struct schema_word scope_words[] = {
    {"all", LIMIT_SHARED, false}, {"gateway", LIMIT_THIS_GATEWAY, false}, {NULL, 0, false}};
static const struct schema_type scope = {.kind = SCHEMA_ENUM, .words = scope_words};

static const struct schema_field delay_fields[] = {
    {.key = "max_wait",
     .type = &wait_time,
     FIELD(struct rate_limit_delay, max_wait_ms),
     .shipped = "1s",
     .doc = "Who would have to wait longer is refused."},
    {.key = "queue",
     .type = &queue,
     FIELD(struct rate_limit_delay, queue),
     .shipped = "1000",
     .doc = "How many requests may wait at once, in each worker; more are refused."},
};
static const struct schema_object delay_object = {
    .name = "delay",
    SCHEMA_OBJECT_OF(delay_fields),
    .doc = "Requests over the limit wait for their turn instead of being refused."};
static const struct schema_type delay_type = {
    .kind = SCHEMA_OBJECT, .object = &delay_object, .flags = TYPE_OR_OFF | TYPE_OR_ON};

#define RATE_ROWS(required_, key_, cost_)                                                          \
    {.key = "rate",                                                                                \
     .type = &rates,                                                                               \
     FIELD_LIST(struct rate_limit_conf, rate, rates),                                              \
     .flags = (required_),                                                                         \
     .doc = "How much in a time, as 20/s; a list: all of them hold."},                             \
        {.key = "burst",                                                                           \
         .type = &count1,                                                                          \
         R(burst),                                                                                 \
         .doc = "How much may come at once (gcra); else what the rate counts."},                   \
        {.key = "algorithm",                                                                       \
         .type = &algorithm,                                                                       \
         R(algorithm),                                                                             \
         .shipped = "gcra",                                                                        \
         .doc = "gcra (or token_bucket): `burst` at once, then evenly; sliding_window: the last "  \
                "window fades out; fixed_window: anew at each full minute, hour, ..."},            \
        {.key = "key",                                                                             \
         .type = &(key_),                                                                          \
         R(key),                                                                                   \
         .doc = "What is counted apart; else the consumer, else the claim sub, else the address "  \
                "(IPv6: its /64)."},                                                               \
        {.key = "cost",                                                                            \
         .type = &(cost_),                                                                         \
         R(cost),                                                                                  \
         .shipped = "1",                                                                           \
         .doc = "How much a request counts: a number, or an expression."},                         \
        {.key = "cost_after",                                                                      \
         .type = &cost_after,                                                                      \
         R(cost_after),                                                                            \
         .doc = "What it cost after all, known from its answer: replaces `cost`."},                \
        {.key = "name",                                                                            \
         .type = &name,                                                                            \
         R(name),                                                                                  \
         .doc = "Limits of one name count together; it is also what logs and headers show."},      \
        {.key = "headers",                                                                         \
         .type = &flag,                                                                            \
         R(headers),                                                                               \
         .shipped = "true",                                                                        \
         .doc = "RateLimit and RateLimit-Policy on answers."},                                     \
        {.key = "keys",                                                                            \
         .type = &keys,                                                                            \
         R(keys),                                                                                  \
         .shipped = "65536",                                                                       \
         .doc = "How many keys that have used something are told apart, at 16 bytes each; beyond " \
                "them newcomers inherit what the least busy one has used."},                       \
        {.key = "scope",                                                                           \
         .type = &scope,                                                                           \
         R(scope),                                                                                 \
         .shipped = "all",                                                                         \
         .doc = "Where gateways share state: all of them together, or each gateway for itself."},  \
        {.key = "on_failure",                                                                      \
         .type = &failure,                                                                         \
         R(on_failure),                                                                            \
         .shipped = "local_share",                                                                 \
         .doc = "While the shared state is away: this gateway's share of the limit, let all "      \
                "pass, or refuse all (503)."},                                                     \
        {.key = "sync",                                                                            \
         .type = &sync_type,                                                                       \
         R(sync),                                                                                  \
         .shipped = "exact",                                                                       \
         .doc = "exact: the shared state is asked each time; lease: tokens are taken from it "     \
                "ahead of need, so most requests ask nobody."},                                    \
    {                                                                                              \
        .key = "lease", .type = &count1, R(lease),                                                 \
        .doc = "How many tokens are taken at once (sync: lease); else a tenth of a second's."      \
    }

static const struct schema_field plan_fields[] = {
    {.key = "rate",
     .type = &rates,
     FIELD_LIST(struct rate_limit_conf, rate, rates),
     .flags = FIELD_REQUIRED,
     .doc = "How much in a time; a list: all of them hold."},
    {.key = "burst", .type = &count1, R(burst), .doc = "How much may come at once (gcra)."},
    {.key = "key", .type = &key, R(key), .doc = "What is counted apart."},
    {.key = "cost", .type = &cost, R(cost), .doc = "How much a request counts."},
};
static const struct schema_object plan_object = {.name = "rate_limit of a plan",
                                                 SCHEMA_OBJECT_OF(plan_fields),
                                                 .doc = "What holds for consumers of a plan.",
                                                 .short_scalar = "rate",
                                                 .short_list = "rate"};
static const struct schema_type plan_type = {.kind = SCHEMA_OBJECT, .object = &plan_object};
static const struct schema_type plans = {.kind = SCHEMA_MAP,
                                         .of = &plan_type,
                                         .size = sizeof(struct rate_limit_plan),
                                         .name_at = offsetof(struct rate_limit_plan, name),
                                         .refers = REFERS_PLAN,
                                         .what = "a map of plans"};

static const struct schema_field fields[] = {
    RATE_ROWS(0, key, cost),
    {.key = "delay",
     .type = &delay_type,
     R(delay),
     .doc = "Requests over the limit wait for their turn instead of being refused."},
    {.key = "early",
     .type = &flag,
     R(early),
     .shipped = "false",
     .doc = "Before authentication, so that floods of wrong credentials cost little."},
    {.key = "plans",
     .type = &plans,
     FIELD_LIST(struct rate_limit_conf, plan, plans),
     .doc = "Other rates for consumers of a plan, as {gold: {rate: 90/s}}."},
};
const struct schema_object rate_limit_object = {.name = "rate_limit",
                                                SCHEMA_OBJECT_OF(fields),
                                                .doc = "How many requests in a time.",
                                                .short_scalar = "rate",
                                                .short_list = "rate"};

static const struct schema_field service_fields[] = {
    RATE_ROWS(FIELD_REQUIRED, service_key, service_cost)};
const struct schema_object service_rate_limit_object = {
    .name = "rate_limit of a service",
    SCHEMA_OBJECT_OF(service_fields),
    .doc = "How many requests the service may get, whoever sends them.",
    .short_scalar = "rate",
    .short_list = "rate"};

/* ---- what is made of it -----------------------------------------------------------------------
 */

static uint64_t shortest(const struct rate_limit_conf *c) {
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < c->rates; i++)
        least = c->rate[i].per_ms < least ? c->rate[i].per_ms : least;
    return least;
}

uint64_t rate_limit_burst(const struct rate_limit_conf *c, uint32_t at) {
    const struct schema_rate *r = &c->rate[at];
    return c->burst && r->per_ms == shortest(c) ? c->burst : r->count;
}

static uint64_t least_burst(const struct rate_limit_conf *c) {
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < c->rates; i++) {
        uint64_t b = rate_limit_burst(c, i);
        least = b < least ? b : least;
    }
    return least;
}

static const char *judge_rates(struct arena *a, const struct rate_limit_conf *c) {
    for (uint32_t i = 0; i < c->rates; i++) {
        const struct schema_rate *r = &c->rate[i];
        if (!r->count)
            return "a rate of 0 lets nobody in; `respond: {status: 403}` says so more clearly";
        if (r->count > COST_MAX)
            return arena_fmt(a, "a rate counts at most %d", (int)COST_MAX);
        if (r->per_ms > 366ull * 24 * HOUR_MS)
            return "a rate is over a year at most";
        if (c->algorithm == LIMIT_SLIDING_WINDOW && r->count >= 1u << 24)
            return "a sliding window counts at most 16777215; algorithm: gcra counts more";
    }
    return NULL;
}

static const char *judge_cost(struct arena *a, struct rate_limit_conf *c) {
    uint64_t most = least_burst(c);
    c->cost_fixed = c->cost ? 0 : 1;
    if (!c->cost || !c->cost->constant)
        return NULL;
    if (!parse_dec(span_trim(c->cost->source), COST_MAX, &c->cost_fixed) || !c->cost_fixed)
        return "`cost` is a whole number from 1, or an expression that gives one";
    return c->cost_fixed > most
               ? arena_fmt(a, "a request costs %llu, but %llu is all that may come at once",
                           (unsigned long long)c->cost_fixed, (unsigned long long)most)
               : NULL;
}

static bool reads_body(const struct template *t) {
    return t && template_loads(t, FACT_BODY_ID);
}

/* "-1d", "-90s": parts the windows of one limit in the header fields. */
static struct span window_suffix(struct arena *a, uint64_t per_ms) {
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{24ull * HOUR_MS, 'd'}, {HOUR_MS, 'h'}, {60000, 'm'}, {1000, 's'}};
    for (unsigned i = 0; i < array_len(units); i++)
        if (per_ms % units[i].ms == 0)
            return span_z(
                arena_fmt(a, "-%llu%c", (unsigned long long)(per_ms / units[i].ms), units[i].unit));
    return span_z(arena_fmt(a, "-%llums", (unsigned long long)per_ms));
}

/* What a client may rely on: so much at once, and again after as long as the rate takes for it. */
static void make_windows(struct arena *a, struct rate_limit_conf *c) {
    struct limit_window *w = arena_zero(a, c->rates * sizeof *w + 1);
    for (uint32_t i = 0; i < c->rates; i++) {
        const struct schema_rate *r = &c->rate[i];
        uint64_t quota = rate_limit_burst(c, i);
        unsigned __int128 ms = (unsigned __int128)quota * r->per_ms / r->count;
        w[i] =
            (struct limit_window){.suffix = c->rates > 1 ? window_suffix(a, r->per_ms) : SPAN(""),
                                  .quota = quota,
                                  .seconds = (uint64_t)((ms + 999) / 1000)};
    }
    c->window = w;
    if (c->rates)
        c->policy = limit_told_policy(a, c->name, w, c->rates);
}

static const char *judge(struct arena *a, struct rate_limit_conf *c) {
    if (!c->keys)
        c->keys = LIMIT_KEYS_DEFAULT;
    c->reads_body = reads_body(c->key) || reads_body(c->cost);
    if (c->early && c->reads_body)
        return "`early` stands before the body is read: neither `key` nor `cost` may ask for it";
    if (c->burst && c->algorithm != LIMIT_GCRA)
        return "`burst` belongs to algorithm: gcra; a window lets all of its rate come at once";
    if (c->lease && c->sync != LIMIT_LEASE)
        return "`lease` belongs to `sync: lease`";
    if (c->sync == LIMIT_LEASE && c->algorithm != LIMIT_GCRA)
        return "`sync: lease` works with algorithm: gcra alone";
    if (!limit_name_fits(c->name))
        return "`name` is at most 64 letters, digits and -._~ : headers and logs show it";
    const char *why = judge_rates(a, c);
    if (!why)
        why = judge_cost(a, c);
    if (!why)
        make_windows(a, c);
    return why;
}

/* A plan's own words, and for the rest those of the limit that it stands in. */
static void inherit(struct rate_limit_conf *plan, const struct rate_limit_conf *c) {
    struct rate_limit_conf own = *plan;
    *plan = *c;
    plan->rate = own.rate;
    plan->rates = own.rates;
    plan->burst = own.burst;
    plan->key = own.key ? own.key : c->key;
    plan->cost = own.cost ? own.cost : c->cost;
    plan->lease = 0;
    plan->plan = NULL;
    plan->plans = 0;
}

const char *rate_limit_finish(struct arena *a, void *conf) {
    struct rate_limit_conf *c = conf;
    struct rate_limit_plan *plan = (struct rate_limit_plan *)(uintptr_t)c->plan;
    if (!c->rates && !c->plans)
        return "it needs a `rate`, as rate_limit: 20/s";
    if (c->early && c->plans)
        return "`plans` need a caller that is known; `early` stands before that";
    if (c->early && c->cost_after)
        return "`cost_after` does not go with `early`";
    const char *why = judge(a, c);
    for (uint32_t i = 0; !why && i < c->plans; i++) {
        inherit(&plan[i].conf, c);
        why = judge(a, &plan[i].conf);
    }
    return why;
}

void *rate_limit_of_plans(struct arena *a, const struct span *plan, void *const *conf, uint32_t n) {
    struct rate_limit_conf *all = arena_zero(a, sizeof *all);
    struct rate_limit_plan *each = arena_zero(a, n * sizeof *each + 1);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&each[i].conf, conf[i], sizeof each[i].conf);
        each[i].name = plan[i];
    }
    all->plan = each;
    all->plans = n;
    return all;
}

const struct rate_limit_conf *rate_limit_of(const struct rate_limit_conf *c, struct span plan) {
    for (uint32_t i = 0; plan.n && i < c->plans; i++)
        if (span_eq(c->plan[i].name, plan))
            return &c->plan[i].conf;
    return c->rates ? c : NULL;
}
