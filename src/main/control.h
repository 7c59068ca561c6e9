/*
 * control - the small door for `sluice reload` and `sluice status` on the same machine.
 *
 * A unix socket: with --run-dir the file DIR/control.sock, else a name without a file (abstract)
 * made of the user's id and the configuration's path, so a command with the same -c finds the
 * gateway that runs with it, needs no directory, and nothing stale stays behind. Both sides check
 * who the other one is (SO_PEERCRED): the same user, or root.
 *
 *     asker:    "reload text\n" | "reload json\n"
 *     gateway:  EXIT-CODE " " one line "\n" diagnostics, then the end
 *
 * Owner: the gateway. Thread: control; control_ask is the command's side.
 */
#pragma once
#include "cli/cli.h"
#include "core/thread.h"

struct gateway;

enum { CONTROL_ASKERS_MAX = 8, CONTROL_LINE_MAX = 64, CONTROL_PATIENCE_MS = 2000 };

struct control {
    struct watch watch;
    struct list askers;
    unsigned count;
    struct timer again; /* a former gateway still has the name */
    uint32_t starter;   /* the user that started this process, before it became another */
    struct address address;
};

void control_init(struct gateway *g);  /* before privileges are dropped */
void control_open(struct gateway *g);  /* binds, or tries again later */
void control_close(struct gateway *g); /* a next gateway may have the name */

/* cli_parts.reload */
int control_reload(const struct cli_call *call);
