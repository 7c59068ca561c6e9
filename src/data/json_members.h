/*
 * json_members - finds names that stand twice in one object, in linear time whatever a peer wrote.
 * Owner: the caller's. Thread: any.
 */
#pragma once
#include "data/value.h"

/* `twice` given: *twice is the first member whose name stood there before, or left alone. NULL: the
 * last of each name counts, in the place of the first; *n becomes what is left. False: no memory.
 */
must_use bool json_members(struct value_member *m, uint32_t *n, const struct value_member **twice);
