/*
 * cli - the command line: reads it, answers check, explain, routes, schema and help itself, and
 * hands run, reload and status to main.
 *
 * Exit codes: 0 fine, 1 the thing asked for failed, 2 usage, 78 configuration.
 * Thread: the first.
 */
#pragma once
#include "conf/conf.h"

enum { CLI_FINE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_CONFIG = 78 };

/* The command line of run, reload and status, read and checked. */
struct cli_call {
    struct conf_options conf; /* files found: -c.., or ./sluice.yaml, or /etc/sluice/sluice.yaml */
    bool no_supervisor;       /* run --no-supervisor */
    const char *user; /* run --user NAME: privileges to drop to after binding; NULL: none given */
    const char *run_dir;  /* run/reload --run-dir DIR: of the control socket; NULL: default */
    bool json;            /* reload/status --format json */
    const char *pid_file; /* run --pid-file FILE; NULL: none */
    uint32_t workers;     /* run --workers N: instead of the configuration's; 0: not given */
    uint64_t
        reload_every_ms; /* run --reload-every DURATION: at most one reload in it; 0: not given */
    char **argv;         /* as main got it: the supervisor starts the serving process with it */
};

/* Defined by main (registry.c): what the command line needs of the rooms that it doesn't know. */
struct cli_parts {
    const struct conf_registry *registry;
    int (*run)(const struct cli_call *);
    int (*reload)(const struct cli_call *);
    int (*status)(const struct cli_call *);
};
extern const struct cli_parts cli_parts;

/* Returns the exit code. */
int cli_main(int argc, char **argv);
