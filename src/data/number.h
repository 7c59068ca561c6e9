/*
 * number - doubles and points in time as text and back, whatever locale the process has.
 *
 * Texts of doubles are the shortest that read back as the same double ("0.1", "1e+21", "NaN",
 * "Infinity"). Reading takes JSON's and CEL's forms, and never longer than its text is. Owner:
 * none. Thread: any.
 */
#pragma once
#include "base/str.h"

enum { NUMBER_TEXT = 32, MOMENT_TEXT = 64 };

/* Decimal digits with sign, point and exponent; what is too large becomes an infinity, what is too
 * small zero. False: it is something else (spaces, hexadecimal, names), or no memory. */
must_use bool number_read(struct span text, double *out);
/* Into a buffer of NUMBER_TEXT bytes; returns the length. */
size_t number_text(double d, char *out);

/* "2009-02-13T23:31:30.5Z" (seconds since 1970, UTC) and "1.5s", as protobuf's JSON has them; into
 * a buffer of MOMENT_TEXT bytes. */
size_t timestamp_text(int64_t seconds, int32_t nanos, char *out);
size_t duration_text(int64_t seconds, int32_t nanos, char *out);
