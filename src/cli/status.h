/*
 * status - `sluice status`: how a running gateway is, as its admin listener tells it.
 *
 * The configuration names the admin listener; with --format json the answer is passed on as it is.
 * Thread: the first.
 */
#pragma once
#include "cli/cli.h"

int cli_status(const struct cli_call *call); /* the exit code */
/* The part behind the configuration, for tests: where to ask, and its name for messages. */
int cli_status_of(const struct address *admin, struct span name, bool json);
