/*
 * redis_sentinel - finds the master of a set: the sentinels are asked in turn, each for a quarter
 * of a second at most, over a connection that ends with the answer. Whether the one they name is
 * the master is asked of itself when it is connected to. Owner: redis_here. Thread: its own.
 */
#pragma once
#include "shared/redis_node.h"

void redis_sentinel_start(struct redis_here *h);
void redis_sentinel_stop(struct redis_here *h);
/* redis_node_found, redis_node_look_up or redis_node_lost of the only node follows. */
void redis_sentinel_find(struct redis_here *h);
