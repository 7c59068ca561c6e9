/*
 * limits_top - GET /limits, GET /limits/top and POST /limits/reset of the admin listener.
 *
 *     /limits                    every limit with its counts
 *     /limits/top?limit=&n=&by=  its hottest keys (of every limit without `limit`), n at most 100,
 *                                by asks or refused; the counts are estimates (limit/hot.h)
 *     /limits/reset?key=&limit=  forgets what the key has used
 *
 * JSON; a table for who asks for text/plain. Keys are what clients sent: escaped in both. Thread:
 * the control thread.
 */
#pragma once
#include "admin/answer.h"

void limits_page(struct answer *a);
void limits_top(struct answer *a);
/* By who is no browser: the caller has looked (from_browser). */
void limits_reset(struct answer *a);
