/*
 * limits_in - what the pages about limits share. Part of admin. Thread: the control thread.
 */
#pragma once
#include "admin/answer.h"

bool limits_want_text(const struct exchange *x);
/* A query parameter, decoded, in the exchange's arena; {NULL, 0}: not given. */
struct span limits_parameter(struct exchange *x, struct span name);
/* For a terminal: control bytes, quotes and what is no UTF-8 are escaped. Filled up to the column's
 * width, which limits_widen finds. */
void limits_shown(struct text *t, struct span key, unsigned width);
void limits_column(struct text *t, const char *head, unsigned width);
unsigned limits_widen(unsigned width, struct span key);
/* Right-aligned; LIMITS_NONE is a dash: this kind does not count it. */
#define LIMITS_NONE UINT64_MAX
void limits_pad(struct text *t, uint64_t v, unsigned width);
/* False: there is no such limit or quota, and the answer says so. An empty id means all. */
must_use bool limits_known(struct answer *a, struct span id);
/* a->text, as what was asked for. */
void limits_send(struct answer *a);
