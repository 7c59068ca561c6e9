/*
 * text - a text that grows up to a maximum given at its creation: pages of the admin listener.
 *
 * Appending past the maximum (or without memory) sets `full` and appends nothing more.
 * Owner: whoever embeds it. Thread: one.
 */
#pragma once
#include "base/str.h"

struct text {
    char *p;
    size_t n, cap, max;
    bool full;
};

static inline struct text text_new(size_t max) {
    return (struct text){.max = max};
}
void text_finish(struct text *t);
/* Makes room for n bytes and lends them; NULL: full. text_used afterwards. */
char *text_room(struct text *t, size_t n);
void text_put(struct text *t, const char *p, size_t n);
static inline void text_add(struct text *t, struct span s) {
    text_put(t, s.p, s.n);
}
static inline void text_z(struct text *t, const char *z) {
    text_put(t, z, strlen(z));
}
#define text_lit(t, lit) text_put((t), (lit), sizeof(lit) - 1)
void text_u64(struct text *t, uint64_t v);
void text_seconds(struct text *t, uint64_t ns); /* "0.001234567", no trailing zeros */
void text_json(struct text *t, struct span s);  /* inside of a JSON string */

/* JSON by pieces: commas are put where they belong. key NULL: an element of a list. */
void json_open(struct text *t, const char *key, char bracket);
void json_close(struct text *t, char bracket);
void json_str(struct text *t, const char *key, struct span v); /* p NULL: null */
void json_u64(struct text *t, const char *key, uint64_t v);
void json_bool(struct text *t, const char *key, bool v);
void json_seconds(struct text *t, const char *key, uint64_t ns);
