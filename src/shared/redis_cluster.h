#pragma once
#include "shared/redis_node.h"
static inline void redis_cluster_look(struct redis_here *h) {
    (void)h;
}
static inline void redis_cluster_redirect(struct redis_conn *c, struct redis_slot *s,
                                          const struct redis_reply *r) {
    (void)c;
    (void)s;
    (void)r;
}
static inline void redis_cluster_start(struct redis_here *h) {
    (void)h;
}
static inline void redis_cluster_stop(struct redis_here *h) {
    (void)h;
}
static inline struct redis_conn *redis_cluster_conn(struct redis_here *h,
                                                    const struct redis_ask *a) {
    (void)h;
    (void)a;
    return NULL;
}
static inline bool redis_cluster_usable(struct redis_here *h) {
    (void)h;
    return false;
}
