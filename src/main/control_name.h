/*
 * control_name - where the control socket is, and who may speak through it; for both of its sides.
 * Thread: any.
 */
#pragma once
#include "cli/cli.h"
#include "io/tcp.h"

/* len 0: the run directory's path is too long. */
struct address control_address(const struct cli_call *call, uint32_t uid);
/* A listening socket, or -1 and *err. A file that another gateway left is replaced. */
int control_bind(const struct address *a, int *err);
/* The other side is the same user, `also`, or root. */
bool control_trusts(int fd, uint32_t also);
