/*
 * merge - the nearer over the farther: RFC 7396 on long forms, guided by the tables (CONFIG.md,
 * Inheritance 1). Thread: one at a time.
 */
#pragma once
#include "conf/schema.h"

/* One level of inheritance, as explain names it. */
struct level {
    struct span name; /* "defaults", "group routes[1]", "route", "policies.api" */
};

/* `near` over `far`; pairs of the result remember their level. Neither is changed. */
struct node *merge(struct arena *a, struct diag_list *d, const struct schema_type *t,
                   struct pair far, struct pair near);
/* A later -c over the tree: routes by name. */
struct node *merge_patch(struct arena *a, struct diag_list *d, struct node *root,
                         struct node *patch);
