/*
 * redis_cluster - which node has which slot, and the way there.
 *
 * CLUSTER SLOTS is asked of some node, over a connection that ends with the answer: at the start,
 * after MOVED, when a node is lost, and every minute; at most five times a second. MOVED changes
 * the one slot at once. ASK goes where it says for this time, after ASKING. Nodes that have no
 * slots any more are let go. Owner: redis_here. Thread: its own.
 */
#pragma once
#include "shared/redis_node.h"

void redis_cluster_start(struct redis_here *h);
void redis_cluster_stop(struct redis_here *h);
/* The map may be old: soon. Nothing where there is no cluster. */
void redis_cluster_look(struct redis_here *h);
/* Where the ask belongs; NULL: nobody knows, or it is away. */
struct redis_conn *redis_cluster_conn(struct redis_here *h, const struct redis_ask *a);
bool redis_cluster_usable(struct redis_here *h);
/* The ask of `s` was answered with MOVED or ASK: asked there, or done. */
void redis_cluster_redirect(struct redis_conn *c, struct redis_slot *s,
                            const struct redis_reply *r);
