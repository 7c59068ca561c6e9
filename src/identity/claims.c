#include "identity/claims.h"

/* Absent is fine (*there false). False: it is no NumericDate. */
static bool date_of(const struct value *claims, struct span name, int64_t *out, bool *there) {
    const struct value *v = value_find(claims, name);
    uint64_t n;
    *there = v != NULL;
    if (!v)
        return true;
    if (v->kind != VALUE_NUMBER || !parse_dec(value_span(v), NUMERIC_DATE_MAX, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

static bool is_one_of(struct span s, const struct span *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (span_eq(s, list[i]))
            return true;
    return false;
}

static bool text_or_absent(const struct value *claims, struct span name) {
    const struct value *v = value_find(claims, name);
    return !v || v->kind == VALUE_STRING;
}

static enum fault judge_issuer(const struct claims_rules *r, const struct value *claims) {
    const struct value *v = value_find(claims, SPAN("iss"));
    if (v && v->kind != VALUE_STRING)
        return FAULT_JWT_CLAIMS;
    if (!r->issuer_count)
        return FAULT_NONE;
    return v && is_one_of(value_span(v), r->issuer, r->issuer_count) ? FAULT_NONE
                                                                     : FAULT_JWT_ISSUER;
}

/* A text or a list of texts (RFC 7519 4.1.3); one of them is us. */
static enum fault judge_audience(const struct claims_rules *r, const struct value *claims) {
    const struct value *v = value_find(claims, SPAN("aud"));
    bool found = false;
    if (v && v->kind != VALUE_STRING && v->kind != VALUE_LIST)
        return FAULT_JWT_CLAIMS;
    if (v && v->kind == VALUE_STRING)
        found = is_one_of(value_span(v), r->audience, r->audience_count);
    for (uint32_t i = 0; v && v->kind == VALUE_LIST && i < v->n; i++) {
        if (v->item[i].kind != VALUE_STRING)
            return FAULT_JWT_CLAIMS;
        found |= is_one_of(value_span(&v->item[i]), r->audience, r->audience_count);
    }
    return found || !r->audience_count ? FAULT_NONE : FAULT_JWT_AUDIENCE;
}

struct dates {
    int64_t exp, nbf, iat;
    bool has_exp, has_nbf, has_iat;
};

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static enum fault judge_time(const struct claims_rules *r, const struct dates *d, int64_t now,
                             struct claims_time *out, const char **why) {
    if (d->has_exp)
        out->until = d->exp + r->leeway_s;
    if (d->has_nbf)
        out->from = d->nbf - r->leeway_s;
    if (d->has_iat)
        out->from = later(out->from, d->iat - r->leeway_s);
    *why = "exp has passed";
    if (now >= out->until)
        return FAULT_JWT_EXPIRED;
    if (r->max_age_s && d->iat + r->max_age_s + r->leeway_s < out->until)
        out->until = d->iat + r->max_age_s + r->leeway_s;
    *why = "it is older than max_age";
    if (now >= out->until)
        return FAULT_JWT_EXPIRED;
    *why = "nbf or iat lies in the future";
    return now < out->from ? FAULT_JWT_NOT_YET : FAULT_NONE;
}

static enum fault judge_dates(const struct claims_rules *r, const struct value *claims, int64_t now,
                              struct claims_time *out, const char **why) {
    struct dates d = {0};
    *why = "exp, nbf or iat is not a whole number of seconds";
    if (!date_of(claims, SPAN("exp"), &d.exp, &d.has_exp) ||
        !date_of(claims, SPAN("nbf"), &d.nbf, &d.has_nbf) ||
        !date_of(claims, SPAN("iat"), &d.iat, &d.has_iat))
        return FAULT_JWT_CLAIMS;
    *why = "it has no exp";
    if (!d.has_exp && !r->may_last)
        return FAULT_JWT_CLAIMS;
    *why = "it has no iat, and max_age needs it";
    if (!d.has_iat && r->max_age_s)
        return FAULT_JWT_CLAIMS;
    return judge_time(r, &d, now, out, why);
}

static enum fault judge_rest(const struct claims_rules *r, const struct value *claims,
                             const char **why) {
    *why = "sub or jti is not a text";
    if (!text_or_absent(claims, SPAN("sub")) || !text_or_absent(claims, SPAN("jti")))
        return FAULT_JWT_CLAIMS;
    *why = "a claim that is required is missing";
    for (uint32_t i = 0; i < r->require_count; i++) {
        const struct value *v = value_find(claims, r->require[i]);
        if (!v || v->kind == VALUE_NULL)
            return FAULT_JWT_CLAIMS;
    }
    return FAULT_NONE;
}

enum fault claims_judge(const struct claims_rules *r, const struct value *claims, int64_t now,
                        struct claims_time *out, const char **why) {
    *out = (struct claims_time){INT64_MIN, INT64_MAX};
    *why = "iss is missing, malformed or another";
    enum fault f = judge_issuer(r, claims);
    if (f == FAULT_NONE) {
        *why = "aud is missing, malformed or for another";
        f = judge_audience(r, claims);
    }
    if (f == FAULT_NONE)
        f = judge_dates(r, claims, now, out, why);
    return f == FAULT_NONE ? judge_rest(r, claims, why) : f;
}
