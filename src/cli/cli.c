#include "cli/command.h"
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static int cli_run(struct cli *c) {
    return cli_parts.run(&c->call);
}
static int cli_reload(struct cli *c) {
    return cli_parts.reload(&c->call);
}
static int cli_ask_status(struct cli *c) {
    return cli_parts.status(&c->call);
}

const struct command commands[] = {
    {"run", "", "start the gateway and stay in the foreground",
     "A supervisor keeps the sockets and starts the serving process anew should it end.\n"
     "SIGHUP reloads, SIGTERM ends after the exchanges under way, SIGUSR1 opens the logs anew.",
     OPTION_CONFIG | OPTION_RUN | OPTION_RUN_DIR, 0, 0, cli_run},
    {"check", "", "read the configuration and print every error and warning in it",
     "Exit code 0 when it is fine (warnings or not), 78 when it has errors.",
     OPTION_CONFIG | OPTION_FORMAT | OPTION_SARIF, 0, 0, cli_check},
    {"explain", "METHOD URL", "say what becomes of a request: route, policies, upstream request",
     "Prints the chosen route, why each other one was rejected, the policies in their order and "
     "where\n"
     "each setting came from, and the request that the service would get. Nothing is sent.\n"
     "Who calls is yours to say, with --claims and --consumer: no credential is looked at.\n"
     "URL is a whole URL or a path. Example: sluice explain GET http://shop.example/api/orders/7 "
     "-H 'x-beta: 1'",
     OPTION_CONFIG | OPTION_FORMAT | OPTION_REQUEST, 2, 2, cli_explain},
    {"routes", "", "list the routes", NULL, OPTION_CONFIG | OPTION_FORMAT, 0, 0, cli_routes},
    {"eval", "'EXPR'", "evaluate an expression",
     "Prints its value: JSON, or CEL's notation where JSON has none. The members of the file of "
     "--with\n"
     "become names. --cases FILE runs expressions with expected values, one JSON object a line.\n"
     "Example: sluice eval 'claim.sub.startsWith(\"u\")' --with token.json",
     OPTION_FORMAT | OPTION_EVAL, 0, 1, cli_eval},
    {"hash", "key|password", "hash an API key or a password for the configuration",
     "Reads it from standard input: `printf %s KEY | sluice hash key`. A password becomes "
     "argon2id;\n"
     "bcrypt and yescrypt can be named in its place.",
     0, 1, 1, cli_hash},
    {"schema", "", "print the JSON Schema of the configuration, for editors",
     "In the first line of a configuration: # yaml-language-server: $schema=sluice.schema.json", 0,
     0, 0, cli_schema},
    {"reload", "", "have the running gateway read its configuration anew",
     "A configuration with an error changes nothing.",
     OPTION_CONFIG | OPTION_RUN_DIR | OPTION_FORMAT, 0, 0, cli_reload},
    {"status", "", "show the state of the running gateway",
     "It asks the admin listener of the configuration.", OPTION_CONFIG | OPTION_FORMAT, 0, 0,
     cli_ask_status},
    {"limits", "[top | quotas [KEY] | reset KEY]",
     "show the limits of the running gateway, and their keys",
     "Alone: each limit and what became of requests. top: the keys that ask most (or, --by "
     "refused, are\n"
     "refused most), by estimate. quotas: what keys (or this one) have used of quotas, the fullest "
     "first.\n"
     "reset KEY: forgets what a key has used of rate limits, as top writes it; of a quota where "
     "--limit\n"
     "names that.\n"
     "Example: sluice limits top --limit login -n 20",
     OPTION_CONFIG | OPTION_FORMAT | OPTION_LIMITS, 0, 2, cli_limits},
    {"help", "[CODE or COMMAND]", "explain a command, or an error by its code",
     "Example: sluice help E0112", 0, 0, 1, cli_help},
    {"docs", "errors|configuration", NULL, NULL, 0, 1, 1, cli_docs}, /* for docs/, not listed */
};
const unsigned command_count = array_len(commands);

