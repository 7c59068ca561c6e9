#pragma once
#include "shared/redis_in.h"
void redis_beat_start(struct redis_here *h);
void redis_beat_stop(struct redis_here *h);
