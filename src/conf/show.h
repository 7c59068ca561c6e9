/*
 * show - a value as YAML flow text for explain and messages; what is secret shows as ***.
 * Thread: any.
 */
#pragma once
#include "conf/schema.h"

struct span show_flow(struct arena *a, const struct node *n, const struct schema_field *f);