void cli_usage(const struct command *c, FILE *f) {
    if (!c) {
        fprintf(f, "usage: sluice COMMAND [OPTION]..\n\ncommands:\n");
        for (unsigned i = 0; i < command_count; i++)
            if (commands[i].what)
                fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].what);
        fprintf(f,
                "\n`sluice COMMAND --help` tells more of one, `sluice help CODE` explains an error "
                "code.\n`sluice --version` prints the version.\n");
        return;
    }
    fprintf(f, "usage: sluice %s%s%s%s\n", c->name, *c->arguments ? " " : "", c->arguments,
            c->options ? " [OPTION].." : "");
    if (c->what)
        fprintf(f, "\n%s\n", c->what);
    if (c->more)
        fprintf(f, "%s\n", c->more);
    if (!c->options)
        return;
    fprintf(f, "\noptions:\n");
    if (c->options & OPTION_CONFIG)
        fprintf(f,
                "  -c, --config FILE     the configuration; several: each later one is a patch.\n"
                "                        Without it ./sluice.yaml, then /etc/sluice/sluice.yaml\n");
    if (c->options & OPTION_FORMAT)
        fprintf(f, "  --format FORMAT       text%s\n",
                c->options & OPTION_SARIF ? ", json or sarif" : " or json");
    if (c->options & OPTION_LIMITS)
        fprintf(f, "  --limit ID            of this limit alone\n"
                   "  -n, --count N         so many keys, at most 100; else 10\n"
                   "  --by asks|refused     what the keys are ordered by\n");
    if (c->options & OPTION_REQUEST)
        fprintf(f, "  -H, --header 'N: V'   a header field of the request; several may be given\n"
                   "  -d, --data TEXT       its body\n"
                   "  --listener NAME       the listener that it comes by (else the first)\n"
                   "  --claims FILE         who calls: JSON that `claim` is worth, as a token's\n"
                   "  --consumer NAME       who calls: one of `consumers`; both may be given\n");
    if (c->options & OPTION_EVAL)
        fprintf(f, "  --with FILE           JSON whose members are names in the expression\n"
                   "  --cases FILE          run these cases instead; exit code 1 if one fails\n");
    if (c->options & OPTION_RUN)
        fprintf(f, "  --no-supervisor       one process, for containers\n"
                   "  --user NAME           whom to become once the sockets are bound\n"
                   "  --workers N           threads that serve, instead of the configuration's\n"
                   "  --pid-file FILE       where to write the process id\n"
                   "  --reload-every TIME   at most one reload in that time (as shipped 1s)\n");
    if (c->options & OPTION_RUN_DIR)
        fprintf(f, "  --run-dir DIR         folder of the socket by which reload reaches run\n");
}

int cli_misused(const struct cli *c, const char *fmt, ...) {
    va_list ap;
    fprintf(stderr, "sluice: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (c && c->command)
        fprintf(stderr, "\nTry `sluice %s --help`.\n", c->command->name);
    else
        fprintf(stderr, "\nTry `sluice help`.\n");
    return CLI_USAGE;
}

static const struct command *command_named(const char *name) {
    for (unsigned i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *word[16];
    size_t n = 0;
    for (unsigned i = 0; i < command_count && n < array_len(word); i++)
        if (commands[i].what)
            word[n++] = commands[i].name;
    const char *guess = diag_guess(span_z(name), word, n);
    return cli_misused(NULL, "there is no command `%s`%s%s%s", name,
                       guess ? "; did you mean `" : "", guess ? guess : "", guess ? "`?" : "");
}

bool cli_files(struct cli *c) {
    static const char *const usual[] = {"sluice.yaml", "/etc/sluice/sluice.yaml"};
    for (size_t i = 0; i < array_len(usual) && !c->files; i++)
        if (access(usual[i], F_OK) == 0)
            c->file[c->files++] = usual[i];
    c->call.conf.file = c->file;
    c->call.conf.files = c->files;
    c->call.conf.warnings = true;
    c->call.conf.registry = cli_parts.registry;
    if (!c->files)
        fprintf(stderr,
                "sluice: there is no ./sluice.yaml and no /etc/sluice/sluice.yaml; name the "
                "configuration with -c FILE\n");
    return c->files > 0;
}

static void put(void *ctx, struct span text) {
    fwrite(text.p, 1, text.n, ctx);
}

void cli_diagnostics(struct cli *c, struct diag_list *d, FILE *f) {
    const char *no = getenv("NO_COLOR");
    bool color = isatty(fileno(f)) && !(no && *no);
    diag_print(d, c->format, color, put, f);
}

struct snapshot *cli_load(struct cli *c, struct diag_list *d, FILE *errors) {
    struct snapshot *s = conf_load(&c->call.conf, d);
    if (!s) {
        enum diag_format asked = c->format;
        c->format = DIAG_TEXT;
        cli_diagnostics(c, d, errors);
        c->format = asked;
    }
    return s;
}

int cli_main(int argc, char **argv) {
    struct cli c = {.call = {.argv = argv}};
    if (argc < 2) {
        cli_usage(NULL, stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("sluice " SLUICE_VERSION "\n");
        return CLI_FINE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_usage(NULL, stdout);
        return CLI_FINE;
    }
    if (name[0] == '-')
        return cli_misused(NULL, "the command comes first, then its options: sluice check %s",
                           name);
    c.command = command_named(name);
    if (!c.command)
        return unknown_command(name);
    int code = cli_options(&c, argc - 2, argv + 2);
    if (code >= 0)
        return code;
    if ((c.command->options & OPTION_CONFIG) && !cli_files(&c))
        return CLI_CONFIG;
    code = c.command->run(&c);
    if (fflush(stdout) != 0 && code == CLI_FINE)
        code = CLI_FAILED;
    return code;
}
