/*
 * files - reads configuration files and makes one tree of them: includes are added, later -c are
 * patches. Thread: one at a time.
 */
#pragma once
#include "conf/yaml.h"

enum { INCLUDE_DEPTH = 8, INCLUDES_MAX = 4096 };

/* The whole text, or a sentence that says why not (static). `max` bytes at most. */
must_use const char *files_read(struct arena *a, const char *path, size_t max, struct span *out);
/* A path as written in a file, seen from where that file lies. */
const char *files_beside(struct arena *a, const struct diag_list *d, uint32_t source,
                         struct span path);

/* NULL: errors were told. */
must_use struct node *files_load(struct arena *a, struct diag_list *d, const char *const *file,
                                 unsigned files);
