/*
 * must - tests of must(): a call that breaks an invariant has to end its process.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child without stderr. True: it ended by abort(), or a sanitizer ended it. */
static inline bool ends_process(void (*fn)(void *), void *arg) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        close(2);
        fn(arg);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) != 0;
}
