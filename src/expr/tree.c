#include "expr/tree.h"

struct span tree_dotted(struct arena *a, const struct tree *n) {
    struct span part[16];
    unsigned count = 0;
    size_t max = 0;
    for (; n->kind == NODE_SELECT && !n->optional && count < 15; n = n->child[0])
        part[count++] = n->name;
    if (n->kind != NODE_NAME)
        return SPAN_NONE;
    part[count++] = n->name;
    for (unsigned i = 0; i < count; i++)
        max += part[i].n + 1;
    struct str s = str_on(arena_alloc(a, max), max);
    while (count) {
        str_add(&s, part[--count]);
        if (count)
            str_char(&s, '.');
    }
    return str_span(&s);
}
