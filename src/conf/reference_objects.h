/*
 * reference_objects - every object that the tables reach, each once, in the order in which it is
 * met. Thread: one at a time.
 */
#pragma once
#include "conf/schema.h"

enum { OBJECTS_MAX = 96 };

struct objects {
    const struct schema_type *type[OBJECTS_MAX]; /* of kind OBJECT */
    unsigned flags[OBJECTS_MAX];                 /* enum schema_flag of the field that led there */
    bool later[OBJECTS_MAX]; /* only reached through what is not available yet */
    unsigned count;
};

void objects_collect(struct objects *o);
/* Its place, or -1. */
int objects_find(const struct objects *o, const struct schema_type *t);
