#include "limit/shared_limit_in.h"

static bool by_share(const struct shared_limit *s) {
    return s->limiter->conf->on_failure == LIMIT_LOCAL_SHARE;
}

static void judge_share(struct shared_limit *s, struct limit_ask *a) {
    limiter_judge(a, redis_gateways(s->redis));
    bool passed = a->answer.verdict == LIMIT_ALLOWED || a->answer.verdict == LIMIT_DELAYED;
    if (passed && a->cost)
        shared_owed_add(&s->state->owed, a->hash, a->cost, now_ms());
}

void shared_away_judge(struct shared_limit *s, struct limit_ask *a) {
    uint64_t burst = s->limiter->window[s->tightest].burst;
    a->answer = (struct limit_answer){.window = s->tightest, .limit = burst, .remaining = burst};
    switch ((enum limit_failure)s->limiter->conf->on_failure) {
    case LIMIT_LOCAL_SHARE:
        judge_share(s, a);
        break;
    case LIMIT_OPEN:
        a->answer.verdict = LIMIT_ALLOWED;
        break;
    case LIMIT_CLOSED:
        a->answer.verdict = LIMIT_UNKNOWN;
        a->answer.remaining = 0;
        break;
    }
    a->answer.away = true;
}

/* The share refuses more than it holds: a gateway that has most of the traffic begins an outage
 * with a share that is used up, not with a debt of hours. */
void shared_away_shadow(const struct shared_limit *s, const struct limit_ask *a, uint64_t cost) {
    if (!by_share(s) || !cost)
        return;
    struct limit_ask shadow = *a;
    shadow.cost = cost;
    shadow.max_wait_ns = 0;
    limiter_judge(&shadow, redis_gateways(s->redis));
}

void shared_away_give_back(const struct shared_limit *s, const struct limit_ask *a, uint64_t cost) {
    if (!by_share(s))
        return;
    struct limit_ask shadow = *a;
    shadow.cost = cost;
    limiter_give_back(&shadow, redis_gateways(s->redis));
}

bool shared_away_recovering(const struct shared_limit *s) {
    if (!by_share(s))
        return false;
    uint64_t at = redis_returned_at(s->redis);
    return at && me->now < at + s->remembers_ns;
}
