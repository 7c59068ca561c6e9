/*
 * command - the inside of the command line: a command as a record, and its options read.
 *
 * Every command is one row of `commands`: name, what follows it, its options, its function.
 * Mistakes in the command line name the nearest thing that exists and end with CLI_USAGE. Thread:
 * the first.
 */
#pragma once
#include "cli/cli.h"
#include <stdio.h>

enum { FILES_MAX = 64, HEADERS_MAX = 64, ARGUMENTS_MAX = 2 };

enum option_bit {
    OPTION_CONFIG = 1,
    OPTION_FORMAT = 2, /* text, json */
    OPTION_SARIF = 4,  /* --format sarif too */
    OPTION_RUN = 8,
    OPTION_RUN_DIR = 16,
    OPTION_REQUEST = 32, /* -H, -d, --listener, --claims, --consumer */
    OPTION_EVAL = 64,    /* --with, --cases */
    OPTION_LIMITS = 128, /* --limit, --by, -n */
};

struct cli {
    const struct command *command;
    struct cli_call call;
    const char *file[FILES_MAX];
    unsigned files;
    const char *header[HEADERS_MAX];
    unsigned headers;
    const char *data, *listener, *claims, *consumer;
    const char *with, *cases;
    const char *limit, *by, *count;
    enum diag_format format;
    const char *argument[ARGUMENTS_MAX];
    unsigned arguments;
    bool help;
};

struct command {
    const char *name, *arguments, *what;
    const char *more; /* its help: some lines; NULL: none */
    unsigned options;
    unsigned least, most; /* arguments */
    int (*run)(struct cli *c);
};

extern const struct command commands[];
extern const unsigned command_count;

/* -1: go on; else the exit code. */
int cli_options(struct cli *c, int argc, char **argv);
/* Finds the configuration: -c, or the usual places. */
bool cli_files(struct cli *c);
/* Loads it; without a snapshot the diagnostics have been printed (to `errors`). */
struct snapshot *cli_load(struct cli *c, struct diag_list *d, FILE *errors);
void cli_diagnostics(struct cli *c, struct diag_list *d, FILE *f);
/* "sluice: ..." and a hint; returns CLI_USAGE. */
int cli_misused(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_usage(const struct command *c, FILE *f);

int cli_check(struct cli *c);
int cli_routes(struct cli *c);
int cli_explain(struct cli *c);
int cli_eval(struct cli *c);
int cli_hash(struct cli *c);
int cli_limits(struct cli *c);
int cli_schema(struct cli *c);
int cli_help(struct cli *c);
int cli_docs(struct cli *c);
