#include "cli/command.h"
#include "conf/units.h"

struct option {
    const char *name; /* "--config" */
    char letter;      /* 'c', or 0 */
    bool value;
    unsigned needs;                                /* option_bit: commands that take it */
    int (*take)(struct cli *c, const char *value); /* -1: fine, else the exit code */
};

static int take_config(struct cli *c, const char *v) {
    if (c->files == FILES_MAX)
        return cli_misused(c, "at most %d files can be given with -c", FILES_MAX);
    if (!*v)
        return cli_misused(c, "-c wants the name of a file");
    c->file[c->files++] = v;
    return -1;
}

static int take_format(struct cli *c, const char *v) {
    bool sarif = c->command->options & OPTION_SARIF;
    if (strcmp(v, "text") == 0)
        c->format = DIAG_TEXT;
    else if (strcmp(v, "json") == 0)
        c->format = DIAG_JSON;
    else if (sarif && strcmp(v, "sarif") == 0)
        c->format = DIAG_SARIF;
    else
        return cli_misused(c, "--format is text%s, not `%s`",
                           sarif ? ", json or sarif" : " or json", v);
    c->call.json = c->format == DIAG_JSON;
    return -1;
}

static int take_header(struct cli *c, const char *v) {
    if (c->headers == HEADERS_MAX)
        return cli_misused(c, "at most %d headers can be given", HEADERS_MAX);
    c->header[c->headers++] = v;
    return -1;
}

static int take_data(struct cli *c, const char *v) {
    c->data = v;
    return -1;
}
static int take_listener(struct cli *c, const char *v) {
    c->listener = v;
    return -1;
}
static int take_claims(struct cli *c, const char *v) {
    c->claims = v;
    return -1;
}
static int take_consumer(struct cli *c, const char *v) {
    c->consumer = v;
    return -1;
}
static int take_with(struct cli *c, const char *v) {
    c->with = v;
    return -1;
}
static int take_cases(struct cli *c, const char *v) {
    c->cases = v;
    return -1;
}
static int take_limit(struct cli *c, const char *v) {
    c->limit = v;
    return -1;
}

static int take_by(struct cli *c, const char *v) {
    if (strcmp(v, "asks") != 0 && strcmp(v, "refused") != 0)
        return cli_misused(c, "--by is asks or refused, not `%s`", v);
    c->by = v;
    return -1;
}

static int take_count(struct cli *c, const char *v) {
    uint64_t n;
    if (!parse_dec(span_z(v), 100, &n) || n == 0)
        return cli_misused(c, "-n is a number from 1 to 100, not `%s`", v);
    c->count = v;
    return -1;
}

static int take_no_supervisor(struct cli *c, const char *v) {
    (void)v;
    c->call.no_supervisor = true;
    return -1;
}
static int take_user(struct cli *c, const char *v) {
    c->call.user = v;
    return -1;
}
static int take_run_dir(struct cli *c, const char *v) {
    c->call.run_dir = v;
    return -1;
}
static int take_pid_file(struct cli *c, const char *v) {
    c->call.pid_file = v;
    return -1;
}

static int take_workers(struct cli *c, const char *v) {
    uint64_t n;
    if (!parse_dec(span_z(v), 512, &n) || n == 0)
        return cli_misused(c, "--workers is a number from 1 to 512, not `%s`", v);
    c->call.workers = (uint32_t)n;
    return -1;
}

static int take_reload_every(struct cli *c, const char *v) {
    if (units_duration(span_z(v), &c->call.reload_every_ms) != UNIT_FINE)
        return cli_misused(c, "--reload-every is a duration like 2s, not `%s`", v);
    return -1;
}

static const struct option options[] = {
    {"--config", 'c', true, OPTION_CONFIG, take_config},
    {"--format", 0, true, OPTION_FORMAT, take_format},
    {"--header", 'H', true, OPTION_REQUEST, take_header},
    {"--data", 'd', true, OPTION_REQUEST, take_data},
    {"--listener", 0, true, OPTION_REQUEST, take_listener},
    {"--claims", 0, true, OPTION_REQUEST, take_claims},
    {"--consumer", 0, true, OPTION_REQUEST, take_consumer},
    {"--with", 0, true, OPTION_EVAL, take_with},
    {"--cases", 0, true, OPTION_EVAL, take_cases},
    {"--limit", 0, true, OPTION_LIMITS, take_limit},
    {"--by", 0, true, OPTION_LIMITS, take_by},
    {"--count", 'n', true, OPTION_LIMITS, take_count},
    {"--no-supervisor", 0, false, OPTION_RUN, take_no_supervisor},
    {"--user", 0, true, OPTION_RUN, take_user},
    {"--workers", 0, true, OPTION_RUN, take_workers},
    {"--pid-file", 0, true, OPTION_RUN, take_pid_file},
    {"--reload-every", 0, true, OPTION_RUN, take_reload_every},
    {"--run-dir", 0, true, OPTION_RUN_DIR, take_run_dir},
};

static const struct option *find(const struct cli *c, const char *word, size_t n) {
    for (size_t i = 0; i < array_len(options); i++) {
        const struct option *o = &options[i];
        bool long_form = strlen(o->name) == n && strncmp(o->name, word, n) == 0;
        bool letter = o->letter && word[1] == o->letter && word[0] == '-' && word[1] != '-';
        if ((long_form || letter) && (c->command->options & o->needs))
            return o;
    }
    return NULL;
}

static int unknown(const struct cli *c, const char *word) {
    const char *known[16];
    size_t n = 0;
    for (size_t i = 0; i < array_len(options); i++)
        if (c->command->options & options[i].needs)
            known[n++] = options[i].name;
    const char *guess = diag_guess(span_z(word), known, n);
    return cli_misused(c, "`%s` has no option `%s`%s%s%s", c->command->name, word,
                       guess ? "; did you mean `" : "", guess ? guess : "", guess ? "`?" : "");
}

/* One option at argv[*at]; moves past its value. */
static int one(struct cli *c, int argc, char **argv, int *at) {
    const char *word = argv[*at], *equals = strchr(word, '=');
    bool long_form = word[1] == '-';
    size_t n = long_form && equals ? (size_t)(equals - word) : strlen(word);
    const struct option *o = find(c, word, n);
    const char *value = NULL;
    if (!o)
        return unknown(c, word);
    if (long_form && equals)
        value = equals + 1;
    else if (!long_form && word[2])
        value = word + 2;
    if (!o->value)
        return value ? cli_misused(c, "%s takes no value", o->name) : o->take(c, NULL);
    if (!value && *at + 1 >= argc)
        return cli_misused(c, "%s wants a value", word);
    return o->take(c, value ? value : argv[++*at]);
}

/* "-" is a file and "-1" an expression. */
static bool is_option(const char *word) {
    char c = word[0] == '-' ? lower(word[1]) : 0;
    return c == '-' || (c >= 'a' && c <= 'z');
}

int cli_options(struct cli *c, int argc, char **argv) {
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            cli_usage(c->command, stdout);
            return CLI_FINE;
        } else if (!only_arguments && is_option(word)) {
            int code = one(c, argc, argv, &i);
            if (code >= 0)
                return code;
        } else if (c->arguments == c->command->most) {
            return cli_misused(c, "`%s` does not take `%s`", c->command->name, word);
        } else {
            c->argument[c->arguments++] = word;
        }
    }
    if (c->arguments < c->command->least)
        return cli_misused(c, "`%s` wants %s", c->command->name, c->command->arguments);
    return -1;
}
