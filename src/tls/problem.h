/*
 * problem - telling what is wrong with the files of a server or a client. Inside of this room.
 * Owner: the caller's stack. Thread: one.
 */
#pragma once
#include "tls/server.h"

struct teller {
    tls_problem_fn fn;
    void *ctx;
    int cert; /* what is told now is about this one; -1: about none */
    bool failed;
};

/* An error makes teller.failed true; which kinds are errors stands in server.h. */
void tell(struct teller *t, enum tls_problem_kind kind, const char *part, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* "2026-11-25", for texts */
enum { DAY_TEXT = 11 };
const char *day_text(int64_t seconds, char out[DAY_TEXT]);

/* Problems kept for later: when it is known whether anybody should hear of them. */
enum { NOTES_MAX = 32 };
struct notes {
    struct tls_problem p[NOTES_MAX];
    unsigned n;
};
void note_problem(void *notes, const struct tls_problem *p); /* a tls_problem_fn */
void notes_tell(const struct notes *n, tls_problem_fn fn, void *ctx);
