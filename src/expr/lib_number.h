/*
 * lib_number - numbers as CEL's conversions and format take and give them, on top of data/number.h.
 * Thread: any.
 */
#pragma once
#include "base/str.h"

enum { NUMBER_FIXED = 352 }; /* characters, whatever the double */

/* The fewest digits that read back as the same, never an exponent; NaN, Infinity, -Infinity.
 * Returns the length. */
size_t number_fixed(char out[NUMBER_FIXED], double d);
/* Sign, digits, point, exponent; inf, infinity, nan in any case. False: it is none of them, or too
 * large. */
must_use bool number_parse(struct span s, double *out);
/* An optional sign and digits. */
must_use bool number_parse_int(struct span s, int64_t *out);
must_use bool number_parse_uint(struct span s, uint64_t *out); /* digits alone */
