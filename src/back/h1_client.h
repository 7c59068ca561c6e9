/*
 * h1_client - a connection to a service that speaks HTTP/1.1.
 *
 * Connecting, busy with one attempt, or idle in its pool. It returns to the pool only on proof of a
 * clean end: request sent, answer ended exactly, nothing left over, no upgrade, close or
 * authentication challenge. Bytes that come on an idle connection close it. Owner: its pool.
 * Thread: that of the pool.
 */
#pragma once
#include "back/attempt.h"

/* Starts to connect to the pool's endpoint. NULL: *why. */
struct h1_client *h1_client_connect(struct pool *p, const struct service_conf *s, enum fault *why);
/* The attempt (a->conn is this) has printed its request into a->w: goes out in this drain. */
void h1_client_send(struct h1_client *c, struct attempt *a);
/* More of the request's body is there, or there is room for more of the answer's. */
void h1_client_more(struct h1_client *c);
void h1_client_room(struct h1_client *c);
/* The attempt leaves; what is under way on the connection cannot be used by anybody else. */
void h1_client_abandon(struct h1_client *c);
void h1_client_close(struct h1_client *c); /* an idle one */
void h1_client_close_older(struct h1_client *c, uint32_t epoch);
bool h1_client_kept(const struct h1_client *c); /* it has served a request before */
struct h1_client *h1_client_of(struct list *node);
struct list *h1_client_node(struct h1_client *c);
