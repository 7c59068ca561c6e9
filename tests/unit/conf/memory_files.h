/* memory_files - configuration files that exist in memory only: opened through the env table. */
#pragma once
#include "base/env.h"
#include "base/str.h"
#include <errno.h>
#include <stdlib.h>

enum { MEMORY_FILES = 8, MEMORY_FD = 9000 };

static struct {
    const char *name, *text;
    size_t n, at;
} memory_file[MEMORY_FILES];
static unsigned memory_files;

static int memory_open(const char *path, int flags, mode_t mode) {
    (void)flags;
    (void)mode;
    for (unsigned i = 0; i < memory_files; i++)
        if (strcmp(memory_file[i].name, path) == 0) {
            memory_file[i].at = 0;
            return MEMORY_FD + (int)i;
        }
    errno = ENOENT;
    return -1;
}

static ssize_t memory_read(int fd, void *p, size_t n) {
    unsigned i = (unsigned)(fd - MEMORY_FD);
    size_t left = memory_file[i].n - memory_file[i].at;
    n = n < left ? n : left;
    memcpy(p, memory_file[i].text + memory_file[i].at, n);
    memory_file[i].at += n;
    return (ssize_t)n;
}

static int memory_close(int fd) {
    return fd >= MEMORY_FD ? 0 : -1;
}

static void memory_put(const char *name, const char *text, size_t n) {
    env.open = memory_open;
    env.read = memory_read;
    env.close = memory_close;
    memory_file[memory_files].name = name;
    memory_file[memory_files].text = text;
    memory_file[memory_files++].n = n;
}

static void memory_clear(void) {
    memory_files = 0;
    env = env_os;
}
