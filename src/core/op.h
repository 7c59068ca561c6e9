/*
 * op - something pending: a timer, a look-up, a child exchange. It hangs in its owner's list (step,
 * back, exchange, connection, thread) and dies with the owner: cancel() is called, and no
 * completion follows. A completion never runs inside the call that started it. Owner: whoever
 * started it. Thread: one.
 */
#pragma once
#include "base/list.h"

struct op {
    struct list node;
    void (*cancel)(struct op *);
};

static inline void op_start(struct list *owner, struct op *op, void (*cancel)(struct op *)) {
    op->cancel = cancel;
    list_append(owner, &op->node);
}
static inline bool op_pending(const struct op *op) {
    return op->node.next != NULL;
}
/* It has completed (or never mattered): nobody cancels it any more. */
static inline void op_end(struct op *op) {
    list_remove(&op->node);
}
static inline void ops_cancel(struct list *owner) {
    for (struct list *n; (n = list_shift(owner));) {
        struct op *op = (struct op *)((char *)n - offsetof(struct op, node));
        op->cancel(op);
    }
}
