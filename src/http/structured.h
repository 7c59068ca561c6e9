/*
 * structured - structured fields (RFC 8941): dictionaries of items and inner lists, read by pulling
 * one after the other out of the text. Nothing is copied; every step checks the grammar of what it
 * hands out. Owner: spans of the text. Thread: any.
 */
#pragma once
#include "base/str.h"

enum sf_kind { SF_INTEGER, SF_DECIMAL, SF_STRING, SF_TOKEN, SF_BYTES, SF_BOOLEAN };

struct sf_item {
    enum sf_kind kind;
    /* STRING: between the quotes, with its escapes; BYTES: the base64; else as written. */
    struct span text;
    int64_t number; /* INTEGER; BOOLEAN: 0 or 1 */
};

struct sf_member { /* of a dictionary */
    struct span key;
    bool inner;       /* an inner list: `list`; else `item` */
    struct span list; /* between its parentheses */
    struct sf_item item;
    struct span params; /* ";a=1;b", perhaps empty */
    struct span value;  /* the whole behind "=", params included */
};

enum sf_step { SF_END, SF_ONE, SF_BAD };

/* Each takes from the front of *rest. */
enum sf_step sf_member_next(struct span *rest, struct sf_member *out);
/* Of `list`; `params` may be NULL. */
enum sf_step sf_item_next(struct span *rest, struct sf_item *out, struct span *params);
enum sf_step sf_param_next(struct span *rest, struct span *key, struct sf_item *out);

/* Serialised as RFC 8941 4.1 says: one text for one meaning. */
void sf_put_item(struct str *out, const struct sf_item *item);
void sf_put_params(struct str *out, struct span params);
/* The string's own text: without escapes, into `out` (item->text.n bytes are enough). */
struct span sf_string(const struct sf_item *item, char *out);
