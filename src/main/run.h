/*
 * run - `sluice run`: under a supervisor, as its child, or alone. Thread: the first.
 */
#pragma once
#include "cli/cli.h"

int run(const struct cli_call *call);
