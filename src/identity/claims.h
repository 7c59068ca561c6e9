/*
 * claims - what a verified token must say (RFC 7519 4.1): who made it, for whom, and when it holds.
 *
 * NumericDates are whole numbers in 0..253402300799 and nothing else. Names are compared byte by
 * byte: an issuer with a slash too much is another issuer. Owner: none. Thread: any.
 */
#pragma once
#include "data/value.h"
#include "http/fault.h"

#define NUMERIC_DATE_MAX 253402300799 /* the last second of 9999 */

struct claims_rules {
    const struct span *issuer, *audience, *require; /* issuer, audience: one of them; none: any */
    uint32_t issuer_count, audience_count, require_count;
    int64_t leeway_s, max_age_s; /* max_age 0: any age */
    bool may_last;               /* exp may be missing */
};
/* When its answer holds: from <= now < until, leeway included. */
struct claims_time {
    int64_t from, until; /* seconds since 1970; INT64_MIN, INT64_MAX: always */
};

/* FAULT_NONE or a FAULT_JWT_*; *why: for the log, static. */
must_use enum fault claims_judge(const struct claims_rules *r, const struct value *claims,
                                 int64_t now, struct claims_time *out, const char **why);
