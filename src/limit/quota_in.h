/*
 * quota_in - the inside of limit/quota: what counting here and counting with other gateways
 * (limit/quota_shared.c) have in common. Thread: the ask's.
 */
#pragma once
#include "limit/quota.h"

/* What one limit said: the tightest is what people are told of. */
void quota_tell(struct quota_ask *a, unsigned window, uint64_t used, bool fits);
/* Judges and counts in this gateway alone. */
void quota_take_here(struct quota_ask *a);

bool quota_take_shared(struct quota_ask *a);
void quota_add_shared(struct quota_ask *a, unsigned window, int64_t n);
/* control: `used` (0: nothing) is what all gateways have counted for the key in that period. */
void quota_put_shared(struct quota_table *t, struct span key, const struct period *p,
                      uint64_t used);
