/*
 * lib_zone - time zones: fixed offsets, and the names of the system's database.
 *
 * Names are read from /usr/share/zoneinfo (RFC 8536, with the rule for years behind the table),
 * never through libc, whose zone is the process's. What was read is kept for the life of the
 * process, up to ZONES_KEPT names; beyond that it lives in the arena. Owner: the process or the
 * arena. Thread: any.
 */
#pragma once
#include "base/arena.h"

enum { ZONES_KEPT = 512, ZONE_FILE_MAX = 64 * 1024 };

struct zone;
/* "Europe/Paris", "UTC", "+02:00", "-08:00", "02:00". NULL: *why says what is wrong with it. */
const struct zone *zone_get(struct arena *a, struct span name, const char **why);
/* Seconds east of UTC at that moment. */
int64_t zone_offset(const struct zone *z, int64_t seconds);
