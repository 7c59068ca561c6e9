/*
 * targets - which of a route's weighted targets takes a request: by weight, or sticky by a key, so
 * that the same key meets the same target and a change of weights moves only a fair share. Thread:
 * any.
 */
#pragma once
#include "core/exchange.h"

const struct target *targets_choose(struct exchange *x, const struct forward_conf *conf);
