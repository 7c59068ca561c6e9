/*
 * chain - how an exchange walks through its filters, there and back. Used by exchange.c alone.
 */
#pragma once
#include "core/exchange.h"

void chain_start(struct exchange *x);   /* first filter, then the back */
void chain_collect(struct exchange *x); /* WAIT_BODY: is the body whole, or too long? */
/* x->back was replaced while something else was under way, before the head was told: that is
 * dropped and the new back answers. The step that holds the chain does not see the answer. */
void chain_replace(struct exchange *x);
