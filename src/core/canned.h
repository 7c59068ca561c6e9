/*
 * canned - answers that need no service: respond, redirect, the error answers' shape.
 *
 * Configuration of the backs in back/canned.c; conf fills it. Thread: read by all.
 */
#pragma once
#include "core/snapshot.h"

struct answer_header {
    struct span name; /* lower-case, checked */
    const struct template *value;
};
struct respond_conf {
    int status; /* 200..599 */
    const struct answer_header *header;
    uint32_t header_count;
    struct span content_type;
    const struct template *body; /* NULL: none */
    struct span file;            /* contents of `file:`, read with the configuration */
    bool has_file;
};
struct redirect_conf {
    int status;                /* 301 302 303 307 308 */
    const struct template *to; /* whole target; or the parts, each may be NULL: the request's */
    const struct template *scheme, *host, *path;
};
struct rewrite_conf {            /* of filter/rewrite */
    const struct template *path; /* whole new path, may hold ?query; or */
    struct span strip, add;      /* prefixes on segment borders; or */
    struct regex *regex;
    const struct template *with; /* "/$1": numbered groups as literal $N */
    struct span with_text;
};
