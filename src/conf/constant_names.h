/*
 * constant_names - which expressions can be computed when the file is read. Apart from the rest of
 * conf, for the tokens of CEL have a `mark` of their own. Thread: any.
 */
#pragma once
#include "base/arena.h"

/* Whether it names `env` or `vars`, and nothing that only a request has. */
bool constant_expression(struct arena *a, struct span source);
