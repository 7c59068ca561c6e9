/*
 * lib_number - doubles as text, the same in every locale. Thread: any.
 */
#pragma once
#include "base/str.h"

enum number_style {
    NUMBER_PLAIN, /* the fewest digits that read back as the same; an exponent below 1e-4 and from
                     1e21 */
    NUMBER_FIXED  /* the same digits, never an exponent */
};
enum { NUMBER_MAX = 352 }; /* characters, whatever the double */

/* NaN, Infinity, -Infinity likewise. Returns the length. */
size_t number_print(char out[NUMBER_MAX], double d, enum number_style style);
/* What Go's ParseFloat takes but hexadecimal: sign, digits, point, exponent, inf, infinity, nan in
 * any case. False: it is none, or too large. */
must_use bool number_parse(struct span s, double *out);
/* An optional sign and digits. */
must_use bool number_parse_int(struct span s, int64_t *out);
must_use bool number_parse_uint(struct span s, uint64_t *out); /* digits alone */
