/*
 * privileges - what the process may do and use: descriptors, memory, user, capabilities.
 * Owner: the serving process, before its threads start. Thread: one.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>
#include <stdint.h>

struct resources {
    uint64_t descriptors; /* the limit on open files, raised as far as allowed */
    uint64_t memory;      /* bytes: the smaller of the machine's and the control group's, halved */
    uint32_t max_connections; /* shipped value: 60 % of the descriptors, or the memory / 24 KiB */
};

void resources_take(struct resources *out);

/* "NAME" or "NAME:GROUP". False: no such user or group (told). */
struct user {
    uint32_t uid, gid;
    char name[64];
};
must_use bool user_find(const char *text, struct user *out);
/* Becomes the user for good; NULL: stays who he is. Then in both cases: no capabilities that root
 * alone would need, no new privileges, no core of secrets and no tracing. False: told. */
must_use bool privileges_drop(const struct user *u);
