/*
 * credential - finding a credential in its place of a request, and taking it out.
 *
 * A place holds one: a second field, parameter or cookie of the name is told, and then nobody
 * guesses which is meant (F14). Names of parameters are compared as a service decodes them. Owner:
 * the exchange. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

enum credential_in { CREDENTIAL_HEADER, CREDENTIAL_QUERY, CREDENTIAL_COOKIE };

/* The value as it came, {NULL, 0}: none; *more is set where there are several. Names of headers are
 * lower-case. */
struct span credential_find(const struct head *h, enum credential_in in, struct span name,
                            bool *more);
/* Percent escapes and "+" of a parameter's value. False: malformed. */
must_use bool credential_decode(struct arena *a, struct span *s);
/* Every copy of it. */
void credential_drop(struct exchange *x, enum credential_in in, struct span name);
