/*
 * limits_top - what the admin listener tells of limits, and POST /limits/reset.
 *
 *     /limits                    every rate limit, quota and concurrency limit with its counts
 *     /limits/top?limit=&n=&by=  its hottest keys (of every limit without `limit`), n at most 100,
 *                                by asks or refused; the counts are estimates (limit/hot.h)
 *     /limits/quotas?limit=&key=&n=  what keys have used of quotas, the fullest first
 *     /limits/reset?key=&limit=  forgets what the key has used of rate limits; of a quota where
 *                                that is named
 *
 * JSON; a table for who asks for text/plain. Keys are what clients sent: escaped in both. Thread:
 * the control thread.
 */
#pragma once
#include "admin/answer.h"

void limits_page(struct answer *a);
void limits_top(struct answer *a);
void limits_quotas(struct answer *a);
/* By who is no browser: the caller has looked (from_browser). */
void limits_reset(struct answer *a);
