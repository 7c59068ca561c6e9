/*
 * redis_beat - the control thread's heartbeat: how many gateways share the store. Owner:
 * redis_here. Thread: its own.
 */
#pragma once
#include "shared/redis_in.h"

void redis_beat_start(struct redis_here *h);
void redis_beat_stop(struct redis_here *h);
