/*
 * list - a circular doubly linked list whose nodes live inside their objects.
 *
 * A zeroed or initialised node is unlinked; list_remove may be called on it again.
 * Owner: whoever embeds the node. Thread: that of the owner.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l) {
    l->prev = l->next = l;
}

/* For a head: not empty. For a node: member of a list. */
static inline bool list_linked(const struct list *l) {
    return l->next && l->next != l;
}

static inline void list_append(struct list *head, struct list *n) {
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

static inline void list_prepend(struct list *head, struct list *n) {
    list_append(head->next, n);
}

static inline void list_remove(struct list *n) {
    if (n->next) {
        n->prev->next = n->next;
        n->next->prev = n->prev;
    }
    n->prev = n->next = NULL;
}

/* Takes the first node out, or NULL. */
static inline struct list *list_shift(struct list *head) {
    struct list *n = head->next;
    if (!n || n == head)
        return NULL;
    list_remove(n);
    return n;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (!list_linked(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
