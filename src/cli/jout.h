/*
 * jout - commands' JSON answers, written as they come. A NULL key: an element of a list.
 * Thread: the first.
 */
#pragma once
#include "base/str.h"
#include <stdio.h>

struct jout {
    FILE *f;
    unsigned depth;
    bool more; /* a comma is due */
};

void jout_open(struct jout *j, const char *key, char bracket);
void jout_close(struct jout *j, char bracket);
void jout_text(struct jout *j, const char *key, struct span s);
void jout_raw(struct jout *j, const char *key, struct span json); /* JSON already */
void jout_number(struct jout *j, const char *key, int64_t v);
void jout_bool(struct jout *j, const char *key, bool v);
