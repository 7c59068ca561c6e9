/*
 * check - what cannot happen.
 *
 * must() stays on in release builds: a broken invariant ends the process at once, with the place,
 * and the supervisor starts a fresh one. It is never used for what a peer, a file or the network
 * can cause.
 */
#pragma once
#include <stddef.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Not zeroed where the build zeroes what stands on the stack: for large arrays on the request path
 * that are written before they are read. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define unzeroed __attribute__((uninitialized))
#endif
#endif
#ifndef unzeroed
#define unzeroed
#endif
#define must_use __attribute__((warn_unused_result))

_Noreturn void must_failed(const char *what, const char *file, int line);

#define must(cond)                                                                                 \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            must_failed(#cond, __FILE__, __LINE__);                                                \
    } while (0)

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define array_len(a) (sizeof(a) / sizeof((a)[0]))
