/*
 * accept - which of a few media types an Accept field likes best (RFC 9110 12.5.1). Thread: any.
 */
#pragma once
#include "http/head.h"

/* Quality 0..1000 that the request's Accept fields give to "type/subtype"; the most specific range
 * decides. Without Accept everything is 1000. */
unsigned accept_quality(const struct head *h, struct span type, struct span subtype);
