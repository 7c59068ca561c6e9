/*
 * route_when - the `when` of routes, judged with the names of an exchange that has no route yet.
 *
 * What authentication finds is not known here; an expression that fails counts as false. Owner: the
 * caller's stack. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"
#include "core/route.h"

struct route_judge route_judge(struct exchange *x);
