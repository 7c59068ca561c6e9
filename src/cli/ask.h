/*
 * ask - one question to the admin listener of a running gateway, over loopback or a unix socket.
 *
 * Speaks HTTP/1.1 with the house's own codec and a loop of its own, and waits for the whole answer
 * at most ASK_SECONDS. Thread: the one of a command.
 */
#pragma once
#include "io/tcp.h"
#include "observe/text.h"

enum { ASK_SECONDS = 10, ASK_ANSWER_MAX = 8 * 1024 * 1024 };

struct ask_answer {
    int status;
    struct text bytes; /* as they came */
    struct span body;  /* in them */
};

/* GET, or (`post`) a POST without a body. True: an answer, whatever its status. False: *why says
 * what went wrong (static). text_finish(&a->bytes) afterwards, however it went. */
must_use bool ask(const struct address *admin, bool post, const char *path, const char *accept,
                  struct ask_answer *a, const char **why);
