#pragma once
#include "shared/redis_node.h"
static inline void redis_sentinel_find(struct redis_here *h) {
    (void)h;
}
static inline void redis_sentinel_start(struct redis_here *h) {
    (void)h;
}
static inline void redis_sentinel_stop(struct redis_here *h) {
    (void)h;
}
