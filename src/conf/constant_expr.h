/*
 * constant_expr - expressions over `env` and top-level `vars`, computed when the file is read:
 * ${vars.base + 1}, ${env.?HOST.orValue("shop") + ".example"}.
 *
 * An expression that names anything else is left for templates. Owner: the arena of the constants.
 * Thread: one at a time.
 */
#pragma once
#include "conf/constant.h"
#include "conf/constant_names.h"
#include "conf/diag.h"
#include "data/value.h"

struct constant_result {
    struct span text; /* of the value: a text as it is, null as nothing, else JSON */
    bool typed;       /* it is no text: a number, a list .. */
    bool secret;      /* a variable that it uses holds a secret */
    size_t at, len;   /* of what is wrong */
    enum diag_code code;
    const char *why, *help;
};
bool constant_compute(struct constants *c, struct span source, struct constant_result *out);

/* A scalar, map or list of free data as a value; its texts stay where they are. */
struct value constant_value(struct arena *a, const struct node *n);
/* NULL: there is none of that name; else it counts as used. */
const struct node *constant_var(struct constants *c, struct span name);
/* NULL: unset. */
const char *constant_env(struct constants *c, struct span name);
